"""The words of `solvers/vocabulary.py` for lanes: importing this module teaches Numba to compile them.

Loops over the elements of arrays are functions, which `word_functions.py` writes when the model is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from implicitdsl.backends import interrupt
from implicitdsl.backends.lanes.element import INDEX, Lanes, Mask, as_lanes, as_mask, found_lanes
from implicitdsl.backends.lanes.power import emit_exp2, emit_log2, emit_power
from implicitdsl.backends.lanes.word_names import name_of
from implicitdsl.solvers import vocabulary

NEAR = 1 << 12
"""Bytes of a `far_buffer` up to which it lies on the stack."""
FAR = "far.buffer"

Typing = Callable[[tuple[types.Type, ...]], Any]


def register(word: Callable[..., Any], typing: Typing, lower: Callable[..., Any]) -> None:
    """Teach Numba one word: `typing(args)` gives the result's type and those of the arguments after conversion, or
    None; `lower(context, builder, sig, args)` emits it."""

    class Template(AbstractTemplate):
        key = word

        def generic(self, args: Any, kws: Any) -> Any:
            found = typing(args)
            return None if found is None else signature(found[0], *found[1])

    infer_global(word)(Template)
    lower_builtin(word, types.VarArg(types.Any))(lower)


def intrinsic(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """A call of an LLVM intrinsic that is overloaded on the type of its arguments."""
    kind = args[0].type
    scalar = kind.element if isinstance(kind, ir.VectorType) else kind
    letters = "f64" if isinstance(scalar, ir.DoubleType) else "f32"
    full = f"llvm.{name}.v{kind.count}{letters}" if isinstance(kind, ir.VectorType) else f"llvm.{name}.{letters}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(args)), full)
    return builder.call(function, args)


# ---------------------------------------------------------------- elements


def _elementwise(word: Callable[..., Any], emit: Callable[..., Any]) -> None:
    def typing(args: tuple[types.Type, ...]) -> Any:
        lanes = found_lanes(args)
        if lanes is not None:
            return lanes, (lanes,) * len(args)
        if all(isinstance(a, types.Float) for a in args):
            widest = types.float64 if types.float64 in args else types.float32
            return widest, (widest,) * len(args)
        return None

    register(word, typing, lambda context, builder, sig, args: emit(builder, *args))


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


def _is_finite(args: tuple[types.Type, ...]) -> Any:
    return (args[0].mask, args) if isinstance(args[0], Lanes) else None


register(
    vocabulary.is_finite,
    _is_finite,
    lambda context, b, sig, args: b.fcmp_ordered("<", intrinsic(b, "fabs", args[0]), _infinity(args[0].type)),
)


def _select(args: tuple[types.Type, ...]) -> Any:
    if isinstance(args[0], Mask):
        return args[0].lanes, args
    return None


def _lower_select(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    lanes = sig.return_type
    yes, no = (as_lanes(context, builder, args[i], sig.args[i], lanes) for i in (1, 2))
    return builder.select(args[0], yes, no)


register(vocabulary.select, _select, _lower_select)

# ---------------------------------------------------------------- masks


def _masks(args: tuple[types.Type, ...]) -> Any:
    found = [a for a in args if isinstance(a, Mask)]
    if not found or any(a != found[0] and not isinstance(a, types.Boolean) for a in args):
        return None
    return found[0], args


def _mask_word(word: Callable[..., Any], emit: Callable[..., Any]) -> None:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(builder, *(as_mask(builder, a, t, sig.return_type) for a, t in zip(args, sig.args, strict=True)))

    register(word, _masks, lower)


_mask_word(vocabulary.and_, lambda b, x, y: b.and_(x, y))
_mask_word(vocabulary.or_, lambda b, x, y: b.or_(x, y))
_mask_word(vocabulary.not_, lambda b, x: b.xor(x, ir.Constant(x.type, [1] * x.type.count)))


def _truth(args: tuple[types.Type, ...]) -> Any:
    return (types.boolean, args) if isinstance(args[0], Mask) else None


def _bits(builder: Any, mask: Any) -> tuple[Any, ir.IntType]:
    kind = ir.IntType(mask.type.count)
    return builder.bitcast(mask, kind), kind


def _lower_any(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    bits, kind = _bits(builder, args[0])
    return builder.icmp_unsigned("!=", bits, ir.Constant(kind, 0))


def _lower_all(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    bits, kind = _bits(builder, args[0])
    return builder.icmp_unsigned("==", bits, ir.Constant(kind, -1))


register(vocabulary.any_, _truth, _lower_any)
register(vocabulary.all_, _truth, _lower_all)

# ---------------------------------------------------------------- arrays


def _is_array(kind: types.Type) -> bool:
    return isinstance(kind, types.CPointer) and isinstance(kind.dtype, Lanes)


def array_word(word: Callable[..., Any], pattern: str, result: str, emit: Callable[..., Any]) -> None:
    """`pattern` has one letter an argument: n (an int), a (an array), e (an element), m (a mask); `result`: v
    (nothing), a, e or m. `emit(context, builder, lanes, *args)`."""

    def typing(args: tuple[types.Type, ...]) -> Any:
        arrays = [a for a in args if _is_array(a)]
        if len(args) != len(pattern) or not arrays:
            return None
        lanes = arrays[0].dtype
        kinds = {"n": types.intp, "a": arrays[0], "e": lanes, "m": lanes.mask, "v": types.void}
        return kinds[result], tuple(kinds[letter] for letter in pattern)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = next(a.dtype for a in sig.args if _is_array(a))
        found = emit(context, builder, lanes, *args)
        return context.get_dummy_value() if result == "v" else found

    register(word, typing, lower)


def _at(builder: Any, array: Any, *places: Any) -> Any:
    for place in places:
        array = builder.gep(array, [place])
    return array


def _view(context: Any, b: Any, lanes: Lanes, x: Any, at: Any, n: Any) -> Any:
    return _at(b, x, at)


def _buffer(context: Any, b: Any, lanes: Lanes, like: Any, n: Any) -> Any:
    array = b.alloca(lanes.llvm, size=n)
    # Not a loop: what follows stays in the first block of its function, whose arrays LLVM keeps in registers where all
    # their places are known.
    cgutils.memset(b, array, b.mul(n, ir.Constant(INDEX, _bytes_of(lanes))), 0)
    return array


def _bytes_of(lanes: Lanes) -> int:
    return lanes.llvm.count * (8 if lanes.dtype == types.float64 else 4)


def far_buffer(like: Any, n: int) -> Any:
    """`buffer` for what may be larger than the stack: put in its place, it takes large arrays from the heap."""
    raise NotImplementedError("far_buffer exists in compiled code only")


def _far_buffer(context: Any, b: Any, lanes: Lanes, like: Any, n: Any) -> Any:
    size = b.mul(n, ir.Constant(INDEX, _bytes_of(lanes)))
    is_far = b.icmp_unsigned(">", size, ir.Constant(INDEX, NEAR))
    near = b.alloca(lanes.llvm, size=b.select(is_far, ir.Constant(INDEX, 0), n))
    pointer = near.type
    # `lower.py` gives back what lies in places of this name when the function returns.
    held = cgutils.alloca_once(b, pointer, name=FAR)
    with b.if_then(is_far):
        kind = ir.FunctionType(pointer, [INDEX, INDEX])
        room = cgutils.get_or_insert_function(b.module, kind, "aligned_alloc")
        b.store(b.call(room, [ir.Constant(INDEX, 64), size]), held)
    array = b.select(is_far, b.load(held), near)
    cgutils.memset(b, array, size, 0)
    return array


array_word(vocabulary.view, "ann", "a", _view)
array_word(vocabulary.buffer, "an", "a", _buffer)
array_word(far_buffer, "an", "a", _far_buffer)


def _named_word(word: Callable[..., Any], pattern: str, result: str) -> None:
    """A word that `word_functions.py` writes when a model is known."""

    def emit(context: Any, b: Any, lanes: Lanes, *args: Any) -> Any:
        kinds = {"v": ir.VoidType(), "e": lanes.llvm, "m": ir.VectorType(ir.IntType(1), lanes.width)}
        wanted = ir.FunctionType(kinds[result], [a.type for a in args])
        name = name_of(word.__name__, str(lanes.dtype), lanes.width)
        return b.call(cgutils.get_or_insert_function(b.module, wanted, name), args)

    array_word(word, pattern, result, emit)


_named_word(vocabulary.fill, "nean", "v")
_named_word(vocabulary.copy, "nanan", "v")
_named_word(vocabulary.copy_where, "mnanan", "v")
_named_word(vocabulary.axpy, "neanan", "v")
_named_word(vocabulary.scale, "nean", "v")
_named_word(vocabulary.dot, "nanan", "e")
_named_word(vocabulary.all_finite, "nan", "m")


def _epsilon(args: tuple[types.Type, ...]) -> Any:
    return (args[0].dtype.dtype, args) if _is_array(args[0]) else None


def _lower_epsilon(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.get_constant(sig.return_type, float(np.finfo(str(sig.return_type)).eps))


register(vocabulary.epsilon, _epsilon, _lower_epsilon)


def _lower_interrupted(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = ir.IntType(32)
    module = builder.module
    place = module.globals.get(interrupt.SYMBOL)
    if place is None:
        place = ir.GlobalVariable(module, kind, interrupt.SYMBOL)
        place.linkage = "external"
    # Another thread writes it: it is read anew each time.
    return builder.icmp_signed("!=", builder.load_atomic(place, "monotonic", 4), ir.Constant(kind, 0))


register(vocabulary.interrupted, lambda args: None if args else (types.boolean, args), _lower_interrupted)
