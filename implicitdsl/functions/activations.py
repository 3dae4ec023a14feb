"""Records of the error function and of the activations of neural networks."""

from __future__ import annotations

import math

from implicitdsl.functions.expression import Const, Expr, apply
from implicitdsl.functions.record import REALS, Scalar, Sign, always, is_nonneg, is_nonpos, nothing, same

ZERO, ONE, HALF = Const(0.0), Const(1.0), Const(0.5)
TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
ONE_OVER_SQRT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)


def _bell_slope(x: Expr, n: Expr, c: Expr) -> Expr:
    assert isinstance(n, Const)
    assert isinstance(c, Const)
    decay = Const(-2.0 * c.value) * apply("bell", x, Const(n.value + 1.0), c)
    return decay if n.value == 0.0 else n * apply("bell", x, Const(n.value - 1.0), c) + decay


def _relu_sign(x: Sign) -> Sign:
    return "zero" if is_nonpos(x) else "nonneg"


def _bump_sign(x: Sign) -> Sign:
    return "zero" if x == "zero" else "nonneg" if is_nonneg(x) else "nonpos" if is_nonpos(x) else "unknown"


RECORDS: tuple[Scalar, ...] = (
    Scalar(
        name="relu",
        code="np.maximum({0}, 0.0)",
        derivatives=(lambda x: apply("heaviside", x, ZERO),),
        sympy=lambda sp, x: sp.Max(x, 0),
        latex=r"\operatorname{{relu}}\left({0}\right)",
        doc="max(x, 0); the derivative at 0 is 0.",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("increasing",),
        steepest=1.0,
        sign=_relu_sign,
        kink=True,
        gate=True,
    ),
    Scalar(
        name="softplus",
        code="special.softplus({0})",
        derivatives=(lambda x: apply("sigmoid", x),),
        sympy=lambda sp, x: sp.log(1 + sp.exp(x)),
        latex=r"\operatorname{{softplus}}\left({0}\right)",
        doc="log(1 + exp(x)).",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("increasing",),
        steepest=1.0,
        sign=always("nonneg"),
    ),
    Scalar(
        name="sigmoid",
        code="special.sigmoid({0})",
        derivatives=(lambda x: apply("logistic", x, ZERO),),
        sympy=lambda sp, x: 1 / (1 + sp.exp(-x)),
        latex=r"\operatorname{{sigmoid}}\left({0}\right)",
        doc="1/(1 + exp(-x)).",
        domain=(REALS,),
        monotonicity=("increasing",),
        steepest=0.25,
        sign=always("nonneg"),
    ),
    Scalar(
        name="silu",
        code="special.silu({0})",
        derivatives=(lambda x: apply("sigmoid", x) + apply("logistic", x, ONE),),
        sympy=lambda sp, x: x / (1 + sp.exp(-x)),
        latex=r"\operatorname{{silu}}\left({0}\right)",
        doc="x*sigmoid(x).",
        domain=(REALS,),
        monotonicity=(None,),
        steepest=1.1,
        sign=_bump_sign,
    ),
    Scalar(
        name="gelu",
        code="special.gelu({0})",
        derivatives=(lambda x: apply("normal_cdf", x) + ONE_OVER_SQRT_TWO_PI * apply("bell", x, ONE, HALF),),
        sympy=lambda sp, x: x * sp.erfc(-x / sp.sqrt(2)) / 2,
        latex=r"\operatorname{{gelu}}\left({0}\right)",
        doc="x times the normal distribution function (the exact form, with erf).",
        domain=(REALS,),
        monotonicity=(None,),
        steepest=1.13,
        sign=_bump_sign,
    ),
    Scalar(
        name="elu",
        code="special.elu({0})",
        derivatives=(lambda x: apply("select", apply("gt", x, ZERO), ONE, apply("exp", x)),),
        sympy=lambda sp, x: sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)),
        latex=r"\operatorname{{elu}}\left({0}\right)",
        doc="x where it is positive, else exp(x) - 1.",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("increasing",),
        steepest=1.0,
        sign=same,
    ),
    Scalar(
        name="erf",
        code="special.erf({0})",
        derivatives=(lambda x: TWO_OVER_SQRT_PI * apply("bell", x, ZERO, ONE),),
        sympy=lambda sp, x: sp.erf(x),
        latex=r"\operatorname{{erf}}\left({0}\right)",
        doc="The error function.",
        domain=(REALS,),
        monotonicity=("increasing",),
        steepest=1.13,
        sign=same,
    ),
    Scalar(
        name="normal_cdf",
        code="special.normal_cdf({0})",
        derivatives=(lambda x: ONE_OVER_SQRT_TWO_PI * apply("bell", x, ZERO, HALF),),
        sympy=lambda sp, x: sp.erfc(-x / sp.sqrt(2)) / 2,
        latex=r"\Phi\left({0}\right)",
        doc="The distribution function of the standard normal: what gelu weighs with.",
        domain=(REALS,),
        monotonicity=("increasing",),
        sign=always("nonneg"),
        internal=True,
    ),
    Scalar(
        name="bell",
        code="special.bell({0}, {1}, {2})",
        derivatives=(_bell_slope, nothing, nothing),
        sympy=lambda sp, x, n, c: x**n * sp.exp(-c * x**2),
        latex=r"{0}^{{{1}}} e^{{-{2}\,{0}^{{2}}}}",
        argument_levels=(9, 0, 9),
        doc="x^n*exp(-c*x^2): the derivatives of erf and gelu.",
        domain=(REALS, (0.0, 3.0), (0.5, 1.0)),
        monotonicity=(None, None, None),
        constants=(1, 2),
        internal=True,
    ),
)
