"""Symplectic methods for separable systems, as compositions of drifts and kicks (`split_stages.py`).

Sources: E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration, 2nd ed. 2006, section I.1.4 (the Störmer–Verlet or
leapfrog method, here drift–kick–drift) and II.4 (its composition of order 4, H. Yoshida, Phys. Lett. A 150 (1990) 262–268).
"""

from __future__ import annotations

from implicitdsl.solvers.butcher_tableau import Row, Tableau, through_ends
from implicitdsl.solvers.split_stages import DRIFT, KICK


def composition(name: str, *, order: int, dense_order: int, parts: Row) -> Tableau:
    """Symmetric steps of leapfrog, one after another, of lengths `parts` that add to 1.

    Stage 0 is the slope of both parts, for the dense output alone. A kick is at the time that the drifts have come to, a drift at
    that of the kicks: time belongs to both parts, as a position and as a velocity of its own."""
    weights: list[float] = [0.0]
    kinds: list[float] = [0.0]
    nodes: list[float] = [0.0]
    for before, part in zip((0.0, *parts[:-1]), parts, strict=True):
        for kind, length in ((DRIFT, float(before + part) / 2), (KICK, float(part))):
            nodes.append(
                sum(w for w, other in zip(weights, kinds, strict=True) if other == (KICK if kind == DRIFT else DRIFT))
            )
            weights.append(length)
            kinds.append(kind)
    nodes.append(1.0)
    weights.append(float(parts[-1]) / 2)
    kinds.append(DRIFT)
    s = len(weights)
    none = (0.0,) * (s + 1)
    return Tableau(
        name=name,
        order=order,
        error_order=0,
        dense_order=dense_order,
        fsal=False,
        a=tuple(tuple(weights[:i]) for i in range(s + 1)),
        c=(*nodes, 1.0),
        error=none,
        dense=through_ends(tuple(weights), none),
        kinds=(*kinds, 0.0),
    )


_OUTER = 1 / (2 - 2 ** (1 / 3))

LEAPFROG = composition("leapfrog", order=2, dense_order=2, parts=(1.0,))
YOSHIDA4 = composition("yoshida4", order=4, dense_order=3, parts=(_OUTER, 1 - 2 * _OUTER, _OUTER))
