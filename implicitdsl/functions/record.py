"""What the table knows of one elementwise function: value, derivatives, notation, shape facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from implicitdsl.functions.expression import Expr

Curvature = Literal["constant", "affine", "convex", "concave"]
"""Jointly in all arguments, on the natural domain. None stands for neither."""

Monotonicity = Literal["increasing", "decreasing", "by_sign"]
"""In one argument, the others held. `by_sign`: decreasing where the argument is <= 0, increasing where it is >= 0."""

Sign = Literal["zero", "nonneg", "nonpos", "unknown"]
"""What is known of the sign of a value; `zero` is both nonneg and nonpos."""

SignRule = Callable[..., Sign]
"""From the signs of the arguments to the sign of the value."""

Derivative = Callable[..., Expr | None]
"""From the arguments (expressions) to the partial derivative, None where it is structurally zero."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scalar:
    """One elementwise function.

    `code` is NumPy text with `{0}`, `{1}` … for the arguments, over `scalar.NAMESPACE`. It keeps the dtype of its
    arguments, and every value, a condition too (1 or 0), is a float. `derivatives` has one entry an argument.
    `tangent(args, tangents)` replaces the chain rule where the sum of partial derivative times tangent would let
    0*inf through; `gate` marks derivatives whose exact 0 switches the argument off. `constants` are the places of
    arguments that are always constants of the expression (exponents of helper families) and have no derivative.
    `domain` is the natural domain, an interval an argument: outside it the value is NaN. `steepest` is a bound of the
    partial derivatives by all arguments, infinite where none is known.
    """

    name: str
    code: str
    derivatives: tuple[Derivative, ...]
    sympy: Callable[..., Any]
    latex: str
    doc: str
    domain: tuple[Interval, ...]
    text: str = ""
    level: int = 9
    argument_levels: tuple[int, ...] = ()
    curvature: Curvature | None = None
    monotonicity: tuple[Monotonicity | None, ...] = ()
    sign: SignRule = lambda *signs: "unknown"
    kink: bool = False
    gate: bool = False
    steepest: float = float("inf")
    tangent: Callable[[tuple[Expr, ...], tuple[Expr | None, ...]], Expr | None] | None = None
    constants: tuple[int, ...] = ()
    internal: bool = False

    @property
    def arity(self) -> int:
        """Number of arguments."""
        return len(self.domain)


REALS: Interval = (-float("inf"), float("inf"))
NONNEGATIVE: Interval = (0.0, float("inf"))


def nothing(*args: Expr) -> Expr | None:
    """The derivative that is structurally zero."""
    return None


def always(sign: Sign) -> SignRule:
    """The sign rule of a function whose sign does not depend on its arguments."""
    return lambda *signs: sign


def same(*signs: Sign) -> Sign:
    """The sign rule of a function that keeps the sign of its first argument."""
    return signs[0]


def is_nonneg(sign: Sign) -> bool:
    """Whether the value is known to be >= 0."""
    return sign in ("nonneg", "zero")


def is_nonpos(sign: Sign) -> bool:
    """Whether the value is known to be <= 0."""
    return sign in ("nonpos", "zero")


def opposite(sign: Sign) -> Sign:
    """The sign of -a."""
    match sign:
        case "nonneg":
            return "nonpos"
        case "nonpos":
            return "nonneg"
        case _:
            return sign
