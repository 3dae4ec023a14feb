"""Logarithm and exponential to base 2, and a to a real power, on lanes, for step-size control and the like: by
polynomials, the same bits at every width.

A logarithm splits a = 2^e·f with f in [√½, √2); an exponential x = e + r with |r| ≤ ½. For `power` log2 f is
2/ln 2·atanh((f - 1)/(f + 1)) by its series, and 2^r the series of exp(r·ln 2): right to 1e-10 (float64) and 1e-6
(float32). A zero or subnormal base counts as the smallest normal float, an infinite one as the largest; NaN stays NaN.

The step after this one waits for a controller's logarithm and exponential, for each operation of them. A length of step
is none the worse for an error of 1e-6; so `emit_log2` and `emit_exp2` go without a division, by polynomials right to
3e-7, and look neither for NaN nor for the ends of the range.
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

LOG2 = [
    1.4426949948930466, -0.72135293136297414, 0.48091670800022001, -0.36022518246098943, 0.28728888237397461,
    -0.24927182207491368, 0.23265257882113623, -0.14275973435991977,
]  # fmt: skip
"""log2(1 + x)/x on [√½ - 1, √2 - 1] at the eight zeros of a Chebyshev polynomial, by powers of x: right to 1e-7."""
EXP2 = [
    1.0, 0.69314718055994531, 0.24022349038020361, 0.055503810137964574, 0.0096663685153854483, 0.0013381302537320796,
]  # fmt: skip
"""2^r on |r| ≤ ½, 1 and r times (2^r - 1)/r at the five zeros of a Chebyshev polynomial, by powers of r: right to
2.1e-7 of it, and 1 at 0."""


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
    """The logarithm to base 2 of a vector, or of one float, of positive normal numbers: to 2e-7."""
    k, b = _Kind(builder, a.type), builder
    exponent, f = _split(k, a)
    return k.fma(b.fsub(f, k.real(1.0)), k.polynomial(b.fsub(f, k.real(1.0)), LOG2), exponent)


def emit_exp2(builder: Any, x: Any) -> Any:
    """2 to the power of a vector, or of one float, whose powers are normal numbers: to 3e-7 of it."""
    k = _Kind(builder, x.type)
    return _scaled(k, x, EXP2)


def emit_power(builder: Any, base: Any, exponent: Any) -> Any:
    """The power of two vectors (or of two scalars) of one type."""
    k, b = _Kind(builder, base.type), builder
    logarithms, exponentials = SERIES[k.bits]
    whole, f = _split(k, k.held(base, 2.0 ** (1 - k.bias), (2 - 2.0**-k.fraction) * 2.0**k.bias))
    u = b.fdiv(b.fsub(f, k.real(1.0)), b.fadd(f, k.real(1.0)))
    series = k.polynomial(b.fmul(u, u), [2 / math.log(2) / (2 * i + 1) for i in range(logarithms)])
    x = b.fmul(exponent, k.fma(u, series, whole))
    held = k.held(x, -float(k.bias - 1), float(k.bias - 1))
    value = _scaled(k, held, [math.log(2) ** i / math.factorial(i) for i in range(exponentials)])
    lost = b.or_(b.fcmp_unordered("uno", base, base), b.fcmp_unordered("uno", exponent, exponent))
    return b.select(lost, b.fadd(base, exponent), value)


def _split(k: _Kind, a: Any) -> tuple[Any, Any]:
    """(e, f) with a = 2^e·f, e a float and f in [√½, √2)."""
    b = k.builder
    raw = b.bitcast(a, k.whole)
    # Subtracting the bits of sqrt(1/2) splits at a power of two times sqrt(1/2).
    scale = b.ashr(b.sub(raw, k.integer(_bits_of(math.sqrt(0.5), k.bits))), k.integer(k.fraction))
    return b.sitofp(scale, k.type), b.bitcast(b.sub(raw, b.shl(scale, k.integer(k.fraction))), k.type)


def _scaled(k: _Kind, x: Any, coefficients: list[float]) -> Any:
    """2^x, with the polynomial of 2^r."""
    b = k.builder
    # The sum with 1.5·2^fraction rounds to the nearest whole number and leaves it in the low bits.
    magic = 1.5 * 2.0**k.fraction
    shifted = b.fadd(x, k.real(magic))
    rest = b.fsub(x, b.fsub(shifted, k.real(magic)))
    turned = b.sub(b.bitcast(shifted, k.whole), k.integer(_bits_of(magic, k.bits)))
    grown = k.polynomial(rest, coefficients)
    return b.bitcast(b.add(b.bitcast(grown, k.whole), b.shl(turned, k.integer(k.fraction))), k.type)


def _bits_of(value: float, bits: int) -> int:
    return (
        struct.unpack("<q", struct.pack("<d", value))[0]
        if bits == 64
        else struct.unpack("<i", struct.pack("<f", value))[0]
    )
