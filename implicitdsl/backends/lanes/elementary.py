"""The elementwise functions on lanes: one record for every name of `functions/scalar.SCALAR`.

A record writes the instructions of a value. It follows the NumPy text of the table operation by operation, NaN and the
ends included: a comparison with NaN is 0, conditions are the floats 1 and 0, maxima pass NaN on. What the processor
lacks is written in `elementary_polynomials.py` (exp, log, tanh, sin …); the rest (pow, atan …) is called from SLEEF
where it can be found (see `sleef_library`), else lane by lane from the C library. The vector calls have one width,
narrower elements are padded and wider ones split, so that the bits of a lane do not depend on how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes import elementary_polynomials
from implicitdsl.backends.lanes.lane_code import I32, LaneCode
from implicitdsl.backends.lanes.sleef import sleef_library, vector_symbol
from implicitdsl.backends.lanes.whole_powers import is_whole, whole_power
from implicitdsl.functions import erf as cody
from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.scalar import SCALAR, walk

Record = Callable[..., Any]
"""From the code being written and the arguments to the value; an argument in `Scalar.constants` comes as a float."""

VECTOR_BYTES = 32


class NotEmittedError(LookupError):
    """An elementwise function of the table that the back end `lanes` has no record of."""


def call(code: LaneCode, name: str, *args: Any) -> Any:
    """A function of `sleef.VECTOR_FUNCTIONS`, or one of our own, in every lane."""
    if name in elementary_polynomials.FUNCTIONS:
        return elementary_polynomials.call(code, name, *args)
    return _vector_call(code, name, args) if sleef_library() else _scalar_calls(code, name, args)


def _scalar_calls(code: LaneCode, name: str, args: Sequence[Any]) -> Any:
    symbol = name if code.dtype == "float64" else f"{name}f"
    if code.width == 1:
        return code.call(symbol, code.scalar, args)
    found = ir.Constant(code.element, ir.Undefined)
    for lane in range(code.width):
        place = ir.Constant(I32, lane)
        value = code.call(symbol, code.scalar, [code.builder.extract_element(a, place) for a in args])
        found = code.builder.insert_element(found, value, place)
    return found


def _vector_call(code: LaneCode, name: str, args: Sequence[Any]) -> Any:
    b, many = code.builder, VECTOR_BYTES // code.item_bytes
    kind = ir.VectorType(code.scalar, many)
    symbol = vector_symbol(name, code.dtype)

    def shuffled(a: Any, c: Any, places: Sequence[int]) -> Any:
        return b.shuffle_vector(a, c, ir.Constant(ir.VectorType(I32, len(places)), list(places)))

    if code.width == 1:
        nothing = ir.Constant(kind, ir.Undefined)
        ones = [b.insert_element(nothing, a, ir.Constant(I32, 0)) for a in args]
        found = code.call(symbol, kind, [shuffled(a, nothing, [0] * many) for a in ones])
        return b.extract_element(found, ir.Constant(I32, 0))
    nothing = ir.Constant(code.element, ir.Undefined)
    if code.width <= many:
        places = [k if k < code.width else 0 for k in range(many)]
        found = code.call(symbol, kind, [shuffled(a, nothing, places) for a in args])
        return found if code.width == many else shuffled(found, ir.Constant(kind, ir.Undefined), range(code.width))
    parts = [
        code.call(symbol, kind, [shuffled(a, nothing, range(k, k + many)) for a in args])
        for k in range(0, code.width, many)
    ]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [shuffled(a, c, range(2 * a.type.count)) for a, c in pairs]
    return parts[0]


# ---------------------------------------------------------------- expressions


def emit_expression(code: LaneCode, expr: Expr, args: Sequence[Any]) -> Any:
    """The value of an expression of the table for the elements `args`. Raises NotEmittedError for a function without a
    record."""
    value: dict[Expr, Any] = {}
    for e in walk(expr):
        match e:
            case Arg():
                value[e] = args[e.index]
            case Const():
                value[e] = code.number(e.value)
            case Apply():
                value[e] = _emit_apply(code, e, value)
            case _:
                raise TypeError(f"not an expression: {e!r}")
    return value[expr]


def _emit_apply(code: LaneCode, e: Apply, value: dict[Expr, Any]) -> Any:
    record = RECORDS.get(e.function)
    if record is None:
        raise NotEmittedError(f'`{e.function}` is not executable on lanes yet, use backend="python"')
    fixed = SCALAR[e.function].constants
    if e.function == "pow" and isinstance(e.args[1], Const):
        return _fixed_power(code, value[e.args[0]], e.args[1].value)
    given: list[Any] = []
    for k, a in enumerate(e.args):
        given.append(a.value if k in fixed and isinstance(a, Const) else value[a])
    return record(code, *given)


def cost(expr: Expr) -> int:
    """Operations of an expression, a call of a vector function counted as several."""
    return sum(8 if e.function not in LIGHT else 1 for e in walk(expr) if isinstance(e, Apply))


# ---------------------------------------------------------------- records


def _fixed_power(c: LaneCode, x: Any, p: float) -> Any:
    """Small whole powers by products, the reciprocal taken first, so that no product overflows on the way, larger ones
    by exact products; the square root, as NumPy has it, and what it gives by one product more."""
    if p == 0.5:
        return c.intrinsic("llvm.sqrt", x)
    if p in (1.5, 2.5, -0.5, -1.5):
        return _half_power(c, x, p)
    if p not in (2.0, 3.0, 4.0, -1.0, -2.0, -3.0):
        return whole_power(c, x, p) if is_whole(p) else call(c, "pow", x, c.number(p))
    base = x if p > 0.0 else c.div(c.one, x)
    square = c.mul(base, base)
    match abs(p):
        case 1.0:
            return base
        case 2.0:
            return square
        case 3.0:
            return c.mul(square, base)
        case _:
            return c.mul(square, square)


def _half_power(c: LaneCode, x: Any, p: float) -> Any:
    """A power by the square root. As `pow` has it, -0 counts as 0 and -infinity as infinity."""
    known = c.select(c.compare("==", x, c.number(-math.inf)), c.number(math.inf), c.add(x, c.zero))
    root = c.intrinsic("llvm.sqrt", known)
    match p:
        case 1.5:
            return c.mul(known, root)
        case 2.5:
            return c.mul(c.mul(known, known), root)
        case -0.5:
            return c.div(c.one, root)
        case _:
            # No product overflows on the way.
            return c.mul(c.div(c.one, known), c.div(c.one, root))


def _whole_power(c: LaneCode, x: Any, n: float) -> Any:
    """x^n for the small n >= 0 that the helper families are made with."""
    found = c.one
    for _ in range(round(n)):
        found = x if found is c.one else c.mul(found, x)
    return found


def _larger_of(c: LaneCode, a: Any, b: Any) -> Any:
    return c.select(c.either(c.compare(">=", a, b), c.is_nan(a)), a, b)


def _smaller_of(c: LaneCode, a: Any, b: Any) -> Any:
    return c.select(c.either(c.compare("<=", a, b), c.is_nan(a)), a, b)


def _held(c: LaneCode, x: Any, low: float, high: float) -> Any:
    return _smaller_of(c, _larger_of(c, x, c.number(low)), c.number(high))


def _absolute(c: LaneCode, x: Any) -> Any:
    return c.intrinsic("llvm.fabs", x)


def _comparison(operator: str) -> Record:
    return lambda c, a, b: c.truth(c.compare(operator, a, b))


def _holds(c: LaneCode, a: Any) -> Any:
    return c.compare("!=", a, c.zero)


def _scaled(c: LaneCode, factor: Any, value: Any) -> Any:
    return c.select(c.compare("==", factor, c.zero), c.zero, c.mul(factor, value))


def _larger(c: LaneCode, a: Any, b: Any) -> Any:
    tie = c.select(c.compare("==", a, b), c.number(0.5), c.zero)
    share = c.select(c.compare(">", a, b), c.one, tie)
    return c.select(c.either(c.is_nan(a), c.is_nan(b)), c.number(math.nan), share)


def _heaviside(c: LaneCode, x: Any, at_zero: Any) -> Any:
    below = c.select(c.compare("<", x, c.zero), c.zero, x)
    left = c.select(c.compare("==", x, c.zero), at_zero, below)
    return c.select(c.compare(">", x, c.zero), c.one, left)


def _sign(c: LaneCode, x: Any) -> Any:
    at_zero = c.select(c.compare("==", x, c.zero), c.zero, x)
    left = c.select(c.compare("<", x, c.zero), c.number(-1.0), at_zero)
    return c.select(c.compare(">", x, c.zero), c.one, left)


def _power_log(c: LaneCode, x: Any, p: Any, k: float) -> Any:
    inf = c.number(math.inf)
    at_zero = c.both(c.compare("==", x, c.zero), c.compare(">=", p, c.zero))
    at_end = c.both(c.compare("==", x, inf), c.compare("<", p, c.zero))
    value = c.mul(call(c, "pow", x, p), _whole_power(c, call(c, "log", x), k))
    return c.select(c.either(at_zero, at_end), c.zero, value)


def _radial(c: LaneCode, x: Any, y: Any) -> Any:
    h = call(c, "hypot", x, y)
    known = c.both(c.compare("==", x, x), c.compare("==", y, y))
    at_end = c.either(c.both(c.compare("==", h, c.number(math.inf)), known), c.compare("==", h, c.zero))
    return c.select(at_end, c.zero, c.div(c.div(x, h), h))


def _logistic(c: LaneCode, x: Any, n: float) -> Any:
    # The bound keeps infinity from the power alone: beyond it exp is 0.
    y = x if n == 0.0 else _held(c, x, -800.0, 800.0)
    density = elementary_polynomials.call(c, "density", y)
    return density if n == 0.0 else c.mul(_whole_power(c, y, n), density)


def _sigmoid(c: LaneCode, x: Any) -> Any:
    e = call(c, "exp", c.neg(_absolute(c, x)))
    return c.div(c.select(c.compare(">=", x, c.zero), c.one, e), c.add(c.one, e))


def _softplus(c: LaneCode, x: Any) -> Any:
    return c.add(_larger_of(c, x, c.zero), call(c, "log1p", call(c, "exp", c.neg(_absolute(c, x)))))


def _zero_at_minus_infinity(c: LaneCode, x: Any, value: Any) -> Any:
    return c.select(c.compare("==", x, c.number(-math.inf)), c.zero, value)


def _entropy(c: LaneCode, x: Any) -> Any:
    return c.select(c.compare("==", x, c.zero), c.zero, c.mul(c.neg(x), call(c, "log", x)))


def _one_minus_square(c: LaneCode, x: Any) -> Any:
    return c.mul(c.sub(c.one, x), c.add(c.one, x))


# The error function as in `functions/erf.py`, whose coefficients these are.


def _horner(c: LaneCode, coefficients: tuple[float, ...], x: Any) -> Any:
    value = c.number(coefficients[0])
    for coefficient in coefficients[1:]:
        value = c.add(c.mul(value, x), c.number(coefficient))
    return value


def _ratio(c: LaneCode, above: tuple[float, ...], below: tuple[float, ...], x: Any) -> Any:
    return c.div(_horner(c, above, x), _horner(c, below, x))


def _gaussian(c: LaneCode, x: Any, scale: float) -> Any:
    y = _held(c, x, -40.0, 40.0)
    h = c.mul(c.intrinsic("llvm.trunc", c.mul(y, c.number(16.0))), c.number(0.0625))
    first = call(c, "exp", c.mul(c.mul(c.number(-scale), h), h))
    rest = c.mul(c.mul(c.number(-scale), c.sub(y, h)), c.add(y, h))
    return c.mul(first, call(c, "exp", rest))


def _erf_near_zero(c: LaneCode, x: Any) -> Any:
    y = _held(c, x, -cody.SMALL, cody.SMALL)
    return c.mul(y, _ratio(c, cody.A, cody.B, c.mul(y, y)))


def _scaled_tail(c: LaneCode, y: Any) -> Any:
    middle = _held(c, y, cody.SMALL, 4.0)
    far = _larger_of(c, y, c.number(4.0))
    z = c.div(c.one, c.mul(far, far))
    tail = c.div(c.sub(c.number(cody.ONE_OVER_SQRT_PI), c.mul(z, _ratio(c, cody.P, cody.Q, z))), far)
    return c.select(c.compare("<=", y, c.number(4.0)), _ratio(c, cody.C, cody.D, middle), tail)


def _erf(c: LaneCode, x: Any) -> Any:
    y = _absolute(c, x)
    outer = c.sub(c.one, c.mul(_gaussian(c, y, 1.0), _scaled_tail(c, y)))
    near = c.compare("<=", y, c.number(cody.SMALL))
    return c.select(near, _erf_near_zero(c, x), c.intrinsic("llvm.copysign", outer, x))


def _normal_cdf(c: LaneCode, x: Any) -> Any:
    root, half = c.number(cody.SQRT_HALF), c.number(0.5)
    t = c.mul(_absolute(c, x), root)
    tail = c.mul(c.mul(half, _gaussian(c, x, 0.5)), _scaled_tail(c, t))
    outer = c.select(c.compare("<", x, c.zero), tail, c.sub(c.one, tail))
    inner = c.add(half, c.mul(half, _erf_near_zero(c, c.mul(x, root))))
    return c.select(c.compare("<=", t, c.number(cody.SMALL)), inner, outer)


def _bell(c: LaneCode, x: Any, n: float, scale: float) -> Any:
    value = _gaussian(c, x, scale)
    return value if n == 0.0 else c.mul(_whole_power(c, _held(c, x, -40.0, 40.0), n), value)


def _elu(c: LaneCode, x: Any) -> Any:
    return c.select(c.compare(">", x, c.zero), x, call(c, "expm1", x))


def _called(name: str) -> Record:
    return lambda c, *args: call(c, name, *args)


RECORDS: dict[str, Record] = {
    "add": LaneCode.add,
    "sub": LaneCode.sub,
    "mul": LaneCode.mul,
    "div": LaneCode.div,
    "neg": LaneCode.neg,
    "pow": _called("pow"),
    "power_log": _power_log,
    "scaled": _scaled,
    "lt": _comparison("<"),
    "le": _comparison("<="),
    "gt": _comparison(">"),
    "ge": _comparison(">="),
    "eq": _comparison("=="),
    "and": lambda c, a, b: c.truth(c.both(_holds(c, a), _holds(c, b))),
    "or": lambda c, a, b: c.truth(c.either(_holds(c, a), _holds(c, b))),
    "not": lambda c, a: c.truth(c.compare("==", a, c.zero)),
    "select": lambda c, condition, a, b: c.select(_holds(c, condition), a, b),
    "heaviside": _heaviside,
    "larger": _larger,
    "maximum": _larger_of,
    "minimum": _smaller_of,
    "clip": lambda c, x, low, high: _smaller_of(c, _larger_of(c, x, low), high),
    "abs": _absolute,
    "sign": _sign,
    "floor": lambda c, x: c.intrinsic("llvm.floor", x),
    "sqrt": lambda c, x: c.intrinsic("llvm.sqrt", x),
    "norm_root": lambda c, x: c.intrinsic("llvm.sqrt", x),
    "entropy": _entropy,
    "logistic": _logistic,
    "atan2": _called("atan2"),
    "one_minus_square": _one_minus_square,
    "radial": _radial,
    "relu": lambda c, x: _larger_of(c, x, c.zero),
    "softplus": _softplus,
    "sigmoid": _sigmoid,
    "silu": lambda c, x: _zero_at_minus_infinity(c, x, c.mul(x, _sigmoid(c, x))),
    "gelu": lambda c, x: _zero_at_minus_infinity(c, x, c.mul(x, _normal_cdf(c, x))),
    "elu": _elu,
    "erf": _erf,
    "normal_cdf": _normal_cdf,
    "bell": _bell,
} | {
    name: _called(name)
    for name in ("exp", "expm1", "log", "log1p", "sinh", "cosh", "tanh", "sin", "cos", "tan", "asin", "acos", "atan")
}

LIGHT = frozenset(
    "add sub mul div neg scaled lt le gt ge eq and or not select heaviside larger maximum minimum clip abs sign floor "
    "sqrt norm_root one_minus_square relu".split()
)
