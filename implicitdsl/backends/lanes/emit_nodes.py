"""How nodes of a function become values on lanes: written out on registers, or loops over buffers.

A node is written out while it is small and the function is within its budget; the choice depends on shapes alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from implicitdsl.backends.lanes import elementary, emit_algebra, emit_contract, emit_layout
from implicitdsl.backends.lanes.lane_code import LaneCode
from implicitdsl.backends.lanes.values import Store, Value, elements, plain, read
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.layout import is_padded_sum
from implicitdsl.ir.node import (
    Cholesky,
    Constant,
    Contract,
    Delta,
    Factor,
    Leaf,
    LogDet,
    Map,
    Node,
    Pick,
    Place,
    Reduce,
    Reshape,
    Scatter,
    Solve,
    Window,
)
from implicitdsl.ir.routines import are_disjoint, window_places

SMALL = 64
"""Scalars of a node beyond which it lives in memory."""
IN_REGISTERS = 16
"""Scalars of a node beyond which it is a loop where it reads what lies in memory alone."""
NODE_BUDGET = 64
"""Operations of a node beyond which it is a loop."""
FUNCTION_BUDGET = 4000
"""Operations of a function written out, after which all that follows is loops."""


class NodeEmission:
    """The nodes of one function, in order; `values` holds what is known, from the inputs on. `adds` tells that the
    function adds to its outputs."""

    def __init__(self, code: LaneCode, name: str, *, adds: bool) -> None:
        self.code, self.name, self.adds = code, name, adds
        self.values: dict[Node, Value] = {}
        self.direct: dict[Node, Value] = {}
        """Where a large node that is an output writes, instead of a buffer."""
        self.read_back: set[Node] = set()
        """Those of them that others read there."""
        self._factors: dict[tuple[Node, str], emit_algebra.Factors] = {}
        self._spent = 0

    def emit(self, node: Node) -> None:
        """The value of a node whose arguments have theirs. Raises ValueError for a leaf that is no input,
        NotEmittedError for an elementwise function without a record."""
        args = [self.values[a] for a in node.args if a in self.values]
        match node:
            case Leaf():
                raise ValueError(f"{self.name} depends on {node.kind} `{node.name}`, which is no input of it")
            case Constant():
                self._constant(node, node.value)
            case Delta():
                self._constant(node, np.eye(node.shape[0]))
            case Map():
                self._emit_map(node)
            case Contract():
                self._emit_contract(node, args)
            case Pick():
                self.values[node] = args[0].box(node.ranges)
            case Place():
                self._emit_place(node, args[0])
            case Reshape():
                self._emit_reshape(node, args[0])
            case Window():
                self._emit_window(node, args[0])
            case Scatter():
                self._emit_scatter(node, args[0])
            case Reduce():
                self._emit_reduce(node, args[0])
            case Factor():
                self.values[node] = args[0]
            case Solve():
                self._emit_solve(node)
            case LogDet():
                self._emit_log_det(node)
            case Cholesky():
                found = self._factor(node.args[0], "cholesky")
                pointer = found.entries
                emit_algebra.spoil(self.code, found, pointer, node.size)
                self.values[node] = plain(Store(pointer=pointer), node.shape)
                del self._factors[node.args[0], "cholesky"]
            case _:
                raise TypeError(f"{node!r} has no form on lanes")

    def _constant(self, node: Node, value: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        items = [self.code.number(float(v)) for v in value.reshape(-1)] if value.size <= SMALL else None
        pointer = None if items is not None else self.code.table(value)
        store = Store(items=items, pointer=pointer, shared=pointer is not None, numbers=value)
        self.values[node] = plain(store, node.shape)

    # ------------------------------------------------------------ where values live

    def _unrolls(self, size: int, operations: int, args: Iterable[Value]) -> bool:
        """Whether a node is written out: it is small, and so is what it reads. Counts it."""
        if size > SMALL or operations > NODE_BUDGET or self._spent + operations > FUNCTION_BUDGET:
            return False
        if size > IN_REGISTERS and any(v.store.items is None and v.store.numbers is None for v in args):
            return False
        self._spent += operations
        return True

    def _items(self, node: Node, items: list[Any]) -> None:
        self.values[node] = plain(Store(items=items), node.shape)

    def _target(self, node: Node) -> tuple[Value, bool]:
        """Where a large node goes, and whether it is added there."""
        found = self.direct.get(node)
        if found is not None:
            if node in self.read_back:
                self.values[node] = found
            return found, self.adds
        made = emit_layout.buffered(self.code, node.shape)
        self.values[node] = made
        return made, False

    # ------------------------------------------------------------ elementwise

    def _emit_map(self, node: Map) -> None:
        if is_padded_sum(node):
            self._emit_padded_sum(node)
            return
        code, args = self.code, [self.values[a] for a in node.args]

        def compute(found: list[Any]) -> Any:
            return elementary.emit_expression(code, node.expr, found)

        if node.size and all(v.is_uniform for v in args) and node not in self.direct:
            item = compute([read(code, v, (0,) * len(v.shape)) for v in args])
            self.values[node] = Value(Store(items=[item]), node.shape, (0,) * len(node.shape))
        elif self._unrolls(node.size, node.size * elementary.cost(node.expr), args):
            columns = zip(*(elements(code, v) for v in args), strict=True)
            self._items(node, [compute(list(found)) for found in columns])
        else:
            target, adds = self._target(node)
            emit_layout.elementwise(code, args, target, compute, adds=adds)

    def _emit_padded_sum(self, node: Map) -> None:
        """Places written into one array rather than padded and added."""
        code = self.code
        placed = [a for a in node.args if isinstance(a, Place)]
        others = [self.values[a] for a in node.args if not isinstance(a, Place)]
        operations = sum(a.args[0].size for a in placed) + node.size * len(others)
        if self._unrolls(node.size, operations, ()):
            items: list[Any] = [None] * node.size
            for value in others:
                for k, item in enumerate(elements(code, value)):
                    items[k] = item if items[k] is None else code.add(items[k], item)
            for part in placed:
                for k, item in zip(_places(part), elements(code, self.values[part.args[0]]), strict=True):
                    items[k] = item if items[k] is None else code.add(items[k], item)
            self._items(node, [code.zero if item is None else item for item in items])
            return
        disjoint = not others and are_disjoint([a.ranges for a in placed], node.shape)
        if not disjoint:
            self.direct.pop(node, None)
        target, adds = self._target(node)
        covered = disjoint and sum(a.args[0].size for a in placed) == node.size
        if others:
            emit_layout.elementwise(code, others, target, lambda found: _added(code, found), adds=False)
        elif not covered and not adds:
            emit_layout.fill_zero(code, target)
        for part in placed:
            emit_layout.copy_into(code, self.values[part.args[0]], target.box(part.ranges), adds=adds or not disjoint)

    # ------------------------------------------------------------ contractions

    def _emit_contract(self, node: Contract, args: list[Value]) -> None:
        if is_layout(node):
            self.values[node] = emit_contract.as_strides(node.ins[0], node.out, args[0], node.shape)
            return
        sizes = dict(zip(node.out, node.shape, strict=True))
        for text, arg in zip(node.ins, node.args, strict=True):
            sizes |= zip(text, arg.shape, strict=True)
        terms = {k: (text, value) for k, (text, value) in enumerate(zip(node.ins, args, strict=True))}
        scalars = [k for k, (text, _) in terms.items() if not text]
        arrays = [k for k in terms if k not in scalars]
        plan = emit_contract.steps([terms[k][0] for k in arrays], node.out, sizes) if len(arrays) > 2 else []
        numbered = [terms[k] for k in arrays]
        gone: set[int] = set()
        for i, j, kept in plan:
            shape = tuple(sizes[c] for c in kept)
            pair = [numbered[i], numbered[j]]
            numbered.append((kept, self._product(pair, kept, sizes, shape, None)))
            gone |= {i, j}
        left = [t for k, t in enumerate(numbered) if k not in gone] + [terms[k] for k in scalars]
        value = self._product(left, node.out, sizes, node.shape, node)
        if value is not None:
            self.values[node] = value

    def _product(
        self, terms: list[tuple[str, Value]], out: str, sizes: dict[str, int], shape: tuple[int, ...], node: Node | None
    ) -> Any:
        code = self.code
        operations = emit_contract.contraction_cost([t for t, _ in terms], out, sizes)
        if self._unrolls(math.prod(shape), operations, (v for _, v in terms)):
            items: list[Any] = []
            emit_contract.emit_product(code, terms, out, sizes, lambda at, v: items.append(v), unrolled=True)
            return plain(Store(items=items), shape)
        if node is None:
            target, adds, result = emit_layout.buffered(code, shape), False, True
        else:
            (target, adds), result = self._target(node), False
        emit_contract.emit_product(
            code, terms, out, sizes, lambda at, v: emit_layout.write(code, target, at, v, adds=adds), unrolled=False
        )
        return target if result else None

    # ------------------------------------------------------------ layout

    def _emit_place(self, node: Place, value: Value) -> None:
        if value.store.items is not None and self._unrolls(node.size, value.size, ()):
            items = [self.code.zero] * node.size
            for k, item in zip(_places(node), elements(self.code, value), strict=True):
                items[k] = item
            self._items(node, items)
            return
        target, _ = self._target(node)
        emit_layout.fill_zero(self.code, target)
        emit_layout.copy_into(self.code, value, target.box(node.ranges), adds=False)

    def _emit_reshape(self, node: Reshape, value: Value) -> None:
        found = value.reshaped(node.shape)
        if found is None:
            if value.store.items is not None and value.size <= SMALL:
                found = plain(Store(items=elements(self.code, value)), node.shape)
            else:
                made = emit_layout.buffered(self.code, value.shape)
                emit_layout.copy_into(self.code, value, made, adds=False)
                found = plain(made.store, node.shape)
        self.values[node] = found

    def _emit_window(self, node: Window, value: Value) -> None:
        if value.store.items is not None and node.size <= SMALL and value.size <= SMALL:
            items = [*elements(self.code, value), self.code.zero]
            places = window_places(node.strides, node.offset, value.shape, node.shape)
            self._items(node, [items[k] for k in places.reshape(-1)])
        else:
            self.values[node] = emit_layout.window(self.code, value, node.strides, node.offset, node.shape)

    def _emit_scatter(self, node: Scatter, value: Value) -> None:
        if value.store.items is not None and value.size <= SMALL and self._unrolls(node.size, value.size, ()):
            places = window_places(node.strides, node.offset, node.shape, value.shape).reshape(-1)
            found: list[Any] = [None] * (node.size + 1)
            for k, item in zip(places, elements(self.code, value), strict=True):
                found[k] = item if found[k] is None else self.code.add(found[k], item)
            self._items(node, [self.code.zero if item is None else item for item in found[:-1]])
        else:
            self.values[node] = emit_layout.scatter(self.code, value, node.strides, node.offset, node.shape)

    def _emit_reduce(self, node: Reduce, value: Value) -> None:
        heavy = 9 if node.kind == "logsumexp" else 1
        unrolled = value.size <= SMALL and self._unrolls(node.size, value.size * heavy, ())
        made = emit_layout.buffered(self.code, node.shape)
        emit_layout.reduce(self.code, node.kind, value, made, unrolled=unrolled)
        if unrolled:
            made.store.items = [self.code.load(made.store.pointer, k) for k in range(node.size)]
        self.values[node] = made

    # ------------------------------------------------------------ linear algebra

    def _factor(self, matrix: Node, kind: str) -> emit_algebra.Factors:
        found = self._factors.get((matrix, kind))
        if found is None:
            make = emit_algebra.cholesky if kind == "cholesky" else emit_algebra.lu
            found = self._factors[matrix, kind] = make(self.code, self.values[matrix])
        return found

    def _emit_solve(self, node: Solve) -> None:
        factor, right = node.args
        assert isinstance(factor, Factor)
        found = self._factor(factor.args[0], factor.kind)
        pointer = emit_algebra.solve(self.code, found, self.values[right], factor.kind, transposed=node.transposed)
        items = None
        if node.size <= SMALL:
            items = [self.code.load(pointer, k) for k in range(node.size)]
        self.values[node] = plain(Store(items=items, pointer=pointer), node.shape)

    def _emit_log_det(self, node: LogDet) -> None:
        # A singular matrix has a determinant, so the factors are always those of LU.
        found = self._factor(node.args[0].args[0], "lu")
        value = emit_algebra.determinant(self.code, found, node.what, lambda x: elementary.call(self.code, "log", x))
        self._items(node, [value])


def _places(node: Place) -> list[int]:
    """The flat places of the box, row by row."""
    grid = np.arange(node.size).reshape(node.shape)
    return grid[tuple(slice(p, q) for p, q in node.ranges)].reshape(-1).tolist()


def _added(code: LaneCode, found: list[Any]) -> Any:
    total = found[0]
    for item in found[1:]:
        total = code.add(total, item)
    return total
