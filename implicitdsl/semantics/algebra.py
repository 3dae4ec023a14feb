"""Shapes of operators: broadcasting, products, transposes. A shape that does not fit raises ClashError."""

from __future__ import annotations

from implicitdsl.semantics.sizes import Shape, Size, show


class ClashError(Exception):
    """Two shapes do not fit. `axes` are the axes of the left and right shape that disagree, where there are such."""

    def __init__(self, reason: str, *, axes: tuple[int, int] | None = None, help: str = "") -> None:
        super().__init__(reason)
        self.reason, self.axes, self.help = reason, axes, help


def broadcast(left: Shape, right: Shape) -> Shape:
    """The common shape: equal axes, counted from the last; a missing leading axis or a literal 1 stretches."""
    rank = max(len(left), len(right))
    found: list[Size] = []
    for back in range(rank, 0, -1):
        a = left[-back] if back <= len(left) else None
        b = right[-back] if back <= len(right) else None
        if a is None or b is None:
            kept = b if a is None else a
            assert kept is not None
            found.append(kept)
        elif a == b or b == 1:
            found.append(a)
        elif a == 1:
            found.append(b)
        else:
            raise ClashError("", axes=(len(left) - back, len(right) - back))
    return tuple(found)


def fits(value: Shape, wanted: Shape) -> bool:
    """Whether a value of one shape stretches to the other."""
    try:
        return broadcast(value, wanted) == wanted
    except ClashError:
        return False


def matmul(left: Shape, right: Shape) -> Shape:
    """`@` of vectors and matrices: the last axis of the left meets the first of the right."""
    if len(left) not in (1, 2) or len(right) not in (1, 2):
        scalar = not left or not right
        what = "for a scalar write `*`" if scalar else "reshape the tensor first"
        raise ClashError("", help=f"`@` multiplies vectors and matrices; {what}")
    if left[-1] != right[0]:
        raise ClashError("", axes=(len(left) - 1, 0))
    return left[:-1] + right[1:]


def transpose(shape: Shape) -> Shape:
    """`.T` of a matrix."""
    if len(shape) != 2:
        raise ClashError(
            f"`.T` takes a matrix, this is {show(shape)}",
            help="a vector needs no transpose: `x @ y` is the scalar product, `outer(x, y)` the matrix"
            if len(shape) == 1
            else "",
        )
    rows, columns = shape
    return (columns, rows)
