"""The kinds of what solvers of one sample compute: those of `inference.py`, and NumPy arrays.

Arrays are made (`np.zeros`, `.copy()`, an expression that is given a name), sliced, written element by element, and
reduced. A statement that writes elements reads and writes one after the other, so nothing that it reads may lie
elsewhere in the array that it writes.
"""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any

import numpy as np

from implicitdsl.backends.lanes.arrays import Elements, View, column, elements_of, fits, matrix, stored, vector
from implicitdsl.backends.lanes.element import BOOL, FLOAT64, INT, Kind, Known, Real, Whole
from implicitdsl.backends.lanes.inference import FunctionInference, LoweringError
from implicitdsl.backends.lanes.numpy_functions import NUMPY, REDUCTIONS, one_kind, takes
from implicitdsl.backends.lanes.words import WORDS

MADE: dict[Any, int] = {np.zeros: 0, np.ones: 1}
"""What makes an array of a length and a dtype, and the number that it is full of."""
BITS = (ast.BitOr, ast.BitAnd)
"""Operators on the bits of whole numbers."""


class ArrayInference(FunctionInference):
    """Finds the kinds of one function that works on arrays."""

    # ------------------------------------------------------------ statements

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value) if isinstance(self.kind(target), View):
                self.written(target, self.operated(op, self.kind(target), self.kind(value)), value)
            case ast.AugAssign(target=ast.Subscript() as target, op=op, value=value):
                self.written(target, self.operated(op, self.kind(target), self.kind(value)), value)
            case ast.Assign(targets=[ast.Subscript() as target], value=value):
                self.written(target, self.kind(value), value)
            case _:
                super().statement(statement)

    def written(self, target: ast.expr, kind: Kind, value: ast.expr) -> None:
        """Elements of an array, or one, receive a value."""
        held, given = self.kind(target), elements_of(kind)
        if not isinstance(held, View):
            if not fits(kind, held):
                raise LoweringError(f"an array of {held} cannot hold {kind}")
            return
        if given is not None and given.rank != held.rank:
            raise LoweringError("arrays of unlike dimensions")
        if not fits(kind if given is None else given.dtype, held.dtype):
            raise LoweringError(f"an array of {held.dtype} cannot hold {kind}")
        if not (isinstance(kind, View) and kind.is_dense and held.is_dense):
            # Elements side by side are copied as a whole.
            self.apart(target, value, is_outer=False)

    def apart(self, target: ast.expr, node: ast.expr, *, is_outer: bool) -> None:
        """Refuses elements that are read from where the array is written before, as far as names tell."""
        kind = self.kind(node)
        if elements_of(kind) is None:
            return
        if isinstance(kind, View):
            if _root(node) == _root(target) and not _are_apart(target, node, is_outer=is_outer):
                raise LoweringError(f"`{ast.unparse(node)}` is written while it is read")
            return
        is_outer = is_outer or (isinstance(node, ast.Call) and self.kind(node.func) == Known(np.outer))
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.expr):
                self.apart(target, inner, is_outer=is_outer)

    def assign(self, target: ast.expr, kind: Kind) -> None:
        if isinstance(target, ast.Subscript):
            if not fits(kind, self.kind(target)):
                raise LoweringError(f"an array of {self.kind(target)} cannot hold {kind}")
            return
        super().assign(target, self.stored(kind))

    def give(self, kind: Kind) -> None:
        super().give(self.stored(kind))

    def stored(self, kind: Kind) -> Kind:
        try:
            return stored(kind)
        except TypeError as error:
            raise LoweringError(f"solvers have no such array: {error}") from None

    # ------------------------------------------------------------ expressions

    def kind(self, node: ast.expr) -> Kind:
        match node:
            case ast.Subscript(value=value, slice=index):
                return self.indexed(self.kind(value), index)
            case ast.Attribute(value=value, attr="dtype"):
                array = self.kind(value)
                return Known(array.dtype if isinstance(array, View) else None)
            case ast.UnaryOp(op=ast.USub(), operand=operand) if isinstance(self.kind(operand), View | Elements):
                return elements_of(self.kind(operand))  # type: ignore[return-value] - an array
            case ast.BinOp(left=left, op=ast.Pow(), right=right) if not is_number(node):
                return self.powered(self.kind(left), self.kind(right))
            case ast.Call(func=ast.Attribute(value=value, attr="copy"), args=[], keywords=[]):
                return self.stored(self.array(value))
            case ast.Call(func=ast.Attribute(value=value, attr="reshape"), args=[ast.Tuple(elts=[m, n])], keywords=[]):
                array = self.array(value)
                self.whole(m)
                self.whole(n)
                return matrix(array.dtype)
            case _:
                return super().kind(node)

    def array(self, node: ast.expr) -> Elements:
        found = elements_of(self.kind(node))
        if found is None or found.rank != 1:
            raise LoweringError(f"`{ast.unparse(node)}` is no array of one dimension")
        return found

    def indexed(self, array: Kind, index: ast.expr) -> Kind:
        if not isinstance(array, View):
            raise LoweringError(f"{array} has no elements")
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        slices = [isinstance(part, ast.Slice) for part in parts]
        for part in parts:
            self.place_of_elements(part)
        match array.rank, slices:
            case (1, [False]) | (2, [False, False]):
                return array.dtype
            case 1, [True]:
                return vector(array.dtype) if array.is_dense else array
            case 2, [False] | [False, True]:
                return vector(array.dtype)
            case 2, [True, False]:
                return column(array.dtype)
            case 2, [True, True]:
                return array
            case _:
                raise LoweringError(f"a {array} has no such part")

    def place_of_elements(self, part: ast.expr) -> None:
        given = [part]
        if isinstance(part, ast.Slice):
            if part.step is not None:
                raise LoweringError("slices have no steps")
            given = [bound for bound in (part.lower, part.upper) if bound is not None]
        for place in given:
            if isinstance(place, ast.UnaryOp):
                raise LoweringError("places are counted from the beginning")
            self.whole(place)

    def powered(self, x: Kind, y: Kind) -> Kind:
        if not isinstance(x, Real) or not isinstance(y, Real | Whole):
            raise LoweringError(f"{x} has no power {y}")
        return x if isinstance(y, Whole) or x == y else FLOAT64

    def operated(self, op: ast.AST, x: Kind, y: Kind) -> Kind:
        left, right = elements_of(x), elements_of(y)
        if left is None and right is None:
            if isinstance(op, BITS) and isinstance(x, Whole) and isinstance(y, Whole):
                return INT
            return super().operated(op, x, y)
        ranks = {array.rank for array in (left, right) if array is not None}
        if len(ranks) > 1:
            raise LoweringError("arrays of unlike dimensions")
        dtype = super().operated(op, x if left is None else left.dtype, y if right is None else right.dtype)
        return Elements(dtype, ranks.pop())

    def called(self, node: ast.Call, function: Any, arguments: tuple[Kind, ...]) -> Kind:
        found = self.called_of_numpy(function, arguments)
        if found is not None:
            return found
        if function in WORDS and WORDS[function].typing(arguments) is None and isinstance(function, FunctionType):
            # A word of lanes is for one sample what its body says.
            source = self.plain(function)
        elif isinstance(function, FunctionType) and function not in WORDS:
            source = self.plain(function)
        else:
            return self.called_of_python(node, function, arguments)
        self.typed.calls[node] = called = self.inference.typed(source, tuple(map(self.stored, arguments)))
        assert called.result is not None
        return called.result

    def called_of_python(self, node: ast.Call, function: Any, arguments: tuple[Kind, ...]) -> Kind:
        if function is bool and arguments == (BOOL,):
            return BOOL
        if function is abs and len(arguments) == 1 and isinstance(arguments[0], Real):
            return arguments[0]
        if function in (max, min) and len(arguments) > 1 and (found := one_kind(arguments)) is not None:
            return found
        return super().called(node, function, arguments)

    def called_of_numpy(self, function: Any, arguments: tuple[Kind, ...]) -> Kind | None:
        if function in MADE:
            match arguments:
                case [Whole(), Known(value=dtype)]:
                    return vector(dtype if isinstance(dtype, Kind) else _dtype(dtype))
                case _:
                    raise LoweringError("arrays are made of a length and a dtype")
        arrays = [elements_of(kind) for kind in arguments]
        if function is np.outer:
            match arrays:
                case [Elements(dtype=dtype, rank=1), Elements(dtype=other, rank=1)] if dtype == other:
                    return Elements(dtype, 2)
                case _:
                    raise LoweringError("np.outer takes two arrays of one dimension")
        if function in REDUCTIONS:
            match arrays:
                case [Elements(dtype=dtype)] if isinstance(dtype, REDUCTIONS[function].takes):
                    return dtype
                case _:
                    raise LoweringError(f"{function.__name__} takes no {', '.join(map(str, arguments))}")
        if function in NUMPY:
            held = tuple(k if a is None else a.dtype for k, a in zip(arguments, arrays, strict=True))
            common, ranks = takes(function, held), {array.rank for array in arrays if array is not None}
            if common is None or len(ranks) > 1:
                raise LoweringError(f"{function.__name__} takes no {', '.join(map(str, arguments))}")
            result = NUMPY[function].result(common)
            return Elements(result, ranks.pop()) if ranks else result
        return None


def is_number(node: ast.BinOp) -> bool:
    """Whether a power is one of numbers that are known, as `lower_expressions.py` takes them."""
    return isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant | ast.UnaryOp)


def _dtype(dtype: Any) -> Kind:
    if dtype is not np.int64:
        raise LoweringError(f"solvers have no arrays of {dtype}")
    return INT


def _root(node: ast.expr) -> str | None:
    """The name of the array that a view is of."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _are_apart(target: ast.expr, node: ast.expr, *, is_outer: bool) -> bool:
    """Whether two views of one array have no element in common at all or, if not `is_outer`, none but at the same
    place in both."""
    if ast.dump(target).replace("Store()", "Load()") == ast.dump(node):
        return not is_outer
    if not (isinstance(target, ast.Subscript) and isinstance(node, ast.Subscript)):
        return False
    places = [s.elts if isinstance(s, ast.Tuple) else [s] for s in (target.slice, node.slice)]
    if len(places[0]) != len(places[1]):
        return False
    pairs = list(zip(*places, strict=True))
    if any(_have_nothing_in_common(x, y) or _have_nothing_in_common(y, x) for x, y in pairs):
        return True
    are_alike = all(
        ast.dump(x) == ast.dump(y) or not (isinstance(x, ast.Slice) or isinstance(y, ast.Slice)) for x, y in pairs
    )
    return are_alike and not is_outer


def _have_nothing_in_common(place: ast.expr, part: ast.expr) -> bool:
    """`k` and `k + 1:`, or `k` and `:k`."""
    if isinstance(place, ast.Slice) or not isinstance(part, ast.Slice):
        return False
    following = ast.BinOp(place, ast.Add(), ast.Constant(1))
    match part:
        case ast.Slice(lower=ast.expr() as lower):
            return ast.dump(lower) == ast.dump(following)
        case ast.Slice(lower=None, upper=ast.expr() as upper):
            return ast.dump(upper) == ast.dump(place)
        case _:
            return False
