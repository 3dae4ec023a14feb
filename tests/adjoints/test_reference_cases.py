"""Every adjoint on every reference case of an `ode`: the gradient of the weighted sum of all outputs, on the back end lanes."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from tests.reference.cases import Case, error, gradients_of
from tests.reference.test_ode_solutions import ALL, RTOL

ADJOINTS = ["forward", "interpolated", "gauss", "backsolve"]
# What decays forwards grows backwards, so `backsolve` multiplies the error of its states by the strongest contraction of the
# case: Lorenz's system has the Lyapunov exponent -14.57, over a time of 1. The cycle of van der Pol's oscillator at mu = 1 has
# the Floquet exponent -1.059: over the time 20 of the case that leaves no digit, so `backsolve` stands the test at time 2.
GROWTH = {"Lorenz-28": math.exp(14.57), "Lorenz-21": math.exp(14.57)}
BRIEF = {"VanDerPol": {"T": 2}}


def case_for(case: Case, adjoint: str) -> Case:
    """The case itself, or one of the same layer that the adjoint can stand."""
    if adjoint == "backsolve" and case.name in BRIEF:
        return replace(case, given={**case.given, **BRIEF[case.name]}, values=None, slopes={})
    return case


def bound(case: Case, adjoint: str) -> float:
    """Relative errors of a gradient: `forward` is the same map as `discrete`; the others are right to their tolerances."""
    if adjoint == "forward":
        return 1e-9
    return max(1e-6, GROWTH.get(case.name, 1.0) * RTOL) if adjoint == "backsolve" else 1e-6


@cache
def told(case: Case, adjoint: str) -> Case:
    """The case with an adjoint; `discrete` is what a layer has that is told nothing, as in the tests of solutions."""
    if adjoint == "discrete":
        return case
    return replace(case, options={**case.options, "adjoint": adjoint, "solver": "tsit5"})


@cache
def gradient(case: Case, adjoint: str) -> tuple[torch.Tensor, ...]:
    with_it = told(case, adjoint)
    return gradients_of(with_it.weights @ with_it.solved, [with_it.arguments[name] for name in with_it.moving])


# One test a case, so that the discrete gradient is computed once wherever the tests are split over processes.
@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
def test_every_adjoint_agrees_on_every_reference_case(case: Case) -> None:
    for adjoint in ADJOINTS:
        chosen = case_for(case, adjoint)
        wanted = gradient(chosen, "discrete")
        # Next to a gradient that is large, one that is small has the error of the large one.
        scale = max(w.abs().max().item() for w in wanted)
        allowed = bound(case, adjoint)
        for found, known in zip(gradient(chosen, adjoint), wanted, strict=True):
            assert error(found, known) <= allowed or (found - known).abs().max().item() <= allowed * scale, adjoint


SLOPES = [(c, i, a) for c in ALL for i in c.slopes for a in ADJOINTS if i in case_for(c, a).slopes]


@pytest.mark.parametrize(("case", "output", "adjoint"), SLOPES, ids=[f"{c.name}-{i}-{a}" for c, i, a in SLOPES])
def test_the_gradient_is_the_known_one(case: Case, output: int, adjoint: str) -> None:
    with_it = told(case, adjoint)
    wanted = case.slopes[output]
    found = gradients_of(with_it.solved[output], [with_it.arguments[name] for name in wanted])
    for grad, reference in zip(found, wanted.values(), strict=True):
        assert error(grad, reference) <= max(1e-6, bound(case, adjoint))
