"""Whether an index or a slice lies inside its axis, as far as that holds for all sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from implicitdsl.semantics.sizes import Size


@dataclass(frozen=True)
class Loop:
    """`for name in start:stop`; the ends may depend on the loops around it."""

    name: str
    start: Size
    stop: Size


def extremes(size: Size, loops: Sequence[Loop]) -> tuple[Size, Size] | None:
    """The least and the greatest value over all rounds of the loops, None where it is not affine in a loop name."""
    low = high = size
    for loop in reversed(loops):
        first, last = loop.start, loop.stop - 1
        low_ends = _ends(low, loop.name, first, last)
        high_ends = _ends(high, loop.name, first, last)
        if low_ends is None or high_ends is None:
            return None
        low, high = low_ends[0], high_ends[1]
    return low, high


def _ends(size: Size, name: str, first: Size, last: Size) -> tuple[Size, Size] | None:
    if name not in size.names:
        return size, size
    if any(power > 1 for monomial, _ in size.terms for other, power in monomial if other == name):
        return None
    slope = size.put({name: Size.of(1)}) - size.put({name: Size.of(0)})
    at_first, at_last = size.put({name: first}), size.put({name: last})
    if slope.never_negative:
        return at_first, at_last
    return (at_last, at_first) if (-slope).never_negative else None


def check_index(place: Size, extent: Size, loops: Sequence[Loop]) -> str:
    """Why an index (negative: from the end) is outside its axis for all sizes, or an empty text."""
    ends = extremes(place, loops)
    if ends is None:
        return ""
    low, high = ends
    if (high - extent).never_negative:
        return f"it reaches {high}, the axis has size {extent}, places 0 to {extent - 1}"
    if (-low - extent - 1).never_negative:
        return f"it reaches {low}, the axis has size {extent}"
    if loops and low.always_negative and high.never_negative and low != high:
        return f"it runs from {low} to {high}, and a negative index counts from the end"
    return ""


def slice_size(start: Size, stop: Size, extent: Size, loops: Sequence[Loop]) -> tuple[Size, str]:
    """The length of `start:stop` on an axis, and why it is outside for all sizes (or an empty text)."""
    start = start + extent if start.always_negative else start
    stop = stop + extent if stop.always_negative else stop
    size = stop - start
    at_start, at_stop, at_size = extremes(start, loops), extremes(stop, loops), extremes(size, loops)
    if at_start is None or at_stop is None or at_size is None:
        return size, ""
    if at_size[0].always_negative:
        return size, f"it ends before it starts: {start} to {stop}"
    if at_start[0].always_negative:
        return size, f"it starts {-at_start[0]} before the first place"
    if (at_stop[1] - extent - 1).never_negative:
        return size, f"it reaches {at_stop[1]}, the axis has size {extent}"
    return size, ""
