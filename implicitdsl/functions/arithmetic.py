"""Records of + - * / ^ and of the helpers their derivatives need."""

from __future__ import annotations

from typing import Any

from implicitdsl.functions.expression import Const, Expr, apply
from implicitdsl.functions.record import (
    NONNEGATIVE,
    REALS,
    Scalar,
    Sign,
    is_nonneg,
    nothing,
    opposite,
)

ONE = Const(1.0)


def _add_sign(a: Sign, b: Sign) -> Sign:
    if a == "zero":
        return b
    return a if b in ("zero", a) else "unknown"


def _sub_sign(a: Sign, b: Sign) -> Sign:
    return _add_sign(a, opposite(b))


def _mul_sign(a: Sign, b: Sign) -> Sign:
    if "zero" in (a, b):
        return "zero"
    if "unknown" in (a, b):
        return "unknown"
    return "nonneg" if a == b else "nonpos"


def _pow_sign(base: Sign, exponent: Sign) -> Sign:
    return "nonneg" if is_nonneg(base) else "unknown"


def _pow_by_base(x: Expr, p: Expr) -> Expr | None:
    if isinstance(p, Const):
        if p.value == 0.0:
            return None
        return p * x if p.value == 2.0 else p * apply("pow", x, Const(p.value - 1.0))
    return apply("scaled", p, apply("pow", x, p - 1.0))


def _pow_by_exponent(x: Expr, p: Expr) -> Expr:
    return apply("power_log", x, p, ONE)


def _power_log_by_base(x: Expr, p: Expr, k: Expr) -> Expr:
    assert isinstance(k, Const)
    lower = apply("pow", x, p - 1.0) if k.value == 1.0 else k * apply("power_log", x, p - 1.0, Const(k.value - 1.0))
    return apply("scaled", p, apply("power_log", x, p - 1.0, k)) + lower


def _power_log_by_exponent(x: Expr, p: Expr, k: Expr) -> Expr:
    assert isinstance(k, Const)
    return apply("power_log", x, p, Const(k.value + 1.0))


def _scaled_tangent(args: tuple[Expr, ...], tangents: tuple[Expr | None, ...]) -> Expr | None:
    factor, value = args
    first = None if tangents[0] is None else apply("scaled", tangents[0], value)
    second = None if tangents[1] is None else apply("scaled", factor, tangents[1])
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _sympy_scaled(sp: Any, factor: Any, value: Any) -> Any:
    return factor * value


RECORDS: tuple[Scalar, ...] = (
    Scalar(
        name="add",
        code="({0} + {1})",
        derivatives=(lambda a, b: ONE, lambda a, b: ONE),
        sympy=lambda sp, a, b: a + b,
        latex="{0} + {1}",
        text="{0} + {1}",
        level=3,
        argument_levels=(3, 3),
        doc="The sum.",
        domain=(REALS, REALS),
        curvature="affine",
        monotonicity=("increasing", "increasing"),
        steepest=1.0,
        sign=_add_sign,
    ),
    Scalar(
        name="sub",
        code="({0} - {1})",
        derivatives=(lambda a, b: ONE, lambda a, b: Const(-1.0)),
        sympy=lambda sp, a, b: a - b,
        latex="{0} - {1}",
        text="{0} - {1}",
        level=3,
        argument_levels=(3, 4),
        doc="The difference.",
        domain=(REALS, REALS),
        curvature="affine",
        monotonicity=("increasing", "decreasing"),
        steepest=1.0,
        sign=_sub_sign,
    ),
    Scalar(
        name="mul",
        code="({0} * {1})",
        derivatives=(lambda a, b: b, lambda a, b: a),
        sympy=lambda sp, a, b: a * b,
        latex=r"{0} \cdot {1}",
        text="{0}*{1}",
        level=5,
        argument_levels=(5, 6),
        doc="The product, elementwise.",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=_mul_sign,
    ),
    Scalar(
        name="div",
        code="({0} / {1})",
        derivatives=(lambda a, b: ONE / b, lambda a, b: -((a / b) / b)),
        sympy=lambda sp, a, b: a / b,
        latex=r"\frac{{{0}}}{{{1}}}",
        text="{0}/{1}",
        level=5,
        argument_levels=(5, 6),
        doc="The quotient, elementwise.",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=lambda a, b: "zero" if a == "zero" else _mul_sign(a, b) if b != "zero" else "unknown",
    ),
    Scalar(
        name="neg",
        code="(-{0})",
        derivatives=(lambda a: Const(-1.0),),
        sympy=lambda sp, a: -a,
        latex="-{0}",
        text="-{0}",
        level=4,
        argument_levels=(5,),
        doc="The negative.",
        domain=(REALS,),
        curvature="affine",
        monotonicity=("decreasing",),
        steepest=1.0,
        sign=opposite,
    ),
    Scalar(
        name="pow",
        code="np.power({0}, {1})",
        derivatives=(_pow_by_base, _pow_by_exponent),
        sympy=lambda sp, x, p: x**p,
        latex="{0}^{{{1}}}",
        text="{0}^{1}",
        level=6,
        argument_levels=(7, 7),
        doc="The power, elementwise; d/dp is 0 at x = 0 for p >= 0, as in torch.",
        domain=(NONNEGATIVE, REALS),
        monotonicity=(None, None),
        sign=_pow_sign,
    ),
    Scalar(
        name="power_log",
        code="special.power_log({0}, {1}, {2})",
        derivatives=(_power_log_by_base, _power_log_by_exponent, nothing),
        sympy=lambda sp, x, p, k: x**p * sp.log(x) ** k,
        latex=r"{0}^{{{1}}} \log^{{{2}}} {0}",
        argument_levels=(9, 0, 0),
        doc="x^p*log(x)^k, 0 at x = 0 for p >= 0: the derivatives of x^p by p.",
        domain=(NONNEGATIVE, REALS, (1.0, 3.0)),
        monotonicity=(None, None, None),
        constants=(2,),
        internal=True,
    ),
    Scalar(
        name="scaled",
        code="special.scaled({0}, {1})",
        derivatives=(lambda a, b: b, lambda a, b: a),
        sympy=_sympy_scaled,
        latex=r"{0} \cdot {1}",
        argument_levels=(5, 6),
        level=5,
        text="scaled({0}, {1})",
        doc="a*b, and 0 where a is 0 even if b is infinite or NaN: a factor that switches off.",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=_mul_sign,
        tangent=_scaled_tangent,
        internal=True,
    ),
)
