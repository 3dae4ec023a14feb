"""exp, expm1, log, log1p, tanh, sin, cos in LLVM instructions alone: one text for every width and target.

Arguments are reduced with constants in two to four parts, so that the reduction is exact (Cody & Waite, Software Manual
for the Elementary Functions, 1980), then a polynomial follows. Its coefficients are Chebyshev fits of the functions
named beside them, rounded to the dtype; a test computes them again. Rounding to a whole number is the addition of
1.5 * 2^p, whose low bits then hold the number (as bits, no conversion between vectors of floats and integers is needed,
which AVX2 does not have for 64 bits). Errors stay below 2 units in the last place, subnormal results included.

Each function is an LLVM function of its own over one vector; the optimiser inlines it where that pays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.lane_code import I32, Dtype, LaneCode


@dataclass(frozen=True)
class Format:
    """What a dtype is made of, and the constants that depend on it."""

    bits: int
    fraction: int
    one: int
    half: int
    root_half: int
    """The bits of 1, 1/2 and sqrt(1/2)."""
    tiny: float
    log2_parts: tuple[float, float]
    """log 2 in two parts, the first short enough that its product with an exponent is exact."""
    exp_range: tuple[float, float]
    expm1_range: tuple[float, float]
    tanh_most: float
    expm1: tuple[float, ...]
    """(exp(r) - 1 - r)/r^2 for |r| <= log(2)/2."""
    atanh: tuple[float, ...]
    """(2 atanh(s)/s - 2)/z with z = s^2, for |s| <= (sqrt(2) - 1)/(sqrt(2) + 1)."""
    sine: tuple[float, ...]
    """(sin(r) - r)/r^3 in r^2, for |r| <= pi/4."""
    cosine: tuple[float, ...]
    """(cos(r) - 1 + r^2/2)/r^4 in r^2, for |r| <= pi/4."""

    @property
    def magic(self) -> float:
        """The number whose sum with x has x, rounded, in its low bits."""
        return 1.5 * 2.0**self.fraction


FORMATS: dict[Dtype, Format] = {
    "float64": Format(
        bits=64,
        fraction=52,
        one=0x3FF0000000000000,
        half=0x3FE0000000000000,
        root_half=0x3FE6A09E667F3BCD,
        tiny=2.0**-1022,
        log2_parts=(0.693147180559663, 2.8235290563031577e-13),
        exp_range=(-746.0, 710.0),
        expm1_range=(-40.0, 710.0),
        tanh_most=22.0,
        expm1=(
            0.5,
            0.1666666666666667,
            0.04166666666666667,
            0.008333333333326136,
            0.0013888888888883748,
            0.00019841269874820627,
            2.4801587325547743e-05,
            2.7557255400206422e-06,
            2.75572736431103e-07,
            2.5105217004720745e-08,
            2.0914686968086876e-09,
        ),
        atanh=(
            0.666666666666667,
            0.39999999999899444,
            0.2857142862600327,
            0.22222211130259878,
            0.18182889455674947,
            0.15331710618210773,
            0.14616585424888623,
        ),
        sine=(
            -0.16666666666666666,
            0.008333333333330946,
            -0.0001984126983675497,
            2.755731610068303e-06,
            -2.5051131455427946e-08,
            1.591810123027412e-10,
        ),
        cosine=(
            0.041666666666666664,
            -0.0013888888888887395,
            2.4801587298763433e-05,
            -2.7557317270560326e-07,
            2.0876146024689747e-09,
            -1.1382614868556325e-11,
        ),
    ),
    "float32": Format(
        bits=32,
        fraction=23,
        one=0x3F800000,
        half=0x3F000000,
        root_half=0x3F3504F3,
        tiny=2.0**-126,
        log2_parts=(0.693145751953125, 1.428606765330187e-06),
        exp_range=(-104.0, 89.0),
        expm1_range=(-20.0, 89.0),
        tanh_most=10.0,
        expm1=(
            0.5,
            0.1666666716337204,
            0.04166646674275398,
            0.00833331048488617,
            0.0013933649752289057,
            0.00019890991097781807,
        ),
        atanh=(0.6666666865348816, 0.4000012278556824, 0.2855081558227539, 0.23330582678318024),
        sine=(-0.166666641831398, 0.008332747966051102, -0.000195878412341699),
        cosine=(0.0416666641831398, -0.001388830249197781, 2.454789137118496e-05),
    ),
}

HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi/2 in four parts of 33 bits, the last of 53."""
LARGE = 1e6
"""Arguments of sin and cos from which on the C library is asked, which reduces them with more of pi."""


def call(code: LaneCode, name: str, x: Any) -> Any:
    """A function of `FUNCTIONS` in every lane."""
    suffix = "f64" if code.dtype == "float64" else "f32"
    symbol = f"imp_{name}_{suffix if code.width == 1 else f'v{code.width}{suffix}'}"
    found: Any = code.module.globals.get(symbol)
    if found is None:
        found = ir.Function(code.module, ir.FunctionType(code.element, [code.element]), symbol)
        found.linkage = "internal"
        found.attributes.add("nounwind")
        body = LaneCode(found, code.dtype, code.width)
        body.give(FUNCTIONS[name](body, found.args[0]))
    return code.builder.call(found, [x])


# ---------------------------------------------------------------- bits


def _kind(c: LaneCode) -> Any:
    item = ir.IntType(FORMATS[c.dtype].bits)
    return item if c.width == 1 else ir.VectorType(item, c.width)


def _whole(c: LaneCode, value: int) -> Any:
    kind = _kind(c)
    return ir.Constant(kind, value if c.width == 1 else [value] * c.width)


def _bits(c: LaneCode, x: Any) -> Any:
    return c.builder.bitcast(x, _kind(c))


def _float(c: LaneCode, bits: Any) -> Any:
    return c.builder.bitcast(bits, c.element)


def _horner(c: LaneCode, coefficients: Sequence[float], x: Any) -> Any:
    value = c.number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = c.fma(value, x, c.number(coefficient))
    return value


def _rounded(c: LaneCode, x: Any, scale: float) -> tuple[Any, Any]:
    """x times scale rounded to a whole number k: the float that has k in its low bits, and k."""
    magic = c.number(FORMATS[c.dtype].magic)
    held = c.fma(x, c.number(scale), magic)
    return held, c.sub(held, magic)


def _power_of_two(c: LaneCode, held: Any, of_zero: int) -> Any:
    """2^k for the k that a float has in its low bits, times what the bits `of_zero` mean."""
    shift = _whole(c, FORMATS[c.dtype].fraction)
    return _float(c, c.builder.add(c.builder.shl(_bits(c, held), shift), _whole(c, of_zero)))


def _capped(c: LaneCode, x: Any, low: float | None, high: float) -> Any:
    """x within bounds; NaN stays."""
    x = c.select(c.compare(">", x, c.number(high)), c.number(high), x)
    return x if low is None else c.select(c.compare("<", x, c.number(low)), c.number(low), x)


# ---------------------------------------------------------------- exponentials


def _reduced_exp(c: LaneCode, x: Any) -> tuple[Any, Any, Any]:
    """For x = k log 2 + r: the float that holds k, k, and exp(r) - 1."""
    f = FORMATS[c.dtype]
    held, k = _rounded(c, x, 1.0 / math.log(2.0))
    minus, low = c.neg(k), c.number(f.log2_parts[1])
    high = c.fma(minus, c.number(f.log2_parts[0]), x)
    r = c.fma(minus, low, high)
    lost = c.fma(minus, low, c.sub(high, r))
    return held, k, c.add(r, c.fma(c.mul(r, r), _horner(c, f.expm1, r), lost))


def _exp(c: LaneCode, x: Any) -> Any:
    f = FORMATS[c.dtype]
    _, k, rest = _reduced_exp(c, _capped(c, x, *f.exp_range))
    # In two halves, so that results beyond the normal numbers are rounded once.
    held, first = _rounded(c, k, 0.5)
    second = c.add(c.sub(k, first), c.number(f.magic))
    value = c.mul(c.add(c.one, rest), _power_of_two(c, held, f.one))
    return c.mul(value, _power_of_two(c, second, f.one))


def _expm1(c: LaneCode, x: Any) -> Any:
    f = FORMATS[c.dtype]
    held, _, rest = _reduced_exp(c, _capped(c, x, *f.expm1_range))
    scale = _power_of_two(c, held, f.half)
    half = c.fma(rest, scale, c.sub(scale, c.number(0.5)))
    small = c.compare("<", c.intrinsic("llvm.fabs", x), c.number(2.0 ** -(f.fraction + 2)))
    return c.select(small, x, c.add(half, half))


def _tanh(c: LaneCode, x: Any) -> Any:
    """(exp(2y) - 1)/(exp(2y) + 1) for y = |x|, both without cancellation: k >= 0."""
    f = FORMATS[c.dtype]
    y = _capped(c, c.intrinsic("llvm.fabs", x), None, f.tanh_most)
    held, _, rest = _reduced_exp(c, c.add(y, y))
    scale = _power_of_two(c, held, f.one)
    less, more = c.sub(scale, c.one), c.add(scale, c.one)
    above, below = c.fma(rest, scale, less), c.fma(rest, scale, more)
    # 1 - 2/(exp(2y) + 1) where the other form would round the distance from 1.
    far = c.compare(">", y, c.number(0.55))
    ratio = c.div(c.select(far, c.number(-2.0), above), below)
    # What both sides lost, with 1/below = (1 - ratio)/2.
    above_lost, below_lost = c.fma(rest, scale, c.sub(less, above)), c.fma(rest, scale, c.sub(more, below))
    reciprocal = c.fma(ratio, c.number(-0.5), c.number(0.5))
    near = c.fma(c.fma(c.neg(ratio), below_lost, above_lost), reciprocal, ratio)
    return c.intrinsic("llvm.copysign", c.select(far, c.add(c.one, ratio), near), x)


# ---------------------------------------------------------------- logarithms


def _split(c: LaneCode, x: Any) -> tuple[Any, Any]:
    """x = 2^k m with sqrt(1/2) <= m < sqrt(2), for normal x > 0: k as a float, m."""
    f, b = FORMATS[c.dtype], c.builder
    moved = b.add(_bits(c, x), _whole(c, f.one - f.root_half))
    mask = (1 << f.fraction) - 1
    m = _float(c, b.add(b.and_(moved, _whole(c, mask)), _whole(c, f.root_half)))
    # The biased exponent under the bits of 2^fraction is the float 2^fraction + exponent.
    base = 2.0**f.fraction
    exponent = b.lshr(moved, _whole(c, f.fraction))
    bias = (1 << (f.bits - f.fraction - 2)) - 1
    held = _float(c, b.or_(exponent, _whole(c, _bits_of(f, base))))
    return c.sub(held, c.number(base + bias)), m


def _bits_of(f: Format, power: float) -> int:
    """The bits of a power of two."""
    exponent = int(math.log2(power)) + (1 << (f.bits - f.fraction - 2)) - 1
    return exponent << f.fraction


def _log_of_parts(c: LaneCode, k: Any, part: Any, correction: Any) -> Any:
    """k log 2 + log(1 + part) + correction: log(1 + a) = a - a^2/2 + s (a^2/2 + R(s^2)) with s = a/(2 + a)."""
    f = FORMATS[c.dtype]
    s = c.div(part, c.add(c.number(2.0), part))
    z = c.mul(s, s)
    rest = c.mul(z, _horner(c, f.atanh, z))
    half_square = c.mul(c.mul(c.number(0.5), part), part)
    low = c.fma(k, c.number(f.log2_parts[1]), correction)
    inner = c.sub(half_square, c.fma(s, c.add(half_square, rest), low))
    return c.sub(c.mul(k, c.number(f.log2_parts[0])), c.sub(inner, part))


def _at_ends(c: LaneCode, u: Any, value: Any) -> Any:
    """The logarithm of u where u is 0, negative, infinite or NaN; else the value."""
    inf = c.number(math.inf)
    value = c.select(c.compare("<", u, inf), value, u)
    value = c.select(c.compare("<", u, c.zero), c.number(math.nan), value)
    return c.select(c.compare("==", u, c.zero), c.number(-math.inf), value)


def _log(c: LaneCode, x: Any) -> Any:
    f = FORMATS[c.dtype]
    small = c.compare("<", x, c.number(f.tiny))
    up = f.fraction + 2
    scaled = c.select(small, c.mul(x, c.number(2.0**up)), x)
    k, m = _split(c, scaled)
    k = c.sub(k, c.select(small, c.number(float(up)), c.zero))
    return _at_ends(c, x, _log_of_parts(c, k, c.sub(m, c.one), c.zero))


def _log1p(c: LaneCode, x: Any) -> Any:
    u = c.add(c.one, x)
    k, m = _split(c, u)
    near = c.compare("==", k, c.zero)
    part = c.select(near, x, c.sub(m, c.one))
    # What 1 + x lost, by whichever of the two is larger.
    big = c.compare(">", u, c.number(2.0))
    lost = c.select(big, c.sub(c.one, c.sub(u, x)), c.sub(x, c.sub(u, c.one)))
    correction = c.select(near, c.zero, c.div(lost, u))
    value = _at_ends(c, u, _log_of_parts(c, k, part, correction))
    small = c.compare("<", c.intrinsic("llvm.fabs", x), c.number(2.0 ** -(FORMATS[c.dtype].fraction + 2)))
    return c.select(small, x, value)


# ---------------------------------------------------------------- sine and cosine


def _circular(name: str, turn: int) -> Callable[[LaneCode, Any], Any]:
    def function(c: LaneCode, x: Any) -> Any:
        f, b = FORMATS[c.dtype], c.builder
        held, k = _rounded(c, x, 2.0 / math.pi)
        r = _reduced_angle(c, x, k)
        z = c.mul(r, r)
        sine = c.fma(c.mul(z, r), _horner(c, f.sine, z), r)
        cosine = c.fma(z, c.fma(z, _horner(c, f.cosine, z), c.number(-0.5)), c.one)
        quarter = b.add(_bits(c, held), _whole(c, turn))
        zero = _whole(c, 0)
        odd = b.icmp_unsigned("!=", b.and_(quarter, _whole(c, 1)), zero)
        sign = b.shl(b.and_(quarter, _whole(c, 2)), _whole(c, f.bits - 2))
        value = _float(c, b.xor(_bits(c, c.select(odd, cosine, sine)), sign))
        if turn == 0:
            value = c.select(c.compare("==", x, c.zero), x, value)
        return _with_large(c, name, x, value)

    return function


def _reduced_angle(c: LaneCode, x: Any, k: Any) -> Any:
    """x - k pi/2, in float64 for both dtypes."""
    if c.dtype == "float64":
        first, second, third, fourth = (c.number(part) for part in HALF_PI)
        minus = c.neg(k)
        exact = c.fma(minus, first, x)
        r = c.fma(minus, second, exact)
        lost = c.fma(minus, second, c.sub(exact, r))
        return c.add(r, c.fma(minus, fourth, c.fma(minus, third, lost)))
    wide = c.of_dtype("float64")
    found = _reduced_angle(wide, c.builder.fpext(x, wide.element), c.builder.fpext(k, wide.element))
    return c.builder.fptrunc(found, c.element)


def _with_large(c: LaneCode, name: str, x: Any, value: Any) -> Any:
    """The value, but what the C library says in lanes whose argument is large (or no number)."""
    b = c.builder
    fits = c.compare("<", c.intrinsic("llvm.fabs", x), c.number(LARGE))
    some = b.not_(fits) if c.width == 1 else b.icmp_unsigned("!=", b.bitcast(fits, ir.IntType(c.width)), _all(c))
    before = b.block
    large, after = c.function.append_basic_block("large"), c.function.append_basic_block("after")
    b.cbranch(some, large, after)
    b.position_at_end(large)
    symbol = name if c.dtype == "float64" else f"{name}f"
    found = value
    for lane in range(c.width):
        place = ir.Constant(I32, lane)
        item = x if c.width == 1 else b.extract_element(x, place)
        got = c.call(symbol, c.scalar, [item])
        found = got if c.width == 1 else b.insert_element(found, got, place)
    found = c.select(fits, value, found)
    end = b.block
    b.branch(after)
    b.position_at_end(after)
    result = b.phi(c.element)
    result.add_incoming(value, before)
    result.add_incoming(found, end)
    return result


def _all(c: LaneCode) -> Any:
    return ir.Constant(ir.IntType(c.width), (1 << c.width) - 1)


FUNCTIONS: dict[str, Callable[[LaneCode, Any], Any]] = {
    "exp": _exp,
    "expm1": _expm1,
    "tanh": _tanh,
    "log": _log,
    "log1p": _log1p,
    "sin": _circular("sin", 0),
    "cos": _circular("cos", 1),
}
