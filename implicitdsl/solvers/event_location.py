"""Where in a step an event is: the first place at which a guard leaves the side that its mode says.

Model functions: `guards(t, y, pm, out)` (g numbers), `guards_rate(t, y, pm, t_dot, y_dot, out)`, their tangent;
`modes(t, y, pm, out)`, the modes by formula; `conditions(t, y, pm, out)`. pm holds the `first` arguments and then the
modes. Tables, one entry a guard: `places` (of its mode), `steps` (0: a comparison, whose mode flips; else what is added
to the mode), `strict` (satisfied above 0, else from 0 on); one entry a mode: `steers` (the right-hand side depends on it).

The search goes over the dense output in `PIECES` parts. A crossing shows by the sign at the end of a part, two of them
by a guard that falls at the left end and rises at the right one: its lowest point is then sought (the double crossings
that a test of the ends misses; L. F. Shampine & S. Thompson, Comput. Math. Appl. 39 (2000) 43–54, section 3).
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    any_,
    axpy,
    copy,
    copy_where,
    fill,
    not_,
    or_,
    scale,
    select,
    vabs,
    view,
)

Model = Callable[..., None]

PIECES = 8
MOST_CHANGES = 64
"""Changes of modes in one step that end nothing; one more ends the step, so that the limit of steps counts them."""

NOWHERE = 2.0


def step_curve(n: int, s: int, degree: int, dense: Array, k: Array, curve: Array) -> None:
    """curve := the coefficients of the step's dense output, degree rows of n: y + theta*h*sum_d curve_d*theta^d."""
    fill(degree * n, 0.0, curve, 0)
    for d in range(degree):
        for i in range(s + 1):
            axpy(n, dense[i * degree + d], k, i * n, curve, d * n)


def dense_point(
    n: int, degree: int, theta: Element, h: Element, y: Array, curve: Array, point: Array, slope: Array
) -> None:
    """point, slope := value and time derivative of the dense output at t + theta*h."""
    copy(n, curve, (degree - 1) * n, point, 0)
    fill(n, 0.0, slope, 0)
    for back in range(1, degree):
        scale(n, theta, slope, 0)
        axpy(n, 1.0, point, 0, slope, 0)
        scale(n, theta, point, 0)
        axpy(n, 1.0, curve, (degree - 1 - back) * n, point, 0)
    scale(n, theta, slope, 0)
    axpy(n, 1.0, point, 0, slope, 0)
    scale(n, theta * h, point, 0)
    axpy(n, 1.0, y, 0, point, 0)


def held_above(i: int, pm: Array, first: int, places: Array, steps: Array) -> Mask:
    """Whether guard i is satisfied as long as nothing happens."""
    mode = pm[first + places[i]]
    if steps[i] != 0:
        return mode == mode
    return mode > 0.5


def departs(i: int, value: Element, pm: Array, first: int, places: Array, steps: Array, strict: Array) -> Mask:
    """Whether a value of guard i is not on the side that its mode says."""
    satisfied = value > 0.0 if strict[i] else value >= 0.0
    held = held_above(i, pm, first, places, steps)
    return or_(and_(satisfied, not_(held)), and_(not_(satisfied), held))


def some_departs(g: int, values: Array, pm: Array, first: int, places: Array, steps: Array, strict: Array) -> Mask:
    """Whether any guard has left its side."""
    found = departs(0, values[0], pm, first, places, steps, strict)
    for i in range(1, g):
        found = or_(found, departs(i, values[i], pm, first, places, steps, strict))
    return found


def settle(
    live: Mask, guards: Model, modes: Model, first: int, g: int, count: int, places: Array, time: Element, y: Array,
    pm: Array, base: Array, values: Array, raw: Array, slack: Array,
) -> None:  # fmt: skip
    """Take every mode anew from its formula whose guard is no longer the `base` (g) that it was before a change, but for
    `slack` (g).

    A guard that a change leaves untouched keeps its mode, which at an event says more than a sign in the
    rounding. Modes inside guards settle within as many rounds as there are modes.
    """
    turning = live
    rounds = 0
    while any_(turning) and rounds <= count:
        guards(time, y, pm, values)
        modes(time, y, pm, raw)
        turning = and_(live, not_(live))
        for i in range(g):
            at = first + places[i]
            moved = and_(values[i] != base[i], not_(vabs(values[i] - base[i]) <= slack[i]))
            new = select(and_(live, moved), raw[places[i]], pm[at])
            turning = or_(turning, new != pm[at])
            pm[at] = new
        copy(g, values, 0, base, 0)
        rounds = rounds + 1


def cross(
    live: Mask, which: Element, guards: Model, guards_rate: Model, modes: Model, first: int, g: int, count: int,
    places: Array, steps: Array, strict: Array, time: Element, direction: Element, window: Element, y: Array,
    slope: Array, pm: Array, base: Array, values: Array, raw: Array, slack: Array,
) -> None:  # fmt: skip
    """Change the modes of all guards that cross at this instant: those that have left their side, those that will
    within `window` of time, and guard `which` itself."""
    guards(time, y, pm, base)
    guards_rate(time, y, pm, 1.0, slope, values)
    for i in range(g):
        leaving = direction * select(held_above(i, pm, first, places, steps), values[i], -values[i]) < 0.0
        soon = and_(leaving, vabs(base[i]) <= window * vabs(values[i]))
        turned = or_(or_(soon, departs(i, base[i], pm, first, places, steps, strict)), which == i)
        raw[i] = select(and_(live, turned), 1.0, 0.0)
    for i in range(g):
        at = first + places[i]
        new = pm[at] + steps[i] if steps[i] != 0 else 1.0 - pm[at]
        pm[at] = select(raw[i] > 0.5, new, pm[at])
    guards(time, y, pm, values)
    for i in range(g):
        # The changed modes are told by the crossing: their guards count as they are now.
        mine = raw[i] > 0.5
        for j in range(g):
            if places[j] == places[i]:
                mine = or_(mine, raw[j] > 0.5)
        base[i] = select(mine, values[i], base[i])
    fill(g, 0.0, slack, 0)
    settle(live, guards, modes, first, g, count, places, time, y, pm, base, values, raw, slack)


def find_event(
    live: Mask, guards: Model, guards_rate: Model, modes: Model, conditions: Model, n: int, first: int, g: int,
    count: int, blocks: int, places: Array, steps: Array, strict: Array, steers: Array, s: int, degree: int,
    dense: Array, t_hi: Element, t_lo: Element, h: Element, direction: Element, tick: Element, window: Element,
    y: Array, k: Array, pm: Array, was: Array, curve: Array, point: Array, slope: Array, base: Array, values: Array,
    rates: Array, raw: Array, slack: Array, kept: Array, now: Array,
) -> tuple[Element, Element]:  # fmt: skip
    """(theta, guard): where in the step from t to t + h the first event is, or NOWHERE; and the first guard that crosses.

    A change of modes is an event where the right-hand side depends on it or where a condition becomes true that was not
    (`was`, one number a block). Others are entered into `pm` and `was`, and the search goes on. At an event `pm` is left
    as it was before it. The arrays from `curve` on are for the work: degree*n, n, n, g, g, g, 2*g + count, g, count,
    blocks numbers.
    """
    inner = view(raw, g, g)
    step_curve(n, s, degree, dense, k, curve)
    theta = 0.0 * h + NOWHERE
    which = 0.0 * h - 1.0
    lo = 0.0 * h
    searching = and_(live, h != 0.0)
    changes = 0.0 * h
    for piece in range(PIECES):
        right = (piece + 1) / PIECES
        again = searching
        while any_(again):
            hi = 0.0 * h + right
            dense_point(n, degree, lo, h, y, curve, point, slope)
            guards_rate(t_hi + (t_lo + lo * h), point, pm, 1.0, slope, base)
            dense_point(n, degree, hi, h, y, curve, point, slope)
            guards(t_hi + (t_lo + hi * h), point, pm, values)
            guards_rate(t_hi + (t_lo + hi * h), point, pm, 1.0, slope, rates)
            seen = and_(again, some_departs(g, values, pm, first, places, steps, strict))
            for i in range(g):
                side = direction * select(held_above(i, pm, first, places, steps), 1.0, -1.0)
                falls = 0.0 * h
                there = departs(i, values[i], pm, first, places, steps, strict)
                trying = and_(and_(again, not_(there)), and_(side * base[i] < 0.0, side * rates[i] > 0.0))
                left = lo
                far = 0.0 * h + right
                while any_(trying):
                    middle = 0.5 * (left + far)
                    trying = and_(trying, and_(left < middle, middle < far))
                    dense_point(n, degree, middle, h, y, curve, point, slope)
                    guards(t_hi + (t_lo + middle * h), point, pm, inner)
                    guards_rate(t_hi + (t_lo + middle * h), point, pm, 1.0, slope, raw)
                    crossed = and_(trying, departs(i, inner[i], pm, first, places, steps, strict))
                    hi = select(and_(crossed, middle < hi), middle, hi)
                    seen = or_(seen, crossed)
                    falls = side * raw[i]
                    left = select(falls < 0.0, middle, left)
                    far = select(falls < 0.0, far, middle)
                    trying = and_(and_(trying, not_(crossed)), (far - left) * vabs(h) > tick)
            low = lo
            wide = seen
            while any_(wide):
                middle = 0.5 * (low + hi)
                wide = and_(wide, and_(low < middle, middle < hi))
                dense_point(n, degree, middle, h, y, curve, point, slope)
                guards(t_hi + (t_lo + middle * h), point, pm, values)
                beyond = some_departs(g, values, pm, first, places, steps, strict)
                hi = select(and_(wide, beyond), middle, hi)
                low = select(and_(wide, not_(beyond)), middle, low)
                wide = and_(wide, (hi - low) * vabs(h) > tick)

            again = seen
            if any_(seen):
                time = t_hi + (t_lo + hi * h)
                dense_point(n, degree, hi, h, y, curve, point, slope)
                guards(time, point, pm, values)
                mine = 0.0 * h - 1.0
                for back in range(g):
                    i = g - 1 - back
                    mine = select(departs(i, values[i], pm, first, places, steps, strict), 0.0 * h + i, mine)
                copy(count, pm, first, kept, 0)
                cross(
                    seen, mine, guards, guards_rate, modes, first, g, count, places, steps, strict, time, direction,
                    window, point, slope, pm, base, values, raw, slack,
                )  # fmt: skip
                conditions(time, point, pm, now)
                changes = changes + select(seen, 1.0, 0.0)
                ends = and_(seen, changes > MOST_CHANGES)
                for j in range(count):
                    if steers[j] != 0:
                        ends = or_(ends, and_(seen, pm[first + j] != kept[j]))
                for b in range(blocks):
                    ends = or_(ends, and_(seen, and_(now[b] > 0.5, not_(was[b] > 0.5))))
                copy_where(ends, count, kept, 0, pm, first)
                copy_where(and_(seen, not_(ends)), blocks, now, 0, was, 0)
                theta = select(ends, hi, theta)
                which = select(ends, mine, which)
                lo = select(seen, hi, lo)
                searching = and_(searching, not_(ends))
                again = and_(seen, not_(ends))
        lo = select(searching, 0.0 * h + right, lo)
    return theta, which
