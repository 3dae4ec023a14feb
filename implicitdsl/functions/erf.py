"""The error function and its relatives in NumPy, for float32 and float64 alike.

Rational approximations of W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969)
631-637, with the coefficients of his CALERF (Algorithm 715, ACM TOMS 19, 1993). The exponential is split as he does, so
that the tails keep their relative accuracy: the rounding error of x*x never enters an exponent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL = 0.46875
ONE_OVER_SQRT_PI = 0.56418958354775628695
SQRT_HALF = 0.70710678118654752440

A = (
    1.85777706184603153e-1,
    3.16112374387056560e00,
    1.13864154151050156e02,
    3.77485237685302021e02,
    3.20937758913846947e03,
)
B = (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e00, 6.61191906371416295e01,
    2.98635138197400131e02, 8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03,
    1.23033935479799725e03,
)  # fmt: skip
D = (
    1.0, 1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
    3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03,
)  # fmt: skip
P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
Q = (
    1.0,
    2.56852019228982242e00,
    1.87295284992346725e00,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def _horner(coefficients: tuple[float, ...], x: Any) -> Any:
    value = x * 0.0 + coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def gaussian(x: Any, c: float) -> Any:
    """exp(-c*x*x) for c = 1/2 or 1, to about one unit in the last place in the tails too."""
    y = np.clip(x, -40.0, 40.0)  # where it is 0 long since, so that inf gives 0
    h = np.trunc(y * 16.0) * 0.0625
    return np.exp(-c * h * h) * np.exp(-c * (y - h) * (y + h))


def _erf_near_zero(x: Any) -> Any:
    y = np.clip(x, -SMALL, SMALL)
    z = y * y
    return y * (_horner(A, z) / _horner(B, z))


def _scaled_tail(y: Any) -> Any:
    """exp(y*y)*erfc(y) for y >= 0.46875; values below are taken as that."""
    middle = np.clip(y, SMALL, 4.0)
    far = np.maximum(y, 4.0)
    z = 1.0 / (far * far)
    tail = (ONE_OVER_SQRT_PI - z * (_horner(P, z) / _horner(Q, z))) / far
    return np.where(y <= 4.0, _horner(C, middle) / _horner(D, middle), tail)


def erf(x: Any) -> Any:
    """The error function to 4 units in the last place, in the dtype of x."""
    y = np.abs(x)
    outer = np.copysign(1.0 - gaussian(y, 1.0) * _scaled_tail(y), x)
    return np.where(y <= SMALL, _erf_near_zero(x), outer)[()]


def normal_cdf(x: Any) -> Any:
    """The distribution function of the standard normal, to 8 units in the last place, in the lower tail too."""
    t = np.abs(x) * SQRT_HALF
    tail = 0.5 * gaussian(x, 0.5) * _scaled_tail(t)
    return np.where(t <= SMALL, 0.5 + 0.5 * _erf_near_zero(x * SQRT_HALF), np.where(x < 0.0, tail, 1.0 - tail))[()]
