"""Sets and draws: known names, their arguments, and the shapes that they fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.names import DRAWS, SETS, did_you_mean, with_article
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.symbols import Role
from implicitdsl.semantics.values import OUTSIDE, Frame, brief
from implicitdsl.syntax import tree

_SETS = {
    **dict.fromkeys(("nonnegative", "nonneg_reals", "NonNegativeReals", "Nonnegative"), "nonneg"),
    **dict.fromkeys(("pos", "PositiveReals", "greater_than"), "positive"),
    **dict.fromkeys(("range", "between", "bounds", "Interval", "box", "unit_interval"), "interval(a, b)"),
}
_DRAWS = {
    **dict.fromkeys(("N", "gaussian", "gauss", "randn", "normal_"), "normal(mean, std)"),
    **dict.fromkeys(("U", "rand", "Unif", "unif"), "uniform(a, b)"),
    **dict.fromkeys(("xavier", "xavier_uniform", "xavier_normal", "glorot_uniform", "glorot_normal"), "glorot()"),
    **dict.fromkeys(("he", "he_normal", "he_uniform", "kaiming_uniform", "kaiming_normal"), "kaiming()"),
    **dict.fromkeys(("eye",), "identity()"),
}
"""Sets and draws by the names that they have elsewhere."""


def _named(name: str, elsewhere: Mapping[str, str], known: Iterable[str]) -> str:
    return f"it is written `{elsewhere[name]}`" if name in elsewhere else did_you_mean(name, known)


def check_set(
    inference: Inference,
    expression: tree.Expression,
    item: str,
    shape: Shape | None,
    allowed: Set[Role],
    frame: Frame = OUTSIDE,
) -> None:
    """Check `item in expression`: E213 for what is no set, E302 where it does not fit, E407 for its arguments."""
    report = inference.report
    match expression:
        case tree.Name(id=name):
            arguments: tuple[tree.Expression | tree.Named | tree.Family, ...] = ()
        case tree.Call(function=tree.Name(id=name), arguments=arguments):
            pass
        case tree.Bracket(items=[low, high]):
            help_ = f"write `interval({brief(low)}, {brief(high)})`"
            report.add("E213", f"`{brief(expression)}` is not a set", expression.span, help=help_)
            return
        case _:
            report.add("E213", f"`{brief(expression)}` is not a set", expression.span, help=f"sets: {', '.join(SETS)}")
            return
    if name not in SETS:
        report.add(
            "E213",
            f"unknown set `{name}`",
            expression.span,
            help=_named(name, _SETS, SETS) or f"sets: {', '.join(SETS)}",
        )
        return
    names, elementwise = SETS[name]
    plain = [a for a in arguments if not isinstance(a, tree.Named | tree.Family)]
    counts = {len(names)} if elementwise else {0, len(names)}  # the size of a set may be left to the item
    if len(plain) != len(arguments) or len(plain) not in counts:
        form = f"{name}({', '.join(names)})" if names else name
        report.add("E208", f"the set `{name}` is written `{form}`", expression.span)
        return
    if not elementwise:
        _whole(inference, name, plain, item, shape, expression, frame)
        return
    for argument in plain:
        found = inference.shape(argument, frame)
        if found is not None and found != ():
            report.add(
                "E309", f"the ends of an interval are scalars, `{brief(argument)}` is {show(found)}", argument.span
            )
        require(inference, argument, allowed, "the ends of a set")


def _whole(
    inference: Inference,
    name: str,
    plain: list[tree.Expression],
    item: str,
    shape: Shape | None,
    expression: tree.Expression,
    frame: Frame,
) -> None:
    """A set of whole vectors or matrices."""
    size = inference.size(plain[0], frame) if plain else None
    if shape is None or (plain and size is None):
        return
    if name in ("spd", "psd", "orthogonal"):
        fits = len(shape) == 2 and (shape[0] == shape[1] or name == "orthogonal") and (size is None or shape[0] == size)
        wanted = f"[{size}, {size}]" if size is not None else "a matrix" if name == "orthogonal" else "a square matrix"
    else:
        fits = len(shape) >= 1 and (size is None or shape[-1] == size)
        wanted = f"[{size}]" if size is not None else "a vector"
    if not fits:
        inference.report.add(
            "E302",
            f"sizes do not agree in `{item} in {brief(expression)}`",
            expression.span,
            remark=f"{item} is {show(shape)}, the set holds {wanted}",
        )


def check_draw(inference: Inference, draw: tree.Call, declared: tree.DeclaredName, shape: Shape | None) -> None:
    """Check `~ draw(…)`: a known draw (E213) with number arguments (E208, E407) that fits the shape (E302)."""
    report = inference.report
    if not isinstance(draw.function, tree.Name) or draw.function.id not in DRAWS:
        known = ", ".join(f"{d}()" for d in DRAWS)
        help_ = _named(draw.function.id, _DRAWS, DRAWS) if isinstance(draw.function, tree.Name) else ""
        report.add("E213", f"unknown draw `{brief(draw.function)}`", draw.span, help=help_ or f"draws: {known}")
        return
    name = draw.function.id
    fewest, most = DRAWS[name]
    plain = [a for a in draw.arguments if not isinstance(a, tree.Named | tree.Family)]
    if len(plain) != len(draw.arguments) or not fewest <= len(plain) <= most:
        wanted = "no arguments" if most == 0 else "two numbers, or none"
        report.add("E208", f"`{name}()` takes {wanted}", draw.span)
        return
    for argument in plain:
        found = inference.shape(argument)
        if found is not None and found != ():
            report.add("E309", f"`{brief(argument)}` is {show(found)}, a draw takes scalars", argument.span)
        require(inference, argument, frozenset({"size"}), "the arguments of a draw")
    if name in ("glorot", "kaiming", "identity", "orthogonal") and shape is not None and len(shape) < 2:
        report.add(
            "E302",
            f"`{name}()` draws matrices, {declared.name} is {show(shape)}",
            draw.span,
            help="`normal(0, 0.1)` draws any shape"
            if name != "identity"
            else f"start it at ones: `{declared.name}{'' if not shape else show(shape)} = 1`",
        )


def require(inference: Inference, expression: tree.Expression, allowed: Set[Role], what: str) -> None:
    """E407 where an expression depends on a name whose role is not among those allowed."""
    block = inference.block
    for name in sorted(block.base_names(expression)):
        symbol = block.symbols[name]
        if symbol.role not in allowed and symbol.role != "constant":
            told = {"time": "t", "call size": "sizes", "use": "used layers", "loop": ""}
            may = ", ".join(sorted({told.get(r, f"{r}s") for r in allowed} - {""} | {"numbers"}))
            block.report.add(
                "E407",
                f"`{name}` is {with_article(symbol.role)}: {what} cannot depend on it",
                expression.span,
                help=f"it may depend on {may}",
            )
            return
