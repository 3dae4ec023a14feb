"""The shapes of calls of the functions of the table, each in its own form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from implicitdsl.functions import shapes as rules
from implicitdsl.functions.table import Function
from implicitdsl.semantics.loops import enter_loop
from implicitdsl.semantics.sizes import Shape, Size, show
from implicitdsl.semantics.values import UNKNOWN, Frame, Step, Value, brief
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from implicitdsl.semantics.infer import Inference

FAMILIES = frozenset({"sum", "prod", "mean", "max", "min", "concat", "stack"})  # functions that take `e for k in a:b`
FILLED = frozenset({"eye", "zeros", "ones"})  # their arguments are sizes
CALCULUS = frozenset({"grad", "div", "jacobian"})  # their second argument is a name


def arity(inference: Inference, node: tree.Call, count: int, fewest: int, most: int | None, form: str) -> bool:
    """Whether a call has as many arguments as it may have; E208 otherwise."""
    if fewest <= count and (most is None or count <= most):
        return True
    wanted = str(fewest) if most == fewest else f"{fewest} or more" if most is None else f"{fewest} to {most}"
    plural = "" if wanted == "1" else "s"
    inference.report.add(
        "E208",
        f"`{brief(node.function)}` takes {wanted} argument{plural}, {count} given",
        node.span,
        help=f"its form: `{form}`",
    )
    return False


def table_call(inference: Inference, function: Function, node: tree.Call, frame: Frame) -> Step:
    name = function.name
    plain = [a for a in node.arguments if not isinstance(a, tree.Named | tree.Family)]
    if len(node.arguments) == 1 and isinstance(node.arguments[0], tree.Family) and name in FAMILIES:
        return (yield from _family(inference, function, node, node.arguments[0], frame))
    if name in FILLED or name == "reshape":
        return (yield from _sized(inference, function, node, plain, frame))
    options = _options(inference, function, node, frame)
    if name in ("concat", "stack") and len(plain) == 1 and isinstance(plain[0], tree.Bracket):
        plain = list(plain[0].items)
    shapes: list[Shape | None] = []
    for argument in plain:
        shapes.append(inference.number(argument, (yield inference.visit(argument, frame))))
    if options is None or not arity(inference, node, len(plain), *function.arity, function.signature):
        return UNKNOWN
    if name in CALCULUS and not _is_variable(inference, plain[1], frame):
        return UNKNOWN
    return Value(_apply(inference, function, node, shapes, frame, options))


def _apply(
    inference: Inference,
    function: Function,
    node: tree.Call,
    shapes: Sequence[Shape | None],
    frame: Frame,
    options: Mapping[str, int] | None = None,
) -> Shape | None:
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    # Sizes that are numbers go in as ints, so that rules that need numbers (a stride) can use them.
    plain = [tuple(s if s.constant is None else s.constant for s in shape) for shape in known]
    return inference.guard(node, frame, lambda: function.shape(*plain, **(options or {})))


def _options(inference: Inference, function: Function, node: tree.Call, frame: Frame) -> dict[str, int] | None:
    """The named arguments that are numbers; one that the function does not know is E208."""
    found: dict[str, int] = {}
    for argument in node.arguments:
        if isinstance(argument, tree.Family):
            inference.report.add(
                "E208",
                f"`{function.name}` takes no `for`",
                argument.span,
                help=f"`for` stands in {', '.join(sorted(FAMILIES))}",
            )
            return None
        if isinstance(argument, tree.Named):
            if argument.name not in function.options or argument.name in found:
                inference.report.add(
                    "E208",
                    f"`{function.name}` takes no `{argument.name} =` here",
                    argument.span,
                    help=_along_an_axis(function) or f"its form: `{function.signature}`",
                )
                return None
            size = inference.size(argument.value, frame)
            if size is None:
                return None
            if size.constant is None and function.name in CALCULUS:
                continue
            if size.constant is None:
                inference.report.add(
                    "E304", f"`{brief(argument.value)}` is not a number", argument.value.span, remark="a stride is one"
                )
                return None
            found[argument.name] = size.constant
    return found


def _along_an_axis(function: Function) -> str:
    """The help where a reduction is given an axis."""
    if function.name not in ("sum", "prod", "mean"):
        return ""
    return f"`{function.name}(x)` takes all elements; along an axis it is `{function.name}(x[k] for k in 0:n)`"


def _sized(
    inference: Inference, function: Function, node: tree.Call, plain: Sequence[tree.Expression], frame: Frame
) -> Step:
    """`eye(n)`, `zeros(n, m)`, `reshape(x, [n, m])`: sizes as arguments."""
    if len(plain) < len(node.arguments):
        named = next(a for a in node.arguments if isinstance(a, tree.Named | tree.Family))
        inference.report.add(
            "E208",
            f"`{brief(named)}` is no argument of `{function.name}`",
            named.span,
            help=f"its form: `{function.signature}`",
        )
        return UNKNOWN
    if not arity(inference, node, len(plain), *function.arity, function.signature):
        return UNKNOWN
    base: Shape | None = ()
    if function.name == "reshape":
        base = inference.number(plain[0], (yield inference.visit(plain[0], frame)))
        plain = plain[1].items if isinstance(plain[1], tree.Bracket) else plain[1:]
    sizes: list[Size] = []
    for item in plain:
        size = inference.size(item, frame)
        if size is None:
            return UNKNOWN
        if size.always_negative:
            inference.report.add(
                "E304", f"the size `{brief(item)}` is negative", item.span, remark="a size is 0 or more"
            )
            return UNKNOWN
        sizes.append(size)
    shape = inference.within_budget(node, tuple(sizes))
    if function.name != "reshape" or base is None or shape is None:
        if function.name == "eye" and shape is not None:
            return Value(inference.within_budget(node, (shape[0], shape[0])))
        return Value(shape if function.name != "reshape" else None)
    return Value(inference.guard(node, frame, lambda: rules.reshape(base, shape)))


def _is_variable(inference: Inference, argument: tree.Expression, frame: Frame) -> bool:
    """Whether a derivative can be taken by it: a name that stands for itself, not for an expression."""
    symbol = None
    if isinstance(argument, tree.Name):
        symbol = frame.locals.get(argument.id) or inference.block.symbols.get(argument.id)
        if symbol is not None and symbol.role in ("input", "param", "const", "state", "var", "time", "argument"):
            return True
    is_let = isinstance(argument, tree.Name) and symbol is not None and symbol.role == "let"
    inference.report.add(
        "E402",
        f"`{brief(argument)}` is nothing to differentiate by",
        argument.span,
        remark="a derivative is taken by an input, a param, a state, a var or `t`",
        help="a `fn f(v) = …` has arguments: its value may use `grad(…, v)`" if is_let else "pass the name itself",
    )
    return False


def _family(inference: Inference, function: Function, node: tree.Call, family: tree.Family, frame: Frame) -> Step:
    """`sum(e for k in a:b)` and its like."""
    inner = enter_loop(inference, family.index, family.range, frame)
    if inner is None:
        return UNKNOWN
    term = inference.number(family.body, (yield inference.visit(family.body, inner)))
    if term is None:
        return UNKNOWN
    loop = inner.loops[-1]
    if any(loop.name in size.names for size in term):
        inference.disagree(
            node, f"a term is {show(term)}, which changes with `{loop.name}`", "make all terms of one shape", (), frame
        )
        return UNKNOWN
    extent = loop.stop - loop.start
    match function.name:
        case "concat":
            rows = term or (Size.of(1),)
            return Value(inference.within_budget(node, (rows[0] * extent, *rows[1:])))
        case "stack":
            return Value(inference.within_budget(node, (extent, *term)))
        case "sum":
            return Value(term)
        case _:
            return Value(_apply(inference, function, node, [(extent, *term)], frame))
