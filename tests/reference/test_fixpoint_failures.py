"""Fixed points that are not there, not unique or not reached: statuses, never a wrong success."""

from __future__ import annotations

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import note_names, status_name
from tests.reference.cases import f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

FIXPOINT = models("fixpoint")
D = torch.float64


def quiet(layer, **keywords):
    return FIXPOINT[layer](dtype=D, on_fail="nan", **keywords)


def status(layer):
    found = layer.last.status
    return status_name(int(found)) if found.ndim == 0 else [status_name(int(s)) for s in found]


FAILURES = {
    "F02 z = z + 1": ("Shift", (1.0,), {"no_root", "diverged"}),
    "F03 z = sqrt(z^2 + 1)": ("Escape", (1.0,), {"diverged"}),
    "F10 z = z": ("Everywhere", (0.3,), {"singular"}),
    "start outside the domain": ("Domain", (2.0, 3.0), {"nonfinite"}),
    "infinite": ("TanhScalar", (float("inf"), 0.3), {"nonfinite", "bad_input"}),
    "nan": ("TanhScalar", (float("nan"), 0.3), {"bad_input"}),
    "no steps": ("TanhScalar", (0.9, 0.3), {"max_steps"}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_failure_has_a_name_and_gives_nan_or_raises(name):
    layer, inputs, allowed = FAILURES[name]
    limit = {"max_steps": 1} if name == "no steps" else {}
    built = quiet(layer, **limit)
    given = [leaf(v) for v in inputs]
    z = built(*given)
    assert status(built) in allowed
    assert torch.isnan(z)
    if z.requires_grad:  # z = z does not depend on an argument, its start
        assert all(torch.isnan(g) for g in torch.autograd.grad(z, given))
    with pytest.raises(implicitdsl.SolveError) as caught:
        FIXPOINT[layer](dtype=D, **limit)(*inputs)
    assert status_name(int(caught.value.status)) in allowed


def test_warn_gives_the_best_finite_iterate():
    for layer, inputs in (("Shift", (1.0,)), ("Escape", (1.0,)), ("Domain", (2.0, 3.0))):
        built = FIXPOINT[layer](dtype=D, on_fail="warn")
        with pytest.warns(RuntimeWarning, match=layer):
            z = built(*inputs)
        assert torch.isfinite(z)
        assert int(built.last.status) != 0


@pytest.mark.parametrize("solver", ["picard", "newton"])
def test_a_chaotic_iteration_is_solved_and_its_gradient_is_right(solver):
    # F11: the map's slope at the fixed point is -1.95, so no plain iteration can end there.
    r = leaf(3.95)
    z = FIXPOINT.LogisticMap(dtype=D, solver=solver)(r)
    assert z.item() == pytest.approx(1 - 1 / 3.95, rel=1e-12)
    assert torch.autograd.grad(z, r)[0].item() == pytest.approx(1 / 3.95**2, rel=1e-10)


def test_the_fold_is_flagged_and_its_derivative_refused():
    built = FIXPOINT.Hysteresis(dtype=D)
    x = leaf(-0.53283997535355202357)
    z = built(x, 1.0)
    assert z.item() == pytest.approx(0.5**0.5, abs=1e-6)
    assert "near_singular" in note_names(int(built.last.notes))
    with pytest.raises(implicitdsl.SolveError, match="singular") as caught:
        torch.autograd.grad(z, x)
    assert caught.value.stage == "backward"


def test_the_start_chooses_among_fixed_points_and_carries_no_gradient():
    start = leaf([1.0, -1.0])
    x = leaf(0.0)
    z = FIXPOINT.Hysteresis(dtype=D)(x, start)
    assert z.tolist() == pytest.approx([0.95750402407726874068, -0.95750402407726874068], rel=1e-12)
    by_x, by_start = torch.autograd.grad(z.sum(), [x, start])
    assert by_x.item() == pytest.approx(2 * 0.099787978129812485167, rel=1e-9)
    assert by_start.tolist() == [0, 0]


def test_one_nan_sample_changes_no_bit_of_the_others():
    torch.manual_seed(0)
    built = FIXPOINT.DEQ(n=4, m=3, dtype=D, on_fail="nan")
    good = torch.randn(5, 3, dtype=D)
    mixed = good.clone()
    mixed[2] = float("nan")
    keep = [0, 1, 3, 4]
    x = leaf(mixed)
    z = built(x)
    assert status(built) == ["success", "success", "bad_input", "success", "success"]
    params = list(built.parameters())
    found = torch.autograd.grad(z[keep].square().sum(), [x, *params])
    clean_x = leaf(good[keep])
    clean = torch.autograd.grad(built(clean_x).square().sum(), [clean_x, *params])
    assert torch.equal(z[keep], built(good[keep]))
    assert torch.equal(found[0][keep], clean[0])
    assert torch.equal(found[0][2], torch.zeros(3, dtype=D))
    assert all(torch.equal(a, b) for a, b in zip(found[1:], clean[1:], strict=True))


def test_message_names_the_layer_that_failed():
    torch.manual_seed(0)
    head = FIXPOINT.Head(n=4, m=3, dtype=D, on_fail="nan")
    with torch.no_grad():
        head.core.W.fill_(float("inf"))
    y = head(f64([0.1, 0.2, 0.3]))
    assert torch.isnan(y)
    assert "DEQ" in head.last.message()
