"""The shapes of calls: functions of the table, those of the file, used layers, paths, delayed states, duals."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from implicitdsl.diagnostics import Label
from implicitdsl.functions import shapes as rules
from implicitdsl.functions.table import FUNCTIONS, Function
from implicitdsl.semantics import budget
from implicitdsl.semantics.indexing import Loop
from implicitdsl.semantics.layercall import layer_outputs
from implicitdsl.semantics.names import did_you_mean
from implicitdsl.semantics.sizes import Shape, Size, show
from implicitdsl.semantics.symbols import CheckedFunction, Symbol
from implicitdsl.semantics.values import UNKNOWN, Frame, Step, Value, brief
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from implicitdsl.semantics.infer import Inference

FAMILIES = frozenset({"sum", "prod", "mean", "max", "min", "concat", "stack"})  # functions that take `e for k in a:b`
FILLED = frozenset({"eye", "zeros", "ones"})  # their arguments are sizes
CALCULUS = frozenset({"grad", "div", "jacobian"})  # their second argument is a name


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
            _not_callable(inference, node, f"`{function.name}` is a {function.role}")
            return UNKNOWN
        case CheckedFunction():
            shapes = yield from _plain(inference, node, frame)
            return UNKNOWN if shapes is None else (yield from _expand(inference, function, node, shapes, frame))
        case Function():
            return (yield from _table(inference, function, node, frame))
        case _:  # dual
            return _dual(inference, node)


def find_function(inference: Inference, node: tree.Call, frame: Frame) -> Symbol | CheckedFunction | Function | str | None:
    """What is called; None where that is reported. `dual` comes back as its name."""
    around = inference.block.around
    match node.function:
        case tree.Name(id=name):
            pass
        case tree.Attribute(base=tree.Name(id=alias), name=name) if alias in around.modules:
            found = around.modules[alias].functions.get(name)
            if found is None:
                known = around.modules[alias].functions
                inference.report.add("E201", f"unknown function `{alias}.{name}`", node.function.span, help=did_you_mean(name, known))
            return found
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
        known = [*FUNCTIONS, *around.functions, *(s.name for s in inference.block.symbols.values() if s.role in ("use", "path"))]
        help_ = did_you_mean(name, known)
        if name in inference.block.known_layers:
            help_ = f"a layer has its own weights: `use f = {name}[…]`, then `f(…)`"
        inference.report.add("E201", f"unknown function `{name}`", node.function.span, help=help_)
    return found


def _not_callable(inference: Inference, node: tree.Call, what: str) -> None:
    help_ = f"multiply with `*`, index with `[ ]`: `{brief(node.function)}[…]`"
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
                "E208", f"`{brief(argument)}` is no argument of `{brief(node.function)}`", argument.span, help="pass plain values"
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


def arity(inference: Inference, node: tree.Call, count: int, fewest: int, most: int | None, form: str) -> bool:
    """Whether a call has as many arguments as it may have; E208 otherwise."""
    if fewest <= count and (most is None or count <= most):
        return True
    wanted = str(fewest) if most == fewest else f"{fewest} or more" if most is None else f"{fewest} to {most}"
    plural = "" if wanted == "1" else "s"
    inference.report.add(
        "E208", f"`{brief(node.function)}` takes {wanted} argument{plural}, {count} given", node.span, help=f"its form: `{form}`"
    )
    return False


def _read(inference: Inference, symbol: Symbol, node: tree.Call, frame: Frame) -> Step:
    """`X(s)`, a path at a time; `x(t - tau)`, a delayed state."""
    shapes = yield from _plain(inference, node, frame)
    if shapes is not None and arity(inference, node, len(shapes), 1, 1, f"{symbol.name}(t)") and shapes[0] not in (None, ()):
        time = node.arguments[0]
        inference.report.add("E309", f"a time is a scalar, `{brief(time)}` is {show(shapes[0] or ())}", time.span)
    return Value(symbol.shape)


def _dual(inference: Inference, node: tree.Call) -> Value:
    """`dual(label)`: the multiplier of a constraint, of its shape."""
    labels = inference.block.labels
    match node.arguments:
        case [tree.Name(id=label)] if label in labels:
            return Value(labels[label])
        case [tree.Name(id=label)]:
            help_ = did_you_mean(label, labels) or f"label a constraint in `subject to`: `{label}: …`"
            inference.report.add("E416", f"no constraint is labelled `{label}`", node.arguments[0].span, help=help_)
        case _:
            inference.report.add("E416", "`dual` takes the label of a constraint", node.span, help="dual(balance)")
    return UNKNOWN


def _expand(inference: Inference, function: CheckedFunction, node: tree.Call, shapes: Sequence[Shape | None], frame: Frame) -> Step:
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
        inference.report.add("E305", f"`{brief(node)}` expands beyond the budget", node.span, remark="functions that call functions")
        return UNKNOWN
    bound = {name: Symbol(name, "argument", shape) for name, shape in zip(names, shapes, strict=True)}
    inner = Frame(bound, function=function, called=frame.called or node.span, depth=frame.depth + 1)
    value = yield inference.visit(function.tree.value, inner)
    inference.expansions[key] = value
    return value


# ---------------------------------------------------------------- functions of the table


def _table(inference: Inference, function: Function, node: tree.Call, frame: Frame) -> Step:
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
    """The named arguments of a convolution; any other is E208."""
    found: dict[str, int] = {}
    for argument in node.arguments:
        if isinstance(argument, tree.Family):
            inference.report.add(
                "E208", f"`{function.name}` takes no `for`", argument.span, help=f"`for` stands in {', '.join(sorted(FAMILIES))}"
            )
            return None
        if isinstance(argument, tree.Named):
            if function.name not in ("conv1d", "conv2d") or argument.name not in ("stride", "padding") or argument.name in found:
                inference.report.add(
                    "E208", f"`{function.name}` takes no `{argument.name} =` here", argument.span, help=f"its form: `{function.signature}`"
                )
                return None
            size = inference.size(argument.value, frame)
            if size is None:
                return None
            if size.constant is None:
                inference.report.add("E304", f"`{brief(argument.value)}` is not a number", argument.value.span, remark="a stride is one")
                return None
            found[argument.name] = size.constant
    return found


def _sized(inference: Inference, function: Function, node: tree.Call, plain: Sequence[tree.Expression], frame: Frame) -> Step:
    """`eye(n)`, `zeros(n, m)`, `reshape(x, [n, m])`: sizes as arguments."""
    if len(plain) < len(node.arguments):
        named = next(a for a in node.arguments if isinstance(a, tree.Named | tree.Family))
        inference.report.add("E208", f"`{brief(named)}` is no argument of `{function.name}`", named.span, help=f"its form: `{function.signature}`")
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
            inference.report.add("E304", f"the size `{brief(item)}` is negative", item.span, remark="a size is 0 or more")
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
    if isinstance(argument, tree.Name):
        symbol = frame.locals.get(argument.id) or inference.block.symbols.get(argument.id)
        if symbol is not None and symbol.role in ("input", "param", "const", "state", "var", "time", "argument"):
            return True
    inference.report.add(
        "E402",
        f"`{brief(argument)}` is nothing to differentiate by",
        argument.span,
        remark="a derivative is taken by an input, a param, a state, a var or `t`",
        help="pass the name itself",
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
        inference.disagree(node, f"a term is {show(term)}, which changes with `{loop.name}`", "make all terms of one shape", (), frame)
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


def enter_loop(inference: Inference, index: str, bounds: tree.Range, frame: Frame) -> Frame | None:
    """The frame inside `for index in a:b`; None where the loop is wrong or beyond the budget."""
    block = inference.block
    start, stop = inference.size(bounds.start, frame), inference.size(bounds.stop, frame)
    taken = block.symbols.get(index) if frame.function is None else None
    if index in frame.locals or taken is not None:
        labels = () if taken is None or taken.span is None else (Label(taken.span, f"first defined here, as a {taken.role}"),)
        block.report.add("E202", f"`{index}` is defined twice", bounds.span, labels=labels, help="give the loop another name")
        return None
    if start is None or stop is None:
        return None
    if (start - stop - 1).never_negative:
        block.report.add("E306", f"the loop `{index} in {brief(bounds)}` ends before it starts", bounds.span)
        return None
    rounds = frame.rounds * budget.rounds(start, stop)
    if rounds > budget.ROUNDS:
        block.report.add(
            "E305",
            f"the loop over `{index}` is too long",
            bounds.span,
            remark=f"{rounds} rounds are beyond the budget of {budget.ROUNDS}",
            help="write it with products of matrices and elementwise functions",
        )
        return None
    return frame.inside(Loop(index, start, stop), bounds.span, rounds)
