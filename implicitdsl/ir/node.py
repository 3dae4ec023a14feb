"""The nodes of the IR: immutable, interned, compared by identity.

Shapes are tuples of ints. A node is made by the constructors of `ir/build.py`; the classes here only hold and intern.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, final

import numpy as np

from implicitdsl.functions.expression import Expr

Shape = tuple[int, ...]
LeafKind = Literal[
    "input", "param", "const", "state", "time", "unknown", "tangent", "cotangent", "dual", "result", "mode",
    "delayed", "kept",
]  # fmt: skip

_count = itertools.count()


class Node:
    """One value. `args` are the nodes it is computed from, `key` everything else that tells it from others."""

    __slots__ = ("__weakref__", "args", "key", "number", "shape")
    args: tuple[Node, ...]
    shape: Shape
    key: tuple[Any, ...]
    number: int
    _known: ClassVar[weakref.WeakValueDictionary[tuple[Any, ...], Node]] = weakref.WeakValueDictionary()

    def __new__(cls, key: tuple[Any, ...], args: tuple[Node, ...], shape: Shape) -> Any:
        full = (cls, key, tuple(map(id, args)), shape)
        found = Node._known.get(full)
        if found is None:
            found = super().__new__(cls)
            found.key = key
            found.args = args
            found.shape = shape
            found.number = next(_count)
            Node._known[full] = found
        return found

    @property
    def size(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} {list(self.shape)}>"


@final
class Leaf(Node):
    """A value from outside: input, param, state, time … Two leaves of one kind, name and shape are one leaf."""

    __slots__ = ()

    def __new__(cls, kind: LeafKind, name: str, shape: Iterable[int] = ()) -> Leaf:
        return super().__new__(cls, (kind, name), (), tuple(shape))

    @property
    def kind(self) -> LeafKind:
        return self.key[0]

    @property
    def name(self) -> str:
        return self.key[1]


@final
class Constant(Node):
    """A constant array."""

    __slots__ = ()

    def __new__(cls, value: object) -> Constant:
        array = np.asarray(value, dtype=np.float64)
        return super().__new__(cls, (array.tobytes(),), (), array.shape)

    @property
    def value(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.frombuffer(self.key[0], dtype=np.float64).reshape(self.shape)


@final
class Delta(Node):
    """The identity matrix of size n (the Kronecker delta of a Contract)."""

    __slots__ = ()

    def __new__(cls, n: int) -> Delta:
        return super().__new__(cls, (), (), (n, n))


@final
class Map(Node):
    """A scalar expression applied elementwise to arguments of one shape."""

    __slots__ = ()

    def __new__(cls, expr: Expr, args: tuple[Node, ...]) -> Map:
        return super().__new__(cls, (expr,), args, args[0].shape)

    @property
    def expr(self) -> Expr:
        return self.key[0]


@final
class Contract(Node):
    """Einsum without ellipsis. `ins` one index string an argument, letters any characters; an output letter that no
    argument has is a broadcast axis, whose size the shape tells. No string has a letter twice: see Delta."""

    __slots__ = ()

    def __new__(cls, ins: tuple[str, ...], out: str, args: tuple[Node, ...], shape: Shape) -> Contract:
        return super().__new__(cls, (ins, out), args, shape)

    @property
    def ins(self) -> tuple[str, ...]:
        return self.key[0]

    @property
    def out(self) -> str:
        return self.key[1]


@final
class Pick(Node):
    """A box: `ranges` holds (start, stop) for every axis."""

    __slots__ = ()

    def __new__(cls, ranges: tuple[tuple[int, int], ...], arg: Node) -> Pick:
        return super().__new__(cls, (ranges,), (arg,), tuple(b - a for a, b in ranges))

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        return self.key[0]


@final
class Place(Node):
    """The argument in the box `ranges` of zeros of the given shape: the transpose of Pick."""

    __slots__ = ()

    def __new__(cls, ranges: tuple[tuple[int, int], ...], arg: Node, shape: Shape) -> Place:
        return super().__new__(cls, (ranges,), (arg,), shape)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        return self.key[0]


@final
class Reshape(Node):
    """The same scalars in row-major order under another shape."""

    __slots__ = ()

    def __new__(cls, arg: Node, shape: Shape) -> Reshape:
        return super().__new__(cls, (), (arg,), shape)


@final
class Window(Node):
    """A strided view: output axis k runs over `extents[k]` places, moving `strides[k][j]` along input axis j; places
    outside the input read 0. `offset` holds the place of the first element. The adjoint is `Scatter`."""

    __slots__ = ()

    def __new__(cls, strides: tuple[tuple[int, ...], ...], offset: tuple[int, ...], arg: Node, shape: Shape) -> Window:
        return super().__new__(cls, (strides, offset), (arg,), shape)

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        return self.key[0]

    @property
    def offset(self) -> tuple[int, ...]:
        return self.key[1]


@final
class Scatter(Node):
    """The adjoint of Window: adds every element to the place it was read from."""

    __slots__ = ()

    def __new__(cls, strides: tuple[tuple[int, ...], ...], offset: tuple[int, ...], arg: Node, shape: Shape) -> Scatter:
        return super().__new__(cls, (strides, offset), (arg,), shape)

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        return self.key[0]

    @property
    def offset(self) -> tuple[int, ...]:
        return self.key[1]


ReduceKind = Literal["max", "min", "prod", "cumsum", "logsumexp"]


@final
class Reduce(Node):
    """A reduction over the last axis (`cumsum` keeps the axis). Sums are Contracts."""

    __slots__ = ()

    def __new__(cls, kind: ReduceKind, arg: Node) -> Reduce:
        shape = arg.shape if kind == "cumsum" else arg.shape[:-1]
        return super().__new__(cls, (kind,), (arg,), shape)

    @property
    def kind(self) -> ReduceKind:
        return self.key[0]


FactorKind = Literal["lu", "cholesky"]


@final
class Factor(Node):
    """A factorisation of a square matrix, shared by Solve and LogDet; its value is opaque, its shape the matrix's."""

    __slots__ = ()

    def __new__(cls, kind: FactorKind, arg: Node) -> Factor:
        return super().__new__(cls, (kind,), (arg,), arg.shape)

    @property
    def kind(self) -> FactorKind:
        return self.key[0]


@final
class Solve(Node):
    """A^-1 b, or A^-T b; b has shape (n,) or (n, k). args = (factor, b)."""

    __slots__ = ()

    def __new__(cls, factor: Factor, b: Node, *, transposed: bool = False) -> Solve:
        return super().__new__(cls, (transposed,), (factor, b), b.shape)

    @property
    def transposed(self) -> bool:
        return self.key[0]


@final
class LogDet(Node):
    """log |det A| (`what="logabs"`), or det A itself (`what="det"`), from a factorisation."""

    __slots__ = ()

    def __new__(cls, what: Literal["logabs", "det"], factor: Factor) -> LogDet:
        return super().__new__(cls, (what,), (factor,), ())

    @property
    def what(self) -> Literal["logabs", "det"]:
        return self.key[0]


@final
class Cholesky(Node):
    """The lower triangular L with L L.T = A, for a symmetric argument; NaN where A is not positive definite."""

    __slots__ = ()

    def __new__(cls, arg: Node) -> Cholesky:
        return super().__new__(cls, (), (arg,), arg.shape)


def walk(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node the roots depend on, arguments before users, without recursion, in an order that depends on the
    graph alone."""
    done: set[Node] = set()
    stack: list[tuple[Node, int]] = []
    for root in roots:
        if root in done:
            continue
        stack.append((root, 0))
        while stack:
            node, position = stack.pop()
            if node in done:
                continue
            if position < len(node.args):
                stack.append((node, position + 1))
                if node.args[position] not in done:
                    stack.append((node.args[position], 0))
                continue
            done.add(node)
            yield node
