"""The problems of the work–precision diagrams: five stiff ones and two that are not.

A right-hand side is written once, by arithmetic alone, and every library takes it on numbers of its own: floats,
tracers or symbols. Ours are the models of `benchmarks/models/precision.imp`.

Sources: HIRES (Schäfer 1975), the Oregonator (Field and Noyes 1974) and van der Pol as in Hairer and Wanner, Solving
Ordinary Differential Equations II, section IV.10, with the times of the Test Set for IVP Solvers (Mazzia and Magherini
2008); POLLU is Verwer, SIAM J. Sci. Comput. 15 (1994); ROBERTSON is Robertson (1966); Pleiades as in Hairer, Nørsett
and Wanner, Solving Ordinary Differential Equations I, section II.10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.work import Array

BATCH = 32
Field = Callable[[Sequence[Any], Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Problem:
    """dx/dt = `field`(x, k) from 0 to `end`; `model` is its name in precision.imp. The constants k of a sample are
    those of the source times exp(`spread` z), z standard normal. A component below `small` counts as one of
    that size, in the error and by `atol` = tolerance × `small`."""

    name: str
    model: str
    field: Field
    start: tuple[float, ...]
    constants: tuple[float, ...]
    end: float
    spread: float
    small: float
    stiff: bool = True

    def samples(self, batch: int = BATCH) -> Array:
        """The constants [batch, n]; the first ones do not depend on `batch`."""
        draws = np.random.default_rng(7).standard_normal((batch, len(self.constants)))
        return np.array(self.constants) * np.exp(self.spread * draws)

    def error(self, found: Array, right: Array) -> float:
        """Root mean square over components and samples of |found - right| / max(|right|, small); infinite where
        anything is not finite. Either may speak of the first samples alone."""
        both = min(len(found), len(right))
        found, right = found[:both], right[:both]
        off = (found - right) / np.maximum(np.abs(right), self.small)
        return float(np.sqrt((off**2).mean())) if np.isfinite(found).all() else float("inf")


def hires(x: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """Eight reactants, eight constants; what leaves one reactant arrives in another."""
    a, b, c, d, e, f, g, h = x
    both = k[6] * f * h
    return [
        -k[0] * a + k[1] * b + k[2] * c + k[3],
        k[0] * a - (k[1] + k[2]) * b,
        -(k[0] + k[2]) * c + k[1] * d + k[4] * e,
        k[2] * b + k[0] * c - (k[1] + k[5]) * d,
        -(k[0] + k[4]) * e + k[1] * (f + g),
        -both + k[5] * d + k[0] * e - k[1] * f + k[5] * g,
        both - k[7] * g,
        -both + k[7] * g,
    ]


def oregonator(x: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """Three species of the reaction of Belousov and Zhabotinsky."""
    a, b, c = x
    return [k[0] * (b + a * (1 - k[1] * a - b)), (c - (1 + a) * b) / k[0], k[2] * (a - c)]


def pollution(y: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """Twenty species, 25 reactions."""
    r = [
        k[0] * y[0], k[1] * y[1] * y[3], k[2] * y[4] * y[1], k[3] * y[6], k[4] * y[6], k[5] * y[6] * y[5],
        k[6] * y[8], k[7] * y[8] * y[5], k[8] * y[10] * y[1], k[9] * y[10] * y[0], k[10] * y[12],
        k[11] * y[9] * y[1], k[12] * y[13], k[13] * y[0] * y[5], k[14] * y[2], k[15] * y[3], k[16] * y[3],
        k[17] * y[15], k[18] * y[15], k[19] * y[16] * y[5], k[20] * y[18], k[21] * y[18], k[22] * y[0] * y[3],
        k[23] * y[18] * y[0], k[24] * y[19],
    ]  # fmt: skip
    return [
        -r[0] - r[9] - r[13] - r[22] - r[23] + r[1] + r[2] + r[8] + r[10] + r[11] + r[21] + r[24],
        -r[1] - r[2] - r[8] - r[11] + r[0] + r[20],
        -r[14] + r[0] + r[16] + r[18] + r[21],
        -r[1] - r[15] - r[16] - r[22] + r[14],
        -r[2] + 2 * r[3] + r[5] + r[6] + r[12] + r[19],
        -r[5] - r[7] - r[13] - r[19] + r[2] + 2 * r[17],
        -r[3] - r[4] - r[5] + r[12],
        r[3] + r[4] + r[5] + r[6],
        -r[6] - r[7],
        -r[11] + r[6] + r[8],
        -r[8] - r[9] + r[7] + r[10],
        r[8],
        -r[10] + r[9],
        -r[12] + r[11],
        r[13],
        -r[17] - r[18] + r[15],
        -r[19],
        r[19],
        -r[20] - r[21] - r[23] + r[22] + r[24],
        -r[24] + r[23],
    ]


def van_der_pol(x: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """A relaxation oscillator."""
    return [x[1], k[0] * (1 - x[0] * x[0]) * x[1] - x[0]]


def robertson(x: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """Three species, time scales eleven orders of magnitude apart."""
    r1, r2, r3 = k[0] * x[0], k[1] * x[1] * x[1], k[2] * x[1] * x[2]
    return [-r1 + r3, r1 - r2 - r3, r2]


def lotka_volterra(x: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """Predators and prey."""
    both = x[0] * x[1]
    return [k[0] * x[0] - k[1] * both, k[3] * both - k[2] * x[1]]


def pleiades(z: Sequence[Any], k: Sequence[Any]) -> list[Any]:
    """Seven stars of masses k in a plane that come near to one another: places x, y, then speeds."""
    x, y = z[:7], z[7:14]
    pulls: tuple[list[Any], list[Any]] = ([], [])
    for i in range(7):
        along = [0.0, 0.0]
        for j in range(7):
            if i != j:
                across, up = x[j] - x[i], y[j] - y[i]
                weight = k[j] / (across * across + up * up) ** 1.5
                along = [along[0] + across * weight, along[1] + up * weight]
        pulls[0].append(along[0])
        pulls[1].append(along[1])
    return [*z[14:], *pulls[0], *pulls[1]]


RATES = (
    0.35, 26.6, 12300, 0.86e-3, 0.82e-3, 15000, 0.13e-3, 24000, 16500, 9000, 0.022, 12000, 1.88, 16300, 4.8e6, 0.35e-3,
    0.0175, 1e8, 4.44e11, 1240, 2.1, 5.78, 0.0474, 1780, 3.12,
)  # fmt: skip
STARS = (3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0)
AIR = (0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01, 0, 0, 0, 0, 0, 0, 0, 0.007, 0, 0, 0)

PROBLEMS = (
    Problem(
        "HIRES", "Hires", hires, (1, 0, 0, 0, 0, 0, 0, 0.0057),
        (1.71, 0.43, 8.32, 0.0007, 0.035, 0.69, 280, 1.81), 321.8122, 0.02, 1e-4,
    ),
    Problem("OREGO", "Oregonator", oregonator, (1, 2, 3), (77.27, 8.375e-6, 0.161), 360, 0.02, 0.1),
    Problem("van der Pol, mu = 1000", "VanDerPol", van_der_pol, (2, 0), (1000,), 2000, 0.03, 1e-3),
    Problem("ROBERTSON", "Robertson", robertson, (1, 0, 0), (0.04, 3e7, 1e4), 1e5, 0.1, 1e-7),
    Problem(
        "Lotka–Volterra", "LotkaVolterra", lotka_volterra, (1, 1), (1.5, 1.0, 3.0, 1.0), 20, 0.1, 1.0, stiff=False
    ),
    Problem("Pleiades", "Pleiades", pleiades, STARS, (1, 2, 3, 4, 5, 6, 7), 3, 0.01, 1.0, stiff=False),
    Problem("POLLU", "Pollution", pollution, AIR, RATES, 60, 0.1, 1e-7),
)  # fmt: skip
