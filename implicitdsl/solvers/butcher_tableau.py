"""The record of an explicit Runge–Kutta method: one integrator runs them all.

Every method is stated with one stage more than its classical form: stage s is f(t + h, y1), so that row s of `a` is the
weight vector b. That stage is the first stage of the next step, so no evaluation is lost, and it gives every method a
dense output whose slope is continuous. After it may come `extra` stages that only the dense output reads, computed only
in steps in which it is read. The dense output is y(t + theta*h) = y + h*sum_i b_i(theta)*k_i with
b_i(theta) = sum_k dense[i][k-1]*theta^k, i = 0..s + extra, k = 1..degree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.solvers.reading_stages import READ, SAME

Number = Fraction | float
Row = tuple[Number, ...]


@dataclass(frozen=True)
class Tableau:
    """The numbers of one method.

    `a`: row i holds the i weights of the argument of stage i, i = 0..s + extra. `c`: as many nodes, that of stage s is 1.
    `error`: s + 1 weights of the error estimate, all 0 where the method has none (`adaptive` is then False). `crude`: those
    of a cruder estimate, by which the first is weighted (`stepping.paired_error`), or nothing. `dense`: s + 1 + extra rows of
    `degree` polynomial coefficients. `order` is that of the step, `dense_order` that of the dense output, `error_order`
    that of the cruder of the two solutions that the estimate compares. `fsal`: the classical form has stage s. `kinds`:
    for a composition of drifts and kicks the kind of each stage (`split_stages.py`), where there are stages that only the dense
    output reads that of each (`reading_stages.py`), else nothing.
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
    extra: int = 0
    crude: Row = ()
    kinds: Row = ()

    @property
    def stages(self) -> int:
        """s, the number of stages that the step itself needs."""
        return self.top - self.extra

    @property
    def top(self) -> int:
        """The number of the last stage; arrays over stages have top + 1 rows."""
        return len(self.c) - 1

    @property
    def degree(self) -> int:
        """The degree of the dense output in theta."""
        return len(self.dense[0])

    @property
    def adaptive(self) -> bool:
        """Whether there is an error estimate to choose steps by."""
        return any(self.error)

    @property
    def splits(self) -> bool:
        """Whether stages move a part of the state."""
        return any(kind > 0 for kind in self.kinds)

    @property
    def eager(self) -> Tableau:
        """The same method with no extra stages, but stages of the kinds `SAME` and `READ` (`reading_stages.py`): stage s as
        the extra ones find it, the extra ones, and stage s as the last."""
        if self.extra == 0:
            return self
        s, zero, none = self.stages, Fraction(0), (Fraction(0),) * (self.extra + 1)
        return replace(
            self,
            a=(*self.a, (*self.a[s], *none)),
            c=(*self.c, self.c[s]),
            error=(*self.error[:s], *none, self.error[s]),
            crude=(*self.crude[:s], *none, self.crude[s]) if self.crude else (),
            dense=(*self.dense[:s], (zero,) * self.degree, *self.dense[s + 1 :], self.dense[s]),
            extra=0,
            kinds=(*(zero for _ in range(s)), SAME, *(READ for _ in range(self.extra)), zero),
        )

    def arrays(self, dtype: DTypeLike) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """(a, c, error, dense) as the solver functions read them: 1-D, row-major, of lengths (top+1)*(top+1), top+1, 2*s+3
        and (top+1)*degree. `a` is the weights, then the kinds of the stages, 0 where there are none; `error` is the estimate, then the cruder one, then 1 where there is a cruder one, else 0."""
        a = np.zeros((self.top + 1, self.top))
        for i, row in enumerate(self.a):
            a[i, : len(row)] = [float(x) for x in row]
        c = np.array([float(x) for x in self.c])
        crude = self.crude or (0.0,) * (self.stages + 1)
        error = np.array([float(x) for x in (*self.error, *crude, bool(self.crude))])
        dense = np.array([[float(x) for x in row] for row in self.dense])
        kinds = np.array(self.kinds or (0.0,) * (self.top + 1), dtype)
        return (
            np.concatenate([a.ravel().astype(dtype), kinds]),
            c.astype(dtype),
            error.astype(dtype),
            dense.ravel().astype(dtype),
        )


def row(text: str) -> Row:
    """The numbers of a line, exactly as they are written."""
    return tuple(Fraction(word) for word in text.split())


def rows(text: str) -> tuple[Row, ...]:
    """Lines apart by semicolons."""
    return tuple(row(line) for line in text.split(";"))


def through_ends(b: Row, bubble: Row) -> tuple[Row, ...]:
    """The dense output with values y, y1 and slopes k_0, k_s at the ends (cubic Hermite), plus theta²(1-theta)²*bubble."""
    s = len(b)
    found: list[Row] = []
    for i in range(s + 1):
        weight = b[i] if i < s else 0
        first, last, more = int(i == 0), int(i == s), bubble[i]
        found.append((
            Fraction(first),
            3 * weight - 2 * first - last + more,
            -2 * weight + first + last - 2 * more,
            Fraction(more),
        ))  # fmt: skip
    return tuple(line if any(bubble) else line[:3] for line in found)


def rational(
    name: str, *, order: int, error_order: int, dense_order: int, fsal: bool, a: str, error: str = "", bubble: str = ""
) -> Tableau:
    """A method in exact numbers whose dense output is `through_ends`."""
    lines = rows(a)
    none = (Fraction(0),) * len(lines)
    return Tableau(
        name=name,
        order=order,
        error_order=error_order,
        dense_order=dense_order,
        fsal=fsal,
        a=lines,
        c=tuple(sum(line, Fraction(0)) for line in lines),
        error=row(error) if error else none,
        dense=through_ends(lines[-1], row(bubble) if bubble else none),
    )
