"""Scalar expressions: what a `Map` of the IR computes for every element.

An expression is a tree over the records of `functions/scalar.py`, interned, so that equal expressions are one object.
Nothing is rewritten here except constants folded, 1*a, a*1, a+0, 0+a, a-0, a/1, a^1,
-(-a), a choice whose condition or branches are settled: rewrites that hold for every float, inf and NaN included.
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar, final


class Expr:
    """Base of Arg, Const and Apply; compared by identity (interned)."""

    __slots__ = ("__weakref__",)

    def __add__(self, other: Expr | float) -> Expr:
        return apply("add", self, lift(other))

    def __radd__(self, other: float) -> Expr:
        return apply("add", lift(other), self)

    def __sub__(self, other: Expr | float) -> Expr:
        return apply("sub", self, lift(other))

    def __rsub__(self, other: float) -> Expr:
        return apply("sub", lift(other), self)

    def __mul__(self, other: Expr | float) -> Expr:
        return apply("mul", self, lift(other))

    def __rmul__(self, other: float) -> Expr:
        return apply("mul", lift(other), self)

    def __truediv__(self, other: Expr | float) -> Expr:
        return apply("div", self, lift(other))

    def __rtruediv__(self, other: float) -> Expr:
        return apply("div", lift(other), self)

    def __pow__(self, other: Expr | float) -> Expr:
        return apply("pow", self, lift(other))

    def __neg__(self) -> Expr:
        return apply("neg", self)


@final
class Arg(Expr):
    """The i-th argument of the Map."""

    __slots__ = ("index",)
    index: int
    _known: ClassVar[dict[int, Arg]] = {}

    def __new__(cls, index: int) -> Arg:
        found = cls._known.get(index)
        if found is None:
            found = super().__new__(cls)
            found.index = index
            cls._known[index] = found
        return found

    def __repr__(self) -> str:
        return f"a{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Arg, (self.index,))


@final
class Const(Expr):
    """A float constant; -0.0, inf and NaN are constants of their own."""

    __slots__ = ("value",)
    value: float
    _known: ClassVar[weakref.WeakValueDictionary[str, Const]] = weakref.WeakValueDictionary()

    def __new__(cls, value: float) -> Const:
        key = float(value).hex()
        found = cls._known.get(key)
        if found is None:
            found = super().__new__(cls)
            found.value = float(value)
            cls._known[key] = found
        return found

    def __repr__(self) -> str:
        return repr(self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Const, (self.value,))


@final
class Apply(Expr):
    """A function of the table applied to expressions. Made by `apply`, which folds."""

    __slots__ = ("args", "function")
    function: str
    args: tuple[Expr, ...]
    _known: ClassVar[weakref.WeakValueDictionary[tuple[Any, ...], Apply]] = weakref.WeakValueDictionary()

    def __new__(cls, function: str, args: tuple[Expr, ...]) -> Apply:
        key = (function, *map(id, args))
        found = cls._known.get(key)
        if found is None:
            found = super().__new__(cls)
            found.function = function
            found.args = args
            cls._known[key] = found
        return found

    def __repr__(self) -> str:
        return f"{self.function}({', '.join(map(repr, self.args))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Apply, (self.function, self.args))


def lift(value: Expr | float) -> Expr:
    """The expression itself, or the constant."""
    return value if isinstance(value, Expr) else Const(value)


def apply(function: str, *args: Expr) -> Expr:
    """The function of the table applied to the expressions, with the safe folds of the module's docstring."""
    from implicitdsl.functions.scalar import fold  # the records need `apply` to state their derivatives

    return fold(function, args)
