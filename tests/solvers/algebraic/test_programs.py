"""Linear and quadratic programs: published solutions, duals and derivatives; optimality checked from its definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from tests.solvers.algebraic.calls import Program, Solved, kkt_gradient, program, solve

INF = np.inf


def optimality_error(s: Program, answer: Solved) -> float:
    """The largest violation of the KKT conditions, straight from their definition."""
    rows, sides = s.rows()
    finite = np.isfinite(sides)
    slack = sides[finite] - rows[finite] @ answer.x
    gradient = s.Q @ answer.x + s.q + s.A.T @ answer.y + rows[finite].T @ answer.z[finite]
    parts = [gradient, s.A @ answer.x - s.b, np.minimum(slack, 0), np.minimum(answer.z, 0), slack * answer.z[finite]]
    return max(float(np.max(np.abs(v), initial=0.0)) for v in parts)


@dataclass(frozen=True)
class Case:
    """A program, its solution, the value of its objective and its notes."""

    name: str
    program: Program
    x: Any
    value: float | None = None
    notes: tuple[str, ...] = ()


def SQUARES(rows):
    return 2 * np.array(rows, float).T @ np.array(rows, float)


HS35 = ([[4, 2, 2], [2, 4, 0], [2, 0, 2]], [-8, -6, -4])
HS51_ROWS = [[1, -1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
HS52_ROWS = [[4, -1, 0, 0, 0], *HS51_ROWS[1:]]
HS51_LINEAR = [0, -4, -4, -2, -2]
HS51_EQUATIONS = [[1, 3, 0, 0, 0], [0, 0, 1, 1, -2], [0, 1, 0, 0, -1]]
HS76 = ([[2, 0, -1, 0], [0, 1, 0, 0], [-1, 0, 2, 1], [0, 0, 1, 1]], [-1, -3, 1, -1])
HS76_ROWS, HS76_SIDES = [[1, 2, 1, 1], [3, 1, 2, -1], [0, -1, -4, 0]], [5, 4, -1.5]


def hs118() -> Program:
    rows, sides = [], []
    for j in range(1, 5):
        for k, high in enumerate((6, 7, 6)):
            row = np.zeros(15)
            row[3 * j + k], row[3 * j - 3 + k] = 1, -1
            rows += [row, -row]
            sides += [high, 7]
    for j, low in enumerate((60, 50, 70, 85, 100)):
        row = np.zeros(15)
        row[3 * j : 3 * j + 3] = -1
        rows.append(row)
        sides.append(-low)
    return program(
        np.diag(np.tile([2e-4, 2e-4, 3e-4], 5)), np.tile([2.3, 1.7, 2.2], 5), None, None, rows, sides,
        [8, 43, 3] + [0] * 12, [21, 57, 16] + [90, 120, 60] * 4,
    )  # fmt: skip


CASES = [
    Case("T01 t=-1", program([[1]], [1], lower=0), [0]),
    Case("T01 t=1", program([[1]], [-1], lower=0), [1]),
    Case("T01 t=0", program([[1]], [0], lower=0), [0], notes=("weak_active",)),
    Case("T05", program(np.eye(4), [-.5, -.8, .2, -.3], np.ones((1, 4)), 1, lower=0), [.3, .6, 0, .1]),
    Case("T12", program(np.eye(3), [-.9, -.25, -.1], np.ones((1, 3)), 1, lower=0, upper=.4), [.4, .375, .225]),
    Case("T20", program(.5 * np.eye(3), [1, 1.2, 4], np.ones((1, 3)), 1, lower=0), [.7, .3, 0]),
    Case("T22 rows", program(np.zeros((3, 3)), [0, 0, -1], [[1, 1, 0]], 1, [[-3, 2, 1], [1, -4, 1]], [0, 0], [0, 0, -INF]), [.6, .4, 1]),
    Case("T22 columns", program(np.zeros((3, 3)), [0, 0, 1], [[1, 1, 0]], 1, [[3, -1, -1], [-2, 4, -1]], [0, 0], [0, 0, -INF]), [.5, .5, 1]),
    Case("T24", program(np.diag([1, 1, 0]), [0, 0, 0], None, None, [[-2, -2, -1], [-3, -1, -1], [0, 0, 1], [1, -1, 1]], -np.ones(4)), [.5, .5, -1], notes=("dependent_rows",)),
    Case("HS21", program([[.02, 0], [0, 2]], [0, 0], None, None, [[-10, 1]], [-10], [2, -50], 50), [2, 0], .04),
    Case("HS35", program(*HS35, None, None, [[1, 1, 2]], [3], 0), [4 / 3, 7 / 9, 4 / 9], -8.88888888889),
    Case("HS35MOD", program(*HS35, None, None, [[1, 1, 2]], [3], [0, .5, 0], [INF, .5, INF]), [1.5, .5, .5], -8.75, ("weak_active",)),
    Case("HS76", program(*HS76, None, None, HS76_ROWS, HS76_SIDES, 0), [3 / 11, 23 / 11, 0, 6 / 11], -4.68181818182),
    Case("HS51", program(SQUARES(HS51_ROWS), HS51_LINEAR, HS51_EQUATIONS, [4, 0, 0]), np.ones(5), -6.0),
    Case("HS52", program(SQUARES(HS52_ROWS), HS51_LINEAR, HS51_EQUATIONS, [0, 0, 0]), [-.094555874, .031518625, .515759312, -.452722063, .031518625], 5.32664756447 - 6),
    Case("HS53", program(SQUARES(HS51_ROWS), HS51_LINEAR, HS51_EQUATIONS, [0, 0, 0], lower=-10, upper=10), [-.76744186, .255813953, .627906977, -.11627907, .255813953], 4.09302325581 - 6),
    Case("HS118", hs118(), None, 664.82045),
    Case("ZECEVIC2", program([[0, 0], [0, 4]], [-2, -3], None, None, [[1, 1], [1, 4]], [2, 4], 0, 10), [1.75, .25], -4.125),
    Case("QPTEST", program([[8, 2], [2, 10]], [1.5, -2], None, None, [[-2, -1], [-1, 2]], [-2, 6], 0, [20, INF]), [.7625, .475], 4.371875),
    Case("TAME", program([[2, -2], [-2, 2]], [0, 0], [[1, 1]], 1, lower=0), [.5, .5], 0),
    Case("T38", program(np.eye(2), [0, 0], [[1, 1]], 1, [[1, -2]], [-.5]), [.5, .5], .25, ("weak_active",)),
    Case("duplicates", program(np.eye(2), [-1, 0], [[1, 1], [1, 1], [2, 2]], [1, 1, 2]), [1, 0], notes=("dependent_rows",)),
    Case("two sides of one row", program(np.eye(2), [-1, 1], None, None, [[1, 1], [-1, -1]], [1, -1]), [1.5, -.5], notes=("dependent_rows",)),
    Case("degenerate vertex", program(np.zeros((2, 2)), [-1, -1], None, None, [[1, 0], [0, 1], [1, 1]], [1, 1, 2], 0), [1, 1], -2, ("dependent_rows",)),
    Case("no rows", program([[2, 1], [1, 3]], [1, 1]), [-.4, -.2]),
    Case("all fixed", program(np.eye(2), [1, 1], lower=[1, 2], upper=[1, 2]), [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_solution(case: Case) -> None:
    answer = solve(case.program)
    assert answer.status == "success"
    assert answer.notes == case.notes
    assert optimality_error(case.program, answer) <= 1e-10 * (1 + np.max(np.abs(answer.x)))
    if case.x is not None:
        np.testing.assert_allclose(answer.x, case.x, rtol=1e-8, atol=1e-9)
    if case.value is not None:
        s = case.program
        assert 0.5 * answer.x @ s.Q @ answer.x + s.q @ answer.x == pytest.approx(case.value, rel=1e-9, abs=1e-9)


def jacobian(s: Program, answer: Solved, what: str) -> Any:
    """dx/d(q, b or sides), a row per output."""
    rows = []
    for g in np.eye(s.q.size):
        gradient = kkt_gradient(s, answer, g)
        assert not isinstance(gradient, str)
        rows.append(gradient[what])
    return np.array(rows)


def test_duals() -> None:
    """The multipliers of HS21, HS35 and HS76, of relu, and the value of the game from both sides (T22)."""
    found = {case.name: solve(case.program) for case in CASES}
    np.testing.assert_allclose(found["HS21"].z[1], 0.04, rtol=1e-10)
    np.testing.assert_allclose(found["HS35"].z[0], 2 / 9, rtol=1e-10)
    np.testing.assert_allclose(found["HS76"].z[[0, 5]], [0.454545454545, 1.72727272727], rtol=1e-11)
    assert found["T01 t=-1"].z[0] == pytest.approx(1, rel=1e-12) and found["T01 t=-1"].active.tolist() == [1, 0]
    assert found["T01 t=1"].active.tolist() == [0, 0] and found["T01 t=0"].active.tolist() == [2, 0]
    assert found["T12"].active.tolist() == [0, 0, 0, 1, 0, 0]
    np.testing.assert_allclose(found["T22 rows"].z[:2], found["T22 columns"].x[:2], rtol=1e-10)
    assert np.all(found["T24"].active[:4] == 1)


def test_derivatives() -> None:
    """T01, T05, T12, T20, HS35 and HS76 by the right-hand sides and linear terms that the published figures differentiate by."""
    cases = {case.name: case.program for case in CASES}
    answers = {name: solve(s) for name, s in cases.items()}

    def by(name, what):
        return jacobian(cases[name], answers[name], what)

    assert by("T01 t=-1", "q").item() == pytest.approx(0, abs=1e-12) and by("T01 t=1", "q").item() == pytest.approx(-1)
    on = np.array([1, 1, 0, 1])
    np.testing.assert_allclose(-by("T05", "q"), np.diag(on) - np.outer(on, on) / 3, atol=1e-10)
    np.testing.assert_allclose(-by("T12", "q")[1], [0, 0.5, -0.5], atol=1e-10)
    np.testing.assert_allclose(by("T20", "q")[0], [-1, 1, 0], atol=1e-10)
    np.testing.assert_allclose(by("HS35", "sides")[:, 0], [-1 / 3, 2 / 9, 5 / 9], atol=1e-10)
    np.testing.assert_allclose(by("HS76", "sides")[:, 0], [1 / 11, 4 / 11, 0, 2 / 11], atol=1e-10)


CIRCLES = [
    program(
        [[0.81, 0.81, 0.99], [0.81, 0.9, 0.87], [0.99, 0.87, 3.33]], [3.7, 0.7, 2.2], None, None,
        [[-0.5, -1.2, -1.8], [-0.1, 0.4, -2.2], [0, 0.3, 0.2], [-1.3, -0.3, -0.2], [0.4, -1.3, 0.4], [1, -2.3, 0.2], [-1.5, -0.2, -0.7]],
        [0.4, 1, 0.1, 1, 0.3, 0.2, 0.6],
    ),
    program(
        [[0.36, 0.6, -0.9], [0.6, 1.36, -1.14], [-0.9, -1.14, 5.17]], [-2.5, -3, 1.5], None, None,
        [[-1.5, 1, 1.1], [0, -1.3, -0.6], [-0.4, 0.7, 0.9], [-1, -0.1, 0], [-0.2, 0.9, -0.3], [-0.1, -1.5, 0.1], [-0.9, 1.9, 0.1]],
        [0.1, 0.4, 0.4, 0.7, 0.9, 0.6, 0.1],
    ),
    program(
        [[0.81, 0.45, 0.36, 0.09], [0.45, 2.21, -0.22, -0.93], [0.36, -0.22, 0.74, 0.11], [0.09, -0.93, 0.11, 0.7]], [1, 3.4, 4.3, -0.4],
        None, None, [[-1.2, -0.4, -1.2, 1.8], [0.7, -0.1, 1, 0.2], [-0.5, 0, -0.1, 3.6], [-1, -2.8, 0.8, -1.3], [-1.4, 1.4, -0.9, -1.3],
        [0, -1.3, 0.7, -0.8]], [0.6, 0.6, 0.2, 0.2, 1, 0.6],
    ),
]  # fmt: skip
"""Strictly convex programs on which Mehrotra's steps, left alone, come back to where they were."""


@pytest.mark.parametrize("s", CIRCLES)
def test_the_path_leaves_a_circle(s: Program) -> None:
    """The solution of a strictly convex program is the point that meets its KKT conditions."""
    assert np.linalg.eigvalsh(s.Q)[0] > 1e-3
    answer = solve(s)
    assert answer.status == "success" and answer.notes == () and answer.steps < 25
    assert optimality_error(s, answer) < 1e-13


def test_one_sided_derivatives_of_a_weak_row() -> None:
    """T38: with the weakly active row held dx/db is (2/3, 1/3), with it free (1/2, 1/2), the two one-sided derivatives."""
    s = next(case.program for case in CASES if case.name == "T38")
    answer = solve(s)
    assert answer.active[0] == 2
    np.testing.assert_allclose(jacobian(s, answer, "b")[:, 0], [2 / 3, 1 / 3], atol=1e-10)
    answer.active[0] = 0
    np.testing.assert_allclose(jacobian(s, answer, "b")[:, 0], [1 / 2, 1 / 2], atol=1e-10)


def test_dependent_rows_keep_the_derivative_of_x() -> None:
    """T24: alpha is not unique, dw is; scaling the point (0, 0) out of the margin moves w by hand-made differences."""
    s = next(case.program for case in CASES if case.name == "T24")
    gradient = kkt_gradient(s, solve(s), np.array([1.0, 0, 0]))
    assert not isinstance(gradient, str) and gradient["notes"] == ("dependent_rows",)
    # All sides moved together scale (w, b): x = t (.5, .5, -1) for sides -t.
    assert np.sum(gradient["sides"]) == pytest.approx(-0.5, abs=1e-10)


def test_programs_without_a_unique_solution_refuse_the_derivative() -> None:
    """T44, and a linear program whose solutions are an edge: any is returned and noted."""
    a = np.array([[1, 1], [2, 2]])
    for s, total in (
        (program(a.T @ a, -a.T @ [1, 1]), 0.6),
        (program(np.zeros((2, 2)), [-1, -1], None, None, [[1, 1]], [1], 0), 1.0),
    ):
        answer = solve(s)
        assert answer.status == "success" and answer.notes == ("near_singular",)
        assert np.sum(answer.x) == pytest.approx(total, rel=1e-10)
        assert kkt_gradient(s, answer, np.array([1.0, 0])) == "singular"


def test_nearly_dependent_equations() -> None:
    """T39: two rows that differ by 1e-8 are both held; x solves them to rounding over 1e-8."""
    s = program(np.eye(2), [-1, 0], [[1, 1], [1, 1 + 1e-8]], [1, 1])
    answer = solve(s)
    assert answer.status == "success"
    np.testing.assert_allclose(s.A @ answer.x, s.b, atol=1e-14)
    np.testing.assert_allclose(answer.x, [1, 0], atol=1e-6)


INFEASIBLE = [
    program(np.zeros((2, 2)), [0, 0], [[1, 1]], 1, lower=2),
    program(np.eye(2), [0, 0], None, None, [[1, 1], [-1, -1]], [1, -2]),
    program(np.eye(2), [-1, 0], [[1, 1], [1, 1]], [1, 2]),
    program(np.eye(3), [1, 2, 3], [[1, 1, 0], [0, 1, 1], [1, 2, 1]], [1, 1, 3]),
    program(np.eye(1), [0], lower=1, upper=0),
    program(np.eye(1), [0], None, None, [[0]], [-1]),
    program(np.zeros((2, 2)), [1, 1], [[1, -1]], 0, [[1, 1], [-1, 0]], [1, -1]),
]


@pytest.mark.parametrize("s", INFEASIBLE)
def test_infeasible_comes_with_a_certificate(s: Program) -> None:
    """T41 and others: A'y + G'z = 0, z >= 0, b'y + h'z < 0 prove it."""
    answer = solve(s)
    assert answer.status == "infeasible"
    rows, sides = s.rows()
    z = answer.z[np.isfinite(sides)]
    value = s.b @ answer.y + sides[np.isfinite(sides)] @ z
    assert np.all(answer.z >= 0) and value < 0
    np.testing.assert_allclose(s.A.T @ answer.y + rows[np.isfinite(sides)].T @ z, 0, atol=1e-7 * abs(value))


@pytest.mark.parametrize(
    "s",
    [
        program(np.zeros((2, 2)), [-1, -1]),
        program(np.zeros((2, 2)), [-1, -1], None, None, [[1, -1]], [1], 0),
        program(np.diag([1, 0]), [0, 1]),
        program(np.zeros((3, 3)), [1, 0, -1], [[1, 1, 1]], 1, lower=[0, -INF, 0]),
    ],
)
def test_unbounded_comes_with_a_ray(s: Program) -> None:
    """q'x < 0 while Q x = 0, A x = 0 and no row is ever met."""
    answer = solve(s)
    assert answer.status == "unbounded"
    rows, sides = s.rows()
    gain = -(s.q @ answer.x)
    assert gain > 0.1
    np.testing.assert_allclose(s.Q @ answer.x, 0, atol=1e-6)
    np.testing.assert_allclose(s.A @ answer.x, 0, atol=1e-6)
    assert np.all(rows[np.isfinite(sides)] @ answer.x <= 1e-6)


def half_spaces(n: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """2n rows that a common point meets, and that point."""
    g, point = rng.normal(size=(2 * n, n)), rng.normal(size=n)
    return g, g @ point + rng.uniform(size=2 * n), point


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [5, 20, 40])
def test_random_empty_sets_are_proved_in_few_steps(n: int, dtype: Any) -> None:
    """The last row is minus a sum of the others, its side short by as little as 1e-2: the path alone took up to 65 steps."""
    rng = np.random.default_rng(n)
    for short in (1.0, 1e-2):
        g, h, _ = half_spaces(n, rng)
        weights = rng.uniform(size=2 * n - 1)
        g[-1], h[-1] = -(weights @ g[:-1]) / n, -(weights @ h[:-1]) / n - short
        root = rng.normal(size=(n, n))
        answer = solve(
            program(root @ root.T / n, rng.normal(size=n), None, None, g, h),
            dtype=dtype, tol=1e-10 if dtype == np.float64 else 1e-5,
        )  # fmt: skip
        assert answer.status == "infeasible" and answer.steps <= 6
        proof = answer.z[: 2 * n].astype(float)
        value = h @ proof
        assert np.all(proof >= 0) and value < 0
        close = 1e-9 if dtype == np.float64 else 3e-5
        np.testing.assert_allclose(g.T @ proof, 0, atol=close * abs(value))


def test_empty_intervals_in_single_precision() -> None:
    """Ends a thousandth apart: the iterates still carry the objective, and only their change is a proof."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        slope, weight, side = rng.normal(), rng.uniform(0.3, 1), 1 + rng.uniform()
        rows = [[slope], [-weight * slope]]
        s = program([[rng.uniform(0.1, 2)]], [rng.normal()], None, None, rows, [side, -weight * side - 1e-3])
        assert solve(s, dtype=np.float32, tol=1e-5).status == "infeasible"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [5, 20])
def test_random_rays_are_found_in_few_steps(n: int, dtype: Any) -> None:
    """Along d nothing bends and no row is met: steps of the path and those that find a feasible point, 30 to 76 before."""
    rng = np.random.default_rng(n)
    for rank in (0, n // 2):
        g, h, _ = half_spaces(n, rng)
        d = rng.normal(size=n)
        g *= -np.sign(g @ d)[:, None]
        root = rng.normal(size=(n, rank))
        root -= np.outer(d, d @ root) / (d @ d)
        answer = solve(
            program(root @ root.T / n, rng.normal(size=n) / 10 - d, None, None, g, h),
            dtype=dtype, tol=1e-10 if dtype == np.float64 else 1e-5,
        )  # fmt: skip
        assert answer.status == "unbounded" and answer.steps <= 20
        ray = answer.x.astype(float)
        close = 1e-9 if dtype == np.float64 else 3e-5
        np.testing.assert_allclose(root.T @ ray, 0, atol=close * n)
        assert np.all(g @ ray <= close * n)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_set_that_is_empty_by_rounding_alone_is_solved(dtype: Any) -> None:
    """Equations as pairs of inequalities, one a sum of the others: in the data as rounded no point meets them exactly."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, point = rng.normal(size=(3, 6)).astype(dtype), rng.normal(size=6).astype(dtype)
        a[2] = a[0] + a[1]
        b = a @ point
        b[2] = b[0] + b[1]
        answer = solve(
            program(np.eye(6), np.zeros(6), None, None, np.vstack([a, -a]), np.concatenate([b, -b])),
            dtype=dtype, tol=1e-10 if dtype == np.float64 else 1e-5,
        )  # fmt: skip
        least = np.linalg.lstsq(a[:2].astype(float), b[:2].astype(float), rcond=None)[0]
        assert answer.status == "success"
        np.testing.assert_allclose(answer.x, least, atol=1e3 * np.finfo(dtype).eps)


def test_nonconvex_and_nonfinite_data() -> None:
    """T43, a tiny negative curvature, NaN."""
    assert solve(program(np.diag([1, -1]), [0, 0])).status == "nonconvex"
    assert solve(program(np.diag([1, -1e-6]), [0, 0], lower=-1, upper=1)).status == "nonconvex"
    assert solve(program(np.eye(2), [np.nan, 0])).status == "nonfinite"
    assert solve(program(np.eye(2), [0, 0], lower=[np.nan, 0])).status == "nonfinite"
    assert solve(program(np.eye(2), [-1, 0], lower=0), max_steps=0).status == "max_steps"


def family(n: int, m: int, p: int, rng: np.random.Generator) -> Program:
    """The QP family of the benchmarks: feasible by construction, half of the rows near the solution."""
    root = rng.normal(size=(n, n)) / n**0.5
    g, x0, a = rng.normal(size=(m, n)), rng.normal(size=n), rng.normal(size=(p, n))
    return program(root @ root.T + 0.1 * np.eye(n), 2 * rng.normal(size=n), a, a @ x0, g, g @ x0 + rng.uniform(size=m))


@pytest.mark.parametrize(("n", "m", "p", "count"), [(10, 10, 3, 40), (50, 50, 10, 6)])
def test_random_programs(n: int, m: int, p: int, count: int) -> None:
    """T53: optimality to 1e-10; the gradient of (sum x)^2 to 1e-6 of the dense one on the active set, and of differences."""
    rng = np.random.default_rng(5)
    for number in range(count):
        s = family(n, m, p, rng)
        answer = solve(s)
        assert answer.status == "success" and optimality_error(s, answer) <= 1e-11
        g = np.full(n, 2 * np.sum(answer.x))
        gradient = kkt_gradient(s, answer, g)
        assert not isinstance(gradient, str)
        rows, _ = s.rows()
        held = np.vstack([s.A, rows[answer.active > 0]])
        # The null-space formula, written apart from the KKT system.
        basis = np.linalg.svd(held)[2][len(held) :].T
        exact = -basis @ np.linalg.solve(basis.T @ s.Q @ basis, basis.T @ g) if basis.size else np.zeros(n)
        np.testing.assert_allclose(gradient["q"], exact, rtol=1e-6, atol=1e-8 * (1 + np.max(np.abs(exact))))
        if number == 0:
            for k in range(3):
                ends = []
                for sign in (1, -1):
                    q = s.q.copy()
                    q[k] += sign * 1e-6
                    moved = Program(s.Q, q, s.A, s.b, s.G, s.h, s.lower, s.upper)
                    ends.append(np.sum(solve(moved).x) ** 2)
                assert gradient["q"][k] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_random_linear_programs() -> None:
    """Bounded feasible LPs against HiGHS; the solution is a vertex to rounding."""
    rng = np.random.default_rng(11)
    for _ in range(15):
        n, m, p = 8, 6, 2
        g, a, x0 = rng.normal(size=(m, n)), rng.normal(size=(p, n)), rng.uniform(-1, 1, size=n)
        s = program(np.zeros((n, n)), rng.normal(size=n), a, a @ x0, g, g @ x0 + rng.uniform(size=m), -2, 2)
        answer = solve(s)
        exact = linprog(s.q, s.G, s.h, s.A, s.b, bounds=[(-2, 2)] * n, method="highs")
        assert answer.status == "success" and optimality_error(s, answer) <= 1e-11
        np.testing.assert_allclose(answer.x, exact.x, atol=1e-9)


def test_badly_scaled_program() -> None:
    """HS76 with its rows, variables and objective scaled over twelve decades has the same solution."""
    rows, columns = np.array([1e6, 1e-3]), np.array([1e-3, 1, 1e3, 10])
    base = next(case.program for case in CASES if case.name == "HS76")
    scaled = program(
        1e5 * base.Q * np.outer(columns, columns), 1e5 * base.q * columns, None, None,
        np.vstack([base.G[:2] * rows[:, None], base.G[2:]]) * columns, np.concatenate([base.h[:2] * rows, base.h[2:]]), 0,
    )  # fmt: skip
    answer = solve(scaled)
    assert answer.status == "success"
    np.testing.assert_allclose(answer.x * columns, [3 / 11, 23 / 11, 0, 6 / 11], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_unknowns_of_any_size(size: float, dtype: Any) -> None:
    """q, b and h times a size give x times that size, with the multipliers, and the same objective has another scale: sets of 1e6
    were found empty in float32, and stalled in float64."""
    rng = np.random.default_rng(8)
    for n in (2, 5, 12):
        base = family(n, 2 * n, n // 2, rng)
        wanted = solve(base)
        for scale in (1.0, 1e-5):
            s = program(scale * base.Q, scale * size * base.q, base.A, size * base.b, base.G, size * base.h)
            answer = solve(s, dtype=dtype, tol=1e-10 if dtype == np.float64 else 1e-5)
            assert answer.status == "success" and answer.steps < 30
            rough = np.finfo(dtype).eps * 2000 * (1 + np.max(np.abs(wanted.x)) + np.max(np.abs(wanted.z)))
            np.testing.assert_allclose(answer.x / size, wanted.x, atol=rough)
            np.testing.assert_allclose(answer.z / (scale * size), wanted.z, atol=10 * rough)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_linear_programs_of_any_size(size: float) -> None:
    """Sides times a size against HiGHS."""
    rng = np.random.default_rng(12)
    g, h, _ = half_spaces(6, rng)
    q = -rng.uniform(size=12) @ g
    exact = linprog(q, g, h, bounds=(None, None), method="highs").x
    for dtype in (np.float64, np.float32):
        answer = solve(
            program(np.zeros((6, 6)), q, None, None, g, size * h),
            dtype=dtype, tol=1e-10 if dtype == np.float64 else 1e-5,
        )  # fmt: skip
        assert answer.status == "success"
        np.testing.assert_allclose(answer.x / size, exact, atol=1e4 * np.finfo(dtype).eps)


def test_float32() -> None:
    """HS76 in single precision at the default tolerance of its type."""
    s = next(case.program for case in CASES if case.name == "HS76")
    answer = solve(s, tol=1e-5, dtype=np.float32)
    assert answer.status == "success" and answer.x.dtype == np.float32
    np.testing.assert_allclose(answer.x, [3 / 11, 23 / 11, 0, 6 / 11], atol=2e-5)
