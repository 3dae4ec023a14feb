"""Steps along the central path of a scaled quadratic program, for many samples at once, on the factors of its reduced matrix.

With slacks s and multipliers z of the rows C x + s = sides (s = 0 and no sign of z for the equations), a step solves

    (Q + delta I + C' W C) dx = -(Q x + q + C'(z + v)),   dz = v + W C dx,   v = W (C x + s - sides - r/z),   W = z/(s + delta z)

where r is what s z has to lose; the equations have W = 1/delta and no r. Source: Mehrotra, SIAM J. Optim. 2 (1992); the delta are the
proximal terms of Friedlander & Orban, Math. Prog. Comp. 4 (2012).
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import cholesky_solve
from implicitdsl.solvers.held_rows import total_size
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_products,
    copy,
    fill,
    select,
    subtract_products,
    vmax,
)

FRACTION = 0.99
"""How much of the way to the boundary a step goes."""
CENTRE = 0.5
"""As `central_path.CENTRE`."""


def start_inside(
    n: int,
    equations: int,
    count: int,
    linear: Array,
    rows: Array,
    sides: Array,
    columns: Array,
    delta: Element,
    factor: Array,
    x: Array,
    z: Array,
    slack: Array,
    image: Array,
) -> None:
    """The least-squares point of primal and dual feasibility, its slacks and multipliers pushed inside; image := C x.

    factor is that of `start_of`: weights 1 of the inequalities, 1/delta of the equations."""
    for i in range(count):
        z[i] = -sides[i] * (1.0 / delta if i < equations else 1.0)
    for k in range(n):
        x[k] = -linear[k]
    subtract_products(n, 1, count, columns, 0, count, z, 0, count, x, 0, 1)
    cholesky_solve(n, factor, x)
    # A free direction without curvature sends the point 1/delta away, which says nothing; the origin is as good a start.
    near = total_size(n, x) <= 1e6
    for k in range(n):
        x[k] = select(near, x[k], 0.0)
    fill(count, 0.0, image, 0)
    add_products(count, 1, n, rows, 0, n, x, 0, n, image, 0, 1)
    low_slack = linear[0] * 0.0
    low_force = linear[0] * 0.0
    for i in range(count):
        z[i] = select(near, z[i] + image[i] * (1.0 / delta if i < equations else 1.0), 0.0)
        slack[i] = linear[0] * 0.0
        if i >= equations:
            slack[i] = -z[i]
            low_slack = vmax(-1.5 * slack[i], low_slack)
            low_force = vmax(-1.5 * z[i], low_force)
    for i in range(equations, count):
        slack[i] = slack[i] + low_slack + 1.0
        z[i] = z[i] + low_force + 1.0


def state_of_path(
    equations: int, count: int, sides: Array, slack: Array, z: Array, image: Array, gap: Array
) -> Element:
    """gap := C x + s - sides; gives the mean of s z over the inequalities, 0 without any."""
    total = 0.0
    for i in range(count):
        gap[i] = image[i] + slack[i] - sides[i]
        total = total + slack[i] * z[i]
    return total * (1.0 / max(count - equations, 1))


def path_step(
    n: int,
    equations: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    columns: Array,
    factor: Array,
    weights: Array,
    walking: Mask,
    centring: Mask,
    mean: Element,
    x: Array,
    z: Array,
    slack: Array,
    image: Array,
    gap: Array,
    rest: Array,
    step: Array,
    push: Array,
    change: Array,
    inverse: Array,
    excess: Array,
) -> None:
    """A predictor and a corrector for the samples that walk: x, z, slack and image move; the arrays from rest on are room.

    Where it is centring, the corrector is Newton's step to a centre (`central_path.CENTRE`)."""
    copy(n, linear, 0, rest, 0)
    add_products(n, 1, n, quadratic, 0, n, x, 0, n, rest, 0, 1)
    for i in range(equations, count):
        inverse[i] = 1.0 / z[i]
        excess[i] = slack[i]
    limit = mean * 0.0
    for stage in range(2):
        for i in range(count):
            push[i] = gap[i]
            if i >= equations:
                # excess is r/z
                push[i] = gap[i] - excess[i]
            push[i] = weights[i] * push[i]
            change[i] = z[i] + push[i]
        for k in range(n):
            step[k] = -rest[k]
        subtract_products(n, 1, count, columns, 0, count, change, 0, count, step, 0, 1)
        cholesky_solve(n, factor, step)
        fill(count, 0.0, change, 0)
        add_products(count, 1, n, rows, 0, n, step, 0, n, change, 0, 1)
        limit = mean * 0.0 + 1.0
        for i in range(count):
            push[i] = push[i] + weights[i] * change[i]
            if i >= equations:
                # ds = -(r + s dz)/z; a ratio above 1 is a step that leaves the cone.
                limit = vmax(-push[i] * inverse[i], limit)
                limit = vmax(excess[i] / slack[i] + push[i] * inverse[i], limit)
        if stage == 0:
            reach = 1.0 / limit
            after = 0.0
            for i in range(equations, count):
                slack_step = -excess[i] - slack[i] * push[i] * inverse[i]
                after = after + (slack[i] + reach * slack_step) * (z[i] + reach * push[i])
            after = after * (1.0 / max(count - equations, 1))
            ratio = after / mean
            target = mean * ratio * ratio * ratio
            for i in range(equations, count):
                slack_step = -excess[i] - slack[i] * push[i] * inverse[i]
                lose = select(centring, -vmax(target, CENTRE * mean), slack_step * push[i] - target)
                excess[i] = excess[i] + lose * inverse[i]
    reach = FRACTION / vmax(limit, 1.0)
    for i in range(count):
        image[i] = select(walking, image[i] + reach * change[i], image[i])
        if i >= equations:
            slack_step = -excess[i] - slack[i] * push[i] * inverse[i]
            slack[i] = select(walking, slack[i] + reach * slack_step, slack[i])
        z[i] = select(walking, z[i] + reach * push[i], z[i])
    for k in range(n):
        x[k] = select(walking, x[k] + reach * step[k], x[k])
