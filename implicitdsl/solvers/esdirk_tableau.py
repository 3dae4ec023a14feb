"""Singly diagonally implicit Runge–Kutta methods with an explicit first stage (ESDIRK) as data: one integrator runs them
all.

Stage 0 of a step is y itself; the others solve Y_i = y + h*sum_(j<=i) a_ij*k_j, k_j = f(t + c_j*h, Y_j), with one
diagonal element gamma. Both solutions of a pair are stages: stage `last` is y1, stage `last` - 1 is the cruder one that
y1 is compared with. In slopes u_i = (Y_i - y)/h, and with G the inverse of A without its first row and column, the k_i are
G_ii*u_i + sum_(j<i) G_ij*u_j - sum_j G_ij*a_j0*k_0, so that a stage is the equation

    M (u_i/gamma - couple_i0*k_0 - sum_(0<j<i) couple_ij*u_j) = f(t + c_i*h, y + h*u_i),

which makes sense for a singular M, in a step of length 0, and without a product by a large Jacobian.

The stages after `last` serve only to read values between the ends of a step. Each is an implicit stage of order 4 of its
own, so that the polynomial of degree 4 through y, y1 and three of them has order 4 whether the problem is stiff or not,
and for algebraic unknowns too: every point of it obeys the equations of the model.

Source: A. Kværnø, Singly diagonally implicit Runge–Kutta methods with an explicit first stage, BIT Numer. Math. 44 (2004)
489–502. The reading stages solve their order conditions with R(infinity) = 0 and the smallest coefficients of fifth
order that do; the tests check all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Row = tuple[float, ...]
Table = NDArray[Any]


@dataclass(frozen=True)
class EsdirkTableau:
    """The numbers of one method.

    `a`: row i holds the i weights left of the diagonal for stage i = 0..last. `reading`: the same for the stages that
    follow. `order` is that of the step, `error_order` that of the embedded solution, `dense_order` that of the dense
    output.
    """

    name: str
    order: int
    error_order: int
    dense_order: int
    gamma: float
    a: tuple[Row, ...]
    reading: tuple[Row, ...]

    @property
    def last(self) -> int:
        """The number of the stage that is y1."""
        return len(self.a) - 1

    @property
    def readers(self) -> int:
        """How many stages serve reading."""
        return len(self.reading)

    @property
    def rows(self) -> int:
        """How many stages there are in all, the explicit one among them."""
        return len(self.a) + len(self.reading)

    @property
    def degree(self) -> int:
        """The degree of the dense output in theta."""
        return self.readers + 1

    @property
    def matrix(self) -> Table:
        """Butcher's A, the reading stages included."""
        full = np.zeros((self.rows, self.rows))
        for i, row in enumerate((*self.a, *self.reading)):
            full[i, : len(row)] = row
            full[i, i] = self.gamma if i else 0.0
        return full

    @property
    def moments(self) -> Table:
        """c; the stages at the end of the step are at 1 exactly."""
        c = self.matrix.sum(axis=1)
        return np.where(abs(c - 1.0) < 1e-14, 1.0, c)

    def tables(self, dtype: DTypeLike) -> dict[str, Table]:
        """What the solver functions read, 1-D and row-major: couple and predict (rows*rows), c (rows), and dense, rows of
        `degree` for stage `last` and the reading stages."""
        made = {"couple": self._couple(), "predict": self._predict(), "c": self.moments, "dense": self._dense()}
        return {name: table.ravel().astype(dtype) for name, table in made.items()}

    def event_tables(self, dtype: DTypeLike) -> dict[str, Table]:
        """As `tables`, by the names that the solvers through events have for them (`event_esdirk_steps.py`): `a` is the
        table of predictions, `error` the weights of the estimate, of none beside it and a 0 (`stepping.paired_error`);
        `dense` and `error` begin with the stage before `last`."""
        made, more = self.tables(dtype), self.readers + 2
        error, unread = np.zeros(2 * more + 1, dtype), np.zeros(self.degree, dtype)
        error[:2] = -1.0, 1.0
        dense = np.concatenate([unread, made["dense"]])
        return {"a": made["predict"], "couple": made["couple"], "c": made["c"], "error": error, "dense": dense}

    def _couple(self) -> Table:
        a = self.matrix
        inverse = np.linalg.inv(a[1:, 1:])
        couple = np.zeros_like(a)
        couple[1:, 1:] = 0.0 - np.tril(inverse, -1)
        couple[1:, 0] = inverse @ a[1:, 0]
        return couple

    def _predict(self) -> Table:
        """Where the iteration for u_i begins: polynomials through y and the stages before, without k_0, which a stiff
        problem blows up; and for stages of high order, combinations that have order 3, stiff or not."""
        a, c = self.matrix, self.moments
        bent = a @ c**2
        table = np.zeros_like(a)
        for i in range(2, self.rows):
            if i == self.last:
                table[i, i - 1] = 1.0
                continue
            before = np.arange(1, i) if i < self.last else np.append(np.arange(1, self.last - 1), self.last)
            conditions = [c, c**2, bent, c**3] if len(before) > 3 else [c**k for k in range(1, len(before) + 1)]
            left = np.array([row[before] for row in conditions])
            powers = [c[i], c[i] ** 2, c[i] ** 3 / 3, c[i] ** 3] if len(before) > 3 else c[i] ** np.arange(1, i)
            table[i, before] = np.linalg.lstsq(left, np.array(powers), rcond=None)[0]
        return table

    def _dense(self) -> Table:
        points = self.moments[self.last :]
        return np.linalg.inv(np.array([points**k for k in range(1, self.degree + 1)]))


KVAERNO5 = EsdirkTableau(
    name="kvaerno5",
    order=5,
    error_order=4,
    dense_order=4,
    gamma=0.26,
    a=(
        (),
        (0.26,),
        (0.13, 0.84033320996790809),
        (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
        (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998),
        (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676),
        (
            0.13659751177640291,
            0.0,
            -0.05496908796538376,
            -0.04118626728321046,
            0.62993304899016403,
            0.06962479448202728,
        ),
    ),
    reading=(
        (
            0.07978700883274054,
            0.0,
            -0.006377001473739651,
            0.012106637956620054,
            -0.10427093902831093,
            0.08049824219900681,
            -0.07174394848631681,
        ),
        (
            0.07574624292927198,
            0.0,
            0.0023202294014372273,
            -0.005205069225045517,
            -0.21994531027116326,
            0.03578000583337132,
            -0.04108717943338534,
            0.39239108076551416,
        ),
        (
            0.07022117555903029,
            0.0,
            0.01287082311617434,
            -0.00583318733320963,
            -0.0035515170752889458,
            0.12693803827391287,
            -0.195222236855873,
            0.3872584981789115,
            0.09731840613634285,
        ),
    ),
)

ESDIRK: dict[str, EsdirkTableau] = {KVAERNO5.name: KVAERNO5}
"""The methods by the name that `solver name(…)` uses."""
