"""Rosenbrock–Wanner methods as data: one integrator runs them all.

A step of M y' = f(t, y) with J = f_y and f_t at its start, and s + 1 stages, is, with A = M/gamma - h*J,

    A k_i = f(t + c_i*h, y + h*sum_j a_ij*k_j) + M sum_j couple_ij*k_j + h*drive_i*f_t,   j < i,
    y1 = y + h*sum_j a_(s+1)j*k_j,

the form without products by J of E. Hairer and G. Wanner, Solving Ordinary Differential Equations II, 2nd ed. 1996,
section IV.7, in slopes k_i = u_i/h, so that a step of length 0 has a value and derivatives. The dense output is
y(t + theta*h) = y + h*sum_i b_i(theta)*k_i with b_i(theta) = sum_k dense[i][k-1]*theta^k, as in `tableau.py`.

Source: G. Steinebach, Construction of Rosenbrock–Wanner method Rodas5P and numerical benchmarks within the Julia
Differential Equations package, BIT Numer. Math. 63 (2023), article 27.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Row = tuple[float, ...]
Table = NDArray[Any]


@dataclass(frozen=True)
class RosenbrockTableau:
    """The numbers of one method.

    `a`: row i holds the i weights of the argument of stage i, i = 0..s, and row s + 1 those of y1. `couple`: row i
    holds the i weights of the other stages. `c`, `drive`, `error`: s + 1 numbers each. `dense`: s + 1 rows of `degree`
    polynomial coefficients. `order` is that of the step, `error_order` that of the embedded solution, `dense_order` that
    of the dense output.
    """

    name: str
    order: int
    error_order: int
    dense_order: int
    gamma: float
    a: tuple[Row, ...]
    couple: tuple[Row, ...]
    c: Row
    drive: Row
    error: Row
    dense: tuple[Row, ...]

    @property
    def stages(self) -> int:
        """s: the method has s + 1 stages."""
        return len(self.c) - 1

    @property
    def degree(self) -> int:
        """The degree of the dense output in theta."""
        return len(self.dense[0])

    def tables(self, dtype: DTypeLike) -> dict[str, Table]:
        """What the solver functions read, 1-D and row-major: a ((s+2)*(s+1)), couple ((s+1)*(s+1)), c, drive, error
        (s+1 each) and dense ((s+1)*degree)."""
        made = {"a": _square(self.a, self.stages + 1), "couple": _square(self.couple, self.stages + 1)}
        made |= {"c": np.array(self.c), "drive": np.array(self.drive), "error": np.array(self.error)}
        made["dense"] = np.array(self.dense)
        return {name: table.ravel().astype(dtype) for name, table in made.items()}


def _square(rows: tuple[Row, ...], columns: int) -> Table:
    table = np.zeros((len(rows), columns))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def _interpolated(b: Row, inner: tuple[Row, Row, Row]) -> tuple[Row, ...]:
    """theta*b + theta*(1 - theta)*(h_2 + theta*h_3 + theta²*h_4) by powers of theta, from the rows h_2, h_3, h_4."""
    h2, h3, h4 = inner
    return tuple(
        (b[i] + h2[i], h3[i] - h2[i], h4[i] - h3[i], -h4[i]) for i in range(len(b))
    )  # fmt: skip


_LAST = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)

RODAS5P = RosenbrockTableau(
    name="rodas5p",
    order=5,
    error_order=4,
    dense_order=4,
    gamma=0.21193756319429014,
    a=(
        (),
        (3.0,),
        (2.849394379747939, 0.45842242204463923),
        (-6.954028509809101, 2.489845061869568, -10.358996098473584),
        (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
        _LAST,
        (*_LAST, 1.0),
        (*_LAST, 1.0, 1.0),
        (*_LAST, 1.0, 1.0, 1.0),
    ),
    couple=(
        (),
        (-14.155112264123755,),
        (-17.97296035885952, -2.859693295451294),
        (147.12150275711716, -1.41221402718213, 71.68940251302358),
        (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
        (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
        (
            30.91273214028599,
            -3.1208243349937974,
            77.79954646070892,
            34.28646028294783,
            -19.097331116725623,
            -28.087943162872662,
        ),
        (
            37.80277123390563,
            -3.2571969029072276,
            112.26918849496327,
            66.9347231244047,
            -40.06618937091002,
            -54.66780262877968,
            -9.48861652309627,
        ),
    ),
    c=(0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0),
    drive=(
        0.21193756319429014,
        -0.42387512638858027,
        -0.3384627126235924,
        1.8046452872882734,
        2.325825639765069,
        0.0,
        0.0,
        0.0,
    ),
    error=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    dense=_interpolated(
        (*_LAST, 1.0, 1.0, 1.0),
        (
            (
                25.948786856663858,
                -2.5579724845846235,
                10.433815404888879,
                -2.3679251022685204,
                0.524948541321073,
                1.1241088310450404,
                0.4272876194431874,
                -0.17202221070155493,
            ),
            (
                -9.91568850695171,
                -0.9689944594115154,
                3.0438037242978453,
                -24.495224566215796,
                20.176138334709044,
                15.98066361424651,
                -6.789040303419874,
                -6.710236069923372,
            ),
            (
                11.419903575922262,
                2.8879645146136994,
                72.92137995996029,
                80.12511834622643,
                -52.072871366152654,
                -59.78993625266729,
                -0.15582684282751913,
                4.883087185713722,
            ),
        ),
    ),
)

ROSENBROCK: dict[str, RosenbrockTableau] = {RODAS5P.name: RODAS5P}
"""The methods by the name that `solver name(…)` uses."""
