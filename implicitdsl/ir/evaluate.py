"""Graphs as NumPy functions: one generated Python statement a node, run once through `exec`.

The oracle of every other back end. A value of shape () is a NumPy scalar, arrays are C-contiguous where a sum is
taken, so that bits depend on values alone; the dtype is that of the arrays given. Broadcasts feeding Maps stay
unexpanded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from implicitdsl.functions.scalar import NAMESPACE, statements
from implicitdsl.ir import routines
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.einsum import contraction_text
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
    Shape,
    Solve,
    Window,
    walk,
)

Array = NDArray[Any]


class Function:
    """A compiled graph: call it with one array a input, get a tuple of arrays. `source` is the generated text."""

    def __init__(self, name: str, inputs: tuple[Leaf, ...], source: str, namespace: dict[str, Any]) -> None:
        self.name = name
        self.inputs = inputs
        self.source = source
        self._bodies: dict[np.dtype[Any], Callable[..., tuple[Array, ...]]] = {}
        self._namespace = namespace
        self._code = compile(source, f"<{name}>", "exec")
        self._shapes = [leaf.shape for leaf in inputs]

    def __call__(self, *arrays: Any) -> tuple[Array, ...]:
        """The outputs, in the dtype of the (promoted) arrays, float64 where none is float; they share no memory
        with the arrays. Raises ValueError for another number or shape of arrays."""
        given = [np.asarray(a) for a in arrays]
        if [a.shape for a in given] != self._shapes:
            raise ValueError(f"{self.name} takes shapes {self._shapes}, not {[a.shape for a in given]}")
        dtype = np.result_type(*given) if given else np.dtype(np.float64)
        if dtype.kind != "f":
            dtype = np.dtype(np.float64)
        body = self._bodies.get(dtype) or self._body(dtype)
        with np.errstate(all="ignore"):
            return body(*[a.astype(dtype, order="C", copy=False)[()] for a in given])

    def scope(self, dtype: np.dtype[Any]) -> dict[str, Any]:
        """What the text refers to, constants in the dtype."""
        return scope(self._namespace, dtype)

    def _body(self, dtype: np.dtype[Any]) -> Callable[..., tuple[Array, ...]]:
        names = self.scope(dtype)
        exec(self._code, names)
        body: Callable[..., tuple[Array, ...]] = names["body"]
        self._bodies[dtype] = body
        return body


def _frozen(array: Array) -> Any:
    array.setflags(write=False)
    return array[()]


def function(inputs: Sequence[Leaf], outputs: Sequence[Node], name: str = "f") -> Function:
    """The graph as a callable: arrays of the leaves' shapes in, a tuple of new arrays out, all in the promoted
    dtype of the arrays. A singular system, a factorisation that does not exist, an overflow give NaN or inf, never
    an exception or a warning. Raises ValueError if an output depends on a leaf that is not among the inputs."""
    return _Writer(tuple(inputs), tuple(outputs), name).write()


class Text(NamedTuple):
    """Statements, the texts of the outputs after them, what both refer to, and the inputs that they read. A text gives
    an array of the output's shape, a scalar where that is (), and may be a view of an input."""

    lines: list[str]
    outputs: list[str]
    namespace: dict[str, Any]
    used: frozenset[Leaf]


def text(inputs: Sequence[Leaf], names: Sequence[str], outputs: Sequence[Node], name: str = "f") -> Text:
    """What `function` runs, for whoever writes functions of a signature of their own: the inputs are arrays of their
    leaves' shapes (scalars where those are ()) of one dtype in variables of the names given; floating point warnings
    are the caller's to suppress. What is referred to has to be brought to that dtype: `scope`."""
    return _Writer(tuple(inputs), tuple(outputs), name, tuple(names)).text()


def scope(namespace: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """What a text refers to, constants in the dtype."""
    arrays: dict[str, Array] = {k: v for k, v in namespace.items() if isinstance(v, np.ndarray)}
    floats = {k: _frozen(v.astype(dtype)) for k, v in arrays.items() if v.dtype.kind == "f"}
    return {**namespace, **floats, "dtype": dtype}


def evaluate(outputs: Sequence[Node], values: Mapping[Leaf, Any]) -> tuple[Array, ...]:
    """The outputs for given values of the leaves."""
    leaves = tuple(values)
    return function(leaves, outputs, "evaluate")(*(values[leaf] for leaf in leaves))


class _Writer:
    """The text of one function, statement by statement."""

    def __init__(
        self, inputs: tuple[Leaf, ...], outputs: tuple[Node, ...], name: str, names: tuple[str, ...] = ()
    ) -> None:
        self.inputs = inputs
        self.names = names or tuple(f"x{k}" for k in range(len(inputs)))
        self.outputs = outputs
        self.name = name
        self.order = list(walk(outputs))
        self.texts: dict[Node, str] = {}
        self.thin: dict[Node, Shape] = {}
        """The shape a value really has: with 1 where a broadcast has been left unexpanded."""
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = dict(NAMESPACE) | {"routines": routines}
        self.users: dict[Node, list[Node]] = {}
        for node in self.order:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)
        self._place = {node: k for k, node in enumerate(self.order)}

    def write(self) -> Function:
        self._write_lines()
        results = ", ".join(f"routines.result({self._full(o)}, {o.shape}, dtype)" for o in self.outputs)
        text = "\n    ".join([*self.lines, f"return ({results}{',' if results else ''})"])
        source = f"def body({', '.join(self.names)}):\n    {text}\n"
        return Function(self.name, self.inputs, source, self.namespace)

    def text(self) -> Text:
        self._write_lines()
        used = frozenset(node for node in self.order if isinstance(node, Leaf))
        return Text(self.lines, [self._full(o) for o in self.outputs], self.namespace, used)

    def _write_lines(self) -> None:
        self.texts.update(zip(self.inputs, self.names, strict=True))
        last = self._last_uses()
        for k, node in enumerate(self.order):
            if node not in self.texts:
                self._emit(node)
            gone = [self.texts[n] for n in last.get(k, ()) if n.shape and self.texts[n].startswith("v")]
            if gone:
                self.lines.append(f"del {', '.join(gone)}")

    def _last_uses(self) -> dict[int, list[Node]]:
        """By place in the order, the nodes whose variable nobody reads from there on."""
        end = len(self.order)
        kept = set(self.outputs)
        dies: dict[Node, int] = {}
        last: dict[int, list[Node]] = {}
        for k in range(end - 1, -1, -1):
            node = self.order[k]
            users = self.users.get(node, [])
            reads = [dies[u] if self._passes(u) else self._place[u] for u in users]
            death = end if node in kept else max(reads, default=k)
            dies[node] = death
            if death < end and not self._passes(node):
                last.setdefault(death, []).append(node)
        return last

    def _passes(self, node: Node) -> bool:
        """Whether a node has no variable of its own: its users read that of its argument."""
        match node:
            case Factor():
                return True
            case Reshape():
                return node.args[0].shape == ()
            case Contract():
                return is_layout(node) and node.args[0].shape == ()
            case Place():
                return self._melts(node)
            case Pick():
                return self._indexes(node)
            case _:
                return False

    def _indexes(self, node: Node) -> bool:
        """Whether a Pick is only read by one Reshape that drops axes of size 1: an index."""
        users = self.users.get(node, [])
        if not isinstance(node, Pick) or node in self.outputs or len(users) != 1 or not isinstance(users[0], Reshape):
            return False
        return users[0].shape == tuple(n for n in node.shape if n != 1)

    def _melts(self, node: Node) -> bool:
        """Whether a Place is written straight into the sum that is its only user."""
        if not isinstance(node, Place) or node in self.outputs:
            return False
        users = self.users.get(node, [])
        return len(users) == 1 and is_sum(users[0]) and users[0].shape != ()

    # ------------------------------------------------------------ operands

    def _full(self, node: Node) -> str:
        """The text of a value in its whole shape."""
        text = self.texts[node]
        return text if self._shape(node) == node.shape else f"np.broadcast_to({text}, {node.shape})"

    def _dense(self, node: Node) -> str:
        """The text of a value in its whole shape and in memory."""
        text = self.texts[node]
        if self._shape(node) == node.shape:
            return text
        return f"np.ascontiguousarray(np.broadcast_to({text}, {node.shape}))"

    def _shape(self, node: Node) -> Shape:
        return self.thin.get(node, node.shape)

    def _assign(self, node: Node, text: str) -> None:
        name = f"v{len(self.lines)}"
        self.texts[node] = name
        self.lines.append(f"{name} = {text}")

    def _stored(self, value: Array) -> str:
        name = f"c{len(self.namespace)}"
        self.namespace[name] = value
        return name

    # ------------------------------------------------------------ nodes

    def _emit(self, node: Node) -> None:
        match node:
            case Leaf():
                raise ValueError(f"{self.name} depends on {node.kind} `{node.name}`, which is not among its inputs")
            case Constant():
                self.texts[node] = self._stored(node.value)
            case Delta():
                self.texts[node] = self._stored(np.eye(node.shape[0]))
            case Map():
                self._emit_map(node)
            case Contract():
                self._emit_contract(node)
            case Pick():
                if not self._indexes(node):
                    box = ", ".join(f"{p}:{q}" for p, q in node.ranges)
                    self._assign(node, f"np.ascontiguousarray({self._dense(node.args[0])}[{box}])")
            case Place():
                if not self._melts(node):
                    box = ", ".join(f"{p}:{q}" for p, q in node.ranges)
                    self._assign(node, f"np.zeros({node.shape}, dtype)")
                    self.lines.append(f"{self.texts[node]}[{box}] = {self.texts[node.args[0]]}")
            case Reshape():
                self._emit_reshape(node)
            case Window():
                places = self._stored(routines.window_places(node.strides, node.offset, node.args[0].shape, node.shape))
                self._assign(node, f"routines.gather({self._dense(node.args[0])}, {places})")
            case Scatter():
                places = self._stored(routines.window_places(node.strides, node.offset, node.shape, node.args[0].shape))
                self._assign(node, f"routines.scatter({self._dense(node.args[0])}, {places}, {node.shape})")
            case Reduce():
                self._assign(node, f"routines.{node.kind}_last({self._dense(node.args[0])})")
            case Factor():
                self.texts[node] = self._dense(node.args[0])
            case Solve():
                matrix = self.texts[node.args[0]] + (".T" if node.transposed else "")
                self._assign(node, f"routines.solve({matrix}, {self._dense(node.args[1])}, {node.args[0].key[0]!r})")
            case LogDet():
                self._assign(node, f"routines.{node.what}({self.texts[node.args[0]]})")
            case Cholesky():
                self._assign(node, f"routines.cholesky({self._dense(node.args[0])})")
            case _:
                raise TypeError(f"{node!r} has no NumPy form")

    def _emit_map(self, node: Map) -> None:
        if is_sum(node) and node.shape != () and any(self._melts(a) for a in node.args):
            self._emit_sum(node)
            return
        lines, result = statements(node.expr, [self.texts[a] for a in node.args], f"t{len(self.lines)}_")
        *first, last = lines
        self.lines += first
        self._assign(node, last.removeprefix(f"{result} = "))
        if first:
            self.lines.append("del " + ", ".join(line.split(" = ", 1)[0] for line in first))
        thin = np.broadcast_shapes(*(self._shape(a) for a in node.args))
        if thin != node.shape:
            self.thin[node] = thin

    def _emit_sum(self, node: Map) -> None:
        """Places written into one array rather than padded and added; boxes that do not meet are assigned."""
        placed = [a for a in node.args if self._melts(a)]
        others = [a for a in node.args if not self._melts(a)]
        self._assign(node, f"np.zeros({node.shape}, dtype)")
        name = self.texts[node]
        for other in others:
            self.lines.append(f"{name} += {self.texts[other]}")
        disjoint = not others and routines.are_disjoint([a.key[0] for a in placed], node.shape)
        for part in placed:
            value = part.args[0]
            scalar = self._shape(value) == () and value.size == 1
            box = ", ".join(str(p) if scalar else f"{p}:{q}" for p, q in part.key[0])
            self.lines.append(f"{name}[{box}] {'=' if disjoint else '+='} {self.texts[value]}")

    def _emit_reshape(self, node: Reshape) -> None:
        arg = node.args[0]
        if arg.shape == ():
            self._same(node, arg)
        elif isinstance(arg, Pick) and self._indexes(arg):
            box = ", ".join(str(p) if q - p == 1 else f"{p}:{q}" for p, q in arg.ranges)
            value = f"{self._dense(arg.args[0])}[{box}]"
            self._assign(node, value if node.shape == () else f"np.ascontiguousarray({value})")
        else:
            self._assign(node, f"{self._dense(arg)}.reshape({node.shape})" + ("[()]" if node.shape == () else ""))

    def _same(self, node: Node, scalar: Node) -> None:
        """A scalar stands for an array of it."""
        self.texts[node] = self.texts[scalar]
        self.thin[node] = ()

    def _emit_contract(self, node: Contract) -> None:
        if is_layout(node):
            self._emit_layout(node)
        else:
            self._assign(node, contraction_text(node, [self._dense(a) for a in node.args]))

    def _emit_layout(self, node: Contract) -> None:
        arg, text, out = node.args[0], node.ins[0], node.out
        if text == "":
            self._same(node, arg)
            return
        value, thin = self.texts[arg], self._shape(arg)
        if len(thin) != len(text):
            value, thin = self._full(arg), arg.shape
        kept = [c for c in out if c in text]
        if kept != list(text):
            order = tuple(text.index(c) for c in kept)
            value, thin = f"{value}.transpose({order})", tuple(thin[k] for k in order)
        if len(kept) < len(out):
            sizes = iter(thin)
            thin = tuple(next(sizes) if c in text else 1 for c in out)
            value = f"{value}[{', '.join(':' if c in text else 'None' for c in out)}]"
        self._assign(node, f"np.ascontiguousarray({value})")
        if thin != node.shape:
            self.thin[node] = thin
