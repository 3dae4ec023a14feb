"""Generated programs: trees of every form, with the nesting that the grammar allows."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from implicitdsl.diagnostics import Source, Span
from implicitdsl.syntax import tree

NOWHERE = Span(Source("generated", ""), 0, 0)

names = st.sampled_from(
    ["x", "y2", "alpha", "T", "W", "dx", "dt", "φ", "by", "as", "imp", "stratonovich", "_k", "e1", "E"]
)
# `.T` is the transpose, so no definition of a module bears this name.
members = names.filter(lambda name: name != "T")
numbers = st.sampled_from(["0", "1", "2.5", ".5", "1e-3", "3.", "10^9".split("^")[0]])


def node(kind: Any, *parts: Any, **named: Any) -> st.SearchStrategy[Any]:
    return st.builds(lambda *p, **n: kind(*p, span=NOWHERE, **n), *parts, **named)


def some(strategy: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def _grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    spans = node(tree.Range, inner, inner)
    named = node(tree.Named, st.one_of(names, st.sampled_from(["solver", "adjoint"])), inner)
    family = node(tree.Family, inner, names, spans)
    operators = some(st.sampled_from(["<", "<=", ">", ">="]), 1, 2)
    chain = operators.flatmap(lambda o: node(tree.Compare, st.just(o), some(inner, len(o) + 1, len(o) + 1)))
    place = st.one_of(inner, node(tree.Slice, st.none() | inner, st.none() | inner))
    called = st.one_of(node(tree.Name, names), node(tree.Attribute, node(tree.Name, names), members))
    return st.one_of(
        node(tree.Negate, inner),
        node(tree.Binary, st.sampled_from("+-*/@^"), inner, inner),
        chain,
        node(tree.Contains, inner, inner),
        node(tree.Logical, st.sampled_from(["and", "or"]), inner, inner),
        node(tree.Not, inner),
        node(tree.IfElse, inner, inner, inner),
        node(tree.Index, inner, some(place, 1)),
        node(tree.Transpose, inner),
        node(tree.Call, called, some(st.one_of(inner, named, family))),
        node(tree.Bracket, some(inner, 1)),
    )


expressions = st.recursive(st.one_of(node(tree.Name, names), node(tree.Number, numbers)), _grow, max_leaves=8)
maybe = st.none() | expressions
shapes = some(expressions, 0, 2)
ranges = node(tree.Range, expressions, expressions)
calls = node(tree.Call, node(tree.Name, names), some(expressions))
options = some(node(tree.Named, names, expressions), 0, 2)
declared = some(node(tree.DeclaredName, names, shapes, maybe), 1, 3)
labels = st.none() | names

equations = node(tree.Equation, expressions, expressions)
conditions = expressions.filter(lambda e: isinstance(e, (tree.Compare, tree.Contains)))
contains = node(tree.Contains, expressions, expressions)
constraints = st.one_of(
    node(tree.Equation, expressions, expressions, labels),
    node(tree.Inequality, st.one_of(contains, node(tree.Compare, st.just(("<=",)), some(expressions, 2, 2))), labels),
)
relations = st.recursive(constraints, lambda inner: node(tree.ForAll, names, ranges, some(inner, 1, 2)), max_leaves=3)
actions = st.one_of(node(tree.Reset, node(tree.Name, names), expressions), node(tree.Stop))

statements = st.one_of(
    node(tree.Declare, st.sampled_from(["param", "const", "state", "var"]), declared, st.none() | calls, maybe),
    node(tree.Declare, st.just("noise"), declared, stratonovich=st.booleans()),
    node(tree.History, names, expressions),
    node(
        tree.Use,
        names,
        st.none() | names,
        names,
        some(st.one_of(expressions, node(tree.Named, names, expressions)), 0, 2),
        options,
    ),
    node(tree.Let, names, expressions),
    node(tree.Horizon, names, expressions, expressions),
    node(tree.When, expressions, some(actions, 1, 2)),
    node(tree.Objective, st.sampled_from(["minimize", "maximize"]), expressions),
    node(tree.Subject, some(relations, 1, 2)),
    equations,
    node(tree.Choice, st.sampled_from(["solver", "adjoint"]), names, options),
    node(tree.Return, some(expressions, 1, 3), maybe),
)

inputs = st.one_of(
    node(tree.Input, names, shapes, maybe),
    node(tree.Input, names, shapes, maybe, path=st.just(value=True), by=labels),
)
outputs = st.one_of(node(tree.Output, names, shapes), node(tree.Output, st.none(), some(expressions, 1, 2)))
definitions = node(
    tree.Definition,
    st.sampled_from(["net", "ode", "dae", "sde", "cde", "bvp", "fixpoint", "root", "argmin"]),
    names,
    some(node(tree.SizeName, names, maybe), 0, 2),
    some(inputs, 0, 3),
    some(outputs, 1, 3),
    some(statements, 1, 4),
    name_span=st.just(NOWHERE),
)
items = st.one_of(
    definitions,
    node(tree.Function, names, some(names), expressions),
    node(tree.Import, st.sampled_from(["a.imp", "../b c.imp", ""]), labels),
)
files = st.builds(
    lambda parts, line: tree.File(NOWHERE.source, parts, 1, line, span=NOWHERE), some(items, 0, 3), st.booleans()
)
