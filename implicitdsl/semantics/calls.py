"""The shapes of calls: functions of the table, those of the file, used layers, paths, delayed states, duals."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from implicitdsl.diagnostics import Label, Span
from implicitdsl.functions.table import FUNCTIONS, Function
from implicitdsl.semantics import budget
from implicitdsl.semantics.layercall import layer_outputs
from implicitdsl.semantics.names import did_you_mean, with_article
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.symbols import CheckedFunction, Symbol
from implicitdsl.semantics.tablecalls import arity, table_call
from implicitdsl.semantics.values import UNKNOWN, Frame, Step, Value, brief
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from implicitdsl.semantics.infer import Inference

_ELSEWHERE = {
    "ln": "log(x)",
    "log2": "log(x)/log(2)",
    "log10": "log(x)/log(10)",
    "where": "if c then a else b",
    "pow": "x^y",
    "square": "x^2",
    "maximum": "max(x, y)",
    "minimum": "min(x, y)",
    "arcsin": "asin(x)",
    "arccos": "acos(x)",
    "arctan": "atan(x)",
    "arctan2": "atan2(y, x)",
    "fabs": "abs(x)",
    "sgn": "sign(x)",
    "ceil": "-floor(-x)",
    "mod": "x - n*floor(x/n)",
    "erfc": "1 - erf(x)",
    "logistic": "sigmoid(x)",
    "matmul": "A @ B",
    "mm": "A @ B",
    "transpose": "A.T",
    "norm2": "norm(x)",
    "sumsq": "normsq(x)",
    "hstack": "concat(a, b)",
    "vstack": "stack(a, b)",
    "cat": "concat(a, b)",
    "any": "max(x) > c` or `min(x) < c",
    "all": "min(x) > c` or `max(x) < c",
}
"""Functions by the names that they have in other languages, and how they are written in this one."""


def call(inference: Inference, node: tree.Call, frame: Frame) -> Step:
    """What a call gives. A layer with several outputs gives no value here: only `return` takes all of them."""
    function = find_function(inference, node, frame)
    match function:
        case None:
            yield from _arguments(inference, node, frame)
            return UNKNOWN
        case Symbol(role="use"):
            shapes = yield from _plain(inference, node, frame)
            outputs = None if shapes is None else layer_outputs(inference, function, node, shapes)
            if outputs is not None and len(outputs) != 1:
                inference.report.add(
                    "E402",
                    f"`{function.name}` gives {len(outputs)} outputs where one value is wanted",
                    node.span,
                    help=f"return all of them: `return {brief(node)}`, or use a layer with one output",
                )
                return UNKNOWN
            return UNKNOWN if outputs is None else Value(outputs[0])
        case Symbol(role="path" | "state"):
            return (yield _read(inference, function, node, frame))
        case Symbol():
            yield from _arguments(inference, node, frame)
            _not_callable(inference, node, f"`{function.name}` is {with_article(function.role)}")
            return UNKNOWN
        case CheckedFunction():
            shapes = yield from _plain(inference, node, frame)
            return UNKNOWN if shapes is None else (yield from _expand(inference, function, node, shapes, frame))
        case Function():
            return (yield from table_call(inference, function, node, frame))
        case _:  # dual
            return _dual(inference, node)


def find_function(
    inference: Inference, node: tree.Call, frame: Frame
) -> Symbol | CheckedFunction | Function | str | None:
    """What is called; None where that is reported. `dual` comes back as its name."""
    around = inference.block.around
    match node.function:
        case tree.Name(id=name):
            pass
        case tree.Attribute(base=tree.Name(id=alias), name=name) if alias in around.modules:
            found = around.modules[alias].functions.get(name)
            if found is None:
                known = around.modules[alias].functions
                inference.report.add(
                    "E201", f"unknown function `{alias}.{name}`", node.function.span, help=did_you_mean(name, known)
                )
            return found
        case tree.Attribute(base=tree.Name(id=base), name="array" | "tensor") if base not in inference.block.symbols:
            inference.report.add(
                "E201",
                f"unknown function `{brief(node.function)}`",
                node.function.span,
                help="a vector is `[1, 2]`, a matrix `[[1, 2], [3, 4]]`",
            )
            return None
        case tree.Attribute(name=name) if name in FUNCTIONS:
            inference.report.add(
                "E201",
                f"unknown function `{brief(node.function)}`",
                node.function.span,
                help=f"functions stand without a dot: `{name}(…)`",
            )
            return None
        case _:
            _not_callable(inference, node, f"`{brief(node.function)}` is a value")
            return None
    if frame.function is not None:
        if name in frame.locals:
            return frame.locals[name]
        return frame.function.sees.get(name) or FUNCTIONS.get(name)  # another name was reported where the fn is defined
    if name in frame.locals:
        return frame.locals[name]
    if name in inference.block.symbols:
        return inference.block.look_up(tree.Name(name, span=node.function.span))
    if name in inference.block.later:
        inference.block.look_up(tree.Name(name, span=node.function.span))
        return None
    if name == "dual" and inference.block.definition.kind == "argmin":
        return "dual"
    found = around.functions.get(name) or FUNCTIONS.get(name)
    if found is None:
        known = [
            *FUNCTIONS,
            *around.functions,
            *(s.name for s in inference.block.symbols.values() if s.role in ("use", "path")),
        ]
        other = _ELSEWHERE.get(name)
        help_ = did_you_mean(name, known) if other is None else f"it is written `{other}`"
        if name in ("linspace", "arange", "logspace"):
            help_ = "times are an input `ts[T]`, or a bracket: `[0, 0.5, 1]`"
        if name in ("rand", "randn", "random", "normal", "uniform"):
            help_ = "a start is drawn by `param W[n] ~ normal()`; noise in time is `noise W` in an `sde`"
        if name in ("len", "size", "shape", "numel"):
            help_ = "sizes are names: `n` of `x[n]` is also a number"
        if name in inference.block.known_layers:
            help_ = f"a layer has its own weights: `use f = {name}[…]`, then `f(…)`"
        inference.report.add("E201", f"unknown function `{name}`", node.function.span, help=help_)
    return found


def _not_callable(inference: Inference, node: tree.Call, what: str) -> None:
    help_ = "multiply with `*`"
    if isinstance(node.function, tree.Name):
        help_ += f", index with `[ ]`: `{node.function.id}[…]`"
    inference.report.add("E402", f"{what} and cannot be called", node.function.span, help=help_)


def _arguments(inference: Inference, node: tree.Call, frame: Frame) -> Step:
    """Visit the arguments of a call that is wrong already, for what is wrong in them."""
    for argument in node.arguments:
        if not isinstance(argument, tree.Named | tree.Family):
            yield inference.visit(argument, frame)
    return UNKNOWN


def _plain(inference: Inference, node: tree.Call, frame: Frame) -> Generator[Any, Any, list[Shape | None] | None]:
    """The shapes of arguments that are all plain expressions; None after an error."""
    shapes: list[Shape | None] = []
    wrong = False
    for argument in node.arguments:
        if isinstance(argument, tree.Named | tree.Family):
            inference.report.add(
                "E208",
                f"`{brief(argument)}` is no argument of `{brief(node.function)}`",
                argument.span,
                help="pass plain values",
            )
            wrong = True
        elif _is_path(inference, argument, frame):
            symbol = inference.block.look_up(argument) if isinstance(argument, tree.Name) else None
            shapes.append(None if symbol is None else symbol.shape)
        else:
            shapes.append(inference.number(argument, (yield inference.visit(argument, frame))))
    return None if wrong else shapes


def _is_path(inference: Inference, argument: tree.Expression, frame: Frame) -> bool:
    if not isinstance(argument, tree.Name) or frame.function is not None or argument.id in frame.locals:
        return False
    symbol = inference.block.symbols.get(argument.id)
    return symbol is not None and symbol.role == "path"


def _read(inference: Inference, symbol: Symbol, node: tree.Call, frame: Frame) -> Step:
    """`X(s)`, a path at a time; `x(t - tau)`, a delayed state."""
    shapes = yield from _plain(inference, node, frame)
    if (
        shapes is not None
        and arity(inference, node, len(shapes), 1, 1, f"{symbol.name}(t)")
        and shapes[0] not in (None, ())
    ):
        time = node.arguments[0]
        inference.report.add("E309", f"a time is a scalar, `{brief(time)}` is {show(shapes[0] or ())}", time.span)
    return Value(symbol.shape)


def _dual(inference: Inference, node: tree.Call) -> Value:
    """`dual(label)`: the multiplier of a constraint, of its shape."""
    labels = inference.block.labels
    match node.arguments:
        case [tree.Name(id=label)] if label in labels:
            return Value(labels[label])
        case [tree.Name(id=label)] if (below := _labelled(inference, label)) is not None:
            inference.report.add(
                "E203",
                f"`{label}` is used before it is defined",
                node.arguments[0].span,
                labels=(Label(below, "this constraint bears the label"),),
                help="`subject to` stands above `return`",
            )
        case [tree.Name(id=label)]:
            help_ = did_you_mean(label, labels) or f"label a constraint in `subject to`: `{label}: …`"
            inference.report.add("E416", f"no constraint is labelled `{label}`", node.arguments[0].span, help=help_)
        case _:
            inference.report.add("E416", "`dual` takes the label of a constraint", node.span, help="dual(balance)")
    return UNKNOWN


def _labelled(inference: Inference, label: str) -> Span | None:
    """Where a constraint of the definition bears a label, be it further down."""
    work: list[tree.Relation] = [
        r for s in inference.block.definition.body if isinstance(s, tree.Subject) for r in s.relations
    ]
    while work:
        relation = work.pop()
        if isinstance(relation, tree.ForAll):
            work.extend(relation.body)
        elif relation.label == label:
            return relation.span
    return None


def _expand(
    inference: Inference, function: CheckedFunction, node: tree.Call, shapes: Sequence[Shape | None], frame: Frame
) -> Step:
    """The value of a `fn` for arguments of these shapes."""
    names = function.tree.arguments
    form = f"{function.tree.name}({', '.join(names)})"
    if not arity(inference, node, len(shapes), len(names), len(names), form) or any(s is None for s in shapes):
        return UNKNOWN
    key = (id(function), *shapes)
    if key in inference.expansions:
        return inference.expansions[key]
    inference.expansions[key] = UNKNOWN  # recursion is reported where the functions are defined
    if frame.depth >= budget.FUNCTION_DEPTH or len(inference.expansions) > budget.EXPANSIONS:
        inference.report.add(
            "E305", f"`{brief(node)}` expands beyond the budget", node.span, remark="functions that call functions"
        )
        return UNKNOWN
    bound = {name: Symbol(name, "argument", shape) for name, shape in zip(names, shapes, strict=True)}
    inner = Frame(bound, function=function, called=frame.called or node.span, depth=frame.depth + 1)
    value = yield inference.visit(function.tree.value, inner)
    inference.expansions[key] = value
    return value
