"""Records of comparisons, conditions, choices and roundings. A condition is 1 where it holds and 0 elsewhere."""

from __future__ import annotations

from typing import Any

from implicitdsl.functions.expression import Const, Expr, apply
from implicitdsl.functions.record import REALS, Scalar, Sign, always, is_nonneg, is_nonpos, nothing, same

ZERO, ONE = Const(0.0), Const(1.0)


def _comparison(name: str, symbol: str, latex: str, sympy: str, doc: str) -> Scalar:
    return Scalar(
        name=name,
        code=f"special.cast({{0}} {symbol} {{1}}, {{0}}, {{1}})",
        derivatives=(nothing, nothing),
        sympy=lambda sp, a, b: sp.Piecewise((1, getattr(sp, sympy)(a, b)), (0, True)),
        latex=f"[{{0}} {latex} {{1}}]",
        text=f"{{0}} {symbol} {{1}}",
        level=2,
        argument_levels=(3, 3),
        doc=doc,
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=always("nonneg"),
        kink=True,
        internal=True,
    )


def _select_tangent(args: tuple[Expr, ...], tangents: tuple[Expr | None, ...]) -> Expr | None:
    if tangents[1] is None and tangents[2] is None:
        return None
    return apply("select", args[0], tangents[1] or ZERO, tangents[2] or ZERO)


def _common(c: Sign, a: Sign, b: Sign) -> Sign:
    if is_nonneg(a) and is_nonneg(b):
        return "zero" if a == b == "zero" else "nonneg"
    return "nonpos" if is_nonpos(a) and is_nonpos(b) else "unknown"


def _max_sign(a: Sign, b: Sign) -> Sign:
    if is_nonneg(a) or is_nonneg(b):
        return "zero" if is_nonpos(a) and is_nonpos(b) else "nonneg"
    return "nonpos" if a == b == "nonpos" else "unknown"


def _min_sign(a: Sign, b: Sign) -> Sign:
    if is_nonpos(a) or is_nonpos(b):
        return "zero" if is_nonneg(a) and is_nonneg(b) else "nonpos"
    return "nonneg" if a == b == "nonneg" else "unknown"


def _clip_sign(x: Sign, low: Sign, high: Sign) -> Sign:
    return _min_sign(_max_sign(x, low), high)


def _abs_sign(a: Sign) -> Sign:
    return "zero" if a == "zero" else "nonneg"


def _inside(x: Expr, low: Expr, high: Expr) -> Expr:
    return apply("and", apply("le", low, x), apply("le", x, high))


def _clip_by_low(x: Expr, low: Expr, high: Expr) -> Expr:
    return apply("and", apply("lt", x, low), apply("lt", low, high))


def _clip_by_high(x: Expr, low: Expr, high: Expr) -> Expr:
    return apply("or", apply("gt", x, high), apply("lt", high, low))


def _sympy_heaviside(sp: Any, x: Any, at_zero: Any) -> Any:
    return sp.Piecewise((0, x < 0), (at_zero, sp.Eq(x, 0)), (1, True))


def _sympy_larger(sp: Any, a: Any, b: Any) -> Any:
    return sp.Piecewise((1, a > b), (0, a < b), (sp.Rational(1, 2), True))


RECORDS: tuple[Scalar, ...] = (
    _comparison("lt", "<", "<", "Lt", "1 where a < b, else 0."),
    _comparison("le", "<=", r"\le", "Le", "1 where a <= b, else 0."),
    _comparison("gt", ">", ">", "Gt", "1 where a > b, else 0."),
    _comparison("ge", ">=", r"\ge", "Ge", "1 where a >= b, else 0."),
    _comparison("eq", "==", "=", "Eq", "1 where a = b, else 0."),
    Scalar(
        name="and",
        code="special.both({0}, {1})",
        derivatives=(nothing, nothing),
        sympy=lambda sp, a, b: sp.Piecewise((0, sp.Or(sp.Eq(a, 0), sp.Eq(b, 0))), (1, True)),
        latex=r"{0} \wedge {1}",
        text="{0} and {1}",
        level=1,
        argument_levels=(1, 2),
        doc="1 where both conditions hold, else 0.",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=always("nonneg"),
        kink=True,
        internal=True,
    ),
    Scalar(
        name="or",
        code="special.either({0}, {1})",
        derivatives=(nothing, nothing),
        sympy=lambda sp, a, b: sp.Piecewise((0, sp.And(sp.Eq(a, 0), sp.Eq(b, 0))), (1, True)),
        latex=r"{0} \vee {1}",
        text="{0} or {1}",
        level=1,
        argument_levels=(2, 2),
        doc="1 where one of the conditions holds, else 0.",
        domain=(REALS, REALS),
        monotonicity=(None, None),
        sign=always("nonneg"),
        kink=True,
        internal=True,
    ),
    Scalar(
        name="not",
        code="special.negation({0})",
        derivatives=(nothing,),
        sympy=lambda sp, a: sp.Piecewise((1, sp.Eq(a, 0)), (0, True)),
        latex=r"\neg {0}",
        text="not {0}",
        level=2,
        argument_levels=(9,),
        doc="1 where the condition does not hold, else 0.",
        domain=(REALS,),
        monotonicity=(None,),
        sign=always("nonneg"),
        kink=True,
        internal=True,
    ),
    Scalar(
        name="select",
        code="special.select({0}, {1}, {2})",
        derivatives=(
            nothing,
            lambda c, a, b: apply("select", c, ONE, ZERO),
            lambda c, a, b: apply("select", c, ZERO, ONE),
        ),
        sympy=lambda sp, c, a, b: sp.Piecewise((b, sp.Eq(c, 0)), (a, True)),
        latex=r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
        text="if {0} then {1} else {2}",
        level=0,
        argument_levels=(1, 0, 0),
        doc="a where the condition holds, else b; the branch not taken adds an exact 0 to every derivative.",
        domain=(REALS, REALS, REALS),
        monotonicity=(None, "increasing", "increasing"),
        sign=_common,
        kink=True,
        gate=True,
        tangent=_select_tangent,
        internal=True,
    ),
    Scalar(
        name="heaviside",
        code="np.heaviside({0}, {1})",
        derivatives=(nothing, lambda x, v: apply("eq", x, ZERO)),
        sympy=_sympy_heaviside,
        latex=r"\theta_{{{1}}}\left({0}\right)",
        argument_levels=(0, 0),
        doc="1 for x > 0, 0 for x < 0, and the second argument (0 if missing) at 0.",
        domain=(REALS, REALS),
        monotonicity=(None, "increasing"),
        sign=lambda x, v: "nonneg" if is_nonneg(v) else "unknown",
        kink=True,
        gate=True,
    ),
    Scalar(
        name="larger",
        code="special.larger({0}, {1})",
        derivatives=(nothing, nothing),
        sympy=_sympy_larger,
        latex=r"\left[{0} \succ {1}\right]",
        argument_levels=(0, 0),
        doc="1 where a > b, 1/2 where they are equal, 0 where a < b: the derivative of the larger one by a.",
        domain=(REALS, REALS),
        monotonicity=("increasing", "decreasing"),
        sign=always("nonneg"),
        kink=True,
        internal=True,
    ),
    Scalar(
        name="maximum",
        code="np.maximum({0}, {1})",
        derivatives=(lambda a, b: apply("larger", a, b), lambda a, b: apply("larger", b, a)),
        sympy=lambda sp, a, b: sp.Max(a, b),
        latex=r"\max\left({0}, {1}\right)",
        text="max({0}, {1})",
        argument_levels=(0, 0),
        doc="The larger of two, elementwise; ties share the derivative half each.",
        domain=(REALS, REALS),
        curvature="convex",
        monotonicity=("increasing", "increasing"),
        steepest=1.0,
        sign=_max_sign,
        kink=True,
        gate=True,
    ),
    Scalar(
        name="minimum",
        code="np.minimum({0}, {1})",
        derivatives=(lambda a, b: apply("larger", b, a), lambda a, b: apply("larger", a, b)),
        sympy=lambda sp, a, b: sp.Min(a, b),
        latex=r"\min\left({0}, {1}\right)",
        text="min({0}, {1})",
        argument_levels=(0, 0),
        doc="The smaller of two, elementwise; ties share the derivative half each.",
        domain=(REALS, REALS),
        curvature="concave",
        monotonicity=("increasing", "increasing"),
        steepest=1.0,
        sign=_min_sign,
        kink=True,
        gate=True,
    ),
    Scalar(
        name="clip",
        code="special.clip({0}, {1}, {2})",
        derivatives=(_inside, _clip_by_low, _clip_by_high),
        sympy=lambda sp, x, low, high: sp.Min(sp.Max(x, low), high),
        latex=r"\operatorname{{clip}}\left({0}, {1}, {2}\right)",
        argument_levels=(0, 0, 0),
        doc="x held between two bounds; the derivative is 1 on the closed interval.",
        domain=(REALS, REALS, REALS),
        monotonicity=("increasing", "increasing", "increasing"),
        sign=_clip_sign,
        kink=True,
        gate=True,
    ),
    Scalar(
        name="abs",
        code="np.abs({0})",
        derivatives=(lambda x: apply("sign", x),),
        sympy=lambda sp, x: sp.Abs(x),
        latex=r"\left|{0}\right|",
        argument_levels=(0,),
        doc="The absolute value; the derivative at 0 is 0.",
        domain=(REALS,),
        curvature="convex",
        monotonicity=("by_sign",),
        steepest=1.0,
        sign=_abs_sign,
        kink=True,
    ),
    Scalar(
        name="sign",
        code="np.sign({0})",
        derivatives=(nothing,),
        sympy=lambda sp, x: sp.sign(x),
        latex=r"\operatorname{{sign}}\left({0}\right)",
        argument_levels=(0,),
        doc="-1, 0 or 1; the derivative is 0.",
        domain=(REALS,),
        monotonicity=("increasing",),
        sign=same,
        kink=True,
    ),
    Scalar(
        name="floor",
        code="np.floor({0})",
        derivatives=(nothing,),
        sympy=lambda sp, x: sp.floor(x),
        latex=r"\left\lfloor {0} \right\rfloor",
        argument_levels=(0,),
        doc="The largest integer not above x; the derivative is 0.",
        domain=(REALS,),
        monotonicity=("increasing",),
        sign=lambda x: x if x in ("nonneg", "zero", "nonpos") else "unknown",
        kink=True,
    ),
)
