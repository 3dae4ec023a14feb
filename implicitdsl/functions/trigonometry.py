"""Records of the trigonometric functions and their inverses."""

from __future__ import annotations

from typing import Any

from implicitdsl.functions.arithmetic import ONE
from implicitdsl.functions.expression import Expr, apply
from implicitdsl.functions.record import REALS, Scalar, always, same


def _asin_slope(x: Expr) -> Expr:
    return ONE / apply("sqrt", apply("one_minus_square", x))


def _tan_slope(x: Expr) -> Expr:
    tangent = apply("tan", x)
    return 1.0 + tangent * tangent


def _radial(x: Expr, y: Expr) -> Expr:
    return apply("radial", x, y)


def _radial_by_first(x: Expr, y: Expr) -> Expr:
    # not as (b - a)*(b + a), whose own derivative cancels where a is small
    return _radial(y, x) * _radial(y, x) - _radial(x, y) * _radial(x, y)


def _radial_by_second(x: Expr, y: Expr) -> Expr:
    return -2.0 * (_radial(x, y) * _radial(y, x))


def _sympy_atan2(sp: Any, y: Any, x: Any) -> Any:
    return sp.atan2(y, x)


RECORDS: tuple[Scalar, ...] = (
    Scalar(
        name="sin",
        code="np.sin({0})",
        derivatives=(lambda x: apply("cos", x),),
        sympy=lambda sp, x: sp.sin(x),
        latex=r"\sin\left({0}\right)",
        doc="The sine.",
        domain=(REALS,),
        monotonicity=(None,),
        steepest=1.0,
    ),
    Scalar(
        name="cos",
        code="np.cos({0})",
        derivatives=(lambda x: -apply("sin", x),),
        sympy=lambda sp, x: sp.cos(x),
        latex=r"\cos\left({0}\right)",
        doc="The cosine.",
        domain=(REALS,),
        monotonicity=(None,),
        steepest=1.0,
    ),
    Scalar(
        name="tan",
        code="np.tan({0})",
        derivatives=(_tan_slope,),
        sympy=lambda sp, x: sp.tan(x),
        latex=r"\tan\left({0}\right)",
        doc="The tangent.",
        domain=(REALS,),
        monotonicity=(None,),
    ),
    Scalar(
        name="asin",
        code="np.arcsin({0})",
        derivatives=(_asin_slope,),
        sympy=lambda sp, x: sp.asin(x),
        latex=r"\arcsin\left({0}\right)",
        doc="The inverse sine, on [-1, 1].",
        domain=((-1.0, 1.0),),
        monotonicity=("increasing",),
        sign=same,
    ),
    Scalar(
        name="acos",
        code="np.arccos({0})",
        derivatives=(lambda x: -_asin_slope(x),),
        sympy=lambda sp, x: sp.acos(x),
        latex=r"\arccos\left({0}\right)",
        doc="The inverse cosine, on [-1, 1].",
        domain=((-1.0, 1.0),),
        monotonicity=("decreasing",),
        sign=lambda x: "nonneg",
    ),
    Scalar(
        name="atan",
        code="np.arctan({0})",
        derivatives=(lambda x: _radial(ONE, x),),
        sympy=lambda sp, x: sp.atan(x),
        latex=r"\arctan\left({0}\right)",
        doc="The inverse tangent.",
        domain=(REALS,),
        monotonicity=("increasing",),
        steepest=1.0,
        sign=same,
    ),
    Scalar(
        name="atan2",
        code="np.arctan2({0}, {1})",
        derivatives=(lambda y, x: _radial(x, y), lambda y, x: -_radial(y, x)),
        sympy=_sympy_atan2,
        latex=r"\operatorname{{atan2}}\left({0}, {1}\right)",
        doc="The angle of the point (x, y), called as atan2(y, x).",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=always("unknown"),
    ),
    Scalar(
        name="one_minus_square",
        code="((1.0 - {0}) * (1.0 + {0}))",
        derivatives=(lambda x: -2.0 * x,),
        sympy=lambda sp, x: 1 - x**2,
        latex=r"1 - {0}^{{2}}",
        level=3,
        argument_levels=(7,),
        text="1 - {0}^2",
        doc="1 - x^2 without cancellation near -1 and 1, with a derivative that has none near 0.",
        domain=(REALS,),
        curvature="concave",
        monotonicity=(None,),
        internal=True,
    ),
    Scalar(
        name="radial",
        code="special.radial({0}, {1})",
        derivatives=(_radial_by_first, _radial_by_second),
        sympy=lambda sp, x, y: x / (x**2 + y**2),
        latex=r"\frac{{{0}}}{{{0}^{{2}} + {1}^{{2}}}}",
        argument_levels=(9, 9),
        doc="x/(x^2 + y^2): the derivatives of atan and atan2, closed under differentiation.",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=same,
        internal=True,
    ),
)
