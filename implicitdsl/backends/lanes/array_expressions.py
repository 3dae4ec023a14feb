"""The expressions of solvers of one sample as LLVM instructions: those of `lower_expressions.py`, and NumPy arrays.

An expression of arrays is a loop where it is stored, written or reduced, and nothing before: no array is made for it
unless it has a name or is handed to a function. Arrays that a function makes lie in the room of the call
(`memory.py`), which takes them back when the function returns. Where no memory is left, or the lengths of arrays do not
fit, or a slice reaches beyond its array, the room is marked, and every function returns at once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from llvmlite import ir

from implicitdsl.backends.lanes.array_inference import BITS, MADE, is_number
from implicitdsl.backends.lanes.arrays import Elements, Lazy, View, column, elements_of, matrix, vector
from implicitdsl.backends.lanes.element import (
    BOOL,
    FLOAT64,
    INDEX,
    INT,
    Kind,
    Known,
    Pointer,
    Several,
    Whole,
    converted,
)
from implicitdsl.backends.lanes.inference import Typed
from implicitdsl.backends.lanes.instructions import counting, place, up_to, write_zeros
from implicitdsl.backends.lanes.lower import FunctionWriter
from implicitdsl.backends.lanes.lower_expressions import Found
from implicitdsl.backends.lanes.memory import MISFIT, NO_MEMORY
from implicitdsl.backends.lanes.numpy_functions import NUMPY, REDUCTIONS, one_kind, takes
from implicitdsl.backends.lanes.operators import common_kind, emit_comparison, emit_negative, emit_operator
from implicitdsl.backends.lanes.room import BROKEN_AT, take
from implicitdsl.backends.lanes.words import WORDS, intrinsic

ZERO, ONE = ir.Constant(INDEX, 0), ir.Constant(INDEX, 1)


class ArrayExpressions(FunctionWriter):
    """Writes the expressions of one function, whose first argument is the room of the call."""

    def __init__(
        self, typed: Typed, made: ir.Function, function: Callable[[Typed], ir.Function], breaking: Collection[Any]
    ) -> None:
        """`breaking` are functions that may mark the room."""
        super().__init__(typed, made, function)
        self.room, self._breaking = made.args[0], breaking
        self.given: dict[str, Found] = {}
        """The parameters that nothing changes."""
        self.broken: dict[int, Any] = {}
        """Where the function goes when it fails, by the reason."""
        self.may_break, self.takes = False, False
        """Whether it may mark the room, and whether it makes arrays, or is given such as another one has made."""

    # ------------------------------------------------------------ what may fail

    def require(self, good: Any, reason: int = MISFIT) -> None:
        """Goes on where a truth holds; else everything returns."""
        self.may_break = True
        if reason not in self.broken:
            self.broken[reason] = self.begin("broken")
        more = self.begin("more")
        self.builder.cbranch(good, more, self.broken[reason])
        self.builder.position_at_end(more)

    def require_equal(self, x: Any, y: Any) -> None:
        if x is not y:
            self.require(self.builder.icmp_signed("==", x, y))

    def room_taken(self, dtype: Any, length: Any) -> tuple[Any, Any]:
        """A new array, whatever lies in it."""
        b, self.takes = self.builder, True
        at = take(b, self.room, b.mul(length, _bytes(dtype)))
        self.require(b.icmp_unsigned("!=", at, ir.Constant(at.type, None)), NO_MEMORY)
        return b.bitcast(at, Pointer(dtype).llvm), length

    # ------------------------------------------------------------ views

    def lengths(self, held: Found) -> tuple[Any, ...]:
        return tuple(held[1][1 : 1 + held[0].rank])

    def place_of(self, held: Found, *at: Any) -> Any:
        """Where an element of a view lies."""
        b, (kind, value) = self.builder, held
        if kind.rank == 2:
            return b.gep(value[0], [b.add(b.mul(at[0], value[3], flags=["nsw"]), at[1], flags=["nsw"])])
        return b.gep(value[0], [at[0] if kind.is_dense else b.mul(at[0], value[2], flags=["nsw"])])

    def lazy(self, found: Found) -> Lazy:
        if isinstance(found[0], View):
            return Lazy(self.lengths(found), lambda *at: self.builder.load(self.place_of(found, *at)))
        return found[1]

    def indexed(self, array: Found, index: ast.expr) -> Found:
        """A view, or the kind and the place of an element."""
        view, value = array
        parts: list[ast.expr] = index.elts if isinstance(index, ast.Tuple) else [index]
        if view.rank == 2 and len(parts) == 1:
            parts = [*parts, ast.Slice()]
        spans = [self.span(part, length) for part, length in zip(parts, self.lengths(array), strict=True)]
        at = self.place_of(array, *(first for first, _ in spans))
        match view.rank, [length for _, length in spans]:
            case 1, [None]:
                return view.dtype, at
            case 1, [length]:
                return view, (at, length, *value[2:])
            case _, [None, None]:
                return view.dtype, at
            case _, [None, columns]:
                return vector(view.dtype), (at, columns)
            case _, [rows, None]:
                return column(view.dtype), (at, rows, value[3])
            case _, [rows, columns]:
                return view, (at, rows, columns, value[3])

    def span(self, part: ast.expr, length: Any) -> tuple[Any, Any]:
        """The first place of a slice and its length, None for a place alone. Unlike NumPy's, it ends where it says."""
        b = self.builder
        match part:
            case ast.Slice(lower=None, upper=None):
                return ZERO, length
            case ast.Slice(lower=None, upper=ast.expr() as upper):
                end = self.whole(upper)
                if end is not length:
                    self.require(b.icmp_unsigned("<=", end, length))
                return ZERO, end
            case ast.Slice(lower=ast.expr() as lower, upper=None):
                first = self.whole(lower)
                self.require(b.icmp_unsigned("<=", first, length))
                return first, b.sub(length, first, flags=["nsw"])
            case ast.Slice(lower=ast.expr() as lower, upper=ast.expr() as upper):
                first = self.whole(lower)
                match upper:
                    case ast.BinOp(left=left, op=ast.Add(), right=right) if ast.dump(left) == ast.dump(lower):
                        count = self.whole(right)
                        end = b.add(first, count, flags=["nsw"])
                    case _:
                        end = self.whole(upper)
                        count = b.sub(end, first, flags=["nsw"])
                self.require(b.and_(b.icmp_unsigned("<=", end, length), b.icmp_unsigned("<=", first, end)))
                return first, count
            case _:
                return self.whole(part), None

    # ------------------------------------------------------------ elements

    def fill(self, held: Found, elements: Lazy, dtype: Kind) -> None:
        """The elements of a view become those of as large an array."""
        b, wanted = self.builder, held[0].dtype
        lengths = self.lengths(held)
        with up_to(b, lengths[0]) as i:
            if len(lengths) == 1:
                b.store(number_as(b, (dtype, elements.at(i)), wanted), self.place_of(held, i))
            else:
                with up_to(b, lengths[1]) as j:
                    b.store(number_as(b, (dtype, elements.at(i, j)), wanted), self.place_of(held, i, j))

    def in_memory(self, found: Found) -> Found:
        """The value as it has a name: elements are stored."""
        kind, value = found
        if not isinstance(kind, Elements):
            return found
        array = vector(kind.dtype), self.room_taken(kind.dtype, value.lengths[0])
        self.fill(array, value, kind.dtype)
        return array

    def elementwise(self, found: list[Found], common: Kind, result: Kind, emit: Callable[..., Any]) -> Found:
        """An operation on each element of what is an array among the operands, which become `common` for it."""
        b = self.builder
        operands: list[Callable[..., Any]] = []
        lengths: tuple[Any, ...] = ()
        for kind, value in found:
            held = elements_of(kind)
            if held is None:
                number = converted(b, value, kind, common)
                operands.append(lambda *at, number=number: number)
                continue
            elements = self.lazy((kind, value))
            for one, other in zip(lengths, elements.lengths, strict=False):
                self.require_equal(one, other)
            lengths = elements.lengths
            operands.append(lambda *at, e=elements, own=held.dtype: converted(b, e.at(*at), own, common))
        if not lengths:
            return result, emit(*(operand() for operand in operands))
        whole = Lazy(lengths, lambda *at: emit(*(operand(*at) for operand in operands)))
        return Elements(result, len(lengths)), whole

    def reduced(self, function: Any, found: Found) -> Found:
        """A value of all elements, in their order."""
        b, elements, dtype = self.builder, self.lazy(found), elements_of(found[0]).dtype
        reduction = REDUCTIONS[function]
        held, first = place(b, dtype.llvm), ZERO
        (length,) = elements.lengths
        if reduction.begin is None:
            self.require(b.icmp_signed(">", length, ZERO))
            b.store(elements.at(ZERO), held)
            first = ONE
        else:
            b.store(reduction.begin(dtype.llvm), held)
        with counting(b, first, length) as i:
            b.store(reduction.step(b, b.load(held), elements.at(i)), held)
        return dtype, b.load(held)

    # ------------------------------------------------------------ expressions

    def variable(self, name: str) -> Found:
        return self.given[name] if name in self.given else super().variable(name)

    def value(self, node: ast.expr) -> Found:
        b = self.builder
        match node:
            case ast.Subscript(value=value, slice=index):
                kind, held = self.indexed(self.value(value), index)
                return (kind, held) if isinstance(kind, View) else (kind, b.load(held))
            case ast.Attribute(value=value, attr="dtype"):
                return Known(self.value(value)[0].dtype), None
            case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
                found = self.value(operand)
                dtype = dtype_of(found[0])
                return self.elementwise([found], dtype, dtype, lambda x: emit_negative(b, dtype, x))
            case ast.BinOp(left=left, op=ast.Pow(), right=right) if not is_number(node):
                return self.powered(self.value(left), right)
            case ast.Call(func=ast.Attribute(value=value, attr="copy"), args=[]):
                found = self.value(value)
                return self.in_memory((elements_of(found[0]), self.lazy(found)))
            case ast.Call(func=ast.Attribute(value=value, attr="reshape"), args=[ast.Tuple(elts=[m, n])]):
                kind, (at, length) = self.value(value)
                rows, columns = self.whole(m), self.whole(n)
                self.require_equal(b.mul(rows, columns), length)
                return matrix(kind.dtype), (at, rows, columns, columns)
            case _:
                return super().value(node)

    def powered(self, base: Found, exponent: ast.expr) -> Found:
        b = self.builder
        if isinstance(exponent, ast.Constant) and isinstance(exponent.value, int):
            return base[0], _whole_power(b, base[1], exponent.value)
        kind, value = self.value(exponent)
        common = base[0] if base[0] == kind else FLOAT64
        return common, intrinsic(b, "pow", *(converted(b, v, k, common) for k, v in (base, (kind, value))))

    def operated(self, op: ast.AST, x: Found, y: Found) -> Found:
        b = self.builder
        if isinstance(op, BITS):
            return INT, (b.or_ if isinstance(op, ast.BitOr) else b.and_)(x[1], y[1])
        if elements_of(x[0]) is None and elements_of(y[0]) is None:
            return super().operated(op, x, y)
        common = common_kind(op, dtype_of(x[0]), dtype_of(y[0]))
        assert common is not None
        return self.elementwise([x, y], common, common, lambda *values: emit_operator(b, op, common, *values))

    # ------------------------------------------------------------ calls

    def called(self, node: ast.Call, arguments: list[Found]) -> Found:
        b = self.builder
        if node in self.typed.calls:
            return self.called_of_solver(self.typed.calls[node], [self.in_memory(found) for found in arguments])
        function = self.known(node.func)
        if function in MADE:
            return self.made_array(arguments[1][0].value, arguments[0][1], number=MADE[function])
        if function is np.outer:
            x, y = (self.lazy(found) for found in arguments)
            dtype = dtype_of(arguments[0][0])
            return Elements(dtype, 2), Lazy((*x.lengths, *y.lengths), lambda i, j: b.fmul(x.at(i), y.at(j)))
        if function in REDUCTIONS:
            return self.reduced(function, arguments[0])
        if function in NUMPY:
            common = takes(function, tuple(dtype_of(kind) for kind, _ in arguments))
            assert common is not None
            result = NUMPY[function].result(common)
            return self.elementwise(arguments, common, result, lambda *values: NUMPY[function].emit(b, *values))
        if function not in WORDS and function in (max, min, abs, bool):
            return self.called_of_python(function, arguments)
        return super().called(node, arguments)

    def made_array(self, dtype: Any, length: Any, *, number: int) -> Found:
        kind = dtype if isinstance(dtype, Kind) else INT
        array = vector(kind), self.room_taken(kind, length)
        if number == 0:
            write_zeros(self.builder, array[1][0], self.builder.mul(length, _bytes(kind)))
        else:
            one = number_as(self.builder, (INT, ir.Constant(INDEX, number)), kind)
            self.fill(array, Lazy((length,), lambda i: one), kind)
        return array

    def called_of_solver(self, called: Typed, arguments: list[Found]) -> Found:
        b, function = self.builder, self.function(called)
        given: list[Any] = []
        for kind, value in arguments:
            if not isinstance(kind, Known):
                given += value if isinstance(kind, Several) else [value]
        found = b.call(function, [self.room, *given])
        if function in self._breaking:
            self.may_break, more = True, self.begin("more")
            b.cbranch(b.icmp_signed("==", b.load(b.gep(self.room, BROKEN_AT)), ZERO), more, self.last)
            b.position_at_end(more)
        assert called.result is not None
        self.takes |= isinstance(called.result, View)
        if isinstance(called.result, Several):
            return called.result, tuple(b.extract_value(found, i) for i in range(len(called.result.parts)))
        return called.result, found

    def called_of_python(self, function: Any, arguments: list[Found]) -> Found:
        b, (held, found) = self.builder, arguments[0]
        if function is abs:
            return held, intrinsic(b, "fabs", found)
        sign = ast.Gt() if function is max else ast.Lt()
        for kind, value in arguments[1:]:
            common = one_kind((held, kind))
            assert common is not None
            x, y = converted(b, found, held, common), converted(b, value, kind, common)
            held, found = common, b.select(emit_comparison(b, sign, common, y, x), y, x)
        return held, found


def dtype_of(kind: Kind) -> Kind:
    """The kind of the elements of an array, or of the number."""
    held = elements_of(kind)
    return kind if held is None else held.dtype


def number_as(builder: Any, found: Found, wanted: Kind) -> Any:
    """A number as an array of that kind holds it."""
    kind, value = found
    if kind == BOOL and isinstance(wanted, Whole):
        return builder.zext(value, wanted.llvm)
    return converted(builder, value, kind, wanted)


def _bytes(dtype: Any) -> ir.Constant:
    return ir.Constant(INDEX, dtype.bits // 8)


def _whole_power(builder: Any, x: Any, exponent: int) -> Any:
    """x**3 as x times the square of x, and so on."""
    found: Any = None
    while exponent:
        if exponent & 1:
            found = x if found is None else builder.fmul(found, x)
        exponent >>= 1
        x = builder.fmul(x, x)
    return found
