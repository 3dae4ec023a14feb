"""Programs for many samples at once, on floats: what is settled is exact and without a note, what is not clear is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from implicitdsl.solvers.block_cholesky import cholesky_solve, weighted_cholesky
from implicitdsl.solvers.block_held import factor_held, room_of_factors, room_of_solve, solve_held
from implicitdsl.solvers.block_prepared import prepare, room_of_prepare, size_of_prepared
from implicitdsl.solvers.block_program import block_program, room_of_program
from tests.solvers.algebraic.calls import Program, program, solve
from tests.solvers.algebraic.test_programs import CASES, CIRCLES, INFEASIBLE, family, optimality_error


def rows_of(s: Program) -> tuple[Any, Any]:
    """All rows of finite side, equations first."""
    rows, sides = s.rows()
    finite = np.isfinite(sides)
    return np.vstack([s.A, rows[finite]]), np.concatenate([s.b, sides[finite]])


def prepared(Q: Any, equations: int, rows: Any) -> Any:
    n, count = len(Q), len(rows)
    found = np.zeros(size_of_prepared(n, count))
    found[: n * n + count * n] = np.concatenate([np.ravel(Q), np.ravel(rows)])
    prepare(n, equations, count, found, np.zeros(room_of_prepare(n, count)))
    return found


def run(s: Program) -> tuple[bool, Any, Any, Any]:
    """Whether it is settled, x, multipliers, held."""
    rows, sides = rows_of(s)
    n, e, count = s.q.size, s.b.size, len(sides)
    x, z, held, facts = np.zeros(n), np.zeros(count), np.zeros(count), np.zeros(2)
    with np.errstate(all="ignore"):
        given = np.array(s.q, float), np.array(sides, float)
        room = np.zeros(room_of_program(n, count))
        block_program(n, e, count, prepared(s.Q, e, rows), *given, room, x, z, held, facts, np.zeros(0), 0)
    return bool(facts[0] == 1.0), x, z, held


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in ("HS118", "all fixed")], ids=lambda case: case.name)
def test_settled_where_nothing_is_to_note(case: Any) -> None:
    """The published programs: no note means settled, a note means left, and what is settled is the solution."""
    settled, x, z, held = run(case.program)
    # A variable with l = u is two rows here, one equation for `interior_point`.
    fixed = np.any(case.program.lower == case.program.upper)
    assert settled == (case.notes == () and not fixed)
    if settled:
        rows, sides = rows_of(case.program)
        e = case.program.b.size
        s = Program(case.program.Q, case.program.q, rows[:e], sides[:e], rows[e:], sides[e:], *unbounded(x.size))
        answer = solve(s)
        np.testing.assert_allclose(x, answer.x, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(z, np.concatenate([answer.y, answer.z[: len(sides) - e]]), rtol=1e-10, atol=1e-11)
        np.testing.assert_array_equal(held[e:], answer.active[: len(sides) - e] > 0)


@pytest.mark.parametrize("s", CIRCLES)
def test_settled_after_a_circle(s: Program) -> None:
    settled, x, _, _ = run(s)
    assert settled
    np.testing.assert_allclose(x, solve(s).x, rtol=1e-11, atol=1e-12)


def unbounded(n: int) -> tuple[Any, Any]:
    return np.full(n, -np.inf), np.full(n, np.inf)


@pytest.mark.parametrize("s", [
    *INFEASIBLE,
    program(np.zeros((2, 2)), [-1, -1], None, None, [[1, -1]], [1], 0),
    program(np.diag([1, 0]), [0, 1]),
    program(np.diag([1, -1e-6]), [0, 0], lower=-1, upper=1),
    program(np.eye(2), [np.nan, 0]),
    program([[1, 1], [1, 1]], [-1, -1]),
    program(np.zeros((2, 2)), [-1, -1], None, None, [[1, 1]], [1], 0),
])  # fmt: skip
def test_what_has_no_clear_solution_is_left(s: Program) -> None:
    """Infeasible, unbounded, not convex, not finite, not unique."""
    settled, *_ = run(s)
    assert not settled


def test_random_programs_are_settled_exactly() -> None:
    rng = np.random.default_rng(5)
    for n, m, p in [(10, 10, 3), (6, 14, 0), (7, 0, 2), (4, 3, 4)] * 4:
        s = family(n, m, p, rng)
        settled, x, z, held = run(s)
        assert settled
        answer = solve(s)
        np.testing.assert_allclose(x, answer.x, atol=1e-12)
        found = type(answer)(answer.status, (), 0, x, z[:p], np.concatenate([z[p:], np.zeros(2 * n)]), held)
        assert optimality_error(s, found) <= 1e-12 * (1 + np.abs(z).max(initial=0))


def test_badly_scaled_program() -> None:
    """HS76 over twelve decades is settled all the same: scaling is by sample."""
    rows, columns = np.array([1e6, 1e-3]), np.array([1e-3, 1, 1e3, 10])
    base = next(case.program for case in CASES if case.name == "HS76")
    scaled = program(
        1e5 * base.Q * np.outer(columns, columns), 1e5 * base.q * columns, None, None,
        np.vstack([base.G[:2] * rows[:, None], base.G[2:]]) * columns, np.concatenate([base.h[:2] * rows, base.h[2:]]), 0,
    )  # fmt: skip
    settled, x, *_ = run(scaled)
    assert settled
    np.testing.assert_allclose(x * columns, [3 / 11, 23 / 11, 0, 6 / 11], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_weighted_cholesky(n: int) -> None:
    rng = np.random.default_rng(n)
    root, rows, weights = rng.standard_normal((n, n)), rng.standard_normal((5, n)), rng.uniform(0, 2, 5)
    factor, x = np.zeros(n * n), rng.standard_normal(n)
    b = x.copy()
    assert weighted_cholesky(
        n, 5, (root @ root.T).ravel(), 0.1, rows.T.ravel().copy(), weights, np.zeros(n * 5), factor
    )
    cholesky_solve(n, factor, x)
    matrix = root @ root.T + 0.1 * np.eye(n) + rows.T @ np.diag(weights) @ rows
    np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-9, atol=1e-12)
    with np.errstate(all="ignore"):
        assert not weighted_cholesky(n, 0, -np.eye(n).ravel(), 0.1, rows, weights, np.zeros(5), factor)


@pytest.mark.parametrize("transposed", [0, 1])
def test_system_of_the_held_rows(transposed: int) -> None:
    """K x = -r and K'x = -r with the KKT matrix written out; refused where active rows depend on each other."""
    rng = np.random.default_rng(2)
    n, count = 6, 5
    root, rows, held = rng.standard_normal((n, n)), rng.standard_normal((count, n)), np.array([1.0, 1, 0, 1, 0])
    for again in (False, True):
        if again:
            rows[3] = rows[0] + rows[1]
        Q, g = root @ root.T, rng.standard_normal(n + count)
        K = np.block([[Q, rows.T], [held[:, None] * rows, np.diag(1 - held)]])
        kept, room, found = (np.zeros(size) for size in (room_of_factors(n, count), room_of_solve(n, count), n + count))
        given = prepared(Q, 0, rows)
        factor_held(n, count, given, held, kept, room)
        good = solve_held(n, count, transposed, given, held, kept, g, found, room)
        assert bool(good) is not again
        if good:
            np.testing.assert_allclose((K.T if transposed else K) @ found, -g, atol=1e-11)
