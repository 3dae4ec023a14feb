"""The words of `solvers/vocabulary.py` for lanes: what `lower.py` writes where a solver calls one.

Loops over the elements of arrays are functions, which `word_functions.py` writes when the model is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from implicitdsl.backends import interrupt
from implicitdsl.backends.lanes.arrays import View
from implicitdsl.backends.lanes.element import (
    BOOL,
    FLOAT64,
    INDEX,
    INT,
    VOID,
    Kind,
    Lanes,
    Mask,
    Pointer,
    Real,
    Truth,
    found_lanes,
)
from implicitdsl.backends.lanes.instructions import declared, place, write_zeros
from implicitdsl.backends.lanes.power import emit_exp2, emit_log2, emit_power
from implicitdsl.backends.lanes.word_names import name_of
from implicitdsl.solvers import vocabulary

NEAR = 1 << 12
"""Bytes of a `far_buffer` up to which it lies on the stack."""
FAR = "far.buffer"
"""How the names of the places begin that hold what a function must give back."""

Kinds = tuple[Kind, ...]
Typing = Callable[[Kinds], Any]


@dataclass(frozen=True)
class Word:
    """`typing(args)` gives the kind of the result and those of the arguments after conversion, or None;
    `emit(builder, result, kinds, args)` writes the word."""

    typing: Typing
    emit: Callable[..., Any]


WORDS: dict[Callable[..., Any], Word] = {}
"""All words, by the function that solvers name."""


def register(word: Callable[..., Any], typing: Typing, emit: Callable[..., Any]) -> None:
    """Let solvers call a word."""
    WORDS[word] = Word(typing, emit)


def intrinsic(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """A call of an LLVM intrinsic that is overloaded on the type of its arguments."""
    kind = args[0].type
    scalar = kind.element if isinstance(kind, ir.VectorType) else kind
    letters = "f64" if isinstance(scalar, ir.DoubleType) else "f32"
    full = f"llvm.{name}.v{kind.count}{letters}" if isinstance(kind, ir.VectorType) else f"llvm.{name}.{letters}"
    function = declared(builder, ir.FunctionType(kind, [kind] * len(args)), full)
    return builder.call(function, args)


# ---------------------------------------------------------------- elements


ELEMENTWISE: list[Callable[..., Any]] = []
"""Words that are written alike for elements and for floats."""


def _elementwise(word: Callable[..., Any], emit: Callable[..., Any]) -> None:
    ELEMENTWISE.append(word)

    def typing(args: Kinds) -> Any:
        lanes = found_lanes(args)
        if lanes is not None:
            return lanes, (lanes,) * len(args)
        if all(isinstance(a, Real) for a in args):
            widest = FLOAT64 if FLOAT64 in args else args[0]
            return widest, (widest,) * len(args)
        return None

    register(word, typing, lambda builder, result, kinds, args: emit(builder, *args))


_elementwise(vocabulary.fma, lambda b, x, y, z: intrinsic(b, "fma", x, y, z))
_elementwise(vocabulary.vmin, lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y))
_elementwise(vocabulary.vmax, lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y))
_elementwise(vocabulary.vabs, lambda b, x: intrinsic(b, "fabs", x))
_elementwise(vocabulary.vsqrt, lambda b, x: intrinsic(b, "sqrt", x))
_elementwise(vocabulary.copy_sign, lambda b, x, y: intrinsic(b, "copysign", x, y))
_elementwise(vocabulary.vlog2, emit_log2)
_elementwise(vocabulary.vexp2, emit_exp2)
_elementwise(vocabulary.power, emit_power)


def _binade(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The bits of the exponent alone."""
    scalar = x.type.element if isinstance(x.type, ir.VectorType) else x.type
    bits, exponent = (64, 0x7FF0000000000000) if isinstance(scalar, ir.DoubleType) else (32, 0x7F800000)
    kind: Any = ir.IntType(bits)
    mask = ir.Constant(kind, exponent)
    if isinstance(x.type, ir.VectorType):
        kind = ir.VectorType(kind, x.type.count)
        mask = ir.Constant(kind, [exponent] * x.type.count)
    return builder.bitcast(builder.and_(builder.bitcast(x, kind), mask), x.type)


_elementwise(vocabulary.binade, _binade)


def _infinity(kind: ir.Type) -> ir.Constant:
    return ir.Constant(kind, [float("inf")] * kind.count)


def _is_finite(args: Kinds) -> Any:
    return (args[0].mask, args) if isinstance(args[0], Lanes) else None


register(
    vocabulary.is_finite,
    _is_finite,
    lambda b, result, kinds, args: b.fcmp_ordered("<", intrinsic(b, "fabs", args[0]), _infinity(args[0].type)),
)


def _select(args: Kinds) -> Any:
    if isinstance(args[0], Mask):
        lanes = args[0].lanes
        return lanes, (args[0], lanes, lanes)
    return None


register(vocabulary.select, _select, lambda b, result, kinds, args: b.select(*args))

# ---------------------------------------------------------------- masks


def _masks(args: Kinds) -> Any:
    found = [a for a in args if isinstance(a, Mask)]
    if not found or any(a != found[0] and not isinstance(a, Truth) for a in args):
        return None
    return found[0], (found[0],) * len(args)


def _mask_word(word: Callable[..., Any], emit: Callable[..., Any]) -> None:
    register(word, _masks, lambda builder, result, kinds, args: emit(builder, *args))


_mask_word(vocabulary.and_, lambda b, x, y: b.and_(x, y))
_mask_word(vocabulary.or_, lambda b, x, y: b.or_(x, y))
_mask_word(vocabulary.not_, lambda b, x: b.xor(x, ir.Constant(x.type, [1] * x.type.count)))


def _truth(args: Kinds) -> Any:
    return (BOOL, args) if isinstance(args[0], Mask) else None


def _bits(builder: Any, mask: Any) -> tuple[Any, ir.IntType]:
    kind = ir.IntType(mask.type.count)
    return builder.bitcast(mask, kind), kind


def _emit_any(builder: Any, result: Kind, kinds: Kinds, args: Any) -> Any:
    bits, kind = _bits(builder, args[0])
    return builder.icmp_unsigned("!=", bits, ir.Constant(kind, 0))


def _emit_all(builder: Any, result: Kind, kinds: Kinds, args: Any) -> Any:
    bits, kind = _bits(builder, args[0])
    return builder.icmp_unsigned("==", bits, ir.Constant(kind, -1))


register(vocabulary.any_, _truth, _emit_any)
register(vocabulary.all_, _truth, _emit_all)

# ---------------------------------------------------------------- arrays


def is_array(kind: Kind) -> bool:
    """Whether a value is an array of elements."""
    return isinstance(kind, Pointer) and isinstance(kind.dtype, Lanes)


def array_word(word: Callable[..., Any], pattern: str, result: str, emit: Callable[..., Any]) -> None:
    """`pattern` has one letter an argument: n (an int), a (an array), t (a table of numbers), e (an element), m (a
    mask); `result`: v (nothing), a, e or m. `emit(builder, lanes, *args)`."""

    def typing(args: Kinds) -> Any:
        arrays = [a for a in args if is_array(a)]
        if len(args) != len(pattern) or not arrays:
            return None
        lanes = arrays[0].dtype
        kinds = {"n": INT, "a": arrays[0], "t": Pointer(lanes.dtype), "e": lanes, "m": lanes.mask, "v": VOID}
        return kinds[result], tuple(kinds[letter] for letter in pattern)

    def write(builder: Any, result: Kind, kinds: Kinds, args: Any) -> Any:
        return emit(builder, next(a.dtype for a in kinds if is_array(a)), *args)

    register(word, typing, write)


def _view(b: Any, lanes: Lanes, x: Any, at: Any, n: Any) -> Any:
    return b.gep(x, [at])


def _buffer(b: Any, lanes: Lanes, like: Any, n: Any) -> Any:
    array = b.alloca(lanes.llvm, size=n)
    # LLVM keeps arrays of the first block of a function in registers where all their places are known.
    write_zeros(b, array, b.mul(n, ir.Constant(INDEX, _bytes_of(lanes))))
    return array


def _bytes_of(lanes: Lanes) -> int:
    return lanes.llvm.count * (lanes.dtype.bits // 8)


def far_buffer(like: Any, n: int) -> Any:
    """`buffer` for what may be larger than the stack: put in its place, it takes large arrays from the heap."""
    raise NotImplementedError("far_buffer exists in compiled code only")


def _far_buffer(b: Any, lanes: Lanes, like: Any, n: Any) -> Any:
    size = b.mul(n, ir.Constant(INDEX, _bytes_of(lanes)))
    is_far = b.icmp_unsigned(">", size, ir.Constant(INDEX, NEAR))
    near = b.alloca(lanes.llvm, size=b.select(is_far, ir.Constant(INDEX, 0), n))
    pointer = near.type
    # `lower.py` gives back what lies in places of this name when the function returns.
    held = place(b, pointer, FAR)
    with b.if_then(is_far):
        kind = ir.FunctionType(pointer, [INDEX, INDEX])
        room = declared(b, kind, "aligned_alloc")
        b.store(b.call(room, [ir.Constant(INDEX, 64), size]), held)
    array = b.select(is_far, b.load(held), near)
    write_zeros(b, array, size)
    return array


array_word(vocabulary.view, "ann", "a", _view)
array_word(vocabulary.buffer, "an", "a", _buffer)
array_word(far_buffer, "an", "a", _far_buffer)


def _named_word(word: Callable[..., Any], pattern: str, result: str) -> None:
    """A word that `word_functions.py` writes when a model is known."""

    def emit(b: Any, lanes: Lanes, *args: Any) -> Any:
        kinds = {"v": ir.VoidType(), "e": lanes.llvm, "m": ir.VectorType(ir.IntType(1), lanes.width)}
        wanted = ir.FunctionType(kinds[result], [a.type for a in args])
        name = name_of(word.__name__, str(lanes.dtype), lanes.width)
        return b.call(declared(b, wanted, name), args)

    array_word(word, pattern, result, emit)


_named_word(vocabulary.fill, "nean", "v")
_named_word(vocabulary.copy, "nanan", "v")
_named_word(vocabulary.copy_where, "mnanan", "v")
_named_word(vocabulary.axpy, "neanan", "v")
_named_word(vocabulary.sum_rows, "nntnnannan", "v")
_named_word(vocabulary.add_rows, "nntnnannan", "v")
_named_word(vocabulary.step_along, "nnetnnannanan", "v")
_named_word(vocabulary.add_to_rows, "nnetnnanann", "v")
_named_word(vocabulary.scale, "nean", "v")
_named_word(vocabulary.dot, "nanan", "e")
_named_word(vocabulary.all_finite, "nan", "m")


def _epsilon(args: Kinds) -> Any:
    match args[0]:
        case Pointer(dtype=Lanes(dtype=dtype)) | View(dtype=Real() as dtype):
            return dtype, args
        case _:
            return None


def _emit_epsilon(builder: Any, result: Kind, kinds: Kinds, args: Any) -> Any:
    return ir.Constant(result.llvm, float(np.finfo(str(result)).eps))


register(vocabulary.epsilon, _epsilon, _emit_epsilon)


def _emit_interrupted(builder: Any, result: Kind, kinds: Kinds, args: Any) -> Any:
    kind = ir.IntType(32)
    module = builder.module
    place = module.globals.get(interrupt.SYMBOL)
    if place is None:
        place = ir.GlobalVariable(module, kind, interrupt.SYMBOL)
        place.linkage = "external"
    # Another thread writes it: it is read anew each time.
    return builder.icmp_signed("!=", builder.load_atomic(place, "monotonic", 4), ir.Constant(kind, 0))


register(vocabulary.interrupted, lambda args: None if args else (BOOL, args), _emit_interrupted)
