"""a to a real power for step-size control, on lanes: exp2(exponent·log2 a) by polynomials, the same bits at every
width.

log2 a: a = 2^e·f with f in [√½, √2), log2 f = 2/ln 2·atanh((f - 1)/(f + 1)) by its series; exp2 by the series of
exp(r·ln 2) on |r| ≤ ½. The relative error is below 1e-13 (float64) for the exponents of a controller (below 1 in
size). A zero or subnormal `a` counts as the smallest normal float, an infinite one as the largest; NaN stays NaN.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from llvmlite import ir
from numba.core import cgutils

SERIES = {64: (10, 14), 32: (5, 8)}
"""Terms of atanh and of exp, by the bits of a float."""


def emit_power(builder: Any, base: Any, exponent: Any) -> Any:
    """The power of two vectors (or of two scalars) of one type."""
    kind = base.type
    vector = kind if isinstance(kind, ir.VectorType) else None
    scalar = vector.element if vector is not None else kind
    bits, fraction, bias = (64, 52, 1023) if isinstance(scalar, ir.DoubleType) else (32, 23, 127)
    whole = ir.VectorType(ir.IntType(bits), vector.count) if vector is not None else ir.IntType(bits)
    b = builder

    def real(value: float) -> ir.Constant:
        return ir.Constant(kind, [value] * vector.count if vector is not None else value)

    def integer(value: int) -> ir.Constant:
        return ir.Constant(whole, [value] * vector.count if vector is not None else value)

    def call(name: str, *args: Any) -> Any:
        letters = f"f{bits}" if vector is None else f"v{vector.count}f{bits}"
        function = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.{letters}"
        )
        return b.call(function, args)

    def horner(x: Any, coefficients: list[float]) -> Any:
        total = real(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = call("fma", total, x, real(c))
        return total

    smallest, largest = 2.0 ** (1 - bias), (2 - 2.0**-fraction) * 2.0**bias
    a = b.select(b.fcmp_ordered("<", base, real(smallest)), real(smallest), base)
    a = b.select(b.fcmp_ordered(">", a, real(largest)), real(largest), a)
    raw = b.bitcast(a, whole)
    # Subtracting the bits of sqrt(1/2) splits at a power of two times sqrt(1/2).
    half = _bits_of(math.sqrt(0.5), bits)
    scale = b.ashr(b.sub(raw, integer(half)), integer(fraction))
    f = b.bitcast(b.sub(raw, b.shl(scale, integer(fraction))), kind)
    e = b.sitofp(scale, kind)
    u = b.fdiv(b.fsub(f, real(1.0)), b.fadd(f, real(1.0)))
    terms, factors = SERIES[bits]
    series = horner(b.fmul(u, u), [2 / math.log(2) / (2 * k + 1) for k in range(terms)])
    log2 = call("fma", u, series, e)

    power = b.fmul(exponent, log2)
    limit = float(bias - 1)
    power = b.select(b.fcmp_ordered(">", power, real(limit)), real(limit), power)
    power = b.select(b.fcmp_ordered("<", power, real(-limit)), real(-limit), power)
    # The sum with 1.5·2^fraction rounds to the nearest whole number and leaves it in the low bits.
    magic = 1.5 * 2.0**fraction
    shifted = b.fadd(power, real(magic))
    rest = b.fsub(power, b.fsub(shifted, real(magic)))
    grown = horner(rest, [math.log(2) ** k / math.factorial(k) for k in range(factors)])
    turned = b.sub(b.bitcast(shifted, whole), integer(_bits_of(magic, bits)))
    value = b.bitcast(b.add(b.bitcast(grown, whole), b.shl(turned, integer(fraction))), kind)
    return b.select(b.fcmp_unordered("uno", base, base), base, value)


def _bits_of(value: float, bits: int) -> int:

    return (
        struct.unpack("<q", struct.pack("<d", value))[0]
        if bits == 64
        else struct.unpack("<i", struct.pack("<f", value))[0]
    )
