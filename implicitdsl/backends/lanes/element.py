"""Elements that hold one float of each of several samples: LLVM vectors that Numba takes for scalars.

`Lanes(dtype, width)` is such an element, `Mask(dtype, width)` the result of comparing two, `pointer(element)` an
array. Arithmetic and comparisons are registered for them here, the words of `solvers/vocabulary.py` in `words.py`. A
float or an int meeting lanes is converted to their dtype and put into every lane.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.extending import lower_builtin, lower_cast, models, register_model
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

SCALARS = {"float64": types.float64, "float32": types.float32}
LLVM_SCALARS = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}
INDEX = ir.IntType(64)


class Lanes(types.Type):
    """One float of each of `width` samples."""

    def __init__(self, dtype: types.Float, width: int) -> None:
        self.dtype = dtype
        self.width = width
        super().__init__(f"lanes({dtype}, {width})")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, types.Float | types.Integer) else None

    def unify(self, typingctx: Any, other: types.Type) -> types.Type | None:
        return self if isinstance(other, types.Float | types.Integer) else None

    @property
    def mask(self) -> Mask:
        """The type of comparisons."""
        return Mask(self.dtype, self.width)

    @property
    def llvm(self) -> ir.VectorType:
        """The vector."""
        return ir.VectorType(LLVM_SCALARS[self.dtype], self.width)


class Mask(types.Type):
    """One truth value of each of `width` samples."""

    def __init__(self, dtype: types.Float, width: int) -> None:
        self.dtype = dtype
        self.width = width
        super().__init__(f"mask({dtype}, {width})")

    @property
    def lanes(self) -> Lanes:
        """The elements that such a mask chooses among."""
        return Lanes(self.dtype, self.width)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """Lanes are held in a vector register."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, kind.llvm)


@register_model(Mask)
class MaskModel(models.PrimitiveModel):
    """A mask is a vector of bits."""

    def __init__(self, manager: Any, kind: Mask) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), kind.width))


def element(dtype: str, width: int) -> Lanes:
    """The element type of `width` samples in float32 or float64."""
    return Lanes(SCALARS[dtype], width)


def pointer(of: types.Type) -> types.CPointer:
    """An array of elements, or of floats."""
    return types.CPointer(of)


def splat(builder: ir.IRBuilder, value: ir.Value, vector: ir.VectorType) -> ir.Value:
    """The scalar in every lane."""
    if isinstance(value, ir.Constant):
        return ir.Constant(vector, [value.constant] * vector.count)
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


def as_lanes(context: Any, builder: ir.IRBuilder, value: ir.Value, kind: types.Type, lanes: Lanes) -> ir.Value:
    """A value of any scalar type, or lanes already, as lanes."""
    if isinstance(kind, Lanes):
        return value
    return splat(builder, context.cast(builder, value, kind, lanes.dtype), lanes.llvm)


def as_mask(builder: ir.IRBuilder, value: ir.Value, kind: types.Type, mask: Mask) -> ir.Value:
    """A mask, or one truth value for all lanes, as a mask."""
    return value if isinstance(kind, Mask) else splat(builder, value, ir.VectorType(ir.IntType(1), mask.width))


@lower_cast(types.Float, Lanes)
@lower_cast(types.Integer, Lanes)
def _to_lanes(context: Any, builder: Any, kind: types.Type, lanes: Lanes, value: Any) -> Any:
    return as_lanes(context, builder, value, kind, lanes)


def found_lanes(args: tuple[types.Type, ...]) -> Lanes | None:
    """The lanes type among arguments that are lanes and scalars, else None."""
    lanes = [a for a in args if isinstance(a, Lanes)]
    if not lanes or any(a != lanes[0] and not isinstance(a, types.Float | types.Integer) for a in args):
        return None
    return lanes[0]


def _register(op: Callable[..., Any], arity: int, result: Callable[[Lanes], types.Type], emit: Any) -> None:
    class Typing(AbstractTemplate):
        key = op

        def generic(self, args: Any, kws: Any) -> Any:
            lanes = found_lanes(args) if len(args) == arity else None
            return None if lanes is None else signature(result(lanes), *args)

    infer_global(op)(Typing)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = found_lanes(sig.args)
        assert lanes is not None
        return emit(builder, *(as_lanes(context, builder, a, t, lanes) for a, t in zip(args, sig.args, strict=True)))

    if arity == 1:
        lower_builtin(op, Lanes)(lower)
        return
    for pair in (
        (Lanes, Lanes),
        (Lanes, types.Float),
        (Lanes, types.Integer),
        (types.Float, Lanes),
        (types.Integer, Lanes),
    ):
        lower_builtin(op, *pair)(lower)


def _same(lanes: Lanes) -> types.Type:
    return lanes


def _mask(lanes: Lanes) -> types.Type:
    return lanes.mask


def _compare(sign: str) -> Any:
    # NaN differs from everything; every other comparison with it is false.
    if sign == "!=":
        return lambda b, x, y: b.fcmp_unordered(sign, x, y)
    return lambda b, x, y: b.fcmp_ordered(sign, x, y)


_register(operator.add, 2, _same, lambda b, x, y: b.fadd(x, y))
_register(operator.sub, 2, _same, lambda b, x, y: b.fsub(x, y))
_register(operator.mul, 2, _same, lambda b, x, y: b.fmul(x, y))
_register(operator.truediv, 2, _same, lambda b, x, y: b.fdiv(x, y))
_register(operator.neg, 1, _same, lambda b, x: b.fneg(x))
for _op, _sign in (
    (operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"),
    (operator.ge, ">="), (operator.eq, "=="), (operator.ne, "!="),
):  # fmt: skip
    _register(_op, 2, _mask, _compare(_sign))
