"""A definition told in words: given …, learn …, find …, such that …

The sentences are made from the syntax tree alone, so they can be told of every kind that reads, executable or not.
Formulas are quoted as they stand in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from implicitdsl.semantics.names import with_article
from implicitdsl.syntax import tree

#: What the unknowns of a kind are told to satisfy.
_HEADINGS: dict[tree.Kind, str] = {
    "net": "compute",
    "ode": "find the functions of time",
    "dae": "find the functions of time",
    "sde": "find the random functions of time",
    "cde": "find the functions along the path",
    "bvp": "find the functions of time",
    "fixpoint": "find",
    "root": "find",
    "argmin": "find",
}

_WIDTH = 11


@dataclass(frozen=True)
class Passage:
    """A heading and the lines under it: `given` and `x, a vector of m`."""

    heading: str
    lines: tuple[str, ...]


def tell(definition: tree.Definition) -> tuple[Passage, ...]:
    """The passages of a definition, in the order in which they are read; a passage without lines is left out."""
    passages = (
        Passage("given", tuple(_input(i) for i in definition.inputs)),
        Passage("with sizes", tuple(_size(s) for s in definition.sizes)),
        Passage("learn", tuple(_declared(definition, "param"))),
        Passage("keep fixed", tuple(_declared(definition, "const"))),
        Passage("using", tuple(_use(s) for s in definition.body if isinstance(s, tree.Use))),
        Passage("driven by", tuple(_noise(definition))),
        Passage("let", tuple(f"{s.name} = {quote(s.value)}" for s in definition.body if isinstance(s, tree.Let))),
        *_conditions(definition),
        Passage("return", _returned(definition)),
        Passage("by", tuple(_choice(s) for s in definition.body if isinstance(s, tree.Choice))),
    )
    return tuple(p for p in passages if p.lines)


def words(definition: tree.Definition) -> str:
    """The definition in words as text, its documentation first."""
    title = f"{definition.name}: {with_article(definition.kind)} layer"
    lines = [title]
    if definition.doc:
        lines += [f"  {line}" for line in definition.doc.splitlines()]
    for passage in tell(definition):
        first, *rest = passage.lines
        if len(passage.heading) < _WIDTH:
            lines.append(f"  {passage.heading:<{_WIDTH}}{first}")
        else:
            lines += [f"  {passage.heading}", " " * (_WIDTH + 2) + first]
        lines += [" " * (_WIDTH + 2) + line for line in rest]
    return "\n".join(lines)


def quote(node: tree.Node) -> str:
    """The text of a node as it was written, on one line and without comments."""
    lines = (line.split("#", 1)[0] for line in node.span.text.splitlines())
    return " ".join(" ".join(lines).split())


# ---------------------------------------------------------------- sizes and shapes


def _shape(shape: Sequence[tree.Expression]) -> str:
    match [quote(s) for s in shape]:
        case []:
            return "a number"
        case [one]:
            return f"a vector of {one}"
        case [rows, columns]:
            return f"a matrix of {rows} by {columns}"
        case many:
            return f"a tensor of {' by '.join(many)}"


def _size(size: tree.SizeName) -> str:
    if size.default is None:
        return f"{size.name}, to be named when the layer is made"
    return f"{size.name}, {quote(size.default)} if nothing is said"


def _input(item: tree.Input) -> str:
    if item.path:
        channels = quote(item.shape[0]) if item.shape else "1"
        return f"{item.name}, a path of {channels} channels, interpolated by {item.by or 'hermite'}"
    return f"{item.name}, {_shape(item.shape)}{_in(item.set)}"


def _in(set_: tree.Expression | None) -> str:
    match set_:
        case None:
            return ""
        case tree.Name(id="positive"):
            return " above 0"
        case tree.Name(id="nonneg"):
            return " of at least 0"
        case tree.Call(function=tree.Name(id="interval"), arguments=(low, high)):
            return f" between {quote(low)} and {quote(high)}"
        case _:
            return f" in {quote(set_)}"


# ---------------------------------------------------------------- declarations


def _declarations(definition: tree.Definition, role: tree.Role) -> Iterable[tuple[tree.Declare, tree.DeclaredName]]:
    for statement in definition.body:
        if isinstance(statement, tree.Declare) and statement.role == role:
            for name in statement.names:
                yield statement, name


def _declared(definition: tree.Definition, role: tree.Role) -> Iterable[str]:
    for statement, name in _declarations(definition, role):
        if name.start is not None:
            start = f", {'starting at' if role == 'param' else 'equal to'} {quote(name.start)}"
        elif statement.draw is not None:
            start = f", drawn from {quote(statement.draw)}"
        else:
            start = ""
        yield f"{name.name}, {_shape(name.shape)}{_in(statement.set)}{start}"


def _use(use: tree.Use) -> str:
    layer = use.layer if use.module is None else f"{use.module}.{use.layer}"
    sizes = f"[{', '.join(quote(s) for s in use.sizes)}]" if use.sizes else ""
    return f"{use.name}, a layer {layer}{sizes} of its own"


def _noise(definition: tree.Definition) -> Iterable[str]:
    for statement, name in _declarations(definition, "noise"):
        sense = "Stratonovich" if statement.stratonovich else "Itô"
        yield f"{name.name}, Brownian motion, {_shape(name.shape)}, in the sense of {sense}"


def _choice(choice: tree.Choice) -> str:
    options = f"({', '.join(quote(o) for o in choice.options)})" if choice.options else ""
    return f"the {choice.what} {choice.name}{options}"


# ---------------------------------------------------------------- the conditions


def _conditions(definition: tree.Definition) -> Iterable[Passage]:
    yield Passage(_HEADINGS[definition.kind], tuple(_unknowns(definition)))
    objectives = [s for s in definition.body if isinstance(s, tree.Objective)]
    yield Passage("such that", tuple(f"{quote(o.value)} is {o.sense[:-1]}ed" for o in objectives))
    equations = tuple(_relation(s) for s in definition.body if isinstance(s, tree.Equation))
    yield Passage("such that", equations)
    limits = tuple(_relation(r) for s in definition.body if isinstance(s, tree.Subject) for r in s.relations)
    yield Passage("subject to", limits)
    yield Passage(
        "before", tuple(f"{s.name} was {quote(s.value)}" for s in definition.body if isinstance(s, tree.History))
    )
    spans = tuple(
        f"{s.variable} = {quote(s.start)} to {quote(s.stop)}" for s in definition.body if isinstance(s, tree.Horizon)
    )
    yield Passage("from", spans)
    yield Passage("when", tuple(_event(s) for s in definition.body if isinstance(s, tree.When)))


def _unknowns(definition: tree.Definition) -> Iterable[str]:
    guessed = definition.kind == "bvp"
    for statement, name in _declarations(definition, "state"):
        start = "" if name.start is None else f", {'guessed as' if guessed else 'which starts at'} {quote(name.start)}"
        yield f"{name.name}, {_shape(name.shape)}{_in(statement.set)}{start}"
    for statement, name in _declarations(definition, "var"):
        start = "" if name.start is None else f", searched from {quote(name.start)}"
        yield f"{name.name}, {_shape(name.shape)}{_in(statement.set)}{start}"


def _relation(relation: tree.Relation) -> str:
    match relation:
        case tree.Equation(left=left, right=right, label=label):
            text = f"{quote(left)} = {quote(right)}"
        case tree.Inequality(condition=condition, label=label):
            text = quote(condition)
        case tree.ForAll(index=index, range=range_, body=body):
            text = f"for every {index} in {quote(range_)}: {'; '.join(_relation(r) for r in body)}"
            label = None
    return text if label is None else f"{label}: {text}"


def _event(event: tree.When) -> str:
    actions: list[str] = []
    for action in event.actions:
        match action:
            case tree.Reset(target=target, value=value):
                actions.append(f"{quote(target)} becomes {quote(value)}")
            case tree.Stop():
                actions.append("the run stops")
    return f"{quote(event.condition)}: {', '.join(actions)}"


def _returned(definition: tree.Definition) -> tuple[str, ...]:
    for statement in definition.body:
        if isinstance(statement, tree.Return):
            shapes = [_shape(o.shape) for o in definition.outputs]
            values = [quote(v) for v in statement.values]
            at = "" if statement.at is None else f", at the times {quote(statement.at)}"
            if len(shapes) == len(values):
                lines = [f"{value}, {shape}" for value, shape in zip(values, shapes, strict=True)]
                return (*lines[:-1], lines[-1] + at)
            return (", ".join(values) + at,)
    return ()
