"""Values of table functions that NumPy lacks or gets wrong at the ends: what generated evaluators call.

Each works on arrays and NumPy scalars, keeps the dtype of its arguments, has the limit at +-inf where there is one, and
passes NaN on. Floating point warnings are the caller's to suppress.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.functions.erf import erf, gaussian, normal_cdf

__all__ = [
    "bell", "both", "cast", "clip", "either", "elu", "entropy", "erf", "gelu", "larger", "logistic", "negation",
    "normal_cdf", "power_log", "radial", "scaled", "select", "sigmoid", "silu", "softplus",
]  # fmt: skip


def cast(condition: Any, *like: Any) -> Any:
    """The condition as 1 and 0 in the dtype of the other arguments."""
    return np.asarray(condition).astype(np.result_type(*like))[()]


def both(a: Any, b: Any) -> Any:
    """1 where neither is 0, else 0."""
    return cast(np.logical_and(a, b), a, b)


def either(a: Any, b: Any) -> Any:
    """1 where one is not 0, else 0."""
    return cast(np.logical_or(a, b), a, b)


def negation(a: Any) -> Any:
    """1 where a is 0, else 0."""
    return cast(np.logical_not(a), a)


def select(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition is not 0, else `no`."""
    return np.where(np.not_equal(condition, 0.0), yes, no).astype(np.result_type(condition, yes, no), copy=False)[()]


def scaled(factor: Any, value: Any) -> Any:
    """factor*value, and 0 where the factor is 0 whatever the value is."""
    return np.where(np.equal(factor, 0.0), 0.0, factor * value)[()]


def larger(a: Any, b: Any) -> Any:
    """1 where a > b, 1/2 where they are equal, 0 where a < b."""
    share = np.where(a > b, 1.0, np.where(np.equal(a, b), 0.5, 0.0))
    return np.where(np.isnan(a) | np.isnan(b), np.nan, share).astype(np.result_type(a, b), copy=False)[()]


def clip(x: Any, low: Any, high: Any) -> Any:
    """x held between the bounds; `high` where they are in the wrong order."""
    return np.minimum(np.maximum(x, low), high)


def power_log(x: Any, p: Any, k: float) -> Any:
    """x^p * log(x)^k, 0 at x = 0 for p >= 0 and at infinity for p < 0."""
    vanishes = (np.equal(x, 0.0) & (p >= 0.0)) | (np.isposinf(x) & (p < 0.0))
    return np.where(vanishes, 0.0, np.power(x, p) * np.power(np.log(x), k))[()]


def radial(x: Any, y: Any) -> Any:
    """x/(x*x + y*y) without overflow of the squares; 0 at infinity, and at the origin, as in torch's atan2."""
    h = np.hypot(x, y)
    at_end = (np.isinf(h) & ~np.isnan(x) & ~np.isnan(y)) | np.equal(h, 0.0)
    return np.where(at_end, 0.0, (x / h) / h)[()]


def bell(x: Any, n: float, c: float) -> Any:
    """x^n * exp(-c*x*x), 0 at infinity."""
    return np.power(clip(x, -40.0, 40.0), n) * gaussian(x, c)


def logistic(x: Any, n: float) -> Any:
    """x^n times the density of the logistic distribution, exp(-x)/(1 + exp(-x))^2; 0 at infinity."""
    y = clip(x, -800.0, 800.0)
    e = np.exp(-np.abs(y))
    density = e / ((1.0 + e) * (1.0 + e))
    return density if n == 0.0 else np.power(y, n) * density


def sigmoid(x: Any) -> Any:
    """1/(1 + exp(-x)), accurate at both ends."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, e)[()] / (1.0 + e)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), accurate at both ends."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def silu(x: Any) -> Any:
    """x*sigmoid(x); 0 at -inf."""
    return np.where(np.isneginf(x), 0.0, x * sigmoid(x))[()]


def gelu(x: Any) -> Any:
    """x times the normal distribution function; 0 at -inf."""
    return np.where(np.isneginf(x), 0.0, x * normal_cdf(x))[()]


def elu(x: Any) -> Any:
    """x where it is positive, else exp(x) - 1."""
    return np.where(x > 0.0, x, np.expm1(x))[()]


def entropy(x: Any) -> Any:
    """-x*log(x), 0 at 0; NaN below."""
    return np.where(np.equal(x, 0.0), 0.0, -x * np.log(x))[()]
