"""The kinds of value in compiled solvers, and how one becomes another.

`Lanes(dtype, width)` is an element, one float of each of `width` samples: an LLVM vector. `Mask(dtype, width)` is the
result of comparing two, `pointer(element)` an array. Beside them stand whole numbers, floats and truths that all
samples have in common. A float or a whole number meeting lanes is converted to their dtype and put into every lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

INDEX = ir.IntType(64)


class Kind:
    """A kind of value; `llvm` is its type in LLVM."""

    llvm: Any


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number; those of 32 bits lie in tables alone, and are read as 64."""

    bits: int

    @property
    def llvm(self) -> ir.IntType:
        """The integer."""
        return ir.IntType(self.bits)


@dataclass(frozen=True)
class Real(Kind):
    """A float."""

    bits: int

    def __str__(self) -> str:
        return f"float{self.bits}"

    @property
    def llvm(self) -> Any:
        """The float."""
        return ir.DoubleType() if self.bits == 64 else ir.FloatType()


@dataclass(frozen=True)
class Truth(Kind):
    """One truth value for all samples."""

    llvm = ir.IntType(1)


@dataclass(frozen=True)
class Nothing(Kind):
    """What a function without a result gives."""

    llvm = ir.VoidType()


@dataclass(frozen=True)
class Lanes(Kind):
    """One float of each of `width` samples."""

    dtype: Real
    width: int

    @property
    def mask(self) -> Mask:
        """The kind of comparisons."""
        return Mask(self.dtype, self.width)

    @property
    def llvm(self) -> ir.VectorType:
        """The vector."""
        return ir.VectorType(self.dtype.llvm, self.width)


@dataclass(frozen=True)
class Mask(Kind):
    """One truth value of each of `width` samples."""

    dtype: Real
    width: int

    @property
    def lanes(self) -> Lanes:
        """The elements that such a mask chooses among."""
        return Lanes(self.dtype, self.width)

    @property
    def llvm(self) -> ir.VectorType:
        """The vector of bits."""
        return ir.VectorType(ir.IntType(1), self.width)


@dataclass(frozen=True)
class Pointer(Kind):
    """An array of `dtype`."""

    dtype: Kind

    @property
    def llvm(self) -> Any:
        """The pointer."""
        return self.dtype.llvm.as_pointer()


@dataclass(frozen=True)
class Several(Kind):
    """A tuple."""

    parts: tuple[Kind, ...]

    @property
    def llvm(self) -> ir.LiteralStructType:
        """The structure in which a function gives it back."""
        return ir.LiteralStructType([part.llvm for part in self.parts])


@dataclass(frozen=True, eq=False)
class Known(Kind):
    """What is known when a solver is compiled, such as a function: it takes no place."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


INT, INT32 = Whole(64), Whole(32)
FLOAT64, FLOAT32 = Real(64), Real(32)
BOOL, VOID = Truth(), Nothing()
SCALARS = {"float64": FLOAT64, "float32": FLOAT32}


def element(dtype: str, width: int) -> Lanes:
    """The element of `width` samples in float32 or float64."""
    return Lanes(SCALARS[dtype], width)


def pointer(of: Kind) -> Pointer:
    """An array of elements, or of floats."""
    return Pointer(of)


def united(x: Kind, y: Kind) -> Kind | None:
    """The kind of a variable that holds now one, now the other; None where there is none."""
    if x == y:
        return x
    if isinstance(x, Several) and isinstance(y, Several) and len(x.parts) == len(y.parts):
        parts = [united(a, b) for a, b in zip(x.parts, y.parts, strict=True)]
        return None if None in parts else Several(tuple(parts))  # type: ignore[arg-type] - none is None
    if isinstance(x, Whole | Real) and isinstance(y, Whole | Real):
        return FLOAT64
    return found_lanes((x, y))


def found_lanes(args: tuple[Kind, ...]) -> Lanes | None:
    """The lanes among arguments that are lanes, floats and whole numbers, else None."""
    lanes = [a for a in args if isinstance(a, Lanes)]
    if not lanes or any(a != lanes[0] and not isinstance(a, Real | Whole) for a in args):
        return None
    return lanes[0]


def splat(builder: ir.IRBuilder, value: ir.Value, vector: ir.VectorType) -> ir.Value:
    """The scalar in every lane."""
    if isinstance(value, ir.Constant):
        return ir.Constant(vector, [value.constant] * vector.count)
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


def converted(builder: ir.IRBuilder, value: Any, kind: Kind, wanted: Kind) -> Any:
    """A value of one kind as one of another. Raises TypeError where it cannot be one."""
    match kind, wanted:
        case _ if kind == wanted:
            return value
        case (Several(parts=parts), Several(parts=others)):
            return tuple(converted(builder, *each) for each in zip(value, parts, others, strict=True))
        case (Whole() | Real(), Lanes(dtype=dtype)):
            return splat(builder, converted(builder, value, kind, dtype), wanted.llvm)
        case (Whole() | Real(), Real()) if isinstance(value, ir.Constant):
            number = float(value.constant)
            return ir.Constant(wanted.llvm, number if wanted.bits == 64 else _single(number))
        case (Whole(), Real()):
            return builder.sitofp(value, wanted.llvm)
        case (Real(bits=64), Real()):
            return builder.fptrunc(value, wanted.llvm)
        case (Real(bits=32), Real()):
            return builder.fpext(value, wanted.llvm)
        case (Truth(), Mask()):
            return splat(builder, value, wanted.llvm)
        case _:
            raise TypeError(f"{kind} is no {wanted}")


def _single(number: float) -> float:
    """The nearest float of 32 bits."""
    with np.errstate(over="ignore"):
        return float(np.float32(number))
