"""What the statements of a definition gave, and whether a statement belongs to its kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from implicitdsl.diagnostics import Label, Span
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.kinds import KindRules, Phrase, advice, homes
from implicitdsl.semantics.sizes import Shape
from implicitdsl.semantics.symbols import Role
from implicitdsl.syntax import tree

FIXED: frozenset[Role] = frozenset({"size", "const", "param"})  # what a param or const may start from
GIVEN: frozenset[Role] = frozenset({"size", "call size", "input", "path", "param", "const", "use", "loop"})
GIVEN_AT_TIME: frozenset[Role] = frozenset[Role]({*GIVEN, "time"})
GIVEN_OR_FOUND: frozenset[Role] = frozenset[Role]({*GIVEN, "var"})


@dataclass
class Body:
    """What the statements gave, for the rules of the kind."""

    rules: KindRules
    equations: list[tree.Equation] = field(default_factory=list[tree.Equation])
    objectives: list[tree.Objective] = field(default_factory=list[tree.Objective])
    events: list[tree.When] = field(default_factory=list[tree.When])
    histories: dict[str, tree.History] = field(default_factory=dict[str, tree.History])
    once: dict[str, Span] = field(default_factory=dict[str, Span])
    result: tree.Return | None = None
    returned: tuple[Shape | None, ...] | None = None


def belongs(inference: Inference, body: Body, phrase: Phrase, where: tree.Node) -> bool:
    """Whether the kind knows such a statement; E401 otherwise."""
    if phrase in body.rules.may:
        return True
    kind = body.rules.kind
    inference.report.add(
        "E401",
        f"`{phrase}` does not belong in {'an' if kind[0] in 'aeiou' else 'a'} `{kind}`",
        where.span,
        remark=f"{kind}: {body.rules.condition}; `{phrase}` is known to {homes(phrase)}",
        help=advice(phrase, kind),
    )
    return False


def only_once(inference: Inference, body: Body, what: str, statement: tree.Node) -> bool:
    """E417 for the second of statements of which there is one."""
    if what in body.once:
        labels = (Label(body.once[what], "first said here"),)
        inference.report.add("E417", f"`{what}` is said twice", statement.span, labels=labels, help="keep one of them")
        return False
    body.once[what] = statement.span
    return True
