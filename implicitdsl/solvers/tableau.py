"""Explicit Runge–Kutta methods as data: one integrator runs them all.

Every method is stated with one stage more than its classical form: stage s is f(t + h, y1), so that the last row of `a`
is the weight vector b. That stage is the first stage of the next step, so no evaluation is lost, and it gives every
method a dense output whose slope is continuous. The dense output is y(t + theta*h) = y + h*sum_i b_i(theta)*k_i with
b_i(theta) = sum_k dense[i][k-1]*theta^k, i = 0..s, k = 1..degree.

Sources: E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed. 1993 (euler, midpoint,
heun, rk4, dopri5 and its interpolant of order 4, section II.6); P. Bogacki, L. F. Shampine, Appl. Math. Lett. 2 (1989)
321–325 (bosh3); Ch. Tsitouras, Comput. Math. Appl. 62 (2011) 770–775 (tsit5 and its free interpolant of order 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Number = Fraction | float
Row = tuple[Number, ...]


@dataclass(frozen=True)
class Tableau:
    """The numbers of one method.

    `a`: row i holds the i weights of the argument of stage i, i = 0..s. `c`: s + 1 nodes, the last one 1. `error`: s + 1
    weights of the error estimate, all 0 where the method has none (`adaptive` is then False). `dense`: s + 1 rows of
    `degree` polynomial coefficients. `order` is that of the step, `dense_order` that of the dense output, `error_order`
    that of the cruder of the two solutions that the estimate compares. `fsal`: the classical form has the last stage.
    """

    name: str
    order: int
    error_order: int
    dense_order: int
    fsal: bool
    a: tuple[Row, ...]
    c: Row
    error: Row
    dense: tuple[Row, ...]

    @property
    def stages(self) -> int:
        """s, the number of stages that the step itself needs; arrays over stages have s + 1 rows."""
        return len(self.c) - 1

    @property
    def degree(self) -> int:
        """The degree of the dense output in theta."""
        return len(self.dense[0])

    @property
    def adaptive(self) -> bool:
        """Whether there is an error estimate to choose steps by."""
        return any(self.error)

    def arrays(self, dtype: DTypeLike) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """(a, c, error, dense) as the solver functions read them: 1-D, row-major, of lengths (s+1)*s, s+1, s+1, (s+1)*degree."""
        s = self.stages
        a = np.zeros((s + 1, s))
        for i, row in enumerate(self.a):
            a[i, : len(row)] = [float(x) for x in row]
        c = np.array([float(x) for x in self.c])
        error = np.array([float(x) for x in self.error])
        dense = np.array([[float(x) for x in row] for row in self.dense])
        return a.ravel().astype(dtype), c.astype(dtype), error.astype(dtype), dense.ravel().astype(dtype)


def _row(text: str) -> Row:
    return tuple(Fraction(word) for word in text.split())


def _through_ends(b: Row, bubble: Row) -> tuple[Row, ...]:
    """The dense output with values y, y1 and slopes k_0, k_s at the ends (cubic Hermite), plus theta²(1-theta)²*bubble."""
    s = len(b)
    rows: list[Row] = []
    for i in range(s + 1):
        weight = b[i] if i < s else 0
        first, last, extra = int(i == 0), int(i == s), bubble[i]
        rows.append((
            Fraction(first),
            3 * weight - 2 * first - last + extra,
            -2 * weight + first + last - 2 * extra,
            Fraction(extra),
        ))  # fmt: skip
    return tuple(row if any(bubble) else row[:3] for row in rows)


def _rational(
    name: str, *, order: int, error_order: int, dense_order: int, fsal: bool, a: str, error: str, bubble: str = ""
) -> Tableau:
    rows = tuple(_row(line) for line in a.split(";"))
    s = len(rows) - 1
    return Tableau(
        name=name,
        order=order,
        error_order=error_order,
        dense_order=dense_order,
        fsal=fsal,
        a=rows,
        c=tuple(sum(row, Fraction(0)) for row in rows),
        error=_row(error) if error else (Fraction(0),) * (s + 1),
        dense=_through_ends(rows[-1], _row(bubble) if bubble else (Fraction(0),) * (s + 1)),
    )


EULER = _rational("euler", order=1, error_order=1, dense_order=1, fsal=False, a=" ; 1", error="1/2 -1/2")

MIDPOINT = _rational("midpoint", order=2, error_order=1, dense_order=2, fsal=False, a=" ; 1/2 ; 0 1", error="-1 1 0")

HEUN = _rational("heun", order=2, error_order=1, dense_order=2, fsal=False, a=" ; 1 ; 1/2 1/2", error="-1/2 1/2 0")

BOSH3 = _rational(
    "bosh3",
    order=3,
    error_order=2,
    dense_order=3,
    fsal=True,
    a=" ; 1/2 ; 0 3/4 ; 2/9 1/3 4/9",
    error="-5/72 1/12 1/9 -1/8",
)

RK4 = _rational(
    "rk4", order=4, error_order=0, dense_order=3, fsal=False, a=" ; 1/2 ; 0 1/2 ; 0 0 1 ; 1/6 1/3 1/3 1/6", error=""
)

DOPRI5 = _rational(
    "dopri5",
    order=5,
    error_order=4,
    dense_order=4,
    fsal=True,
    a="""; 1/5 ; 3/40 9/40 ; 44/45 -56/15 32/9 ; 19372/6561 -25360/2187 64448/6561 -212/729 ;
         9017/3168 -355/33 46732/5247 49/176 -5103/18656 ; 35/384 0 500/1113 125/192 -2187/6784 11/84""",
    error="71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40",
    bubble="""-12715105075/11282082432 0 87487479700/32700410799 -10690763975/1880347072
              701980252875/199316789632 -1453857185/822651844 69997945/29380423""",
)

TSIT5 = Tableau(
    name="tsit5",
    order=5,
    error_order=4,
    dense_order=4,
    fsal=True,
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
    ),
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        0.015151515151515152,
    ),
    dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
)

TABLEAUS: dict[str, Tableau] = {method.name: method for method in (EULER, MIDPOINT, HEUN, BOSH3, RK4, DOPRI5, TSIT5)}
"""The methods by the name that `solver name(…)` uses."""
