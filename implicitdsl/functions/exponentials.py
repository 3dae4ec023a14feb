"""Records of exponentials, logarithms, the square root and the hyperbolic functions."""

from __future__ import annotations

from typing import Any

from implicitdsl.functions.arithmetic import ONE
from implicitdsl.functions.expression import Const, Expr, apply
from implicitdsl.functions.record import NONNEGATIVE, REALS, Scalar, always, nothing, same


def _logistic_slope(x: Expr, n: Expr) -> Expr:
    assert isinstance(n, Const)
    decay = -(apply("logistic", x, n) * apply("tanh", 0.5 * x))
    return decay if n.value == 0.0 else n * apply("logistic", x, Const(n.value - 1.0)) + decay


def _norm_root_slope(x: Expr) -> Expr:
    at_zero = apply("eq", x, Const(0.0))
    return apply("select", at_zero, Const(0.0), Const(0.5) / apply("norm_root", x))


def _sympy_logistic(sp: Any, x: Any, n: Any) -> Any:
    return x**n / (4 * sp.cosh(x / 2) ** 2)


RECORDS: tuple[Scalar, ...] = (
    Scalar(
        name="exp",
        code="np.exp({0})",
        derivatives=(lambda x: apply("exp", x),),
        sympy=lambda sp, x: sp.exp(x),
        latex=r"\exp\left({0}\right)",
        doc="The exponential function.",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("increasing",),
        sign=always("nonneg"),
    ),
    Scalar(
        name="expm1",
        code="np.expm1({0})",
        derivatives=(lambda x: apply("exp", x),),
        sympy=lambda sp, x: sp.exp(x) - 1,
        latex=r"\operatorname{{expm1}}\left({0}\right)",
        doc="exp(x) - 1, accurate near 0.",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("increasing",),
        sign=same,
    ),
    Scalar(
        name="log",
        code="np.log({0})",
        derivatives=(lambda x: ONE / x,),
        sympy=lambda sp, x: sp.log(x),
        latex=r"\log\left({0}\right)",
        doc="The natural logarithm.",
        domain=(NONNEGATIVE,),
        curvature="concave",
        monotonicity=("increasing",),
    ),
    Scalar(
        name="log1p",
        code="np.log1p({0})",
        derivatives=(lambda x: ONE / (1.0 + x),),
        sympy=lambda sp, x: sp.log(1 + x),
        latex=r"\operatorname{{log1p}}\left({0}\right)",
        doc="log(1 + x), accurate near 0.",
        domain=((-1.0, float("inf")),),
        curvature="concave",
        monotonicity=("increasing",),
        sign=same,
    ),
    Scalar(
        name="sqrt",
        code="np.sqrt({0})",
        derivatives=(lambda x: Const(0.5) / apply("sqrt", x),),
        sympy=lambda sp, x: sp.sqrt(x),
        latex=r"\sqrt{{{0}}}",
        doc="The square root.",
        domain=(NONNEGATIVE,),
        curvature="concave",
        monotonicity=("increasing",),
        sign=always("nonneg"),
    ),
    Scalar(
        name="norm_root",
        code="np.sqrt({0})",
        derivatives=(_norm_root_slope,),
        sympy=lambda sp, x: sp.sqrt(x),
        latex=r"\sqrt{{{0}}}",
        doc="The square root of a sum of squares: all derivatives are 0 at 0, as torch has them for a norm.",
        domain=(NONNEGATIVE,),
        curvature="concave",
        monotonicity=("increasing",),
        sign=always("nonneg"),
        internal=True,
    ),
    Scalar(
        name="entropy",
        code="special.entropy({0})",
        derivatives=(lambda x: -apply("log", x) - 1.0,),
        sympy=lambda sp, x: sp.Piecewise((0, sp.Eq(x, 0)), (-x * sp.log(x), True)),
        latex=r"\operatorname{{entropy}}\left({0}\right)",
        doc="-x*log(x) elementwise, 0 at 0.",
        domain=(NONNEGATIVE,),
        curvature="concave",
        monotonicity=(None,),
    ),
    Scalar(
        name="sinh",
        code="np.sinh({0})",
        derivatives=(lambda x: apply("cosh", x),),
        sympy=lambda sp, x: sp.sinh(x),
        latex=r"\sinh\left({0}\right)",
        doc="The hyperbolic sine.",
        domain=(REALS,),
        monotonicity=("increasing",),
        sign=same,
    ),
    Scalar(
        name="cosh",
        code="np.cosh({0})",
        derivatives=(lambda x: apply("sinh", x),),
        sympy=lambda sp, x: sp.cosh(x),
        latex=r"\cosh\left({0}\right)",
        doc="The hyperbolic cosine.",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("by_sign",),
        sign=always("nonneg"),
    ),
    Scalar(
        name="tanh",
        code="np.tanh({0})",
        # 1 - tanh^2 has no digit left beyond 19; the logistic density has all
        derivatives=(lambda x: 4.0 * apply("logistic", 2.0 * x, Const(0.0)),),
        sympy=lambda sp, x: sp.tanh(x),
        latex=r"\tanh\left({0}\right)",
        doc="The hyperbolic tangent.",
        domain=(REALS,),
        monotonicity=("increasing",),
        steepest=1.0,
        sign=same,
    ),
    Scalar(
        name="logistic",
        code="special.logistic({0}, {1})",
        derivatives=(_logistic_slope, nothing),
        sympy=_sympy_logistic,
        latex=r"\operatorname{{logistic}}_{{{1}}}\left({0}\right)",
        doc="x^n times the logistic density: the derivatives of sigmoid, tanh and silu.",
        domain=(REALS, (0.0, 3.0)),
        monotonicity=(None, None),
        constants=(1,),
        internal=True,
    ),
)
