"""The static half of `load`: a tree is checked for all sizes.

Every name is resolved, every expression has its shape as polynomials in the names of sizes, every kind has its
equations. Two sizes agree if and only if their polynomials are equal; what depends on values (is an index below its
axis, a size not negative, a tensor within the budget) is decided here where it holds for all sizes, and otherwise by
`check_sizes` when a layer is constructed: the same rules on numbers.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from implicitdsl.diagnostics import ImpError, Label, Report
from implicitdsl.functions.table import FUNCTIONS
from implicitdsl.semantics.definition import check_definition
from implicitdsl.semantics.fn import check_function, check_recursion
from implicitdsl.semantics.names import CONSTANTS
from implicitdsl.semantics.symbols import CheckedDefinition, CheckedFile, CheckedFunction, Surroundings
from implicitdsl.syntax import tree

Importer = Callable[[str], tree.File]


def check(file: tree.File, report: Report, *, imports: Importer) -> CheckedFile:
    """Check a file and everything it imports; findings go into the report, an error does not stop the check.

    `imports(path)` gives the tree of an imported file (ImpError or OSError where it cannot); its path is as
    written in this file; a path in an imported file is taken relative to that file. Every file is read once.
    """
    return _Files(report, imports).check(file, posixpath.basename(file.source.name))


def check_sizes(checked: CheckedDefinition, sizes: Mapping[str, int], report: Report) -> None:
    """Check a definition once more with its sizes bound to numbers: indices, signs, budgets (concrete E3xx)."""
    check_definition(
        checked.tree,
        report,
        checked.around,
        find_layer=lambda module, name: checked.layer_named(module, name),
        known=frozenset(),
        values=sizes,
    )


@dataclass
class _Files:
    """All files of one check: each is checked once, and none while it is being checked."""

    report: Report
    imports: Importer
    done: dict[str, CheckedFile | None] = field(default_factory=dict[str, "CheckedFile | None"])
    open: list[str] = field(default_factory=list[str])

    def check(self, file: tree.File, path: str) -> CheckedFile:
        self.open.append(path)
        names: dict[str, tree.Item] = {}
        definitions: dict[str, CheckedDefinition] = {}
        functions: dict[str, CheckedFunction] = {}
        modules: dict[str, CheckedFile] = {}
        for item in file.items:
            if isinstance(item, tree.Import):
                self._import(item, path, names, definitions, functions, modules)
        for item in file.items:
            if not isinstance(item, tree.Import):
                self._name(item.name, item, names)
        own = [i for i in file.items if isinstance(i, tree.Function) and names.get(i.name) is i]
        _functions(own, functions, self.report)
        aliases = {i.alias for i in file.items if isinstance(i, tree.Import) and i.alias is not None}
        around = Surroundings(functions, modules, frozenset(aliases - modules.keys()))
        blocks = [i for i in file.items if isinstance(i, tree.Definition)]
        _definitions(blocks, names, definitions, around, self.report)
        self.open.pop()
        checked = CheckedFile(file, definitions, functions, modules)
        self.done[path] = checked
        return checked

    def _name(self, name: str, item: tree.Item, names: dict[str, tree.Item]) -> None:
        span = item.name_span if isinstance(item, tree.Definition) else item.span
        if name in names:
            labels = (
                Label(
                    names[name].span if not isinstance(names[name], tree.Definition) else _name_span(names[name]),
                    "first defined here",
                ),
            )
            self.report.add(
                "E202", f"`{name}` is defined twice", span, labels=labels, help="give one of them another name"
            )
            return
        names[name] = item
        if isinstance(item, tree.Function) and (name in FUNCTIONS or name in CONSTANTS):
            self.report.add("W201", f"`{name}` hides the function of that name", span, help="give it another name")

    def _import(
        self,
        item: tree.Import,
        path: str,
        names: dict[str, tree.Item],
        definitions: dict[str, CheckedDefinition],
        functions: dict[str, CheckedFunction],
        modules: dict[str, CheckedFile],
    ) -> None:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), item.path))
        if target in self.open:
            chain = " → ".join([*self.open[self.open.index(target) :], target])
            self.report.add(
                "E211",
                "these files import each other",
                item.span,
                remark=chain,
                help="move what both need into a third file",
            )
            return
        if len(self.open) > 100:
            self.report.add(
                "E210", f"`{item.path}` is imported too deep", item.span, remark="more than 100 files import each other"
            )
            return
        if target not in self.done:
            self.done[target] = None
            try:
                other = self.imports(target)
            except ImpError as error:
                self.report.found.extend(d for d in error.diagnostics if d not in self.report.found)
                self.report.add(
                    "E210", f"`{item.path}` cannot be imported", item.span, remark="it has errors of its own"
                )
            except (OSError, ValueError) as error:
                self.report.add("E210", f"`{item.path}` cannot be imported", item.span, remark=str(error))
            else:
                self.check(other, target)
        checked = self.done[target]
        if checked is None:
            return
        if item.alias is not None:
            self._name(item.alias, item, names)
            modules[item.alias] = checked
            return
        for name in (*checked.definitions, *checked.functions):
            if checked.definitions.get(name) is not definitions.get(name, checked.definitions.get(name)):
                self._name(name, item, names)
            names.setdefault(name, item)
        definitions.update(checked.definitions)
        functions.update(checked.functions)


def _name_span(item: tree.Item):
    return item.name_span if isinstance(item, tree.Definition) else item.span


def _functions(own: list[tree.Function], functions: dict[str, CheckedFunction], report: Report) -> None:
    for item in own:
        # The mapping is shared: a function sees those below it too.
        functions[item.name] = CheckedFunction(item, functions)
    for item in own:
        check_function(item, functions, report)
    check_recursion(own, functions, report)


def _definitions(
    blocks: list[tree.Definition],
    names: Mapping[str, tree.Item],
    definitions: dict[str, CheckedDefinition],
    around: Surroundings,
    report: Report,
) -> None:
    """Check definitions, those that are used before those that use them, whatever the order of the text."""
    own = {b.name: b for b in blocks if names.get(b.name) is b}
    known = frozenset({*own, *definitions})
    results: dict[int, CheckedDefinition] = {}

    def find(module: str | None, name: str) -> CheckedDefinition | None:
        if module is None:
            return definitions.get(name)
        file = around.modules.get(module)
        return None if file is None else file.definitions.get(name)

    def visit(block: tree.Definition) -> None:
        broken = known - definitions.keys()
        found = check_definition(block, report, around, find_layer=find, known=known, broken=broken)
        results[id(block)] = found
        if own.get(block.name) is block:
            definitions[block.name] = found

    state: dict[int, str] = {}
    for root in blocks:
        stack: list[tuple[tree.Definition, list[tuple[tree.Use, tree.Definition]]]] = []
        if id(root) not in state:
            state[id(root)] = "open"
            stack.append((root, _used(root, own)))
        while stack:
            block, waiting = stack[-1]
            if not waiting:
                stack.pop()
                visit(block)
                state[id(block)] = "done"
                continue
            use, other = waiting.pop()
            if state.get(id(other)) == "open":
                start = next(i for i, (b, _) in enumerate(stack) if b is other)
                chain = " → ".join([b.name for b, _ in stack[start:]] + [other.name])
                report.add(
                    "E209", "these layers use each other", use.span, remark=chain, help="a layer cannot contain itself"
                )
            elif id(other) not in state:
                state[id(other)] = "open"
                stack.append((other, _used(other, own)))
    # In the order of the text, imported ones first.
    ordered = {name: definitions.pop(name) for name in own if name in definitions}
    definitions.update(ordered)


def _used(block: tree.Definition, own: Mapping[str, tree.Definition]) -> list[tuple[tree.Use, tree.Definition]]:
    return [(s, own[s.layer]) for s in block.body if isinstance(s, tree.Use) and s.module is None and s.layer in own]
