"""What a root that is not there, not simple or not reached looks like: statuses, never a wrong success."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import note_names, status_name
from tests.reference.cases import f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

ROOT = models("root")
D = torch.float64


def quiet(layer, **sizes):
    return getattr(ROOT, layer)(dtype=D, on_fail="nan", **sizes)


def status(layer):
    found = layer.last.status
    return status_name(int(found)) if found.ndim == 0 else [status_name(int(s)) for s in found]


FAILURES = {
    "F01 x^2 + 1": ("NoRoot", (1.0,), {"no_root", "diverged"}),
    "F07 log at -1": ("Logarithm", (-1.0, 1.0), {"nonfinite"}),
    "R06 beyond the fold": ("Fold", (0.6,), {"success", "no_root"}),
    "S22 no conserved row": ("NotConserved", (f64([2.0, 3.0]), f64([1.0, 0.0])), {"singular"}),
    "nan": ("NoRoot", (float("nan"),), {"bad_input"}),
    "e outside": ("KeplerEquation", (1.5, 1.0), {"bad_input"}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_failure_has_a_name_and_gives_nan(name):
    layer, inputs, allowed = FAILURES[name]
    built = quiet(layer)
    z = built(*inputs)
    assert status(built) in allowed
    if status(built) == "success":  # the equation has another root, far away: then it must be one
        assert abs(z - inputs[0] - z**5).item() <= 1e-9
        return
    assert torch.isnan(z).all()
    with pytest.raises(implicitdsl.SolveError) as caught:
        getattr(ROOT, layer)(dtype=D)(*inputs)
    assert caught.value.layer == layer
    assert caught.value.stage == "forward"
    assert status_name(int(caught.value.status)) in str(caught.value)


def test_warn_gives_the_best_iterate():
    built = ROOT.NoRoot(dtype=D, on_fail="warn")
    with pytest.warns(RuntimeWarning, match="no_root|diverged"):
        x = built(1.0)
    # |F| is smallest, 1, at 0.
    assert math.isfinite(x.item())
    assert x.item() ** 2 + 1 == pytest.approx(1, abs=1e-2)


REACHED = {
    "F05 two-cycle": ("TwoCycle", (2.0,), -1.7692923542386314),
    "F06 atan from 1.5": ("Arctangent", (1.5, 0.0), 0.0),
    "F06 atan from 100": ("Arctangent", (100.0, 0.0), 0.0),
    "F07 log from 3": ("Logarithm", (3.0, 1.0), 0.36787944117144232160),
    "F09 at the root": ("AtRoot", (0.7,), 0.7),
}


@pytest.mark.parametrize("name", REACHED)
def test_damped_newton_reaches_the_root(name):
    layer, inputs, wanted = REACHED[name]
    built = getattr(ROOT, layer)(dtype=D)
    given = [leaf(v) for v in inputs]
    x = built(*given)
    assert x.item() == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    (slope,) = torch.autograd.grad(x, given[-1])
    exact = {"TwoCycle": -1 / (3 * wanted**2 - 2), "Arctangent": 1.0, "Logarithm": -wanted, "AtRoot": 1.0}[layer]
    assert slope.item() == pytest.approx(exact, rel=1e-9)


def test_a_start_at_the_root_takes_no_step():
    built = ROOT.AtRoot(dtype=D)
    built(0.7)
    assert built.last.steps.item() <= 1


@pytest.mark.parametrize("max_steps", [1, 2])
def test_a_limit_of_steps_is_an_honest_status(max_steps):
    built = ROOT.Lambert(dtype=D, on_fail="nan", max_steps=max_steps)
    assert torch.isnan(built(5.0))
    assert status(built) == "max_steps"
    assert built.last.steps.item() == max_steps


def test_no_step_at_all_is_an_honest_status_too():
    text = "root Lambert(x) -> w {\n  var w = 0.5\n  w*exp(w) = x\n  solver newton(max_steps = 0)\n  return w\n}\n"
    built = implicitdsl.load(text).Lambert(dtype=D, on_fail="nan")
    assert torch.isnan(built(5.0))
    assert status(built) == "max_steps"
    assert built.last.steps.item() == 0


def test_a_double_root_is_found_flagged_and_not_differentiated():
    built = ROOT.Square(dtype=D)
    p = leaf(0.0)
    x = built(p)
    assert abs(x.item()) <= 1e-5
    assert "near_singular" in note_names(int(built.last.notes))
    with pytest.raises(implicitdsl.SolveError, match="singular") as caught:
        torch.autograd.grad(x, p)
    assert caught.value.stage == "backward"
    gentle = quiet("Square")
    y = gentle(p)
    assert not torch.isnan(y)
    assert torch.isnan(torch.autograd.grad(y, p)[0])


def test_powell_singular_is_found_flagged_and_not_differentiated():
    built = ROOT.PowellSingular(dtype=D)
    s = leaf(1.0)
    x = built(s)
    assert x.abs().max().item() <= 1e-4
    assert "near_singular" in note_names(int(built.last.notes))
    # Linear convergence: the error halves a step, so 1e-6 takes about 20.
    assert built.last.steps.item() >= 10
    with pytest.raises(implicitdsl.SolveError, match="singular") as caught:
        torch.autograd.grad(x.sum(), s)
    assert caught.value.stage == "backward"


def test_a_double_root_in_a_batch_spoils_no_other_gradient():
    built = quiet("Square")
    p = leaf([4.0, 0.0, 9.0])
    x = built(p)
    (found,) = torch.autograd.grad(x[[0, 2]].sum(), p)
    assert found.tolist() == pytest.approx([0.25, 0, 1 / 6], rel=1e-12)
    (found,) = torch.autograd.grad(built(p).sum(), p)
    assert torch.isnan(found[1])
    assert found[[0, 2]].tolist() == pytest.approx([0.25, 1 / 6], rel=1e-12)


def test_a_local_minimum_is_never_a_root():
    built = ROOT.FreudensteinRoth(dtype=D, on_fail="warn")
    starts = f64([[0.5, -2.0], [11.4, -0.9], [11.412778986902094, -0.89680525327447652], [4.5, 3.5]])
    with pytest.warns(RuntimeWarning, match="no_root"):
        z = built(starts)
    for number, point in zip(status(built), z, strict=True):
        if number == "success":
            assert point.tolist() == pytest.approx([5, 4], rel=1e-10)
        else:
            assert number in ("no_root", "stalled", "max_steps")
    assert status(built)[3] == "success"


@pytest.mark.parametrize("layer", ["SingularStart", "CubicStart"])
def test_a_singular_start_ends_at_a_root_or_says_why_not(layer):
    built = ROOT[layer](dtype=D, on_fail="nan")
    y = built(f64([2.0, 2.0]), f64([1.0, 2.0]))
    if status(built) == "success":
        assert (y - f64([1.0, 2.0])).abs().max().item() <= 1e-4
    else:
        assert status(built) in ("singular", "no_root", "stalled", "max_steps")


def test_one_hard_or_bad_sample_changes_no_bit_of_the_others():
    built = quiet("Logarithm")
    starts, c = leaf([3.0, -1.0, float("nan"), 0.5, 1e-8]), leaf([1.0, 1.0, 1.0, 0.3, -2.0])
    x = built(starts, c)
    assert status(built) == ["success", "nonfinite", "bad_input", "success", "success"]
    good = [0, 3, 4]
    (found,) = torch.autograd.grad(x[good].sum(), c)
    for i in good:
        alone_c = leaf(c[i].detach())
        alone = built(starts[i].detach(), alone_c)
        assert torch.equal(alone, x[i])
        assert torch.equal(torch.autograd.grad(alone, alone_c)[0], found[i])
    assert found[[1, 2]].tolist() == [0, 0]
    # Asked about, a failed sample has no gradient; the others keep theirs.
    (all_,) = torch.autograd.grad(built(starts, c).sum(), c)
    assert torch.isnan(all_[[1, 2]]).all()
    assert torch.equal(all_[good], found[good])


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_failed_sample_without_cotangent_adds_nothing_to_a_shared_gradient(where):
    built = ROOT.Coupled(n=2, dtype=D, on_fail="nan")
    A = leaf([[0.5, -0.2], [0.7, 0.1]])
    good = f64([[1.0, -0.4], [0.2, 0.9]])
    bad = torch.full((1, 2), float("nan"), dtype=D)
    x = {
        "first": torch.cat([bad, good]),
        "middle": torch.cat([good[:1], bad, good[1:]]),
        "last": torch.cat([good, bad]),
    }[where]
    mask = ~torch.isnan(x[:, 0])
    mixed = torch.autograd.grad(built(A, x)[mask].sum(), [A, built.b])
    clean = torch.autograd.grad(built(A, good).sum(), [A, built.b])
    assert all(torch.equal(m, c) for m, c in zip(mixed, clean, strict=True))


def test_float32_does_not_claim_a_tolerance_that_it_cannot_reach():
    built = ROOT.KeplerEquation(dtype=torch.float32, rtol=1e-12, on_fail="nan")
    e, M = torch.tensor([0.1, 0.8, 0.5, 0.3]), torch.tensor([1.0, 0.5, 2.0, 0.7])
    built(e, M)
    best = ROOT.KeplerEquation(dtype=torch.float32, rtol=1e-12, on_fail="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # whether a sample stalls is a matter of its last bit
        found = best(e, M)
    for number, E, a, b in zip(status(built), found.double(), e.double(), M.double(), strict=True):
        assert abs(E - a * torch.sin(E) - b).item() <= 1e-6
        assert number in ("success", "stalled")
    assert "stalled" in status(built)
