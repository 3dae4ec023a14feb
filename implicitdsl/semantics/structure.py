"""Whether the equations of a `root`, `dae` or `bvp` are as many as their unknowns, and can determine each of them."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.diagnostics import Label
from implicitdsl.semantics.matching import Match, match_blocks, structural_index
from implicitdsl.semantics.scope import Block
from implicitdsl.semantics.sizes import Shape, Size, SizeBudgetError, count
from implicitdsl.semantics.symbols import Structure, Symbol
from implicitdsl.semantics.values import brief
from implicitdsl.syntax import tree

Counted = Sequence[tuple[tree.Equation, Shape]]
LARGEST = 2000  # blocks whose structure is looked at; beyond, only their scalars are counted


def total(shapes: Sequence[Shape]) -> Size:
    """The number of scalars of all shapes together."""
    found = Size.of(0)
    for shape in shapes:
        found = found + count(shape)
    return found


def balanced(block: Block, equations: Counted, unknowns: Sequence[Symbol], what: str = "equations") -> bool:
    """Whether there are as many scalar equations as unknown scalars; E406 otherwise, naming what is too many."""
    shapes = [u.shape for u in unknowns if u.shape is not None]
    if len(shapes) < len(unknowns):
        return False
    try:
        need, have = total(shapes), total([shape for _, shape in equations])
    except SizeBudgetError:
        block.report.add("E305", "the number of unknowns is too large a polynomial", block.definition.name_span)
        return False
    if need == have:
        return True
    labels = [
        Label(u.span, f"{u.name}: {count(u.shape)}") for u in unknowns if u.span is not None and u.shape is not None
    ]
    labels += [Label(e.span, f"{count(shape)}") for e, shape in equations]
    few = (need - have).never_negative
    names = _left_over(block, equations, unknowns)
    help_ = (
        f"`{names[1]}` stands in no equation of its own"
        if few and names[1]
        else f"`{names[0]}` is too much"
        if names[0]
        else ""
    )
    block.report.add(
        "E406",
        f"{_counted(have, f'scalar {what}')} for {_counted(need, 'unknowns')}",
        block.definition.name_span,
        labels=labels[:12],
        help=help_,
        remark="an equation counts as many scalars as its shape has",
    )
    return False


def _counted(number: Size, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == Size.of(1) else plural}"


def solvable(block: Block, equations: Counted, unknowns: Sequence[Symbol]) -> bool:
    """Whether each unknown can have an equation of its own; E413 otherwise, with one of each that cannot."""
    equation, unknown = _left_over(block, equations, unknowns)
    if not equation and not unknown:
        return True
    statement = next((e for e, _ in equations if brief(e) == equation), None)
    symbol = next((u for u in unknowns if u.name == unknown), None)
    labels = () if symbol is None or symbol.span is None else (Label(symbol.span, f"nothing determines {unknown}"),)
    block.report.add(
        "E413",
        f"the equations cannot determine `{unknown}`",
        statement.span if statement is not None else block.definition.name_span,
        remark="this one is about unknowns that the others determine already",
        labels=labels,
        help=f"replace it by an equation with `{unknown}` in it",
    )
    return False


def dae_structure(
    block: Block,
    states: Sequence[Symbol],
    unknowns: Sequence[Symbol],
    derivatives: dict[str, tree.Equation],
    algebraic: Counted,
) -> Structure:
    """The structural index of a dae. A system that no differentiation can solve is E413, an index above 1 is W401."""
    columns = [*states, *unknowns]
    whole: list[tuple[tree.Equation, Shape]] = [(derivatives[s.name], s.shape or ()) for s in states]
    if len(columns) > LARGEST or not solvable(block, [*whole, *algebraic], columns):
        return Structure(index=1 if algebraic else 0)
    equation, hidden = _left_over(block, algebraic, unknowns)
    if not equation and not hidden:
        return Structure(index=1 if algebraic else 0)
    numbers = {symbol.name: i for i, symbol in enumerate(columns)}
    right = [_columns(block, (derivatives[s.name].right,), numbers) for s in states]
    left = [_columns(block, (e.left, e.right), numbers) for e, _ in algebraic]
    index = max(2, structural_index(len(states), len(unknowns), right, left))
    symbol = next((u for u in unknowns if u.name == hidden), None)
    labels = (
        ()
        if symbol is None or symbol.span is None
        else (Label(symbol.span, f"only derivatives of the equations determine {hidden}"),)
    )
    statement = next((e for e, _ in algebraic if brief(e) == equation), None)
    block.report.add(
        "W401",
        f"the structural index is {index}",
        statement.span if statement is not None else block.definition.name_span,
        remark=f"the algebraic equations do not determine `{hidden}` where they stand",
        labels=labels,
        help="differentiate this equation by hand and write what follows in its place",
    )
    return Structure(index=index, hidden=hidden)


def _columns(block: Block, sides: Sequence[tree.Expression], numbers: dict[str, int]) -> list[int]:
    return sorted(numbers[name] for name in block.base_names(*sides) if name in numbers)


def _left_over(block: Block, equations: Counted, unknowns: Sequence[Symbol]) -> tuple[str, str]:
    """An equation and an unknown without a partner, as texts (empty where all have one).

    Sizes that are names are tried at three choices of values: what fails at all of them is no accident of sizes.
    """
    if len(unknowns) > LARGEST or len(equations) > LARGEST or any(u.shape is None for u in unknowns):
        return "", ""
    numbers = {u.name: i for i, u in enumerate(unknowns)}
    # `dx/dt = …` determines x whether or not x stands on its right-hand side.
    numbers |= {f"d{u.name}": i for i, u in enumerate(unknowns) if u.role == "state"}
    stands_in = [_columns(block, (e.left, e.right), numbers) for e, _ in equations]
    names = sorted(
        {
            n
            for shape in [*(u.shape or () for u in unknowns), *(s for _, s in equations)]
            for size in shape
            for n in size.names
        }
    )
    found: Match | None = None
    for step in (5, -3, 17):
        values = {name: max(1, 31 + step * i) for i, name in enumerate(names)}
        rows = [max(0, count(shape).value(values)) for _, shape in equations]
        needs = [max(0, count(u.shape or ()).value(values)) for u in unknowns]
        found = match_blocks(rows, needs, stands_in)
        if found.perfect:
            return "", ""
    assert found is not None
    equation = next((brief(equations[i][0]) for i, rest in reversed(list(enumerate(found.equations))) if rest), "")
    return equation, next((unknowns[j].name for j, rest in enumerate(found.unknowns) if rest), "")
