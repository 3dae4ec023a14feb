"""Size rules: the shape of a result from the shapes of the arguments.

A shape is a tuple of sizes; a size is an int or any object with exact `+ - * ==` (a polynomial in size names). So one
rule serves the checker, which knows names, and construction, which knows numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Size = Any
Shape = tuple[Size, ...]
ShapeRule = Callable[..., Shape]


class SizeMismatch(Exception):  # noqa: N818 - it says what is so of the model; nothing failed in the program
    """The arguments do not fit. `str()` is the reason, `help` what may mend it ("" where nothing is known)."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


class SizeUndecided(SizeMismatch):
    """The rule needs numbers where it got names (a stride): to be asked again at construction."""


def show(shape: Shape) -> str:
    """The shape as the language writes it."""
    return f"[{', '.join(map(str, shape))}]" if shape else "a scalar"


def broadcast(*shapes: Shape) -> Shape:
    """The common shape of elementwise arguments: an axis fits its equal, a missing leading axis, or a literal 1."""
    result: Shape = ()
    for shape in shapes:
        result = _broadcast_two(result, shape)
    return result


def _broadcast_two(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    sizes: list[Size] = []
    for p, q in zip(left, right, strict=True):
        if p == q or q == 1:
            sizes.append(p)
        elif p == 1:
            sizes.append(q)
        else:
            raise SizeMismatch(f"{show(a)} and {show(b)} do not fit together", _broadcast_help(a, b))
    return tuple(sizes)


def _broadcast_help(a: Shape, b: Shape) -> str:
    if len(a) != len(b) and (a[: len(b)] == b or b[: len(a)] == a):
        return "axes are matched from the last; add a literal 1 with reshape"
    return ""


def scalar(*_shapes: Shape) -> Shape:
    """A scalar, whatever the arguments are."""
    return ()


def rank_at_least(rank: int, what: str, shape: Shape) -> None:
    """Raise SizeMismatch if the shape has fewer axes."""
    if len(shape) < rank:
        raise SizeMismatch(f"{what} needs at least {rank} {'axis' if rank == 1 else 'axes'}, not {show(shape)}")


def vector(what: str, shape: Shape) -> Size:
    """The length of a vector; SizeMismatch for anything else."""
    if len(shape) != 1:
        raise SizeMismatch(f"{what} takes vectors, not {show(shape)}")
    return shape[0]


def square(what: str, shape: Shape) -> Size:
    """The size of a square matrix; SizeMismatch for anything else."""
    if len(shape) != 2 or not shape[0] == shape[1]:
        raise SizeMismatch(f"{what} takes a square matrix, not {show(shape)}")
    return shape[0]


def last_axis_kept(x: Shape) -> Shape:
    """Functions along the last axis that keep it: softmax, cumsum."""
    rank_at_least(1, "a function along the last axis", x)
    return x


def last_axis_reduced(x: Shape) -> Shape:
    """Reductions of the last axis: logsumexp."""
    rank_at_least(1, "a reduction of the last axis", x)
    return x[:-1]


def extreme(*shapes: Shape) -> Shape:
    """max and min: one argument reduces, two are elementwise."""
    return () if len(shapes) == 1 else broadcast(*shapes)


def dot(a: Shape, b: Shape) -> Shape:
    """Two vectors of one length."""
    n, m = vector("dot", a), vector("dot", b)
    if not n == m:
        raise SizeMismatch(f"dot takes vectors of one length, not {show(a)} and {show(b)}")
    return ()


def outer(a: Shape, b: Shape) -> Shape:
    """Two vectors give a matrix."""
    return (vector("outer", a), vector("outer", b))


def diag(x: Shape) -> Shape:
    """A vector gives the matrix with it on the diagonal, a square matrix its diagonal."""
    if len(x) == 1:
        return (x[0], x[0])
    return (square("diag", x),)


def trace(x: Shape) -> Shape:
    """A square matrix."""
    square("trace", x)
    return ()


def determinant(x: Shape) -> Shape:
    """A square matrix."""
    square("a determinant", x)
    return ()


def square_to_square(x: Shape) -> Shape:
    """inv and cholesky."""
    square("this function", x)
    return x


def solve(a: Shape, b: Shape) -> Shape:
    """A square matrix and a vector or matrix of as many rows."""
    n = square("solve", a)
    if len(b) not in (1, 2) or not b[0] == n:
        raise SizeMismatch(f"solve takes [n, n] and [n] or [n, k], not {show(a)} and {show(b)}")
    return b


def filled(*sizes: Size) -> Shape:
    """zeros and ones, whose arguments are sizes."""
    return sizes


def eye(n: Size) -> Shape:
    """The identity, whose argument is a size."""
    return (n, n)


def count(shape: Shape) -> Size:
    """The number of scalars."""
    product: Size = 1
    for size in shape:
        product = product * size
    return product


def reshape(x: Shape, new: Shape) -> Shape:
    """As many scalars under another shape."""
    if not count(x) == count(new):
        raise SizeMismatch(f"{show(x)} and {show(new)} hold different numbers of scalars")
    return new


def concat(*parts: Shape) -> Shape:
    """Along the first axis; scalars count as length 1."""
    if not parts:
        raise SizeMismatch("concat needs at least one part")
    rows = tuple(p if p else (1,) for p in parts)
    length: Size = rows[0][0]
    for row in rows[1:]:
        if len(row) != len(rows[0]) or any(not p == q for p, q in zip(row[1:], rows[0][1:], strict=True)):
            raise SizeMismatch(
                f"{show(rows[0])} and {show(row)} differ beyond the first axis",
                "stack gives its parts a new first axis",
            )
        length = length + row[0]
    return (length, *rows[0][1:])


def stack(*parts: Shape) -> Shape:
    """Parts of one shape under a new first axis."""
    if not parts:
        raise SizeMismatch("stack needs at least one part")
    for part in parts[1:]:
        if len(part) != len(parts[0]) or any(not p == q for p, q in zip(part, parts[0], strict=True)):
            raise SizeMismatch(
                f"{show(parts[0])} and {show(part)} are different shapes", "concat joins along the first axis"
            )
    return (len(parts), *parts[0])


def gradient(value: Shape, by: Shape) -> Shape:
    """grad(e, x): a scalar by anything."""
    if value != ():
        raise SizeMismatch(f"grad takes a scalar, not {show(value)}", "use jacobian")
    return by


def divergence(field: Shape, by: Shape, *, probes: int = 1) -> Shape:
    """div(v, x): a field of the shape of its variable."""
    if probes < 1:
        raise SizeMismatch(f"an estimate from {probes} probes", "probes = 1, or more for less noise")
    if len(field) != len(by) or any(not p == q for p, q in zip(field, by, strict=True)):
        raise SizeMismatch(f"div takes a field of the shape of its variable, not {show(field)} and {show(by)}")
    return ()


def jacobian(value: Shape, by: Shape) -> Shape:
    """jacobian(v, x): the axes of the value, then those of the variable."""
    return value + by


def _slid(length: Size, width: Size, stride: int, padding: int) -> Size:
    room = length + 2 * padding - width
    if isinstance(room, int):
        if room < 0:
            raise SizeMismatch(f"the kernel of width {width} is longer than the padded length {length + 2 * padding}")
        return room // stride + 1
    if stride != 1:
        raise SizeUndecided(f"a length under stride {stride} is known only when {length} is a number")
    return room + 1


def convolution(axes: int, x: Shape, kernel: Shape, *, stride: int = 1, padding: int = 0) -> Shape:
    """conv1d and conv2d as torch has them: x [c, …], kernel [out, c, …] -> [out, …]."""
    if len(x) != axes + 1 or len(kernel) != axes + 2:
        raise SizeMismatch(
            f"conv{axes}d takes {axes + 1} axes and a kernel of {axes + 2}, not {show(x)} and {show(kernel)}"
        )
    if not x[0] == kernel[1]:
        raise SizeMismatch(f"the input has {x[0]} channels, the kernel takes {kernel[1]}")
    if stride < 1 or padding < 0:
        raise SizeMismatch(f"a stride is at least 1 and a padding at least 0, not {stride} and {padding}")
    return (kernel[0], *(_slid(n, k, stride, padding) for n, k in zip(x[1:], kernel[2:], strict=True)))
