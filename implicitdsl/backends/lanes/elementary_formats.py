"""What the elementary functions are written with: the constants of a dtype, and moves between floats and their bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.lane_code import Dtype, LaneCode


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
    tanh_far: float
    """Where tanh ends as 1 - small: between the two forms of it."""
    tanh: tuple[tuple[float, ...], tuple[float, ...]]
    """P and Q of tanh(a) = (a + a^3 P(a^2))/(1 + a^2 Q(a^2)); none where exp is used."""
    density_far: float
    density: tuple[float, ...]
    """(2 cosh(x) - 2)/x^2 in x^2, for |x| <= density_far; none where exp is used."""
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
        tanh_far=0.55,
        tanh=((), ()),
        density_far=0.0,
        density=(),
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
        tanh_far=1.1,
        tanh=(
            (0.1190548688173294, 0.0018241715151816607),
            (0.45238807797431946, 0.01928737759590149, 7.82825009082444e-05),
        ),
        density_far=6.0,
        density=(
            0.9999998807907104,
            0.08333353698253632,
            0.002777688205242157,
            4.962095044902526e-05,
            5.492992158906418e-07,
            4.282086241147454e-09,
            1.952270116400978e-11,
            1.5099469526276554e-13,
        ),
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


def kind_of(c: LaneCode) -> Any:
    item = ir.IntType(FORMATS[c.dtype].bits)
    return item if c.width == 1 else ir.VectorType(item, c.width)


def whole(c: LaneCode, value: int) -> Any:
    kind = kind_of(c)
    return ir.Constant(kind, value if c.width == 1 else [value] * c.width)


def bits(c: LaneCode, x: Any) -> Any:
    return c.builder.bitcast(x, kind_of(c))


def float_of(c: LaneCode, bits: Any) -> Any:
    return c.builder.bitcast(bits, c.element)


def horner(c: LaneCode, coefficients: Sequence[float], x: Any) -> Any:
    value = c.number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = c.fma(value, x, c.number(coefficient))
    return value


def rounded(c: LaneCode, x: Any, scale: float) -> tuple[Any, Any]:
    """x times scale rounded to a whole number k: the float that has k in its low bits, and k."""
    magic = c.number(FORMATS[c.dtype].magic)
    held = c.fma(x, c.number(scale), magic)
    return held, c.sub(held, magic)


def power_of_two(c: LaneCode, held: Any, of_zero: int) -> Any:
    """2^k for the k that a float has in its low bits, times what the bits `of_zero` mean."""
    shift = whole(c, FORMATS[c.dtype].fraction)
    return float_of(c, c.builder.add(c.builder.shl(bits(c, held), shift), whole(c, of_zero)))


def capped(c: LaneCode, x: Any, low: float | None, high: float) -> Any:
    """x within bounds; NaN stays."""
    x = c.select(c.compare(">", x, c.number(high)), c.number(high), x)
    return x if low is None else c.select(c.compare("<", x, c.number(low)), c.number(low), x)
