"""Stages that move one part of the state: how a composition of drifts and kicks is a Runge–Kutta method.

A symplectic method for q' = g(t, v), v' = f(t, q) lets the positions drift with the velocities held, kicks the velocities
with the positions held, and so on. As stages: stage i starts where the stages before it led to, and only the slopes of its
own part count, those of the other part are 0. So the sums over stages, the tape, the dense output and the derivatives are
those of `explicit_rk`; and because what is set to 0 does not depend on anything, its derivative is set to 0 as well.

The table `a` of a method with s stages holds, behind its (s+1)*s weights, s + 1 kinds: 0 for a stage of both parts, `DRIFT` or
`KICK`. Behind them stands, for a method that has such stages, the part of each of the n components of the state.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import Array, fill

DRIFT = 1.0
KICK = 2.0
"""The kinds of stages, and the parts that they move: positions, velocities."""


def keep_part(n: int, s: int, a: Array, kind: float, x: Array, at: int) -> None:
    """The n elements of x from `at` on, 0 where the component is not of the part that a stage of this kind moves."""
    for component in range(n):
        if a[(s + 1) * (s + 1) + component] != kind:
            fill(1, 0.0, x, at + component)
