"""Curvature in the unknowns, with inputs, params and consts as constants.

The composition rules of disciplined convex programming (Grant, Boyd & Ye 2006) over the IR, with two additions: a
factor of unknown sign makes a judgement conditional on its sign, and a quadratic form x'Mx on M being psd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.record import Sign, is_nonneg, is_nonpos, opposite
from implicitdsl.functions.scalar import SCALAR, arguments, substitute
from implicitdsl.ir import build
from implicitdsl.ir.node import (
    Constant,
    Contract,
    Delta,
    Factor,
    Leaf,
    LogDet,
    Map,
    Node,
    Pick,
    Place,
    Reduce,
    Reshape,
    Scatter,
    Solve,
    Window,
    walk,
)
from implicitdsl.problems.signature import MemberSet
from implicitdsl.semantics.definite import is_psd, set_sign

Requirement = Literal["nonneg", "nonpos", "psd"]


@dataclass(frozen=True, eq=False)
class Condition:
    """An expression without unknowns that must be >= 0, <= 0 or positive semidefinite for each sample."""

    node: Node
    requirement: Requirement


Conditions = tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Judgement:
    """`convex` and `concave` hold the conditions under which the value is so; None: not by these rules."""

    convex: Conditions | None
    concave: Conditions | None
    sign: Sign = "unknown"
    constant: bool = False

    @property
    def affine(self) -> bool:
        return self.convex == () and self.concave == ()


NOTHING = Judgement(None, None)


def judge(node: Node, unknowns: Sequence[Leaf], sets: Mapping[Leaf, MemberSet]) -> Judgement:
    """The judgement of the composition rules alone."""
    chosen = set(unknowns)
    known: dict[Node, Judgement] = {}
    for n in walk((node,)):
        known[n] = _node(n, chosen, sets, known)
    return known[node]


def _constant(sign: Sign) -> Judgement:
    return Judgement((), (), sign, constant=True)


def _node(n: Node, unknowns: set[Leaf], sets: Mapping[Leaf, MemberSet], known: Mapping[Node, Judgement]) -> Judgement:
    args = [known[a] for a in n.args]
    match n:
        case Leaf():
            sign = set_sign(sets.get(n))
            return Judgement((), (), sign) if n in unknowns else _constant(sign)
        case Constant():
            return _constant(_value_sign(n.value))
        case Delta():
            return _constant("nonneg")
        case Map():
            return _Elementwise(n, known).judge(n.expr)
        case Contract():
            form = quadratic_form(n, known)
            return _contract(n, args) if form is None else _form(form[1], sets)
        case Pick() | Place() | Reshape() | Window() | Scatter() | Factor():
            return args[0]
        case Reduce():
            return _reduce(n.kind, args[0])
        case Solve():
            if args[0].constant and args[1].affine:
                return Judgement((), (), "unknown", constant=args[1].constant)
            return NOTHING
        case LogDet():
            if args[0].constant:
                return _constant("unknown")
            return Judgement(None, ()) if args[0].affine and n.what == "logabs" else NOTHING
        case _:
            return _constant("unknown") if all(a.constant for a in args) else NOTHING


def _value_sign(value: object) -> Sign:
    array = np.asarray(value)
    if not array.any():
        return "zero"
    return "nonneg" if bool((array >= 0).all()) else "nonpos" if bool((array <= 0).all()) else "unknown"


def quadratic_form(n: Node, known: Mapping[Node, Judgement]) -> tuple[Node, Node] | None:
    """(x, M) where the node is x'Mx with x affine in the unknowns and M a matrix of the data."""
    match n:
        case Contract(ins=(a, b), out="", args=(u, v)) if a == b and len(a) == 1:
            pairs = ((u, v), (v, u))
        case Contract(ins=(a,), out="", args=(Map(expr=Apply(function="mul", args=(Arg(), Arg())), args=(u, v)),)) if (
            len(a) == 1 and u.shape == v.shape
        ):
            pairs = ((u, v), (v, u))
        case _:
            return None
    for x, image in pairs:
        if known[x].constant or not known[x].affine or not isinstance(image, Contract) or len(image.args) != 2:
            continue
        for k in (0, 1):
            matrix = image.args[1 - k]
            product = len(image.ins[1 - k]) == 2 and len(image.out) == 1 and image.ins[k] in image.ins[1 - k]
            if image.args[k] is x and product and len(image.ins[k]) == 1 and known[matrix].constant:
                return x, matrix
    return None


def _form(matrix: Node, sets: Mapping[Leaf, MemberSet]) -> Judgement:
    if is_psd(matrix, sets):
        return Judgement((), None, "nonneg")
    turned = build.neg(matrix)
    if is_psd(turned, sets):
        return Judgement(None, (), "nonpos")
    return Judgement((Condition(matrix, "psd"),), (Condition(turned, "psd"),))


def _reduce(kind: str, arg: Judgement) -> Judgement:
    if arg.constant:
        return _constant(arg.sign if kind in ("max", "min", "cumsum") else "unknown")
    match kind:
        case "max":
            return Judgement(arg.convex, None, arg.sign)
        case "min":
            return Judgement(None, arg.concave, arg.sign)
        case "logsumexp":
            return Judgement(arg.convex, None)
        case "cumsum":
            return arg
        case _:
            return NOTHING


def scaled(arg: Judgement, factor: Sign, node: Node | None) -> Judgement:
    """The judgement of factor * arg; `node` is the factor, where its unknown sign may become a condition."""
    if is_nonneg(factor):
        return Judgement(arg.convex, arg.concave, arg.sign)
    if is_nonpos(factor):
        return Judgement(arg.concave, arg.convex, opposite(arg.sign))
    if arg.affine:
        return Judgement((), ())
    if node is None:
        return NOTHING
    up, down = (Condition(node, "nonneg"),), (Condition(node, "nonpos"),)
    convex = (*arg.convex, *up) if arg.convex is not None else None if arg.concave is None else (*arg.concave, *down)
    concave = (*arg.concave, *up) if arg.concave is not None else None if arg.convex is None else (*arg.convex, *down)
    return Judgement(convex, concave)


def _product_sign(signs: Sequence[Sign]) -> Sign:
    found: Sign = "nonneg"
    for sign in signs:
        if sign == "zero":
            return "zero"
        if sign == "unknown":
            found = "unknown"
        elif found != "unknown" and sign == "nonpos":
            found = opposite(found)
    return found


def _contract(n: Contract, args: Sequence[Judgement]) -> Judgement:
    moving = [i for i, a in enumerate(args) if not a.constant]
    factors = [i for i, a in enumerate(args) if a.constant]
    sign = _product_sign([args[i].sign for i in factors])
    if not moving:
        return _constant(sign if factors else "unknown")
    unsure = [i for i in factors if args[i].sign == "unknown"]
    node = n.args[unsure[0]] if len(unsure) == 1 else None
    if len(moving) == 1:
        return scaled(args[moving[0]], sign, node)
    if len(moving) == 2 and n.args[moving[0]] is n.args[moving[1]] and n.ins[moving[0]] == n.ins[moving[1]]:
        return scaled(_square(args[moving[0]]), sign, node)
    return NOTHING


def _square(arg: Judgement) -> Judgement:
    if arg.affine:
        return Judgement((), None, "nonneg")
    if arg.convex is not None and is_nonneg(arg.sign):
        return Judgement(arg.convex, None, "nonneg")
    if arg.concave is not None and is_nonpos(arg.sign):
        return Judgement(arg.concave, None, "nonneg")
    return Judgement(None, None, "nonneg")


class _Elementwise:
    """The rules inside one Map, over its scalar expression."""

    def __init__(self, node: Map, known: Mapping[Node, Judgement]) -> None:
        self.node = node
        self.known = known
        self.seen: dict[Expr, Judgement] = {}

    def judge(self, expr: Expr) -> Judgement:
        found = self.seen.get(expr)
        if found is None:
            found = self.seen[expr] = self._judge(expr)
        return found

    def _judge(self, expr: Expr) -> Judgement:
        match expr:
            case Arg(index=index):
                return self.known[self.node.args[index]]
            case Const(value=value):
                return _constant(_value_sign(value))
            case Apply(function=function, args=args):
                parts = [self.judge(a) for a in args]
                sign = SCALAR[function].sign(*(p.sign for p in parts))
                if function == "pow" and isinstance(args[1], Const) and args[1].value % 2 == 0:
                    sign = "nonneg"
                if all(p.constant for p in parts):
                    return _constant(sign)
                found = self._apply(function, args, parts)
                return (
                    found if found.sign != "unknown" else Judgement(found.convex, found.concave, sign, found.constant)
                )
            case _:
                return NOTHING

    def _apply(self, function: str, args: Sequence[Expr], parts: Sequence[Judgement]) -> Judgement:
        match function:
            case "mul" if parts[0].constant or parts[1].constant:
                factor = 0 if parts[0].constant else 1
                return scaled(parts[1 - factor], parts[factor].sign, self._as_node(args[factor]))
            case "mul" if args[0] is args[1]:
                return _square(parts[0])
            case "div" if parts[1].constant:
                return scaled(parts[0], parts[1].sign, self._as_node(args[1]))
            case "pow" if isinstance(args[1], Const):
                return self._power(parts[0], args[1].value)
            case "select" if parts[0].constant:
                return Judgement(_union(parts[1].convex, parts[2].convex), _union(parts[1].concave, parts[2].concave))
            case "sqrt" | "norm_root" if self._is_sum_of_squares(args[0]):
                return Judgement((), None, "nonneg")
            case _:
                return self._compose(function, parts)

    def _as_node(self, expr: Expr) -> Node:
        match expr:
            case Const(value=value):
                return build.constant(value)
            case Arg(index=index):
                return self.node.args[index]
            case _:
                used = sorted(arguments(expr))
                places = {old: Arg(new) for new, old in enumerate(used)}
                renamed = substitute(expr, [places.get(i, Arg(i)) for i in range(used[-1] + 1)])
                return Map(renamed, tuple(self.node.args[i] for i in used))

    def _is_sum_of_squares(self, expr: Expr) -> bool:
        """The argument of a Euclidean norm of something affine."""
        if not isinstance(expr, Arg):
            return False
        node = self.node.args[expr.index]
        if quadratic_form(node, self.known) is not None:
            return self.known[node].convex == ()
        if not isinstance(node, Contract) or len(node.args) != 2:
            return False
        return node.args[0] is node.args[1] and node.ins[0] == node.ins[1] and self.known[node.args[0]].affine

    def _power(self, base: Judgement, p: float) -> Judgement:
        if p == 1.0:
            return base
        if p.is_integer() and p > 0 and int(p) % 2 == 0:
            return _square(base)
        above = is_nonneg(base.sign) or not p.is_integer()
        if not above:
            return NOTHING
        if p > 1:
            return Judgement(base.convex, None, "nonneg")
        if 0 < p < 1:
            return Judgement(None, base.concave, "nonneg")
        return Judgement(base.concave, None, "nonneg") if p < 0 else NOTHING

    def _compose(self, function: str, parts: Sequence[Judgement]) -> Judgement:
        record = SCALAR[function]
        if record.curvature is None:
            return NOTHING
        up: Conditions | None = ()
        down: Conditions | None = ()
        monotone = record.monotonicity or (None,) * len(parts)
        for part, trend in zip(parts, monotone, strict=False):
            if part.affine:
                continue
            rising = trend == "increasing" or (trend == "by_sign" and is_nonneg(part.sign))
            falling = trend == "decreasing" or (trend == "by_sign" and is_nonpos(part.sign))
            up = _union(up, part.convex if rising else part.concave if falling else None)
            down = _union(down, part.concave if rising else part.convex if falling else None)
        convex = up if record.curvature in ("convex", "affine") else None
        concave = down if record.curvature in ("concave", "affine") else None
        return Judgement(convex, concave)


def _union(a: Conditions | None, b: Conditions | None) -> Conditions | None:
    return None if a is None or b is None else (*a, *b)
