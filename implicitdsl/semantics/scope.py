"""The names of one block, in the order of the text: what is declared, what a name means, what is not there yet."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from implicitdsl.diagnostics import Label, Report, Span
from implicitdsl.functions.table import FUNCTIONS
from implicitdsl.semantics.names import CONSTANTS, TIMED, did_you_mean, is_module_attribute, with_article
from implicitdsl.semantics.sizes import NotASizeError, Shape, Size, read_size
from implicitdsl.semantics.symbols import Surroundings, Symbol, UseSite
from implicitdsl.semantics.walk import Part, free_names
from implicitdsl.syntax import tree

_FOREIGN = {
    **dict.fromkeys(("True", "true", "False", "false"), "conditions are comparisons: `a < b`"),
    **dict.fromkeys(("None", "null", "NaN", "nan"), "every name has a value; nothing stands for a missing one"),
    **dict.fromkeys(("Inf", "Infinity", "infinity"), "write `inf`"),
    "PI": "write `pi`",
}
"""Values of other languages, and what there is instead."""


@dataclass
class Block:
    """The names of a definition. `values` binds sizes to numbers when a layer is constructed; empty for all sizes.

    `later` are the places of names that the text defines further down.
    """

    definition: tree.Definition
    report: Report
    around: Surroundings
    values: Mapping[str, int] = field(default_factory=dict[str, int])
    symbols: dict[str, Symbol] = field(default_factory=dict[str, Symbol])
    later: dict[str, Span] = field(default_factory=dict[str, Span])
    uses: dict[str, UseSite] = field(default_factory=dict[str, UseSite])
    known_layers: Set[str] = frozenset()
    broken_layers: Set[str] = frozenset()
    labels: dict[str, Shape | None] = field(default_factory=dict[str, "Shape | None"])
    used: set[str] = field(default_factory=set[str])
    twice: set[str] = field(default_factory=set[str])  # inputs that are declared as unknowns too
    early: set[str] = field(default_factory=set[str])  # names used above their definitions: said once
    mistaken: set[str] = field(
        default_factory=set[str]
    )  # names on the left that are nothing: said there, and only there

    @property
    def timed(self) -> bool:
        """Whether the unknowns are functions of time."""
        return self.definition.kind in TIMED

    # ------------------------------------------------------------ declaring

    def declare(self, symbol: Symbol, *, where: Span) -> None:
        """Enter a name, with the differential that comes with it; a name that is taken is E202 or E204."""
        known = self.symbols.get(symbol.name)
        self.later.pop(symbol.name, None)
        if known is not None:
            self._taken(symbol, known, where)
            return
        if symbol.role in ("param", "const", "use") and is_module_attribute(symbol.name):
            self.report.add(
                "E206",
                f"`{symbol.name}` is the name of an attribute of every layer",
                where,
                remark=f"`layer.{symbol.name}` means something else in Python",
                help=f"give the {symbol.role} another name, such as `{symbol.name}_`",
            )
        self.warn_of_shadow(symbol.name, where)
        self.symbols[symbol.name] = symbol
        if self.timed and symbol.role in ("state", "noise", "path"):
            differential = f"d{symbol.name}"
            taken = self.symbols.get(differential)
            if taken is not None:
                self.report.add(
                    "E204",
                    f"`{differential}` is the differential of `{symbol.name}`",
                    taken.span or where,
                    labels=(Label(where, f"{symbol.role} {symbol.name}"),),
                    help=f"rename `{differential}`",
                )
                return
            self.symbols[differential] = Symbol(differential, "differential", symbol.shape, symbol.span, of=symbol.name)

    def warn_of_shadow(self, name: str, where: Span) -> None:
        """W201 where a name hides a function or a constant."""
        if name in CONSTANTS or name in FUNCTIONS or name in self.around.functions:
            what = "constant" if name in CONSTANTS else "function"
            self.report.add("W201", f"`{name}` hides the {what} of that name", where, help="give it another name")

    def _taken(self, symbol: Symbol, known: Symbol, where: Span) -> None:
        if known.role == "time":
            self.report.add(
                "E204",
                "`t` is the time here",
                where,
                help="give it another name",
                remark=f"reserved in `{self.definition.kind}`",
            )
        elif known.role == "differential":
            of = "time" if known.of == "t" else f"`{known.of}`"
            labels = () if known.span is None else (Label(known.span, f"{known.of} is defined here"),)
            self.report.add(
                "E204",
                f"`{symbol.name}` is the differential of {of}",
                where,
                labels=labels,
                help="give it another name",
            )
        else:
            labels = (
                () if known.span is None else (Label(known.span, f"first defined here, as {with_article(known.role)}"),)
            )
            help_ = "a block is one scope"
            if known.role == "input" and symbol.role in ("state", "var"):
                name = symbol.name
                help_ = f"rename the input: `{name}0`, and start with it: `{symbol.role} {name} = {name}0`"
                self.twice.add(symbol.name)
            self.report.add("E202", f"`{symbol.name}` is defined twice", where, labels=labels, help=help_)

    # ------------------------------------------------------------ looking up

    def look_up(self, name: tree.Name) -> Symbol | None:
        """What a name means; one that means nothing is reported (E201, E203)."""
        found = self.symbols.get(name.id)
        if found is not None:
            self.used.add(name.id)
            if found.role == "differential":
                self.used.add(found.of)
            return found
        if name.id in self.mistaken:
            return None
        if below := self._below(name.id):
            self.used.add(below)
            self.too_early(name.span, below)
        elif name.id in CONSTANTS:
            return Symbol(name.id, "constant", ())
        elif name.id in FUNCTIONS or name.id in self.around.functions:
            self.report.add("E402", f"`{name.id}` is a function", name.span, help=f"call it: `{name.id}(…)`")
        elif name.id in self.around.modules:
            self.report.add(
                "E402", f"`{name.id}` is an imported file", name.span, help=f"name what is in it: `{name.id}.…`"
            )
        elif name.id in ("t", "dt"):
            self.report.add(
                "E201", f"unknown name `{name.id}`", name.span, remark=f"there is no time in a `{self.definition.kind}`"
            )
        else:
            known = [*self.symbols, *self.later, *CONSTANTS]
            help_ = did_you_mean(name.id, known) or _FOREIGN.get(name.id, "")
            if name.id in self.known_layers:
                help_ = f"it is a layer: `use f = {name.id}[…]`, then `f(…)`"
            of = self.symbols.get(name.id[1:])
            if self.definition.kind == "cde" and name.id[0] == "d" and of is not None and of.role == "input":
                help_ = f"an input with a differential is a path: `path {of.name}[c]`"
            self.report.add("E201", f"unknown name `{name.id}`", name.span, help=help_)
        return None

    def refuse_later(self, *expressions: Part) -> None:
        """E203 for what the text defines further down, in parts that are checked when all names are there."""
        for name in free_names(*expressions):
            if name.id not in self.symbols and (below := self._below(name.id)):
                self.too_early(name.span, below)

    def _below(self, name: str) -> str:
        """The name that the text defines further down and that a name not yet known stands for, or is the differential
        of; empty where there is none."""
        if name in self.later:
            return name
        moving = {
            item.name
            for statement in self.definition.body
            if isinstance(statement, tree.Declare) and statement.role in ("state", "noise")
            for item in statement.names
        }
        return name[1:] if self.timed and name[0] == "d" and name[1:] in moving & self.later.keys() else ""

    def too_early(self, place: Span, defined: str) -> None:
        """E203: a place above the definition of a name, or inside of it, needs that name."""
        if defined in self.early:
            return
        self.early.add(defined)
        there, text = self.later[defined], place.text
        labels = (Label(there, "defined here"),)
        if there.start <= place.start < there.end:
            message, labels = f"`{text}` is used in its own definition", ()
            help_ = f"it has no value yet; a new value has a name of its own, such as `{text}_`"
        elif there.line == place.line:
            message = f"`{text}` is used on the line that defines it"
            help_ = f"a line sees the names above it: define `{text}` on a line of its own"
        else:
            message = f"`{text}` is used before {'it' if text == defined else f'`{defined}`'} is defined"
            help_ = "move the definition up"
        self.report.add("E203", message, place, labels=labels, help=help_)

    def base_names(self, *expressions: Part) -> frozenset[str]:
        """The names that expressions depend on, those behind a `let` in its place."""
        found: set[str] = set()
        for name in free_names(*expressions):
            symbol = self.symbols.get(name.id)
            if symbol is not None:
                found |= symbol.needs if symbol.role == "let" else {name.id}
        return frozenset(found)

    # ------------------------------------------------------------ sizes

    def size_of_name(self, name: tree.Name, loops: Set[str], *, in_function: bool) -> Size:
        """The size that a name stands for; NotASizeError otherwise."""
        if name.id in loops:
            return Size.named(name.id)
        if in_function:
            raise NotASizeError("a `fn` sees its arguments and loop names, no sizes", name, code="E207")
        symbol = self.symbols.get(name.id)
        if symbol is not None and symbol.role == "time":
            help_ = "a state at another time is called: `x(t - 1)`, with `history x = …`"
            raise NotASizeError("`t` is the time, not a size", name, help=help_)
        if symbol is None and name.id in ("end", "None"):
            help_ = "an open end is left out: `x[1:]`" if name.id == "end" else "axes are added by `reshape(x, [n, 1])`"
            raise NotASizeError(f"unknown size `{name.id}`", name, code="E201", help=help_)
        if symbol is not None and symbol.role in ("size", "call size"):
            self.used.add(name.id)
            return Size.of(self.values[name.id]) if name.id in self.values else Size.named(name.id)
        if symbol is not None:
            raise NotASizeError(
                f"`{name.id}` is {with_article(symbol.role)}, not a size",
                name,
                help="sizes are named in `[ ]` behind the layer's name",
            )
        known = [s.name for s in self.symbols.values() if s.role in ("size", "call size")]
        raise NotASizeError(
            f"unknown size `{name.id}`", name, code="E201", help=did_you_mean(name.id, known) or self._add_size(name.id)
        )

    def _add_size(self, name: str) -> str:
        return f"name it as a size: `{self.definition.name}[…, {name}]`"

    def size(
        self, expression: tree.Expression, loops: Set[str] = frozenset(), *, in_function: bool = False
    ) -> Size | None:
        """The polynomial of a size expression; None where it is none, which is reported."""
        try:
            return read_size(expression, lambda name: self.size_of_name(name, loops, in_function=in_function))
        except NotASizeError as error:
            span = error.where.span
            text = " ".join(span.text.split())
            message = f"`{text}` is not a size" if error.code == "E304" else error.reason
            remark = error.reason if error.code == "E304" else ""
            self.report.add(error.code, message, span, remark=remark, help=error.help)
            return None
