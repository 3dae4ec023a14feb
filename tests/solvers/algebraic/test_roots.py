"""Roots and fixed points with known values and first derivatives (closed forms and mpmath, 18 digits)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from implicitdsl.solvers.newton import newton
from implicitdsl.solvers.picard import picard
from tests.solvers.algebraic.calls import find


@dataclass(frozen=True)
class Case:
    """F, its Jacobian, its derivative by p, a start, p, the root and dz/dp (rows: unknowns)."""

    name: str
    f: Any
    j: Any
    f_p: Any
    start: Any
    p: Any
    root: Any
    slope: Any = None
    lower: float = -np.inf
    method: Any = newton


def kepler(e: float, m: float, root: float, by_m: float, by_e: float) -> Case:
    return Case(
        f"R01 e={e}",
        lambda z, p: z - p[0] * np.sin(z) - p[1],
        lambda z, p: 1 - p[0] * np.cos(z),
        lambda z, p: [-np.sin(z[0]), -1],
        m + e,
        [e, m],
        root,
        [by_e, by_m],
    )


def lambert(x: float, root: float, slope: float) -> Case:
    def f(z, p):
        return z * np.exp(z) - p

    return Case(f"R02 x={x}", f, lambda z, p: (1 + z) * np.exp(z), lambda z, p: [-1], 0.5, x, root, slope)


def reynolds(re: float, rough: float, friction: float, by_re: float, by_rough: float) -> Case:
    def inner(z, p):
        return p[1] / 3.7 + 2.51 * z / p[0]

    ten = np.log(10)
    y = friction**-0.5
    return Case(
        f"R03 Re={re}",
        lambda z, p: z + 2 * np.log10(inner(z, p)),
        lambda z, p: 1 + 2 / ten * 2.51 / p[0] / inner(z, p),
        lambda z, p: 2 / ten / inner(z[0], p) * np.array([-2.51 * z[0] / p[0] ** 2, 1 / 3.7]),
        7.0,
        [re, rough],
        y,
        [-(y**3) / 2 * by_re, -(y**3) / 2 * by_rough],
    )


def quintic(d: float, root: float, slope: float) -> Case:
    return Case(
        f"R06 d={d}",
        lambda z, p: p + z**5 - z,
        lambda z, p: 5 * z**4 - 1,
        lambda z, p: [1],
        0.0,
        d,
        root,
        slope,
        method=picard,
    )


def hysteresis(x: float, start: float, root: float, slope: float, method: Any) -> Case:
    return Case(
        f"F12 x={x} {start} {method.__name__}",
        lambda z, p: np.tanh(2 * z + p) - z,
        lambda z, p: 2 / np.cosh(2 * z + p) ** 2 - 1,
        lambda z, p: 1 / np.cosh(2 * z + p) ** 2,
        start,
        x,
        root,
        slope,
        method=method,
    )


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


X9 = np.array([1, 2, -0.5, 0.3])
SLOPE9 = [-0.29380685344190690846, -0.20156119220930648398, -0.21503427051979126903, -0.28959768382899533853]
TEN = np.arange(1, 11) / 11


def banded(z: Any, p: Any) -> Any:
    out = z * (2 + 5 * z**2) + p
    for i in range(10):
        out[i] -= sum(z[k] * (1 + z[k]) for k in range(max(0, i - 5), min(10, i + 2)) if k != i)
    return out


def banded_jacobian(z: Any, p: Any) -> Any:
    out = np.diag(2 + 15 * z**2)
    for i in range(10):
        for k in range(max(0, i - 5), min(10, i + 2)):
            if k != i:
                out[i, k] -= 1 + 2 * z[k]
    return out


STENCIL = 2 * np.eye(10) - np.eye(10, k=1) - np.eye(10, k=-1)
GREEN = np.where(TEN[None] <= TEN[:, None], (1 - TEN[:, None]) * TEN[None], TEN[:, None] * (1 - TEN[None])) / 11


def CUBE(z):
    return (z + TEN + 1) ** 3 / 2


BVP = [-.043164982518764871, -.081577156535386882, -.11448571438052929, -.14097357686259668, -.15990869618198312, -.16987720231277492, -.16908998378120835, -.15524953522183182, -.12535589167893499, -.075416533685892084]  # fmt: skip
BROYDEN = [-.42830286358725027, -.47659642435629024, -.51965246364686173, -.5580993248321809, -.59250615682945735, -.62450368219946792, -.62323947144059109, -.6213938417965735, -.62045359665908736, -.58646927072043507]  # fmt: skip
R5, R6, R7, R8, R9, R10 = .193, .002597 / 40**.5, .003448 / 40**.5, 1.799e-5 / 40, 2.155e-4 / 40**.5, 3.846e-5 / 40  # fmt: skip


def propane(x: Any, p: Any) -> Any:
    a, b, c, d, e = x
    return [
        a * b + a - 3 * e,
        2 * a * b + a + b * c**2 + R8 * b - p[0] * e + 2 * R10 * b**2 + R7 * b * c + R9 * b * d,
        2 * b * c**2 + 2 * R5 * c**2 - 8 * e + R6 * c + R7 * b * c,
        R9 * b * d + 2 * d**2 - 4 * p[0] * e,
        a * (b + 1) + R10 * b**2 + b * c**2 + R8 * b + R5 * c**2 + d**2 - 1 + R6 * c + R7 * b * c + R9 * b * d,
    ]


def propane_jacobian(x: Any, p: Any) -> Any:
    a, b, c, d, _ = x
    return [
        [b + 1, a, 0, 0, -3],
        [2 * b + 1, 2 * a + c * c + R8 + 4 * R10 * b + R7 * c + R9 * d, 2 * b * c + R7 * b, R9 * b, -p[0]],
        [0, 2 * c * c + R7 * c, 4 * b * c + 4 * R5 * c + R6 + R7 * b, 0, -8],
        [0, R9 * d, 0, R9 * b + 4 * d, -4 * p[0]],
        [
            b + 1,
            a + 2 * R10 * b + c * c + R8 + R7 * c + R9 * d,
            2 * b * c + 2 * R5 * c + R6 + R7 * b,
            2 * d + R9 * b,
            0,
        ],
    ]


def acid(c: float, ph: float, slope: float) -> Case:
    ka, kw = 1.8e-5, 1e-14
    return Case(
        f"S16a C={c}",
        lambda u, p: np.exp(3 * u) + ka * np.exp(2 * u) - (kw + ka * p) * np.exp(u) - ka * kw,
        lambda u, p: 3 * np.exp(3 * u) + 2 * ka * np.exp(2 * u) - (kw + ka * p) * np.exp(u),
        lambda u, p: [-ka * np.exp(u[0])],
        -7.0,
        c,
        -ph * np.log(10),
        -slope * np.log(10),
    )


CASES = [
    kepler(.1, 1, 1.0885977523978936185, 1.0486278276356362972, .92906068630403171768),
    kepler(.8, .5, 1.2622114491948167428, 1.3209490490491967887, 1.2585531112353791847),
    kepler(.99, .05, .64589145695041152703, 4.775044590842646953, 2.8741497760004106878),
    lambert(1, .567143290409783873, .36189625663488922148),
    lambert(5, 1.3267246652422002236, .11404225734668909976),
    lambert(-.3, -.48940222718021496904, 3.1949625401972979333),
    reynolds(1e5, 1e-4, .018513866077471642672, -3.4602179397150064e-8, 5.0696335336773553),
    reynolds(1e7, 1e-5, .0089957117448344413177, -7.0456791784057206e-11, 71.955696888251367),
    reynolds(4000, .05, .076986834889224866736, -1.2855580889383264e-6, .61453196118260574),
    Case("R04", lambda z, p: np.cos(p[0] * z) + p[1] - z, lambda z, p: -p[0] * np.sin(p[0] * z) - 1,
         lambda z, p: [-z[0] * np.sin(p[0] * z[0]), 1], .5, [1, 0], .73908513321516064166,
         [-.29747434150983226056, .59751004567530346504], method=picard),
    Case("R05", lambda z, p: np.tanh(p[0] * z + p[1]) - z, lambda z, p: p[0] / np.cosh(p[0] * z + p[1]) ** 2 - 1,
         lambda z, p: np.array([z[0], 1]) * (1 - z[0] ** 2), 0.0, [.9, .3], .75146958787774490941,
         [.53780088064794328267, .71566552968133826439], method=picard),
    quintic(.3, .30253439183032696515, 1.0437171489748776426),
    quintic(.5, .5506065793341349683, 1.8503201439249635357),
    Case("R09", lambda c, p: np.sum(logistic(p[:4] + c)) - p[4], lambda c, p: np.sum(logistic(p[:4] + c) * logistic(-p[:4] - c)),
         lambda c, p: [*(logistic(p[:4] + c) * logistic(-p[:4] - c)), -1], 0.0, [*X9, 2], -.69165422204900903822,
         [*SLOPE9, 1.2033837516333494649]),
    Case("S01", lambda z, p: [.5 * z[0] + .2 * z[1] + p[0] - z[0], -.3 * z[0] + .4 * z[1] + p[1] - z[1]],
         lambda z, p: [-.5, .2, -.3, -.6], lambda z, p: np.eye(2), [0, 0], [1, 2], [25 / 9, 35 / 18],
         np.linalg.inv([[.5, -.2], [.3, .6]])),
    Case("S04", lambda z, p: 2 * z + p - z, lambda z, p: 1 + 0 * z, lambda z, p: [1], 0.0, 1.0, -1.0, -1.0, method=picard),
    Case("S05", lambda z, p: [-2 * (p[0] - z[0]) - 4 * p[1] * z[0] * (z[1] - z[0] ** 2), 2 * p[1] * (z[1] - z[0] ** 2)],
         lambda z, p: [2 - 4 * p[1] * z[1] + 12 * p[1] * z[0] ** 2, -4 * p[1] * z[0], -4 * p[1] * z[0], 2 * p[1]],
         lambda z, p: [[-2, -4 * z[0] * (z[1] - z[0] ** 2)], [0, 2 * (z[1] - z[0] ** 2)]], [-1.2, 1], [1, 100],
         [1, 1], [[1, 0], [2, 0]]),
    Case("S12", banded, banded_jacobian, lambda z, p: np.ones(10), -np.ones(10), 1.0, BROYDEN),
    Case("S13", lambda z, p: STENCIL @ z + p / 121 * CUBE(z), lambda z, p: STENCIL + np.diag(p / 121 * 3 * (z + TEN + 1) ** 2 / 2),
         lambda z, p: CUBE(z) / 121, TEN * (TEN - 1), 1.0, BVP),
    Case("S14", lambda z, p: z + p * GREEN @ CUBE(z), lambda z, p: np.eye(10) + p * GREEN * (3 * (z + TEN + 1) ** 2 / 2),
         lambda z, p: GREEN @ CUBE(z), TEN * (TEN - 1), 1.0, BVP),
    acid(.1, 2.8752770603192665363, -2.1860387491015883814),
    acid(1e-6, 6.0178209858237531434, -404909.55796846315),
    Case("S16b", lambda z, p: (.1 + z) * z - p * (1 - z) * (2 - z), lambda z, p: .1 + 2 * z + p * (3 - 2 * z),
         lambda z, p: [-(1 - z[0]) * (2 - z[0])], .5, 4.0, 5 / 6, .027386541471048513302),
    Case("S17", propane, propane_jacobian, lambda z, p: [0, -z[4], 0, -4 * z[4], 0], [10, 10, .05, 50.5, .05], 10.0,
         [.00311410226598496003, 34.5979245302901255, .06504177869743797, .859378050577940581, .0369518591480460245],
         [-.0115962258773796548, 129.505370457026969, -.124099867582904285, .00501174410476919872, -.00316953534056965494], lower=0.0),
    Case("F05", lambda z, p: z**3 - 2 * z + p, lambda z, p: 3 * z**2 - 2, lambda z, p: [1], 0.0, 2.0, -1.7692923542386314),
    Case("F06", lambda z, p: np.arctan(z) - p, lambda z, p: 1 / (1 + z**2), lambda z, p: [-1], 1.5, 0.0, 0.0, 1.0),
    Case("F07", lambda z, p: np.log(z) + p, lambda z, p: 1 / z, lambda z, p: [1], 3.0, 1.0, .36787944117144232160, -.36787944117144232160),
    Case("F11", lambda z, p: p * z * (1 - z) - z, lambda z, p: p * (1 - 2 * z) - 1, lambda z, p: [z[0] * (1 - z[0])], .7, 3.95,
         .74683544303797468354, .064092292901778561128, method=picard),
    *[hysteresis(*row, method) for method in (newton, picard) for row in (
        (0, .5, .95750402407726874068, .099787978129812485167),
        (-.5, 1, .80175948351292916682, 1.2504763294302351404),
        (-.5, -1, -.98583975881887127064, .029795677015505950438))],
]  # fmt: skip


def total_slope(case: Case) -> float | None:
    return {"S12": -1.4358178484317378, "S13": -0.95709219714906122, "S14": -0.95709219714906122}.get(case.name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_value_and_derivative(case: Case) -> None:
    found = find(case.f, case.j, case.start, case.p, method=case.method, lower=case.lower)
    assert found.status == "success" and found.notes == ()
    np.testing.assert_allclose(found.z, np.atleast_1d(case.root), rtol=1e-12, atol=1e-14)
    slope = found.derivative(case.f_p(found.z, found.p))
    assert not isinstance(slope, str)
    if case.slope is not None:
        np.testing.assert_allclose(slope, case.slope, rtol=1e-7, atol=1e-12)
    if total_slope(case) is not None:
        assert np.sum(slope) == pytest.approx(total_slope(case), rel=1e-9)
    p = np.atleast_1d(np.array(case.p, float))
    slope = np.reshape(slope, (found.z.size, p.size))
    for k in range(p.size):
        step = 1e-5 * max(abs(p[k]), 1e-6 if case.name.startswith("S16a") else 1e-4)
        ends = []
        for sign in (1, -1):
            moved = p.copy()
            moved[k] += sign * step
            ends.append(find(case.f, case.j, found.z, moved, lower=case.lower).z)
        difference = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slope[:, k], difference, rtol=1e-4, atol=1e-4 * np.max(np.abs(difference)) + 1e-12)


def test_affine_takes_one_step() -> None:
    """S01 by Newton, and S05 in its residual form, which takes two."""
    assert find(lambda z, p: 3 * z - p, lambda z, p: 3 + 0 * z, 100.0, 1.0).steps == 1
    found = find(lambda z, p: [10 * (z[1] - z[0] ** 2), 1 - z[0]], lambda z, p: [-20 * z[0], 10, -1, 0], [-1.2, 1])
    assert found.steps == 2 and found.z.tolist() == [1, 1]


def test_brown_finds_one_of_its_roots() -> None:
    """S08: three roots are known; which one is found is the start's choice."""

    def f(z: Any, p: Any) -> Any:
        return np.append(z[:-1] + np.sum(z) - 6, np.prod(z) - 1)

    def j(z: Any, p: Any) -> Any:
        out = np.ones((5, 5)) + np.eye(5)
        out[4] = [np.prod(np.delete(z, k)) for k in range(5)]
        return out

    found = find(f, j, np.full(5, 0.5))
    assert found.status == "success"
    roots = [(1.0, 1.0), (0.91635458253384934, 1.4182270873307533), (-0.57904308849411580273, 8.8952154424705790137)]
    assert any(np.allclose(found.z, [*[a] * 4, b], rtol=1e-10) for a, b in roots)


def test_a_root_in_the_bounds_is_chosen() -> None:
    """S16b has a second root at z > 1; started next to it but bounded, the iteration comes back inside."""
    f, j = lambda z, p: (0.1 + z) * z - 4 * (1 - z) * (2 - z), lambda z, p: 0.1 + 2 * z + 4 * (3 - 2 * z)
    found = find(f, j, 0.99, lower=0.0, upper=1.0)
    assert found.status == "success" and found.z[0] == pytest.approx(5 / 6, rel=1e-13)


def test_picard_hands_over_to_newton_on_slow_contractions() -> None:
    """A rate of 0.999 would take 27,000 Picard steps."""
    found = find(lambda z, p: 0.999 * z + 1 - z, lambda z, p: 0 * z - 0.001, 0.0, method=picard)
    assert found.status == "success" and found.steps <= 10 and found.z[0] == pytest.approx(1000, rel=1e-12)


def test_roots_far_below_one_are_accurate() -> None:
    """√p for p = 1e-14 and 1e-18: the relative error stays at rounding, and the derivative exists."""
    for p in (1e-14, 1e-18):
        found = find(lambda z, p: z * z - p, lambda z, p: 2 * z, 1.0, p)
        assert found.status == "success" and found.notes == ()
        assert found.z[0] == pytest.approx(np.sqrt(p), rel=1e-14)
        assert found.derivative([-1]) == pytest.approx(0.5 / np.sqrt(p), rel=1e-12)
