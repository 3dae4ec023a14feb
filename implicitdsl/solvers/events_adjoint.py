"""The exact derivative of what `events.py` computes, with its accepted steps held and its events moving.

Reverse sweep over the tape. The step with flag 3 ends where guard g is 0 at its own end: with s(y, p, t, h) = g(t + h,
y1(y, p, t, h), p) = 0 its length obeys dh = -(s_y dy + s_p dp + s_t dt)/s_h, by the implicit function theorem, where all
derivatives are those of the computed step. So the cotangent H of h adds -H/s_h times the gradient of s: s_h is found
first, by transposing the step alone, and the gradient is then taken of -H/s_h*s, whose cotangents may be summed over
samples where they arise. The steps after an event keep their h, and begin later as the event does: the cotangent of the
time is carried from row to row. A block (flag 4) is transposed by `reset_vjp`. As steps become small this tends to the
saltation matrix (`problems/events.py`).

An algebraic unknown made consistent (flag 5) is an implicit function of the rest of the state.

The method is `take_step` and the five functions after it, of `event_steps.py` or one of its neighbours. Cotangents of a
state are as wide as the window of points that a step begins with. Model functions beside those of
`explicit_rk_adjoint.py` and `rosenbrock_adjoint.py`, all adding: `guards_vjp(t, y, pm, lam, t_bar, y_bar, pm_bar)`,
`reset_vjp(t, y, p, fire, lam, t_bar, y_bar, p_bar)`; and without the part of pm, `guards_vjp_y(t, y, pm, lam, t_bar,
y_bar)`, and `rhs_vjp_y` and `linearise_vjp_y`, which have the arguments of `rhs_vjp` and `linearise_vjp` and leave the last
alone.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import transpose_read
from implicitdsl.solvers.event_rows import BLOCK, CUT, MENDED, WIDTH, belongs, makes_step, read_event_row
from implicitdsl.solvers.status import SINGULAR, SUCCESS
from implicitdsl.solvers.stepping import end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    all_,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    fill,
    interrupted,
    is_finite,
    not_,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def pullback_with_events(
    rhs: Model, linearise: Model, take_step: Model, transpose_step: Model, transpose_mend: Model,
    room_size: Callable[..., int], window_size: Callable[..., int], look_back: Model, rhs_vjp: Model, rhs_vjp_y: Model,
    linearise_vjp: Model, linearise_vjp_y: Model, guards_vjp: Model, guards_vjp_y: Model, reset_vjp: Model, n: int,
    algebraic: int, mass: Array, pattern: Array, first: int, g: int, count: int, blocks: int, pm: Array,
    interval: Array, m: int, times: Array, s: int, last_row: int, degree: int, gamma: float, a: Array, couple: Array,
    c: Array, drive: Array, dense: Array, grid: Array, rows: int, states: Array, end_time: Element, stopped: Element,
    values_bar: Array, end_bar: Array, end_time_bar: Element, y0_bar: Array, pm_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> Element:  # fmt: skip
    """Transpose the map: as `explicit_rk_adjoint.pullback`, with the cotangent of the time at which the run ends, which is
    t1 unless it stopped (`stopped` 1, at `end_time`). The modes in `pm` are overwritten. Returns a status number:
    singular where a guard is 0 to the second order at its event, which has no derivative then.
    """
    direction = direction_of(interval)
    width = WIDTH + count + algebraic
    window = window_size(n)
    points = buffer(states, (last_row + 1) * n)
    slopes = buffer(states, (last_row + 1) * n)
    room = buffer(states, room_size(n, s, last_row, pattern))
    k = buffer(states, (s + 1) * n)
    k_bar = buffer(states, (s + 1) * n)
    point_bar = buffer(states, n)
    y_bar = buffer(states, window)
    lam = buffer(states, window)
    one = buffer(states, g + blocks)
    stage_t_bar = buffer(states, 1)
    ends = buffer(states, 2)
    by_guard = buffer(states, 2)
    guard_y_bar = buffer(states, window)
    kept = buffer(states, first + count)
    p = view(pm, 0, first)
    copy(n, end_bar, 0, lam, 0)
    ends_early = stopped > 0.5
    time_bar = select(ends_early, end_time_bar, 0.0)
    interval_bar[1] = interval_bar[1] + select(ends_early, 0.0, end_time_bar)
    for j in range(m):
        held = and_(ends_early, direction * (times[j] - end_time) >= 0.0)
        axpy(n, select(held, 1.0, 0.0), values_bar, j * n, lam, 0)
    status = 0.0 * end_time_bar + SUCCESS
    cursor = m
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, flag, which, opens = read_event_row(row, width, first, count, grid, pm)
        live = makes_step(flag)
        block = flag == BLOCK
        last = flag == 2.0
        cut = flag == CUT

        mended = flag == MENDED
        if algebraic > 0 and any_(mended):
            fill(1, 0.0, stage_t_bar, 0)
            for i in range(n):
                point_bar[i] = select(mended, lam[i], 0.0)
            copy(first + count, pm_bar, 0, kept, 0)
            transpose_mend(
                mended, rhs_vjp, linearise, n, algebraic, mass, pattern, t_hi, view(states, row * n, n), pm, point_bar,
                stage_t_bar, pm_bar,
            )  # fmt: skip
            copy_where(not_(mended), first + count, kept, 0, pm_bar, 0)
            copy_where(mended, n, point_bar, 0, lam, 0)
            time_bar = select(mended, time_bar + stage_t_bar[0], time_bar)

        if blocks > 0 and any_(block):
            fill(n, 0.0, y_bar, 0)
            fill(1, 0.0, stage_t_bar, 0)
            for i in range(n):
                point_bar[i] = select(block, lam[i], 0.0)
            for b in range(blocks):
                one[b] = select(and_(block, which == b), 1.0, 0.0)
            copy(first, pm_bar, 0, kept, 0)
            reset_vjp(t_hi, view(states, row * n, n), p, view(one, 0, blocks), point_bar, stage_t_bar, y_bar, pm_bar)
            copy_where(not_(block), first, kept, 0, pm_bar, 0)
            copy_where(block, n, y_bar, 0, lam, 0)
            time_bar = select(block, time_bar + stage_t_bar[0], time_bar)

        if any_(live):
            end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
            copy(n, states, row * n, points, 0)
            look_back(row, width, grid, states, n, room)
            take_step(
                rhs, linearise, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive, t_hi, t_lo, h, end_hi, 0,
                points, slopes, k, room,
            )  # fmt: skip
            fill((s + 1) * n, 0.0, k_bar, 0)
            fill(window, 0.0, y_bar, 0)
            fill(2, 0.0, ends, 0)
            read = False
            j = cursor - 1
            going = True
            while j >= 0 and going:
                inside = and_(live, belongs(times[j], t_hi, t_lo, end_hi, end_lo, opens, cut, direction))
                if any_(inside):
                    read = True
                    sigma = (times[j] - t_hi) - t_lo
                    transpose_read(
                        inside, j, n, s, degree, dense, sigma, h, k, values_bar, k_bar, y_bar, times_bar, ends, True
                    )
                begun = or_(inside, direction * ((times[j] - t_hi) - t_lo) > 0.0)
                if j == cursor - 1 and all_(begun):
                    cursor = j
                going = any_(begun)
                j = j - 1

            for i in range(n):
                point_bar[i] = select(live, lam[i], 0.0)
            transpose_step(
                rhs_vjp, linearise, linearise_vjp, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive, t_hi,
                t_lo, h, end_hi, live, read, points, slopes, k, k_bar, point_bar, y_bar, pm_bar, ends, room,
            )  # fmt: skip
            t_bar = ends[0]
            h_bar = ends[1]
            if any_(cut):
                y1 = view(points, last_row * n, n)
                for i in range(g):
                    one[i] = select(and_(cut, which == i), 1.0, 0.0)
                fill((s + 1) * n, 0.0, k_bar, 0)
                fill(n, 0.0, point_bar, 0)
                fill(1, 0.0, stage_t_bar, 0)
                guards_vjp_y(end_hi, y1, pm, view(one, 0, g), stage_t_bar, point_bar)
                by_guard[0] = stage_t_bar[0]
                by_guard[1] = stage_t_bar[0]
                transpose_step(
                    rhs_vjp_y, linearise, linearise_vjp_y, n, mass, pattern, pm, s, last_row, gamma, a, couple, c,
                    drive, t_hi, t_lo, h, end_hi, cut, False, points, slopes, k, k_bar, point_bar, guard_y_bar, pm_bar,
                    by_guard, room,
                )  # fmt: skip
                by_h = by_guard[1]
                wanted = h_bar + time_bar
                # Where nothing asks about the event's time, its derivative need not exist.
                weight = select(wanted == 0.0, 0.0, -wanted / by_h)
                status = select(and_(cut, not_(is_finite(weight))), SINGULAR, status)
                for i in range(g):
                    one[i] = select(and_(cut, which == i), weight, 0.0)
                fill((s + 1) * n, 0.0, k_bar, 0)
                fill(n, 0.0, point_bar, 0)
                fill(window, 0.0, guard_y_bar, 0)
                fill(1, 0.0, stage_t_bar, 0)
                copy(first + count, pm_bar, 0, kept, 0)
                guards_vjp(end_hi, y1, pm, view(one, 0, g), stage_t_bar, point_bar, pm_bar)
                by_guard[0] = t_bar + stage_t_bar[0]
                transpose_step(
                    rhs_vjp, linearise, linearise_vjp, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive,
                    t_hi, t_lo, h, end_hi, cut, False, points, slopes, k, k_bar, point_bar, guard_y_bar, pm_bar,
                    by_guard, room,
                )  # fmt: skip
                copy_where(not_(cut), first + count, kept, 0, pm_bar, 0)
                for i in range(window):
                    y_bar[i] = y_bar[i] + select(cut, guard_y_bar[i], 0.0)
                t_bar = select(cut, by_guard[0], t_bar)
            # What came before the state at the end of the step came one place earlier at its beginning.
            axpy(window - n, 1.0, lam, n, y_bar, 0)
            copy_where(live, window, y_bar, 0, lam, 0)
            # A step of held length begins as much later as it ends; the last one ends at t1 whenever it begins.
            time_bar = select(live, select(last, t_bar - h_bar, t_bar + time_bar), time_bar)
            interval_bar[1] = interval_bar[1] + select(last, h_bar, 0.0)
    interval_bar[0] = interval_bar[0] + time_bar
    axpy(n, 1.0, lam, 0, y0_bar, 0)
    return status
