"""Linear and quadratic programs through the language: published solutions, multipliers and derivatives.

Every case is solved, differentiated (against central differences), and, where the active set is strict, differentiated
twice (against central differences of the gradient).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from tests.reference.argmin_cases import differences, jacobian, models, outputs, second_error, tensor

pytestmark = pytest.mark.usefixtures("backend")

PROGRAMS = "argmin_programs"
HS268_D = np.array(
    [[-74, 80, 18, -11, -4], [14, -69, 21, 28, 0], [66, -72, -5, 7, 1], [-12, 66, -30, -23, 3], [3, 8, -7, -4, 1], [4, -12, 4, 4, 0]], float
)  # fmt: skip
HS268_E = np.array([51, -61, -56, 69, 10, -12], float)
HS268_G = -np.array(
    [[-1, -1, -1, -1, -1], [10, 10, -3, 5, 4], [-8, 1, -2, -5, 3], [8, -1, 2, 5, -3], [-4, -2, 3, -5, 1]], float
)
HS268_H = np.array([5, -20, 40, -11, 30], float)


@dataclass(frozen=True)
class Case:
    """Inputs, expected outputs (None: not published), sizes, notes, whether both derivatives exist, and the inputs that
    differences cannot move because they would leave their set."""

    name: str
    layer: str
    inputs: list[Any]
    expected: list[Any]
    sizes: dict[str, int] = field(default_factory=dict)
    notes: int = 0
    smooth: bool = True
    held: tuple[int, ...] = ()


CASES = [
    Case("T01 t=-1", "Relu", [-1], [0, 1]),
    Case("T01 t=1", "Relu", [1], [1, 0]),
    Case("T01 t=0", "Relu", [0], [0, 0], notes=1, smooth=False),
    Case("T05", "SimplexProjection", [[0.5, 0.8, -0.2, 0.3]], [[0.3, 0.6, 0, 0.1], 0.2], {"n": 4}),
    Case("T05 by set", "OnSimplex", [[0.5, 0.8, -0.2, 0.3]], [[0.3, 0.6, 0, 0.1]], {"n": 4}),
    Case("T12", "Knapsack", [[0.9, 0.25, 0.1], 0.4], [[0.4, 0.375, 0.225]]),
    Case(
        "T16",
        "Markowitz",
        [[0.08, 0.14, 0.01], [[0.04, 0.006, 0.002], [0.006, 0.09, 0.01], [0.002, 0.01, 0.01]], 3],
        [[0.542372881356, 0.457627118644, 0], 0.00667796610169, [0, 0, 0.0136610169492]],
        held=(1,),
    ),
    Case("T20", "SmoothedLinear", [[1, 1.2, 4], 0.5], [[0.7, 0.3, 0]], {"n": 3}),
    Case("T22", "MatrixGame", [[[3, -1], [-2, 4]]], [[0.6, 0.4], 1, [0.5, 0.5]], {"n": 2, "m": 2}),
    Case(
        "T24",
        "HardMargin",
        [[[2, 2], [3, 1], [0, 0], [1, -1]], [1, 1, -1, -1], 1],
        [[0.5, 0.5], -1],
        {"k": 4},
        2,
        False,
    ),
    Case("T25", "Sensitivity", [[5, 1]], [[0.632653061224, 0.387755102041, 0.020408163265], None]),
    Case("T25 active", "Sensitivity", [[4.5, 1]], [[0.5, 0.5, 0], [0, -1]]),
    Case("T38", "TwoSided", [1], [[0.5, 0.5]], notes=1, smooth=False),
    Case("HS3", "HS3", [1e-5], [[0, 0], 1]),
    Case("HS21", "HS21", [10], [[2, 0], 0.04]),
    Case("HS28", "HS28", [1], [[0.5, -0.5, 0.5]]),
    Case("HS35", "HS35", [3], [[4 / 3, 7 / 9, 4 / 9], 2 / 9]),
    Case("HS35MOD", "HS35MOD", [3, 0.5], [[1.5, 0.5, 0.5]], notes=1, smooth=False),
    Case("HS48", "HS48", [5], [np.ones(5)]),
    Case("HS51", "HS52", [1, [4, 0, 0], 10], [np.ones(5), np.zeros(3)]),
    Case(
        "HS52",
        "HS52",
        [4, [0, 0, 0], 10],
        [[-0.0945558739, 0.0315186246, 0.5157593123, -0.4527220630, 0.0315186246], None],
    ),
    Case("HS53", "HS52", [1, [0, 0, 0], 10], [[-33 / 43, 11 / 43, 27 / 43, -5 / 43, 11 / 43], None]),
    Case(
        "HS76",
        "HS76",
        [[5, 4, -1.5]],
        [[3 / 11, 23 / 11, 0, 6 / 11], [0.454545454545, 0, 0], [0, 0, 1.72727272727, 0]],
    ),
    Case("HS118", "HS118", [[60, 50, 70, 85, 100]], [None, 664.82045]),
    Case(
        "HS268",
        "Least",
        [HS268_D, HS268_E, HS268_G, HS268_H],
        [[1, 2, -1, 3, -4], 0],
        {"n": 5, "k": 6, "m": 5},
        1,
        False,
    ),
    Case("ZECEVIC2", "ZECEVIC2", [[2, 4]], [[1.75, 0.25]]),
    Case("QPTEST", "QPTEST", [[1.5, -2], 2], [[0.7625, 0.475], 4.371875]),
    Case("TAME", "TAME", [1], [[0.5, 0.5]]),
]


def build(case: Case) -> Any:
    return getattr(models(PROGRAMS), case.layer)(dtype=torch.float64, **case.sizes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_solution(case: Case) -> None:
    layer = build(case)
    found = outputs(layer(*map(tensor, case.inputs)))
    assert layer.last.status == 0
    assert int(layer.last.notes) == case.notes
    for value, want in zip(found, case.expected, strict=True):
        if want is not None:
            np.testing.assert_allclose(value.numpy(), want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("case", [c for c in CASES if c.smooth], ids=lambda case: case.name)
def test_derivatives(case: Case) -> None:
    layer = build(case)
    for wrt in sorted({*range(len(case.inputs))} - {*case.held}):
        for output in range(len(case.expected)):
            have = jacobian(layer, case.inputs, wrt=wrt, output=output)
            want = differences(layer, case.inputs, wrt=wrt, output=output)
            np.testing.assert_allclose(have, want, rtol=1e-6, atol=1e-6 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("case", [c for c in CASES if c.smooth], ids=lambda case: case.name)
def test_second_derivatives(case: Case) -> None:
    assert second_error(build(case), case.inputs, held=case.held) <= 1e-6
