"""`fn name(args) = expr`: it sees its arguments and other functions only, and does not call itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicitdsl.diagnostics import Report
from implicitdsl.functions.table import FUNCTIONS
from implicitdsl.semantics.names import CONSTANTS, did_you_mean
from implicitdsl.semantics.symbols import CheckedFunction
from implicitdsl.semantics.walk import Part, children, free_names
from implicitdsl.syntax import tree


def check_function(item: tree.Function, functions: Mapping[str, CheckedFunction], report: Report) -> None:
    """Its arguments are different names (E202), its body is made of them, constants, and functions (E207)."""
    for place, argument in enumerate(item.arguments):
        if argument in item.arguments[:place]:
            report.add(
                "E202",
                f"the argument `{argument}` of `{item.name}` is there twice",
                item.span,
                help="give it another name",
            )
    called = {id(c.function) for c in _calls(item.value)}
    for name in free_names(item.value):
        if name.id in item.arguments or (name.id in CONSTANTS and id(name) not in called):
            continue
        if id(name) in called:
            if name.id not in functions and name.id not in FUNCTIONS:
                help_ = did_you_mean(name.id, [*functions, *FUNCTIONS])
                report.add(
                    "E207",
                    f"`{item.name}` cannot see `{name.id}`",
                    name.span,
                    remark="a `fn` sees its arguments and other functions only",
                    help=help_,
                )
        elif name.id in functions or name.id in FUNCTIONS:
            report.add("E402", f"`{name.id}` is a function", name.span, help=f"call it: `{name.id}(…)`")
        else:
            help_ = (
                did_you_mean(name.id, item.arguments)
                or f"make it an argument: `fn {item.name}({', '.join([*item.arguments, name.id])})`"
            )
            report.add(
                "E207",
                f"`{item.name}` cannot see `{name.id}`",
                name.span,
                remark="a `fn` sees its arguments and other functions only",
                help=help_,
            )


def check_recursion(own: Sequence[tree.Function], functions: Mapping[str, CheckedFunction], report: Report) -> None:
    """E209 for functions that call themselves, directly or through others (a search with a stack of its own)."""
    calls = {item.name: _callees(item, functions) for item in own}
    done: set[str] = set()
    for start in calls:
        path: list[str] = []
        on_path: set[str] = set()
        work: list[tuple[str, bool]] = [(start, False)]
        while work:
            name, leaving = work.pop()
            if leaving:
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif name in on_path:
                chain = " → ".join([*path[path.index(name) :], name])
                item = functions[path[-1]].tree
                report.add(
                    "E209",
                    f"`{name}` calls itself",
                    item.span,
                    remark=chain,
                    help="a `fn` is put in where it is called, so it must end",
                )
            elif name not in done:
                path.append(name)
                on_path.add(name)
                work.append((name, True))
                work += [(other, False) for other in calls.get(name, ())]


def _calls(expression: tree.Expression) -> list[tree.Call]:
    found: list[tree.Call] = []
    work: list[Part] = [expression]
    while work:
        node = work.pop()
        if isinstance(node, tree.Call):
            found.append(node)
        work.extend(children(node))
    return found


def _callees(item: tree.Function, functions: Mapping[str, CheckedFunction]) -> list[str]:
    names = {c.function.id for c in _calls(item.value) if isinstance(c.function, tree.Name)}
    return sorted(n for n in names if n in functions and n not in item.arguments)
