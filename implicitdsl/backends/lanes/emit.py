"""Derived functions as LLVM functions over lanes.

`emit_functions` writes one `void @imp_NAME(groups in order)` a function: the groups `t` and `t_dot` come by value, all
others as pointers to elements, one vector of `width` floats an element; inputs, then outputs. Outputs are overwritten,
or added to where the function says so, and must not overlap inputs. A node is written out on registers while it is
small and the function is within its budget, else as loops over buffers: the choice depends on shapes alone.

A member of an input group may be *shared*: it takes one element of its group, whose first bytes hold the address of its
floats, one for all lanes. `emit_functions(shared=leaves)`.

The cotangent of an input may be *summed* over lanes: member k of the output group `NAME_bar` is that of leaf k of the
input group `NAME`; it takes one element of its group, whose first bytes hold the address of plain floats. They are
added to (or overwritten, as the function says) lane by lane, first to last (term by term where the cotangent is a sum),
so that the order of additions is one and the same. A lane whose cotangents (leaves of kind "cotangent") are all 0 adds
exactly nothing, also where its other numbers are NaN or inf: give 0 to lanes that are finished, failed, or copies that
fill a block. `emit_functions(summed=leaves)`; `shared` and `summed` are asked for apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from llvmlite import ir

from implicitdsl.backends.lanes import elementary, emit_algebra, emit_contract, emit_layout, emit_sums
from implicitdsl.backends.lanes.lane_code import POINTER, Dtype, LaneCode
from implicitdsl.backends.lanes.values import Store, Value, elements, plain, read
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.layout import is_sum
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
    walk,
)
from implicitdsl.ir.routines import are_disjoint, window_places
from implicitdsl.problems.derived import Derived, Group

SCALAR_GROUPS = ("t", "t_dot")
SMALL = 64
"""Scalars of a node beyond which it lives in memory."""
NODE_BUDGET = 64
"""Operations of a node beyond which it is a loop."""
FUNCTION_BUDGET = 4000
"""Operations of a function written out, after which all that follows is loops."""
ADDRESS_BYTES = 8


def emit_functions(
    functions: Mapping[str, Derived] | Iterable[Derived],
    dtype: Dtype,
    width: int,
    *,
    shared: Collection[Leaf] = (),
    summed: Collection[Leaf] = (),
) -> str:
    """The LLVM text of a module with `imp_NAME` for every function.

    Raises NotEmittedError for an elementwise function without a record, ValueError for a leaf that is no input and for
    elements too small to hold an address.
    """
    module = ir.Module("model")
    given = functions.values() if isinstance(functions, Mapping) else functions
    for function in given:
        Emission(module, function, dtype, width, shared, summed).write()
    # The module takes the triple of what it is linked into.
    return "\n".join(line for line in str(module).splitlines() if not line.startswith("target "))


def looped_nodes(function: Derived, dtype: Dtype, width: int) -> int | None:
    """How many nodes of a function are loops over arrays, the others being written out; None where it has no code."""
    emission = Emission(ir.Module("looked at"), function, dtype, width, (), ())
    try:
        emission.write()
    except elementary.NotEmittedError:
        return None
    stores = {id(v.store): v.store for n, v in emission.values.items() if n.args and not is_layout(n)}
    return sum(store.items is None for store in stores.values())


class Emission:
    """One function being written, node by node."""

    def __init__(
        self,
        module: ir.Module,
        function: Derived,
        dtype: Dtype,
        width: int,
        shared: Collection[Leaf],
        summed: Collection[Leaf],
    ) -> None:
        self.function = function
        scalar: Any = ir.DoubleType() if dtype == "float64" else ir.FloatType()
        element = scalar if width == 1 else ir.VectorType(scalar, width)
        kinds = [element if g.name in SCALAR_GROUPS else POINTER for g in function.inputs]
        kinds += [POINTER] * len(function.outputs)
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), f"imp_{function.name}")
        made.attributes.add("alwaysinline")
        made.attributes.add("nounwind")
        self.code = LaneCode(made, dtype, width)
        self.arguments = list(made.args)
        self.shared = frozenset(shared)
        self.written, self.sums = self._destinations(frozenset(summed))
        self.roots = tuple(m for m, _ in self.written if m is not None)
        for term in self.sums:
            self.roots += term.node.args if term.is_product else (term.node,)
        self.order = list(walk(self.roots))
        self.values: dict[Node, Value] = {}
        self.factors: dict[tuple[Node, str], emit_algebra.Factors] = {}
        self.spent = 0
        self.users: dict[Node, list[Node]] = {}
        for node in self.order:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)
        self.direct: dict[Node, Value] = {}
        """Where a large node that is nothing but one output writes, instead of a buffer."""

    def write(self) -> None:
        """The whole function."""
        self._take_inputs()
        self._choose_direct()
        for node in self.order:
            if node not in self.values and not self._melts(node):
                self._emit(node)
        self._give_outputs()
        self._give_sums()
        self.code.finish()

    # ------------------------------------------------------------ groups

    def _take_inputs(self) -> None:
        needed = set(self.order)
        for group, argument in zip(self.function.inputs, self.arguments, strict=False):
            start = 0
            for leaf in group.leaves:
                if leaf in needed:
                    self.values[leaf] = self._input(group, argument, leaf, start)
                start += 1 if leaf in self.shared else leaf.size

    def _input(self, group: Group, argument: Any, leaf: Leaf, start: int) -> Value:
        if group.name in SCALAR_GROUPS:
            return plain(Store(items=[argument]), leaf.shape)
        if leaf in self.shared:
            return plain(Store(pointer=self._floats_of(leaf, argument, start), shared=True), leaf.shape)
        pointer = self.code.address(argument, start)
        items = [self.code.load(pointer, k) for k in range(leaf.size)] if leaf.size <= SMALL else None
        return plain(Store(items=items, pointer=pointer), leaf.shape)

    def _destinations(self, summed: frozenset[Leaf]) -> tuple[list[tuple[Node | None, Value]], list[emit_sums.Term]]:
        """The members with where they are written, and what is summed over lanes."""
        written: list[tuple[Node | None, Value]] = []
        sums: list[emit_sums.Term] = []
        leaves = {f"{g.name}_bar": g.leaves for g in self.function.inputs}
        for group, argument in zip(self.function.outputs, self.arguments[len(self.function.inputs) :], strict=True):
            store, start = Store(pointer=argument), 0
            of = leaves.get(group.name, ())
            for k, (member, size) in enumerate(zip(group.members, group.sizes, strict=True)):
                if k < len(of) and of[k] in summed:
                    floats = Store(pointer=self._floats_of(of[k], argument, start), shared=True)
                    target = plain(floats, of[k].shape)
                    if not self.function.adds:
                        emit_sums.clear(self.code, target)
                    sums += () if member is None else emit_sums.terms(member, target)
                    start += 1
                else:
                    written.append((member, plain(store, (size,) if member is None else member.shape, start)))
                    start += size
        return written, sums

    def _floats_of(self, leaf: Leaf, argument: Any, start: int) -> Any:
        """The address that lies in the element that is a leaf's place."""
        if self.code.width * self.code.item_bytes < ADDRESS_BYTES:
            raise ValueError(f"an element has no room for the address of `{leaf.name}`: give it to every lane")
        return self.code.pointer_at(argument, start)

    def _choose_direct(self) -> None:
        for member, target in self.written:
            if member is None or self.users.get(member) or self.roots.count(member) > 1:
                continue
            if isinstance(member, Map) or (isinstance(member, Contract) and not is_layout(member)):
                self.direct[member] = target

    def _give_outputs(self) -> None:
        adds, code = self.function.adds, self.code
        for member, target in self.written:
            if member is None:
                if not adds:
                    emit_layout.fill_zero(code, target)
            elif self.direct.get(member) is None or member in self.values:
                value = self._value(member)
                if value.store.items is not None and value.size <= SMALL:
                    for k, item in enumerate(elements(code, value)):
                        place = target.offset + k
                        if adds:
                            item = code.add(code.load(target.store.pointer, place), item)
                        code.store(item, target.store.pointer, place)
                else:
                    emit_layout.copy_into(code, value, target, adds=adds)

    def _give_sums(self) -> None:
        if not self.sums:
            return
        cotangents = [v for leaf, v in self.values.items() if isinstance(leaf, Leaf) and leaf.kind == "cotangent"]
        alive = emit_sums.alive(self.code, cotangents)
        for term in self.sums:
            if term.is_product:
                args = [self.values[a] for a in term.node.args]
                emit_sums.add_product(self.code, term.node, args, term.target, alive)
            else:
                emit_sums.add_lanes(self.code, self.values[term.node], term.target, alive)

    # ------------------------------------------------------------ nodes

    def _melts(self, node: Node) -> bool:
        """Whether a Place is written straight into the sums that use it."""
        users = self.users.get(node, [])
        return isinstance(node, Place) and bool(users) and all(is_sum(u) for u in users) and not self._is_output(node)

    def _is_output(self, node: Node) -> bool:
        return any(node is m for m in self.roots)

    def _value(self, node: Node) -> Value:
        return self.values[node]

    def _unrolls(self, size: int, operations: int, args: Iterable[Value]) -> bool:
        """Whether a node is written out: it is small, and so is what it reads. Counts it."""
        if size > SMALL or operations > NODE_BUDGET or self.spent + operations > FUNCTION_BUDGET:
            return False
        self.spent += operations
        return True

    def _items(self, node: Node, items: list[Any]) -> None:
        self.values[node] = plain(Store(items=items), node.shape)

    def _target(self, node: Node) -> tuple[Value, bool]:
        """Where a large node goes, and whether it is added there."""
        found = self.direct.get(node)
        if found is not None:
            return found, self.function.adds
        made = emit_layout.buffered(self.code, node.shape)
        self.values[node] = made
        return made, False

    def _emit(self, node: Node) -> None:
        args = [self.values[a] for a in node.args if a in self.values]
        match node:
            case Leaf():
                raise ValueError(f"{self.function.name} depends on {node.kind} `{node.name}`, which is no input of it")
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
                del self.factors[node.args[0], "cholesky"]
            case _:
                raise TypeError(f"{node!r} has no form on lanes")

    def _constant(self, node: Node, value: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        items = [self.code.number(float(v)) for v in value.reshape(-1)] if value.size <= SMALL else None
        pointer = None if items is not None else self.code.table(value)
        store = Store(items=items, pointer=pointer, shared=pointer is not None, numbers=value)
        self.values[node] = plain(store, node.shape)

    # ------------------------------------------------------------ elementwise

    def _emit_map(self, node: Map) -> None:
        if is_sum(node) and any(isinstance(a, Place) for a in node.args):
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
        found = self.factors.get((matrix, kind))
        if found is None:
            make = emit_algebra.cholesky if kind == "cholesky" else emit_algebra.lu
            found = self.factors[matrix, kind] = make(self.code, self.values[matrix])
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
