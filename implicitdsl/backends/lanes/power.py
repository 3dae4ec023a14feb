"""Logarithm and exponential to base 2, and a to a real power, on lanes, for step-size control and the like: by
polynomials, the same bits at every width.

log2 a: a = 2^e·f with f in [√½, √2), log2 f = 2/ln 2·atanh((f - 1)/(f + 1)) by its series; exp2 by the series of
exp(r·ln 2) on |r| ≤ ½. Each is right to 1e-10 (float64) and 1e-6 (float32): a controller asks for no more, and its step
waits for both. A zero or subnormal `a` counts as the smallest normal float, an infinite one as the largest; NaN stays
NaN.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.instructions import declared

SERIES = {64: (6, 10), 32: (4, 7)}
"""Terms of atanh and of exp, by the bits of a float."""


@dataclass(frozen=True)
class _Kind:
    """A vector of floats, or one float, as whole numbers and constants."""

    builder: Any
    type: Any

    @property
    def _count(self) -> int | None:
        return self.type.count if isinstance(self.type, ir.VectorType) else None

    @property
    def bits(self) -> int:
        scalar = self.type if self._count is None else self.type.element
        return 64 if isinstance(scalar, ir.DoubleType) else 32

    @property
    def fraction(self) -> int:
        return 52 if self.bits == 64 else 23

    @property
    def bias(self) -> int:
        return 1023 if self.bits == 64 else 127

    @property
    def whole(self) -> Any:
        one = ir.IntType(self.bits)
        return one if self._count is None else ir.VectorType(one, self._count)

    def real(self, value: float) -> ir.Constant:
        return ir.Constant(self.type, value if self._count is None else [value] * self._count)

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(self.whole, value if self._count is None else [value] * self._count)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        letters = f"f{self.bits}" if self._count is None else f"v{self._count}f{self.bits}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        return self.builder.call(declared(self.builder, kind, f"llvm.fma.{letters}"), (a, b, c))

    def held(self, x: Any, low: float, high: float) -> Any:
        """x between two bounds; NaN stays."""
        b = self.builder
        x = b.select(b.fcmp_ordered("<", x, self.real(low)), self.real(low), x)
        return b.select(b.fcmp_ordered(">", x, self.real(high)), self.real(high), x)

    def polynomial(self, x: Any, coefficients: list[float]) -> Any:
        """The sum of c_k·x^k, by halves (G. Estrin), which wait for each other less than Horner's steps do."""
        terms: list[Any] = [self.real(c) for c in coefficients]
        while len(terms) > 1:
            pairs = [self.fma(terms[k + 1], x, terms[k]) for k in range(0, len(terms) - 1, 2)]
            terms = pairs + terms[len(pairs) * 2 :]
            x = self.builder.fmul(x, x)
        return terms[0]


def emit_log2(builder: Any, a: Any) -> Any:
    """The logarithm to base 2 of a vector, or of one float."""
    k, b = _Kind(builder, a.type), builder
    held = k.held(a, 2.0 ** (1 - k.bias), (2 - 2.0**-k.fraction) * 2.0**k.bias)
    raw = b.bitcast(held, k.whole)
    # Subtracting the bits of sqrt(1/2) splits at a power of two times sqrt(1/2).
    scale = b.ashr(b.sub(raw, k.integer(_bits_of(math.sqrt(0.5), k.bits))), k.integer(k.fraction))
    f = b.bitcast(b.sub(raw, b.shl(scale, k.integer(k.fraction))), k.type)
    u = b.fdiv(b.fsub(f, k.real(1.0)), b.fadd(f, k.real(1.0)))
    terms, _ = SERIES[k.bits]
    series = k.polynomial(b.fmul(u, u), [2 / math.log(2) / (2 * i + 1) for i in range(terms)])
    found = k.fma(u, series, b.sitofp(scale, k.type))
    return b.select(b.fcmp_unordered("uno", a, a), a, found)


def emit_exp2(builder: Any, x: Any) -> Any:
    """2 to the power of a vector, or of one float; normal and finite."""
    k, b = _Kind(builder, x.type), builder
    held = k.held(x, -float(k.bias - 1), float(k.bias - 1))
    # The sum with 1.5·2^fraction rounds to the nearest whole number and leaves it in the low bits.
    magic = 1.5 * 2.0**k.fraction
    shifted = b.fadd(held, k.real(magic))
    rest = b.fsub(held, b.fsub(shifted, k.real(magic)))
    _, factors = SERIES[k.bits]
    grown = k.polynomial(rest, [math.log(2) ** i / math.factorial(i) for i in range(factors)])
    turned = b.sub(b.bitcast(shifted, k.whole), k.integer(_bits_of(magic, k.bits)))
    value = b.bitcast(b.add(b.bitcast(grown, k.whole), b.shl(turned, k.integer(k.fraction))), k.type)
    return b.select(b.fcmp_unordered("uno", x, x), x, value)


def emit_power(builder: Any, base: Any, exponent: Any) -> Any:
    """The power of two vectors (or of two scalars) of one type."""
    return emit_exp2(builder, builder.fmul(exponent, emit_log2(builder, base)))


def _bits_of(value: float, bits: int) -> int:
    return (
        struct.unpack("<q", struct.pack("<d", value))[0]
        if bits == 64
        else struct.unpack("<i", struct.pack("<f", value))[0]
    )
