"""Every adjoint on every reference case of an `ode`: the gradient of the weighted sum of all outputs, on the back end lanes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from tests.reference.cases import Case, error
from tests.reference.test_ode_solutions import ALL

# What decays forwards grows backwards: these cases lose by it, and by no more than this.
UNSTABLE = {"ProtheroRobinson": 1e-4, "Fifth-forward": 1e-4, "Fifth-backward": 1e-4}


@cache
def gradient(case: Case, adjoint: str) -> tuple[torch.Tensor, ...]:
    told = replace(case, options={**case.options, "adjoint": adjoint, "solver": "tsit5"})
    arguments = [told.arguments[name] for name in told.moving]
    return torch.autograd.grad(told.weights @ told.solved, arguments, materialize_grads=True)


@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
@pytest.mark.parametrize("adjoint", ["forward", "interpolated", "gauss", "backsolve"])
def test_every_adjoint_agrees_on_every_reference_case(adjoint: str, case: Case) -> None:
    bound = 1e-9 if adjoint == "forward" else UNSTABLE.get(case.name, 1e-6) if adjoint == "backsolve" else 1e-6
    wanted = gradient(case, "discrete")
    # Next to a gradient that is large, one that is small has the error of the large one.
    scale = max(w.abs().max().item() for w in wanted)
    for found, known in zip(gradient(case, adjoint), wanted, strict=True):
        assert error(found, known) <= bound or (found - known).abs().max().item() <= bound * scale


SLOPES = [(c, i) for c in ALL for i in c.slopes]


@pytest.mark.parametrize("adjoint", ["forward", "interpolated", "gauss", "backsolve"])
@pytest.mark.parametrize(("case", "output"), SLOPES, ids=[f"{c.name}-{i}" for c, i in SLOPES])
def test_the_gradient_is_the_known_one(case: Case, output: int, adjoint: str) -> None:
    told = replace(case, options={**case.options, "adjoint": adjoint, "solver": "tsit5"})
    wanted = case.slopes[output]
    found = torch.autograd.grad(told.solved[output], [told.arguments[name] for name in wanted])
    for grad, reference in zip(found, wanted.values(), strict=True):
        assert error(grad, reference) <= (1e-5 if adjoint == "backsolve" else 1e-6)
