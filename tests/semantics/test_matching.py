"""Matchings against scipy's maximum flow, structural indices against textbook systems."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow

from implicitdsl.semantics.matching import match_blocks, structural_index
from tests.semantics.checking import checked


def reference_flow(equations: list[int], unknowns: list[int], stands_in: list[list[int]]) -> int:
    rows, columns = len(equations), len(unknowns)
    capacity = np.zeros((rows + columns + 2, rows + columns + 2), dtype=np.int32)
    capacity[-2, :rows] = equations
    capacity[rows : rows + columns, -1] = unknowns
    for i, found in enumerate(stands_in):
        for j in found:
            capacity[i, rows + j] = min(equations[i], unknowns[j])
    return int(maximum_flow(csr_matrix(capacity), rows + columns, rows + columns + 1).flow_value)


def test_matchings_are_as_large_as_a_maximum_flow() -> None:
    chance = random.Random(3)
    perfect = 0
    for _ in range(300):
        equations = [chance.randrange(1, 6) for _ in range(chance.randrange(1, 7))]
        unknowns = [chance.randrange(1, 6) for _ in range(chance.randrange(1, 7))]
        stands_in = [[j for j in range(len(unknowns)) if chance.random() < 0.5] for _ in equations]
        found = match_blocks(equations, unknowns, stands_in)
        wanted = reference_flow(equations, unknowns, stands_in)
        assert sum(equations) - sum(found.equations) == wanted
        assert sum(unknowns) - sum(found.unknowns) == wanted
        assert all(0 <= rest <= size for rest, size in zip(found.equations, equations, strict=True))
        perfect += found.perfect
    assert perfect >= 5


@pytest.mark.parametrize(
    ("states", "unknowns", "derivatives", "algebraic", "index"),
    [
        (1, 0, [[0]], [], 0),
        (1, 1, [[1]], [[0, 1]], 1),
        # x' = z, 0 = x - f(t): index 2.
        (1, 1, [[1]], [[0]], 2),
        # The pendulum in Cartesian coordinates x, y, u, v and the tension: index 3 (Pantelides 1988, example 1).
        (4, 1, [[2], [3], [0, 4], [1, 4]], [[0, 1]], 3),
        # The same with the constraint differentiated once: index 2.
        (4, 1, [[2], [3], [0, 4], [1, 4]], [[0, 1, 2, 3]], 2),
        # A chain of three integrators whose end is prescribed: index 4.
        (3, 1, [[1], [2], [3]], [[0]], 4),
    ],
)
def test_structural_indices(
    states: int, unknowns: int, derivatives: list[list[int]], algebraic: list[list[int]], index: int
) -> None:
    assert structural_index(states, unknowns, derivatives, algebraic) == index


def dae(constraint: str) -> str:
    return f"""dae D(f, ts[T]) -> [T] {{
  state x = 1
  var z = 0
  dx/dt = z
  {constraint}
  return x at ts
}}
"""


def test_the_structure_of_a_dae_is_kept_for_what_comes_later() -> None:
    file, report = checked(dae("x + z = f"))
    assert (report.found, file.definitions["D"].structure.index) == ([], 1)
    file, report = checked(dae("x = f*t"))
    assert [f.code for f in report.found] == ["W401"]
    assert (file.definitions["D"].structure.index, file.definitions["D"].structure.hidden) == (2, "z")
    _, report = checked(dae("f*t = 1"))
    assert [f.code for f in report.found] == ["E413"]
