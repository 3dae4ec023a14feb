"""The order of every method of the table, measured: the slope of the logarithm of the error against that of the step.

In the long double of x86-64 (64 binary digits), so that methods of order 9 show their order before rounding does. The
errors are those of a linear system of ten states against the exponential of its matrix and of a nonlinear equation
against its closed form.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp

from implicitdsl.solvers.butcher_tableau import Tableau
from implicitdsl.solvers.tableau import TABLEAUS
from tests.solvers.ode.explicit import solve

LONG = np.longdouble
COARSE = {1: 128, 2: 64, 3: 16, 4: 8, 5: 4, 8: 8, 9: 8}
"""Half the steps of the coarsest run by order of the method."""
ABOVE = {"prince9": 1.5}
"""Its conditions of order 10 fail by no more than 2e-9, so that at these steps it looks like a method of that order."""


def long(x):
    with mp.workdps(40):
        x = mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mp.mpf(x)
        return LONG(mp.nstr(x, 30))


class Long(Tableau):
    """A method whose numbers have all digits of a long double."""

    def arrays(self, dtype):
        found = []
        for table, wide in zip(
            ((line + (0,) * (self.top - len(line)) for line in self.a), (self.c,), (self.error,), self.dense),
            super().arrays(float),
            strict=True,
        ):
            numbers = [long(x) for line in table for x in line]
            # Behind the numbers of a table stand flags.
            found.append(np.array([*numbers, *wide[len(numbers) :]], LONG))
        return tuple(found)


def matrix():
    rng = np.random.default_rng(4)
    return rng.standard_normal((10, 10)) / 3


def linear(t, y, p, out):
    out[:] = MATRIX @ y


def linear_answer(span, j):
    with mp.workdps(30):
        y = mp.expm(mp.matrix(matrix().tolist()) * mp.mpf(span * j) / 13) * mp.matrix([1] * 10)
        return np.array([LONG(mp.nstr(x, 25)) for x in y])


def rational(t, y, p, out):
    # y = 1/(1 + t²) solves y' = -2 t y².
    out[0] = -2 * t * y[0] * y[0]


MATRIX = matrix().astype(LONG)
PROBLEMS = {
    "linear": (linear, np.ones(10), linear_answer),
    "nonlinear": (rational, np.ones(1), lambda span, j: np.array([1 / (1 + (LONG(span * j) / 13) ** 2)])),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", TABLEAUS)
def test_the_slope_of_the_error_is_the_order(name, problem):
    rhs, start, answer = PROBLEMS[problem]
    method = TABLEAUS[name].eager
    long_method = Long(**{field: getattr(method, field) for field in method.__dataclass_fields__})
    span = 4 if method.order >= 8 else 1
    times = [LONG(span * j) / 13 for j in range(1, 14)]
    wanted = np.array([answer(span, j) for j in range(1, 14)])
    ends, inner, counts = [], [], [COARSE[method.order] * factor for factor in (2, 3, 4)]
    for count in counts:
        run = solve(
            rhs, start, [], (0, span), times, tableau=long_method, dt=LONG(span) / count, dtype=LONG, tape=False
        )
        assert run.accepted == count
        ends.append(np.abs(run.end - wanted[-1]).max())
        inner.append(np.abs(run.values[:-1] - wanted[:-1]).max())
    slopes = [-np.polyfit(np.log(counts), np.log(np.array(e, float)), 1)[0] for e in (ends, inner)]
    assert method.order - 0.35 <= slopes[0] <= method.order + ABOVE.get(name, 0.35)
    # The values between are read once: their own error is of one order more than the conditions they meet. The times fall
    # on other places of other steps, which blurs the slope; `test_tableau` has the conditions exactly.
    assert slopes[1] >= min(method.order, method.dense_order + 1) - 1
