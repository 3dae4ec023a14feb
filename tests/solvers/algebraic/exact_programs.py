"""Small programs of many scales, and their solutions in rational numbers: every set of rows is tried as the active one."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from tests.solvers.algebraic.calls import Program, program

Numbers = list[Fraction]


def exact_solution(s: Program) -> Any:
    """The solution of a program with inequalities G x <= h alone, or None where there is none."""
    n, m = s.q.size, s.h.size
    quadratic = [exact(row) for row in s.Q]
    rows, sides, cost = [exact(row) for row in s.G], exact(s.h), exact(s.q)
    for size in range(min(n, m) + 1):
        for active in combinations(range(m), size):
            system = [quadratic[i] + [rows[a][i] for a in active] for i in range(n)]
            system += [rows[a] + [Fraction(0)] * size for a in active]
            point = solution_of(system, [-v for v in cost] + [sides[a] for a in active])
            if point is None or any(v < 0 for v in point[n:]):
                continue
            images = [sum((g * v for g, v in zip(row, point[:n], strict=True)), Fraction(0)) for row in rows]
            if all(image <= side for image, side in zip(images, sides, strict=True)):
                return np.array([float(v) for v in point[:n]])
    return None


def exact(values: Any) -> Numbers:
    return [Fraction(float(v)) for v in values]


def solution_of(matrix: list[Numbers], right: Numbers) -> Numbers | None:
    """By Gauss and Jordan; None for a singular matrix."""
    table = [[*row, side] for row, side in zip(matrix, right, strict=True)]
    for column in range(len(table)):
        pivot = next((r for r in range(column, len(table)) if table[r][column] != 0), None)
        if pivot is None:
            return None
        table[column], table[pivot] = table[pivot], table[column]
        for r, row in enumerate(table):
            if r != column and row[column] != 0:
                factor = row[column] / table[column][column]
                table[r] = [a - factor * b for a, b in zip(row, table[column], strict=True)]
    return [row[-1] / row[k] for k, row in enumerate(table)]


def of_many_scales(seed: int, kind: str, dtype: Any = float) -> tuple[Program, Any]:
    """A program of one to three unknowns, whose data are numbers of `dtype`; and what each unknown is measured by.

    costs: a box, curvatures and slopes over 12 decades. linear: a box, slopes over 12 decades. mixed: a box, some unknowns
    without curvature. row: costs over 12 decades and a row that all unknowns share. sides: a box of sides over 12
    decades. units: no structure, the unknowns in units over 12 decades."""
    r = np.random.default_rng(seed)
    n = int(r.integers(1, 4))
    decades, eye = 10.0 ** r.integers(-6, 7, n), np.eye(n)
    measure, box = np.ones(n), np.vstack([eye, -eye])
    match kind:
        case "costs":
            found = np.diag(decades), -decades * r.uniform(-0.5, 1.5, n), box, np.repeat([1.0, 0.0], n)
        case "linear":
            slopes = decades * r.choice([-1, 1], n) * r.uniform(0.5, 2, n)
            found = np.zeros((n, n)), slopes, box, np.repeat([1.0, 0.0], n)
        case "mixed":
            curved = np.where(r.random(n) < 0.5, 1.0, 0.0)
            found = np.diag(curved), decades * r.uniform(-1, 1, n), box, np.repeat([1.0, 0.0], n)
        case "row":
            rows, sides = np.vstack([np.ones((1, n)), -eye]), np.concatenate([r.uniform(0.2, 2, 1), np.zeros(n)])
            found = np.diag(decades), -decades * r.uniform(-0.5, 1.5, n), rows, sides
        case "sides":
            measure = decades
            found = eye, -decades * r.uniform(-0.5, 1.5, n), box, np.concatenate([decades, np.zeros(n)])
        case _:
            root, measure = r.normal(size=(n, n)), 1 / decades
            curvature = np.diag(decades) @ (root @ root.T + 0.1 * eye) @ np.diag(decades)
            rows = np.vstack([r.normal(size=(2, n)) @ np.diag(decades), -eye])
            found = curvature, decades * r.normal(size=n), rows, np.concatenate([r.uniform(0.2, 2, 2), np.zeros(n)])
    quadratic, linear, rows, sides = (np.asarray(np.asarray(v, dtype), float) for v in found)
    return program((quadratic + quadratic.T) / 2, linear, None, None, rows, sides), measure
