"""The start of a differential-algebraic system of index 1: the algebraic unknowns that its equations determine, and the
derivatives of that start by the implicit function theorem.

The last `algebraic` of the n components of y are found from 0 = g(t0, y, p), the last components of f, the others being
given. Model functions, `mass` and `pattern` as in `rosenbrock`. Newton's method with the natural monotonicity test (P. Deuflhard, Newton
Methods for Nonlinear Problems, 2004, section 3.3): a damped step is taken when the next simplified correction is shorter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.status import NO_ROOT, SINGULAR, SUCCESS
from implicitdsl.solvers.step_matrix import (
    add_jacobian_transposed,
    algebraic_factor_size,
    factor_algebraic,
    jacobian_size,
    multiply_jacobian,
    solve_algebraic,
    solve_algebraic_transposed,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    epsilon,
    fill,
    fma,
    not_,
    or_,
    power,
    select,
    vabs,
    view,
    vmax,
)

Model = Callable[..., None]

ITERATIONS = 50
SMALLEST_DAMPING = 1e-6


def scaled_length(count: int, x: Array, z: Array, z_at: int, floor: Element) -> Element:
    """The largest |x_i|/(|z_i| + floor)."""
    longest = 0.0 * x[0]
    for i in range(count):
        longest = vmax(vabs(x[i]) / (vabs(z[z_at + i]) + floor), longest)
    return longest


def consistent_start(
    rhs: Model,
    linearise: Model,
    n: int,
    algebraic: int,
    mass: Array,
    pattern: Array,
    t0: Element,
    y: Array,
    p: Array,
    atol: Element,
) -> Element:
    """The last `algebraic` components of y := a root of g near where they are; returns a status number."""
    return make_consistent(t0 == t0, rhs, linearise, n, algebraic, mass, pattern, t0, y, p, atol)


def make_consistent(
    live: Mask, rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, t0: Element,
    y: Array, p: Array, atol: Element,
) -> Element:  # fmt: skip
    """As `consistent_start`, for the samples of the mask; the others stay as they are, with success.

    Statuses: success; no_root where Newton's method does not get there; singular where g_z is, so that the index is not
    1. A component is taken for 0 below atol/1000. A start that is consistent stays as it is, up to rounding.
    """
    first = n - algebraic
    f = buffer(y, n)
    matrix = buffer(y, jacobian_size(n, pattern))
    drift = buffer(y, n)
    lu = buffer(y, algebraic_factor_size(algebraic, pattern))
    pivots = buffer(y, algebraic)
    step = buffer(y, algebraic)
    trial = buffer(y, n)
    again = buffer(y, algebraic)
    size = 0.0 * t0
    for i in range(n):
        size = vmax(vabs(y[i]), size)
    floor = 1e-3 * atol + epsilon(y) * size
    floor = select(floor > 0.0, floor, epsilon(y))
    enough = power(0.0 * t0 + epsilon(y), 0.6)
    active = and_(live, size == size)
    status = select(and_(live, not_(active)), NO_ROOT, SUCCESS + 0.0 * atol)
    rounds = 0
    while rounds < ITERATIONS and any_(active):
        rounds = rounds + 1
        rhs(t0, y, p, f)
        linearise(t0, y, p, matrix, drift)
        regular = factor_algebraic(n, algebraic, mass, pattern, matrix, lu, pivots) > 0.0
        copy(algebraic, f, first, step, 0)
        solve_algebraic(algebraic, pattern, lu, pivots, step)
        sound = and_(regular, all_finite(algebraic, step, 0))
        broken = and_(active, not_(sound))
        status = select(broken, select(all_finite(jacobian_size(n, pattern), matrix, 0), SINGULAR, NO_ROOT), status)
        active = and_(active, sound)
        length = scaled_length(algebraic, step, y, first, floor)
        done = and_(active, length <= enough)
        damping = 0.0 * t0 + 1.0
        seeking = and_(active, not_(done))
        copy(n, y, 0, trial, 0)
        for i in range(algebraic):
            trial[first + i] = y[first + i] - step[i]
        while any_(seeking):
            rhs(t0, trial, p, f)
            copy(algebraic, f, first, again, 0)
            solve_algebraic(algebraic, pattern, lu, pivots, again)
            shorter = scaled_length(algebraic, again, y, first, floor) <= (1.0 - 0.25 * damping) * length
            seeking = and_(seeking, not_(and_(shorter, all_finite(algebraic, again, 0))))
            damping = select(seeking, 0.5 * damping, damping)
            lost = and_(seeking, damping < SMALLEST_DAMPING)
            status = select(lost, NO_ROOT, status)
            active = and_(active, not_(lost))
            seeking = and_(seeking, not_(lost))
            for i in range(algebraic):
                trial[first + i] = select(seeking, fma(-damping, step[i], y[first + i]), trial[first + i])
        copy_where(active, algebraic, trial, first, y, first)
        active = and_(active, not_(done))
    return select(active, NO_ROOT, status)


def start_pullback(
    rhs_vjp: Model,
    linearise: Model,
    n: int,
    algebraic: int,
    mass: Array,
    pattern: Array,
    t0: Element,
    y: Array,
    p: Array,
    y_bar: Array,
    t_bar: Array,
    p_bar: Array,
) -> None:
    """Transpose (t0, x0, p) → y at a consistent start: `y_bar` (n) becomes the cotangent of x0 followed by zeros, t_bar (1)
    and p_bar are added to."""
    transpose_consistent(t0 == t0, rhs_vjp, linearise, n, algebraic, mass, pattern, t0, y, p, y_bar, t_bar, p_bar)


def transpose_consistent(
    live: Mask, rhs_vjp: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, t0: Element,
    y: Array, p: Array, y_bar: Array, t_bar: Array, p_bar: Array,
) -> None:  # fmt: skip
    """As `start_pullback`, for the samples of the mask; what it gives the others means nothing but adds nothing to p_bar."""
    first = n - algebraic
    matrix = buffer(y, jacobian_size(n, pattern))
    drift = buffer(y, n)
    lu = buffer(y, algebraic_factor_size(algebraic, pattern))
    pivots = buffer(y, algebraic)
    lam = buffer(y, n)
    bar = buffer(y, n)
    linearise(t0, y, p, matrix, drift)
    factor_algebraic(n, algebraic, mass, pattern, matrix, lu, pivots)
    for i in range(algebraic):
        lam[first + i] = -y_bar[first + i]
    solve_algebraic_transposed(algebraic, pattern, lu, pivots, view(lam, first, algebraic))
    for i in range(algebraic):
        lam[first + i] = select(live, lam[first + i], 0.0)
    rhs_vjp(t0, y, p, lam, t_bar, bar, p_bar)
    for i in range(first):
        y_bar[i] = y_bar[i] + bar[i]
    fill(algebraic, 0.0, y_bar, first)


def algebraic_slope(
    linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, t0: Element, y: Array, p: Array, slope: Array
) -> None:
    """The last `algebraic` components of `slope` := z' from g_z z' = -(g_x x' + g_t), x' being the components before."""
    first = n - algebraic
    matrix = buffer(y, jacobian_size(n, pattern))
    drift = buffer(y, n)
    lu = buffer(y, algebraic_factor_size(algebraic, pattern))
    pivots = buffer(y, algebraic)
    along = buffer(y, n)
    linearise(t0, y, p, matrix, drift)
    factor_algebraic(n, algebraic, mass, pattern, matrix, lu, pivots)
    fill(algebraic, 0.0, slope, first)
    multiply_jacobian(n, pattern, matrix, 0, slope, 0, along, 0)
    for i in range(algebraic):
        slope[first + i] = -(along[first + i] + drift[first + i])
    solve_algebraic(algebraic, pattern, lu, pivots, view(slope, first, algebraic))


def start_tangent(
    rhs_tangent: Model,
    linearise: Model,
    n: int,
    algebraic: int,
    mass: Array,
    pattern: Array,
    t0: Element,
    t_dot: Element,
    y2: Array,
    p2: Array,
) -> None:
    """The tangents of the algebraic components in y2 := those that the tangents of t0, x0 and p determine."""
    first = n - algebraic
    matrix = buffer(y2, jacobian_size(n, pattern))
    drift = buffer(y2, n)
    lu = buffer(y2, algebraic_factor_size(algebraic, pattern))
    pivots = buffer(y2, algebraic)
    out2 = buffer(y2, 2 * n)
    linearise(t0, view(y2, 0, n), p2, matrix, drift)
    factor_algebraic(n, algebraic, mass, pattern, matrix, lu, pivots)
    fill(algebraic, 0.0, y2, n + first)
    rhs_tangent(t0, t_dot, y2, p2, out2)
    found = view(out2, n + first, algebraic)
    solve_algebraic(algebraic, pattern, lu, pivots, found)
    for i in range(algebraic):
        y2[n + first + i] = -found[i]


def start_tangent_pullback(
    rhs_tangent_vjp: Model,
    linearise_tangent: Model,
    n: int,
    algebraic: int,
    mass: Array,
    pattern: Array,
    interval: Array,
    interval_dot: Array,
    y2: Array,
    p2: Array,
    y2_bar: Array,
    t2_bar: Array,
    p2_bar: Array,
) -> None:
    """Transpose `start_tangent` together with the start: (z, ż) solve (g, ġ) = 0, whose Jacobian is [[g_z, 0], [ġ_z, g_z]].

    `y2_bar` (2n) becomes the cotangents of x0 and its tangent, zeros in between; t2_bar (2) and p2_bar are added to.
    Where no time passes, the slope of the algebraic unknowns at the end is a limit whose derivative is not computed: along
    a direction that moves an end, they get NaN.
    """
    moved = or_(interval_dot[0] != 0.0, interval_dot[1] != 0.0)
    spoilt = and_(interval[1] == interval[0], moved)
    for i in range(n - algebraic, n):
        y2_bar[i] = select(spoilt, np.nan, y2_bar[i])
    transpose_consistent_tangent(
        or_(spoilt, not_(spoilt)), rhs_tangent_vjp, linearise_tangent, n, algebraic, mass, pattern, interval[0],
        interval_dot[0], y2, p2, y2_bar, t2_bar, p2_bar,
    )  # fmt: skip


def transpose_consistent_tangent(
    live: Mask, rhs_tangent_vjp: Model, linearise_tangent: Model, n: int, algebraic: int, mass: Array, pattern: Array,
    t0: Element, t_dot: Element, y2: Array, p2: Array, y2_bar: Array, t2_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """As `start_tangent_pullback` where time passes, for the samples of the mask, as `transpose_consistent`."""
    first = n - algebraic
    matrix2 = buffer(y2, 2 * jacobian_size(n, pattern))
    drift2 = buffer(y2, 2 * n)
    lu = buffer(y2, algebraic_factor_size(algebraic, pattern))
    pivots = buffer(y2, algebraic)
    lam2 = buffer(y2, 2 * n)
    bar = buffer(y2, 2 * n)
    bent = buffer(y2, n)
    linearise_tangent(t0, t_dot, y2, p2, matrix2, drift2)
    factor_algebraic(n, algebraic, mass, pattern, matrix2, lu, pivots)
    for i in range(algebraic):
        lam2[first + i] = -y2_bar[first + i]
        lam2[n + first + i] = -y2_bar[n + first + i]
    solve_algebraic_transposed(algebraic, pattern, lu, pivots, view(lam2, n + first, algebraic))
    # The components of lam2 that belong to the states are 0 still.
    add_jacobian_transposed(n, pattern, matrix2, jacobian_size(n, pattern), -1.0, lam2, n, bent, 0)
    for j in range(algebraic):
        lam2[first + j] = lam2[first + j] + bent[first + j]
    solve_algebraic_transposed(algebraic, pattern, lu, pivots, view(lam2, first, algebraic))
    for i in range(algebraic):
        lam2[first + i] = select(live, lam2[first + i], 0.0)
        lam2[n + first + i] = select(live, lam2[n + first + i], 0.0)
    rhs_tangent_vjp(t0, t_dot, y2, p2, lam2, t2_bar, bar, p2_bar)
    for half in range(2):
        for i in range(half * n, half * n + first):
            y2_bar[i] = y2_bar[i] + bar[i]
        fill(algebraic, 0.0, y2_bar, half * n + first)
