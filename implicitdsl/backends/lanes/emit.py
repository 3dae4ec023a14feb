"""Derived functions as LLVM functions over lanes.

`emit_functions` writes one `void @imp_NAME(groups in order)` a function: the groups `t` and `t_dot` come by value, all
others as pointers to elements, one vector of `width` floats an element; inputs, then outputs. Outputs are overwritten,
or added to where the function says so, and must not overlap inputs. How nodes are written: `emit_nodes.py`.

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

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes import elementary, emit_layout, emit_nodes, emit_sums
from implicitdsl.backends.lanes.emit_nodes import NodeEmission
from implicitdsl.backends.lanes.kept_values import KEPT, cost_of
from implicitdsl.backends.lanes.lane_code import POINTER, Dtype, LaneCode
from implicitdsl.backends.lanes.target import device
from implicitdsl.backends.lanes.values import OnEntry, Store, Value, elements, plain
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.layout import is_sum
from implicitdsl.ir.node import Contract, Leaf, Map, Node, Place, walk
from implicitdsl.kernels.groups import SCALAR_GROUPS
from implicitdsl.problems.derived import Derived, Group

ADDRESS_BYTES = 8
DEAR = 700
"""Operations from which on there is one copy of a function, whoever calls it."""


def emit_functions(
    functions: Mapping[str, Derived] | Iterable[Derived],
    dtype: Dtype,
    width: int,
    *,
    shared: Collection[Leaf] = (),
    summed: Collection[Leaf] = (),
    are_called: bool = False,
) -> str:
    """The LLVM text of a module with `imp_NAME` for every function, which stays a function if it is dear or all
    `are_called`.

    Raises NotEmittedError for an elementwise function without a record, ValueError for a leaf that is no input and for
    elements too small to hold an address.
    """
    module = ir.Module("model")
    given = functions.values() if isinstance(functions, Mapping) else functions
    for function in given:
        emission = Emission(module, function, dtype, width, shared, summed)
        emission.write(is_called=are_called or is_dear(function))
    # The module takes the triple of what it is linked into.
    return "\n".join(line for line in str(module).splitlines() if not line.startswith("target "))


def emit_apart(
    functions: Iterable[Derived],
    dtype: Dtype,
    width: int,
    *,
    shared: Collection[Leaf] = (),
    summed: Collection[Leaf] = (),
    are_called: bool = False,
) -> list[str]:
    """As `emit_functions`, in several modules: one for every dear function, and one with the others, which become part
    of their callers unless `are_called`."""
    cheap, dear = list[Derived](), list[Derived]()
    for function in functions:
        (dear if is_dear(function) else cheap).append(function)
    parts = [cheap, *([function] for function in dear)]
    return [
        emit_functions(part, dtype, width, shared=shared, summed=summed, are_called=are_called)
        for part in parts
        if part
    ]


def is_dear(function: Derived) -> bool:
    """Whether there is one copy of a function, whoever calls it: a call costs a dear one nothing."""
    # A GPU's threads would have what such a function reads in memory instead of registers.
    return device() is None and sum(map(cost_of, walk(function.nodes))) >= DEAR


def looped_nodes(function: Derived, dtype: Dtype, width: int) -> int | None:
    """How many nodes of a function are loops over arrays, the others being written out; None where it has no code."""
    emission = Emission(ir.Module("looked at"), function, dtype, width, (), ())
    try:
        emission.write(is_called=False)
    except elementary.NotEmittedError:
        return None
    stores = {id(v.store): v.store for n, v in emission.nodes.values.items() if n.args and not is_layout(n)}
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
        made.attributes.add("nounwind")
        self.code = LaneCode(made, dtype, width)
        self.arguments = list(made.args)
        self.shared = frozenset(shared)
        self.written, self.sums = self._destinations(frozenset(summed))
        self.roots = tuple(m for m, _ in self.written if m is not None)
        for term in self.sums:
            self.roots += term.node.args if term.is_product else (term.node,)
        self.order = list(walk(self.roots))
        self.nodes = NodeEmission(self.code, function.name, adds=function.adds)
        self.users: dict[Node, list[Node]] = {}
        for node in self.order:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)

    def write(self, *, is_called: bool) -> None:
        """The whole function, which stays one if it `is_called`."""
        self._take_inputs()
        self._choose_direct()
        for node in self.order:
            if node not in self.nodes.values and not self._melts(node):
                self.nodes.emit(node)
        self._give_outputs()
        self._give_sums()
        self.code.finish()
        self.code.function.attributes.add("noinline" if is_called else "alwaysinline")

    # ------------------------------------------------------------ groups

    def _take_inputs(self) -> None:
        needed = set(self.order)
        for group, argument in zip(self.function.inputs, self.arguments, strict=False):
            start = 0
            for leaf in group.leaves:
                if leaf in needed:
                    self.nodes.values[leaf] = self._input(group, argument, leaf, start)
                start += 1 if leaf in self.shared else leaf.size

    def _input(self, group: Group, argument: Any, leaf: Leaf, start: int) -> Value:
        if group.name in SCALAR_GROUPS:
            return plain(Store(items=[argument]), leaf.shape)
        if leaf in self.shared:
            return plain(Store(pointer=self._floats_of(leaf, argument, start), shared=True), leaf.shape)
        pointer = self.code.address(argument, start)
        items = OnEntry(self.code, argument, start, leaf.size) if leaf.size <= emit_nodes.SMALL else None
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
        kept = {m for g in self.function.outputs if g.name == KEPT for m in g.members}
        for member, target in self.written:
            if member is None or self.roots.count(member) > 1:
                continue
            if self.users.get(member):
                if member not in kept or self.function.adds:
                    continue
                self.nodes.read_back.add(member)
            if isinstance(member, Map) or (isinstance(member, Contract) and not is_layout(member)):
                self.nodes.direct[member] = target

    def _give_outputs(self) -> None:
        adds, code = self.function.adds, self.code
        for member, target in self.written:
            if member is None:
                if not adds:
                    emit_layout.fill_zero(code, target)
            elif self.nodes.direct.get(member) is None or member in self.nodes.values:
                value = self.nodes.values[member]
                if value is target:
                    continue
                if self._is_in_registers(value):
                    for k, item in enumerate(elements(code, value)):
                        place = target.offset + k
                        if adds:
                            item = code.add(code.load(target.store.pointer, place), item)
                        code.store(item, target.store.pointer, place)
                else:
                    emit_layout.copy_into(code, value, target, adds=adds)

    def _is_in_registers(self, value: Value) -> bool:
        """Whether a value is given by instructions of its own for every element."""
        store = value.store
        lies = store.pointer is not None or store.numbers is not None or value.is_uniform
        return store.items is not None and value.size <= (emit_nodes.IN_REGISTERS if lies else emit_nodes.SMALL)

    def _give_sums(self) -> None:
        if not self.sums:
            return
        cotangents = [v for leaf, v in self.nodes.values.items() if isinstance(leaf, Leaf) and leaf.kind == "cotangent"]
        alive = emit_sums.alive(self.code, cotangents)
        for term in self.sums:
            if term.is_product:
                args = [self.nodes.values[a] for a in term.node.args]
                emit_sums.add_product(self.code, term.node, args, term.target, alive)
            else:
                emit_sums.add_lanes(self.code, self.nodes.values[term.node], term.target, alive)

    # ------------------------------------------------------------ nodes

    def _melts(self, node: Node) -> bool:
        """Whether a Place is written straight into the sums that use it."""
        users = self.users.get(node, [])
        return isinstance(node, Place) and bool(users) and all(is_sum(u) for u in users) and not self._is_output(node)

    def _is_output(self, node: Node) -> bool:
        return any(node is m for m in self.roots)
