"""Generated trees print as texts that read as the same trees."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from implicitdsl.syntax import tree
from implicitdsl.syntax.phrases import expression
from implicitdsl.syntax.printer import format_text, print_tree
from implicitdsl.syntax.reader import read, read_expression
from implicitdsl.syntax.wrapping import WIDTH, wrap

_spec = importlib.util.spec_from_file_location("programs", Path(__file__).with_name("programs.py"))
assert _spec is not None
assert _spec.loader is not None
programs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(programs)

quiet = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(quiet, max_examples=300)
@given(programs.expressions)
def test_expressions(node: tree.Expression) -> None:
    assert read_expression(expression(node)) == node


@settings(quiet, max_examples=300)
@given(programs.files)
def test_files(file: tree.File) -> None:
    text = print_tree(file)
    assert read(text) == file
    assert format_text(text) == text


@settings(quiet, max_examples=150)
@given(programs.definitions)
def test_a_definition_in_any_layout_reads_the_same(definition: tree.Definition) -> None:
    """Newlines inside brackets, comments behind lines and blank lines change nothing that is said."""
    file = tree.File(programs.NOWHERE.source, (definition,), span=programs.NOWHERE)
    text = print_tree(file)
    other = (
        text.replace("(", "(\n  # note\n")
        .replace(", ", " ,  # more\n\t")
        .replace(" + ", "\n+\n")
        .replace("{", "{ # in\n\n")
    )
    other = other.replace("\n}", "\n\n\n# end\n}") if "\n}" in other else other
    assert read(other.replace("\n", "\r\n")).items == file.items
    formatted = format_text(other)
    assert read(formatted).items == file.items
    assert format_text(formatted) == formatted
    assert formatted.count("#") == other.count("#")


@settings(quiet, max_examples=150)
@given(programs.expressions, programs.expressions)
def test_wrapped_lines_read_as_before(first: tree.Expression, second: tree.Expression) -> None:
    call = tree.Call(tree.Name("f", span=programs.NOWHERE), (first, second) * 6, span=programs.NOWHERE)
    lines = wrap(f"let z = {expression(call)}", "  ")
    assert all(len(line) <= WIDTH or " " not in line.strip() for line in lines)
    wrapped = f"net N() -> z {{\n{chr(10).join(lines)}\n}}\n"
    (definition,) = read(wrapped).items
    assert isinstance(definition, tree.Definition)
    assert definition.body == (tree.Let("z", call, span=programs.NOWHERE),)


def test_a_choice_without_options_has_no_brackets() -> None:
    text = "ode Decay(x0) -> x {\n  state x = x0\n  dx/dt = -x\n  from t = 0 to 1\n  solver rodas5p\n  return x\n}\n"
    assert format_text(text) == text
    assert format_text(text.replace("rodas5p", "rodas5p()")) == text
