"""Convex quadratic and linear programs for many samples at once: a primal–dual interior point that hands over to the exact
solution of a guessed active set as soon as that is certified.

    minimise 1/2 x'Q x + q'x   subject to   rows 0…equations-1 with =, rows equations…count-1 with <=

Every pass factors one matrix Q + delta I + C' W C: for samples on the central path W = z/(s + delta z), for samples that try an
active set W = 1/delta on its rows (Mehrotra's predictor–corrector with the proximal terms of Friedlander & Orban there, the proximal
method of multipliers here), so that samples in either state share it. A sample is settled only where its solution is the one that
`interior_point` finds, with no note: residual at rounding, multipliers and slacks of a clear sign, a regular system, Q clearly
convex. What is not settled is for `interior_point` to say. Sources: Mehrotra, SIAM J. Optim. 2 (1992); Friedlander & Orban, Math.
Prog. Comp. 4 (2012); Hintermüller, Ito, Kunisch, SIAM J. Optim. 13 (2002), for the mending of the guess.
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import weighted_cholesky
from implicitdsl.solvers.block_path import path_step, start_inside, state_of_path
from implicitdsl.solvers.block_prepared import (
    columns_of,
    factors_of,
    objective_of,
    proximal,
    quadratic_of,
    rows_of,
    soundness_of,
    start_of,
    weights_of,
)
from implicitdsl.solvers.block_rows import holds_by_rows
from implicitdsl.solvers.block_scaling import scale_vectors
from implicitdsl.solvers.held_rows import held_rows_solve, is_regular, still, total_size
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    all_finite,
    and_,
    any_,
    copy,
    copy_where,
    epsilon,
    not_,
    or_,
    select,
    subtract_products,
    vabs,
    view,
    vmax,
)

PASSES = 30
"""Factorisations after which a sample is left to `interior_point`."""
TRIES = 3
"""Active sets that are tried one after the other before the path is followed further."""
QUARTER = 0.25
"""Of the residual that an exact point may have, how much ends the sweeps that look for it."""
SWITCH = 1e-4
"""Mean complementarity at which the first active set is guessed."""
PATIENCE = 2.0
"""Steps without progress after which a sample takes steps to a centre, as `central_path.PATIENCE`."""


def limits(like: Array) -> tuple[Element, Element, Element, Element]:
    """How clear signs must be, how close the answer to a right-hand side of no direction, and its size at most: far above what
    `interior_point` calls weak, dependent or singular, so that it would note nothing. Then the last bits of its terms that a residual
    may have in the mean."""
    if epsilon(like) < 1e-12:
        return 2e-8, 1e-4, 1e6, 20.0
    return 2e-4, 2e-2, 1e3, 4.0


def room_of_program(n: int, count: int) -> int:
    """Elements of room that `block_program` needs."""
    return n * n + n * count + 10 * n + 14 * count


def block_program(
    n: int,
    equations: int,
    count: int,
    prepared: Array,
    linear: Array,
    sides: Array,
    room: Array,
    x: Array,
    multipliers: Array,
    held: Array,
    facts: Array,
    kept: Array,
    keeping: int,
) -> None:
    """Solves the programs that are clear and tells which.

    prepared as `prepare` leaves it; linear (n) and sides (count) are scaled in place. x (n), multipliers (count) and held (count, 1 for
    equations and active rows, else 0) receive the solution where facts[0] is 1, nothing of use where it is 0; facts[1] the passes
    made; if keeping = 1, kept what `factor_held` would find for the rows held. n >= 1; room as `room_of_program` says.
    """
    eps, delta = epsilon(linear), proximal(linear)
    margin, close, bound, rounding = limits(linear)
    factor = view(room, 0, n * n)
    quadratic, rows, columns = (
        quadratic_of(n, count, prepared),
        rows_of(n, count, prepared),
        columns_of(n, count, prepared),
    )
    factors, scales = factors_of(n, count, prepared), weights_of(n, count, prepared)
    scaled = view(room, n * n, n * count)
    by_variable = view(room, n * n + n * count, 10 * n)
    by_row = view(room, n * n + n * count + 10 * n, 14 * count)
    rest, step = view(by_variable, n, n), view(by_variable, 2 * n, n)
    path_x, point = view(by_variable, 3 * n, n), view(by_variable, 4 * n, n)
    weights = view(by_row, count, count)
    path_z, slack, image = (
        view(by_row, 2 * count, count),
        view(by_row, 3 * count, count),
        view(by_row, 4 * count, count),
    )
    guess, force, gap = view(by_row, 5 * count, count), view(by_row, 6 * count, count), view(by_row, 7 * count, count)
    push, change = view(by_row, 8 * count, count), view(by_row, 9 * count, count)
    probe_by_variable, probe_by_row = view(by_variable, 5 * n, 5 * n), view(by_row, 10 * count, 4 * count)
    working = and_(all_finite(n, linear, 0), all_finite(count, sides, 0))
    working = and_(working, soundness_of(n, count, prepared)[0] > 0.0)
    scale = scale_vectors(n, count, linear, sides, factors, scales, objective_of(n, count, prepared))
    settled = and_(working, not_(working))
    trying = settled
    start_inside(
        n, equations, count, linear, rows, sides, columns, delta, start_of(n, count, prepared), path_x, path_z, slack, image
    )  # fmt: skip
    tries = linear[0] * 0.0
    spoiled = linear[0] * 0.0
    passes = linear[0] * 0.0
    switch = linear[0] * 0.0 + SWITCH
    best = linear[0] * 0.0 + 1e30
    stuck = linear[0] * 0.0
    for _ in range(PASSES):
        if not any_(working):
            break
        passes = select(working, passes + 1.0, passes)
        mean, miss = state_of_path(equations, count, sides, slack, path_z, image, gap), total_size(count, gap)
        working = and_(working, and_(mean < 1e12, miss < 1e12))
        starting = and_(working, and_(not_(trying), and_(mean <= switch, miss <= count * SWITCH)))
        for i in range(count):
            guess[i] = select(starting, select(path_z[i] > slack[i], 1.0, 0.0), guess[i])
            if i < equations:
                guess[i] = 1.0
        trying = and_(working, or_(trying, starting))
        walking = and_(working, not_(trying))
        for i in range(count):
            weights[i] = select(trying, guess[i] / delta, path_z[i] / (slack[i] + delta * path_z[i]))
            if i < equations:
                weights[i] = 1.0 / delta
        working = and_(working, weighted_cholesky(n, count, quadratic, delta, columns, weights, scaled, factor))
        if any_(walking):
            near = vmax(mean, miss)
            stuck = select(walking, select(near < 0.9 * best, 0.0, stuck + 1.0), stuck)
            best = select(and_(walking, near < best), near, best)
            path_step(
                n, equations, count, quadratic, linear, rows, columns, factor, weights, walking, stuck >= PATIENCE, mean, path_x,
                path_z, slack, image, gap, rest, step, push, change, view(probe_by_row, 0, count), view(probe_by_row, count, count),
            )  # fmt: skip
        if any_(trying):
            copy(n, path_x, 0, point, 0)
            for k in range(n):
                step[k] = -linear[k]
            for i in range(count):
                force[i] = select(guess[i] > 0.0, path_z[i], 0.0)
            held_rows_solve(
                n,
                count,
                quadratic,
                rows,
                columns,
                guess,
                1.0 / delta,
                factor,
                trying,
                1,
                2,
                QUARTER * rounding * eps,
                QUARTER * rounding * eps,
                still(linear),
                step,
                sides,
                point,
                force,
                rest,
                gap,
                push,
            )
            copy(count, sides, 0, change, 0)
            subtract_products(count, 1, n, rows, 0, n, point, 0, n, change, 0, 1)
            size = 1.0 + largest(n, point)
            strain = 1.0 + largest(count, force)
            exact = and_(
                total_size(n, rest) <= n * rounding * eps * (size + strain),
                total_size(count, gap) <= count * rounding * eps * size,
            )
            exact = holds_by_rows(
                n, count, quadratic, rows, columns, linear, sides, point, force, rest, gap, and_(trying, exact)
            )
            doubt = doubt_of_guess(equations, count, sides, change, force, guess, size, strain, margin, push)
            right = doubt < 2.0
            candidate = and_(trying, and_(exact, doubt < 1.0))
            if any_(candidate):
                found = is_regular(
                    n, count, quadratic, rows, columns, guess, 1.0 / delta, factor, candidate, close, bound,
                    view(probe_by_variable, 0, n), view(probe_by_row, 0, count), view(probe_by_variable, n, n),
                    view(probe_by_row, count, count), view(probe_by_variable, 2 * n, n), view(probe_by_row, 2 * count, count),
                    view(probe_by_row, 3 * count, count),
                )  # fmt: skip
                copy_where(found, n, point, 0, x, 0)
                copy_where(found, count, force, 0, multipliers, 0)
                copy_where(found, count, guess, 0, held, 0)
                if keeping == 1:
                    copy_where(found, n * n, factor, 0, kept, 0)
                settled = or_(settled, found)
            # An exact point that is not clear, or not regular, is degenerate: no other guess would change that.
            working = and_(working, not_(and_(trying, and_(exact, right))))
            spoiled = select(and_(trying, not_(exact)), spoiled + 1.0, spoiled)
            tries = select(trying, tries + 1.0, 0.0)
            copy_where(and_(trying, not_(right)), count, push, 0, guess, 0)
            ended = and_(trying, or_(not_(exact), tries >= TRIES))
            switch = select(ended, 0.01 * mean, switch)
            trying = and_(and_(trying, working), not_(ended))
            working = and_(working, spoiled <= 2.0)
    for k in range(n):
        x[k] = x[k] * factors[k]
    for i in range(count):
        multipliers[i] = multipliers[i] * scales[i] / scale
    facts[0] = select(settled, 1.0, 0.0)
    if keeping == 1:
        kept[n * n] = facts[0]
    facts[1] = passes


def doubt_of_guess(
    equations: int,
    count: int,
    sides: Array,
    slack: Array,
    force: Array,
    guess: Array,
    size: Element,
    strain: Element,
    margin: Element,
    mended: Array,
) -> Element:
    """0 where every multiplier of the active set and every other slack is clearly positive, 2 where one is clearly negative, else 1.

    mended receives the guess with the rows turned over that are clearly wrong.
    """
    doubt = size * 0.0
    for i in range(count):
        mended[i] = guess[i]
        if i >= equations:
            active = guess[i] > 0.0
            value = select(active, force[i], slack[i])
            room = margin * select(active, strain, size + vabs(sides[i]))
            doubt = select(value > room, doubt, vmax(doubt, 1.0))
            wrong = value < -room
            doubt = select(wrong, 2.0, doubt)
            mended[i] = select(wrong, 1.0 - guess[i], guess[i])
    return doubt


def largest(n: int, x: Array) -> Element:
    """max |x_i|; a NaN among them is passed over."""
    top = 0.0
    for i in range(n):
        top = vmax(vabs(x[i]), top)
    return top
