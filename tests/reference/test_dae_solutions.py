"""Differential-algebraic equations of index 1: known answers, consistent starts, both derivatives, failures."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import implicitdsl
from implicitdsl.diagnostics import ImpError
from implicitdsl.solvers.status import status_name
from tests.reference.cases import error, f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")


def build(name, **options):
    return getattr(models("dae"), name)(dtype=torch.float64, **options)


@pytest.mark.parametrize("guess", [0.0, 0.5])
def test_robertson_with_its_sensitivities_from_a_guess_that_is_repaired(guess):
    k, g = leaf([0.04, 3e7, 1e4]), leaf(guess)
    y = build("Robertson")(k, g, f64([0, 40]))
    assert y[0].tolist() == [1.0, 0.0, 0.0]
    assert error(y[1], f64([0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035])) <= 1e-7
    known = f64([
        [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
        [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
    ])  # fmt: skip
    for i, wanted in enumerate((*known, -known.sum(0))):
        found, by_guess = torch.autograd.grad(y[1, i], (k, g), retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)
        assert by_guess.item() == 0.0


def test_the_transistor_amplifier():
    """Values of the Test Set for IVP Solvers, whose mass matrix is singular and not diagonal."""
    found = build("Amplifier")(f64(0.2))
    known = f64([
        -0.5562145012262709e-2, 3.006522471903042, 2.849958788608128, 2.926422536206241, 2.704617865010554,
        2.761837778393145, 4.770927631616772, 1.236995868091548,
    ])  # fmt: skip
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-6)


def test_derivatives_at_fixed_steps_are_those_of_differences():
    layer = build("Cubic")
    given = leaf([0.4, 0.9]), leaf(1.3), leaf(1.1)
    assert gradcheck(layer, given)
    assert gradgradcheck(layer, given)
    reads = build("Reads")
    # The first time is where the start is made consistent.
    times = leaf([0.1, 0.33, 0.8])
    assert gradcheck(reads, (given[0], times))
    assert gradgradcheck(reads, (given[0], times))


def test_the_slope_where_no_time_passes_is_that_of_the_solution():
    layer, x0, p = build("Cubic"), f64(0.4), f64(1.3)

    def at(t):
        return layer(x0, p, f64(t)).detach()

    end = leaf(0.26)
    found = torch.stack([torch.autograd.grad(o, end, retain_graph=True)[0] for o in layer(x0, p, end)])
    h = 1e-3
    wanted = (8 * (at(0.26 + h) - at(0.26 - h)) - (at(0.26 + 2 * h) - at(0.26 - 2 * h))) / (12 * h)
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)


def test_the_guess_chooses_the_branch():
    layer = build("Root")
    found = layer(f64([1.0, 1.0, 4.0]), f64([0.3, -3.0, 1e3]))
    wanted = torch.sqrt(f64([1.0, 1.0, 4.0]) * torch.exp(f64(-0.1))) * f64([1, -1, 1])
    torch.testing.assert_close(found[:, 1], wanted, rtol=1e-6, atol=0)


def test_a_sample_without_a_consistent_start_changes_no_other():
    layer = build("Root", on_fail="nan")
    x0 = leaf([1.0, -1.0, 1.0, 2.0])
    found = layer(x0, f64([1.0, 1.0, 0.0, 1.0]))
    names = [status_name(s) for s in layer.last.status.tolist()]
    assert names[0] == names[3] == "success"
    assert names[1] in ("no_root", "singular")
    assert names[2] == "singular"
    (grad,) = torch.autograd.grad(found[[0, 3]].sum(), x0)
    alone = leaf([1.0, 2.0])
    answer = build("Root")(alone, f64(1.0))
    assert torch.equal(answer, found[[0, 3]])
    assert torch.equal(torch.autograd.grad(answer.sum(), alone)[0], grad[[0, 3]])


HIGH = "dae P(ts[T]) -> [T] {\n  state x = 1, v = 0\n  var y = 0\n  dx/dt = v\n  dv/dt = y\n  x = cos(t)\n  return y at ts\n}\n"


def test_an_index_above_one_is_refused_with_the_unknown_and_the_equation():
    with pytest.warns(UserWarning, match="W401"), pytest.raises(ImpError, match="E616") as caught:
        implicitdsl.loads(HIGH).P()
    text = str(caught.value)
    assert "`y` has no algebraic equation of its own" in text
    assert "`x = cos(t)` cannot determine it" in text


def test_scalars_of_vectors_are_matched_one_by_one():
    text = (
        "dae P(x0[2], ts[T]) -> [T, 2] {\n  state x[2] = x0\n  var z[2] = 0\n  dx/dt = -z\n"
        "  [z[0] - x[1], x[0] + x[1]*z[0]] = 0\n  return z at ts\n}\n"
    )
    with pytest.raises(ImpError, match="E616"):
        implicitdsl.loads(text).P()


def test_explicit_methods_are_refused():
    with pytest.raises(ImpError, match="E610"):
        models("dae").Root(solver="tsit5")
