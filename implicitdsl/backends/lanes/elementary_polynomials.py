"""exp, expm1, log, log1p, tanh, sin, cos in LLVM instructions alone: one text for every width and target.

Arguments are reduced with constants in two to four parts, so that the reduction is exact (Cody & Waite, Software Manual
for the Elementary Functions, 1980), then a polynomial follows. Its coefficients are Chebyshev fits of the functions
named beside them, rounded to the dtype; a test computes them again. Rounding to a whole number is the addition of
1.5 * 2^p, whose low bits then hold the number (as bits, no conversion between vectors of floats and integers is needed,
which AVX2 does not have for 64 bits). Errors stay below 2 units in the last place, subnormal results included.

tanh of float32 is a ratio instead, without exp: of 18 multiplications 7 are saved, and its coefficients minimise the
largest relative error, by weighted least squares.

Each function is an LLVM function of its own over one vector; the optimiser inlines it where that pays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.elementary_formats import (
    FORMATS,
    Format,
    bits,
    capped,
    float_of,
    horner,
    power_of_two,
    rounded,
    whole,
)
from implicitdsl.backends.lanes.lane_code import I32, LaneCode

HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi/2 in four parts of 33 bits, the last of 53."""
LARGE = 1e6
"""Arguments of sin and cos from which on the C library is asked, which reduces them with more of pi."""


def call(code: LaneCode, name: str, x: Any) -> Any:
    """A function of `FUNCTIONS` or `PARTS` in every lane."""
    suffix = "f64" if code.dtype == "float64" else "f32"
    symbol = f"imp_{name}_{suffix if code.width == 1 else f'v{code.width}{suffix}'}"
    found: Any = code.module.globals.get(symbol)
    if found is None:
        found = ir.Function(code.module, ir.FunctionType(code.element, [code.element]), symbol)
        found.linkage = "internal"
        found.attributes.add("nounwind")
        body = LaneCode(found, code.dtype, code.width)
        body.give((FUNCTIONS | PARTS)[name](body, found.args[0]))
    return code.builder.call(found, [x])


# ---------------------------------------------------------------- exponentials


def _reduced_exp(c: LaneCode, x: Any) -> tuple[Any, Any, Any]:
    """For x = k log 2 + r: the float that holds k, k, and exp(r) - 1."""
    f = FORMATS[c.dtype]
    held, k = rounded(c, x, 1.0 / math.log(2.0))
    minus, low = c.neg(k), c.number(f.log2_parts[1])
    high = c.fma(minus, c.number(f.log2_parts[0]), x)
    r = c.fma(minus, low, high)
    lost = c.fma(minus, low, c.sub(high, r))
    return held, k, c.add(r, c.fma(c.mul(r, r), horner(c, f.expm1, r), lost))


def _exp(c: LaneCode, x: Any) -> Any:
    f = FORMATS[c.dtype]
    _, k, rest = _reduced_exp(c, capped(c, x, *f.exp_range))
    # In two halves, so that results beyond the normal numbers are rounded once.
    held, first = rounded(c, k, 0.5)
    second = c.add(c.sub(k, first), c.number(f.magic))
    value = c.mul(c.add(c.one, rest), power_of_two(c, held, f.one))
    return c.mul(value, power_of_two(c, second, f.one))


def _expm1(c: LaneCode, x: Any) -> Any:
    f = FORMATS[c.dtype]
    held, _, rest = _reduced_exp(c, capped(c, x, *f.expm1_range))
    scale = power_of_two(c, held, f.half)
    half = c.fma(rest, scale, c.sub(scale, c.number(0.5)))
    small = c.compare("<", c.intrinsic("llvm.fabs", x), c.number(2.0 ** -(f.fraction + 2)))
    return c.select(small, x, c.add(half, half))


def _tanh(c: LaneCode, x: Any) -> Any:
    f = FORMATS[c.dtype]
    y = capped(c, c.intrinsic("llvm.fabs", x), None, f.tanh_most)
    far = c.compare(">", y, c.number(f.tanh_far))
    # 1 - small where the other form would round the distance from 1.
    near, small = _tanh_by_exp(c, y, far) if f.tanh[0] == () else _tanh_by_ratio(c, y, far)
    return c.intrinsic("llvm.copysign", c.select(far, c.sub(c.one, small), near), x)


def _tanh_by_exp(c: LaneCode, y: Any, far: Any) -> tuple[Any, Any]:
    """(exp(2y) - 1)/(exp(2y) + 1) where y is not far, and 2/(exp(2y) + 1) where it is; no cancellation, as k >= 0."""
    f = FORMATS[c.dtype]
    held, _, rest = _reduced_exp(c, c.add(y, y))
    scale = power_of_two(c, held, f.one)
    less, more = c.sub(scale, c.one), c.add(scale, c.one)
    above, below = c.fma(rest, scale, less), c.fma(rest, scale, more)
    ratio = c.div(c.select(far, c.number(2.0), above), below)
    # What both sides lost, with 1/below = (1 - ratio)/2.
    above_lost, below_lost = c.fma(rest, scale, c.sub(less, above)), c.fma(rest, scale, c.sub(more, below))
    reciprocal = c.fma(ratio, c.number(-0.5), c.number(0.5))
    return c.fma(c.fma(c.neg(ratio), below_lost, above_lost), reciprocal, ratio), ratio


def _tanh_by_ratio(c: LaneCode, y: Any, far: Any) -> tuple[Any, Any]:
    """With tanh a = N/D: where y is not far, a less a small part for a = y; where it is, 1 - tanh 2a =
    (D - N)^2/(D^2 + N^2) for a = y/2, which shrinks what the ratio lost."""
    above, below = FORMATS[c.dtype].tanh
    a = c.mul(y, c.select(far, c.number(0.5), c.one))
    z = c.mul(a, a)
    cube = c.mul(a, z)
    p, q = horner(c, above, z), horner(c, below, z)
    n, d = c.fma(cube, p, a), c.fma(z, q, c.one)
    apart = c.sub(d, n)
    numerator = c.select(far, c.mul(apart, apart), c.mul(cube, c.sub(q, p)))
    less = c.div(numerator, c.select(far, c.fma(d, d, c.mul(n, n)), d))
    return c.sub(a, less), less


def _density(c: LaneCode, x: Any) -> Any:
    """exp(-|x|)/(1 + exp(-|x|))^2, the density of the logistic distribution. Of float32 it is 1/(2 + 2 cosh x) where x
    is not far: a polynomial whose terms are all positive, for less than half of the time of exp."""
    f = FORMATS[c.dtype]
    size = c.intrinsic("llvm.fabs", x)

    def by_exp() -> Any:
        e = call(c, "exp", c.neg(size))
        more = c.add(c.one, e)
        return c.div(e, c.mul(more, more))

    if not f.density:
        return by_exp()
    z = c.mul(x, x)
    near = c.div(c.one, c.fma(z, horner(c, f.density, z), c.number(4.0)))
    return _unless(c, c.compare("<=", size, c.number(f.density_far)), near, by_exp)


# ---------------------------------------------------------------- logarithms


def _split(c: LaneCode, x: Any) -> tuple[Any, Any]:
    """x = 2^k m with sqrt(1/2) <= m < sqrt(2), for normal x > 0: k as a float, m."""
    f, b = FORMATS[c.dtype], c.builder
    moved = b.add(bits(c, x), whole(c, f.one - f.root_half))
    mask = (1 << f.fraction) - 1
    m = float_of(c, b.add(b.and_(moved, whole(c, mask)), whole(c, f.root_half)))
    # The biased exponent under the bits of 2^fraction is the float 2^fraction + exponent.
    base = 2.0**f.fraction
    exponent = b.lshr(moved, whole(c, f.fraction))
    bias = (1 << (f.bits - f.fraction - 2)) - 1
    held = float_of(c, b.or_(exponent, whole(c, _bits_of(f, base))))
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
    rest = c.mul(z, horner(c, f.atanh, z))
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
        held, k = rounded(c, x, 2.0 / math.pi)
        r = _reduced_angle(c, x, k)
        z = c.mul(r, r)
        sine = c.fma(c.mul(z, r), horner(c, f.sine, z), r)
        cosine = c.fma(z, c.fma(z, horner(c, f.cosine, z), c.number(-0.5)), c.one)
        quarter = b.add(bits(c, held), whole(c, turn))
        zero = whole(c, 0)
        odd = b.icmp_unsigned("!=", b.and_(quarter, whole(c, 1)), zero)
        sign = b.shl(b.and_(quarter, whole(c, 2)), whole(c, f.bits - 2))
        value = float_of(c, b.xor(bits(c, c.select(odd, cosine, sine)), sign))
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

    def asked() -> Any:
        symbol = name if c.dtype == "float64" else f"{name}f"
        found = value
        for lane in range(c.width):
            place = ir.Constant(I32, lane)
            item = x if c.width == 1 else b.extract_element(x, place)
            got = c.call(symbol, c.scalar, [item])
            found = got if c.width == 1 else b.insert_element(found, got, place)
        return found

    return _unless(c, c.compare("<", c.intrinsic("llvm.fabs", x), c.number(LARGE)), value, asked)


def _unless(c: LaneCode, fits: Any, value: Any, other: Callable[[], Any]) -> Any:
    """The value in lanes where it fits, in others another one, which is made only if there are such."""
    b = c.builder
    some = b.not_(fits) if c.width == 1 else b.icmp_unsigned("!=", b.bitcast(fits, ir.IntType(c.width)), _all(c))
    before = b.block
    rare, after = c.function.append_basic_block("rare"), c.function.append_basic_block("after")
    b.cbranch(some, rare, after)
    b.position_at_end(rare)
    found = c.select(fits, value, other())
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
PARTS: dict[str, Callable[[LaneCode, Any], Any]] = {"density": _density}
"""What no name of the table stands for alone."""
