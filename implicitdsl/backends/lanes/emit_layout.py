"""Boxes, windows and reductions on lanes, in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from implicitdsl.backends.lanes import elementary
from implicitdsl.backends.lanes.lane_code import Index, LaneCode
from implicitdsl.backends.lanes.values import Store, Value, in_memory, plain, read, row_major

Put = Callable[[tuple[Index, ...], Any], None]


def copy_into(code: LaneCode, value: Value, target: Value, *, adds: bool) -> None:
    """Every element written to the same place of the target, or added there."""
    elementwise(code, [value], target, lambda found: found[0], adds=adds)


def write(code: LaneCode, target: Value, indices: Sequence[Index], element: Any, *, adds: bool) -> None:
    """One element written to, or added to, a place in memory."""
    terms = [(i, s) for i, s, n in zip(indices, target.strides, target.shape, strict=True) if n != 1]
    at = code.place(terms, target.offset)
    if adds:
        element = code.add(code.load(target.store.pointer, at), element)
    code.store(element, target.store.pointer, at)


def _nest_plain(
    code: LaneCode, values: list[Value], shape: tuple[int, ...], body: Callable[[list[Value], tuple[Index, ...]], None]
) -> None:
    """A loop over all places, one flat loop where every value lies plainly (or is uniform)."""
    flat = [v.reshaped((v.size,)) if v.is_plain or v.is_uniform else None for v in values]
    whole = [v for v in flat if v is not None]
    if len(whole) == len(values):
        code.nest((math.prod(shape),), lambda at: body(whole, at))
    else:
        code.nest(shape, lambda at: body(values, at))


def elementwise(
    code: LaneCode, args: Sequence[Value], target: Value, compute: Callable[[list[Any]], Any], *, adds: bool
) -> None:
    """`compute` of the elements of all arguments at every place of the target."""
    values = [*(in_memory(code, a) for a in args), target]

    def body(found: list[Value], at: tuple[Index, ...]) -> None:
        write(code, found[-1], at, compute([read(code, v, at) for v in found[:-1]]), adds=adds)

    _nest_plain(code, values, target.shape, body)


def fill_zero(code: LaneCode, target: Value) -> None:
    """Zeros at every place of the target."""
    elementwise(code, [], target, lambda found: code.zero, adds=False)


def _padding(
    strides: Sequence[Sequence[int]], offset: Sequence[int], wide: Sequence[int], seen: Sequence[int]
) -> list[tuple[int, int]]:
    """By axis of the wide array, the first and one past the last place that the window or the array reaches."""
    found: list[tuple[int, int]] = []
    for axis, n in enumerate(wide):
        reach = [strides[k][axis] * (extent - 1) for k, extent in enumerate(seen)]
        low = offset[axis] + sum(r for r in reach if r < 0)
        high = offset[axis] + sum(r for r in reach if r > 0)
        found.append((min(low, 0), max(high + 1, n)))
    return found


def _through(value: Value, strides: Sequence[Sequence[int]], offset: Sequence[int], seen: tuple[int, ...]) -> Value:
    """The strided view of a value that is wide enough."""
    start = value.offset + sum(o * s for o, s in zip(offset, value.strides, strict=True))
    steps = tuple(sum(m * s for m, s in zip(row, value.strides, strict=True)) for row in strides)
    return Value(value.store, seen, steps, start)


def _padded(code: LaneCode, spans: Sequence[tuple[int, int]]) -> Value:
    shape = tuple(q - p for p, q in spans)
    made = plain(Store(pointer=code.buffer(math.prod(shape))), shape)
    fill_zero(code, made)
    return made


def window(
    code: LaneCode, value: Value, strides: Sequence[Sequence[int]], offset: Sequence[int], seen: tuple[int, ...]
) -> Value:
    """The strided view, over a padded copy where it leaves the array."""
    spans = _padding(strides, offset, value.shape, seen)
    if all((p, q) == (0, n) for (p, q), n in zip(spans, value.shape, strict=True)):
        return _through(value, strides, offset, seen)
    wide = _padded(code, spans)
    inner = wide.box([(-p, n - p) for (p, _), n in zip(spans, value.shape, strict=True)])
    copy_into(code, value, inner, adds=False)
    return _through(wide, strides, [o - p for o, (p, _) in zip(offset, spans, strict=True)], seen)


def scatter(
    code: LaneCode, value: Value, strides: Sequence[Sequence[int]], offset: Sequence[int], shape: tuple[int, ...]
) -> Value:
    """Every element added to the place it was read from, in row-major order."""
    spans = _padding(strides, offset, shape, value.shape)
    wide = _padded(code, spans)
    seen = _through(wide, strides, [o - p for o, (p, _) in zip(offset, spans, strict=True)], value.shape)
    source = in_memory(code, value)
    code.nest(value.shape, lambda at: write(code, seen, at, read(code, source, at), adds=True))
    return wide.box([(-p, n - p) for (p, _), n in zip(spans, shape, strict=True)])


def reduce(code: LaneCode, kind: str, value: Value, target: Value, *, unrolled: bool) -> None:
    """A reduction over the last axis into the target."""
    *lead, n = value.shape
    source = value if unrolled else in_memory(code, value)

    def along(at: tuple[Index, ...], combine: Callable[[Any, Any], Any], first: Any, start: int) -> Any:
        if unrolled:
            for k in range(start, n):
                first = combine(first, read(code, source, (*at, k)))
            return first
        body: Any = lambda k, state: (combine(state[0], read(code, source, (*at, k))),)  # noqa: E731 - a loop's body
        return code.loop(start, n, body, (first,))[0]

    def extreme(at: tuple[Index, ...], name: str) -> Any:
        combine = elementary.RECORDS[name]
        return along(at, lambda a, b: combine(code, a, b), read(code, source, (*at, 0)), 1)

    def running(at: tuple[Index, ...]) -> None:
        def step(k: Index, total: Any) -> Any:
            total = read(code, source, (*at, k)) if total is None else code.add(total, read(code, source, (*at, k)))
            write(code, target, (*at, k), total, adds=False)
            return total

        total = step(0, None)
        if unrolled:
            for k in range(1, n):
                total = step(k, total)
        else:
            code.loop(1, n, lambda k, state: (step(k, state[0]),), (total,))

    def log_sum_exp(at: tuple[Index, ...]) -> Any:
        top = extreme(at, "maximum")
        bounded = code.compare("<", code.intrinsic("llvm.fabs", top), code.number(math.inf))
        shift = code.select(bounded, top, code.zero)
        total = along(at, lambda a, b: code.add(a, elementary.call(code, "exp", code.sub(b, shift))), code.zero, 0)
        return code.add(elementary.call(code, "log", total), shift)

    def row(at: tuple[Index, ...]) -> None:
        match kind:
            case "max" | "min":
                write(code, target, at, extreme(at, f"{kind}imum"), adds=False)
            case "prod":
                write(code, target, at, along(at, code.mul, code.one, 0), adds=False)
            case "cumsum":
                if n:
                    running(at)
            case _:
                write(code, target, at, log_sum_exp(at), adds=False)

    code.nest(lead, row, unrolled=unrolled)


def buffered(code: LaneCode, shape: tuple[int, ...]) -> Value:
    """A new array in memory."""
    return Value(Store(pointer=code.buffer(math.prod(shape))), shape, row_major(shape))
