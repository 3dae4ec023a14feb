"""What a name of a definition means, and what checking a text finds out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from implicitdsl.diagnostics import Span
from implicitdsl.semantics.sizes import Shape, Size
from implicitdsl.syntax import tree

Role = Literal[
    "size",  # of the definition
    "call size",  # bound by the shapes of a call
    "input",
    "path",
    "param",
    "const",
    "use",
    "state",
    "var",
    "noise",
    "let",
    "time",  # t
    "differential",  # dt, and d + the name of a state, noise or path
    "loop",  # bound by `for`
    "argument",  # of a fn
    "constant",  # pi, inf
]


@dataclass(frozen=True, eq=False)
class Symbol:
    """One name: its role, its shape (None where an error hid it), and where it is written.

    `of` is the name that a differential belongs to (`t` for dt). `condition` is True for a `let` that is true or false.
    `needs` are the states, vars, noises, differentials, `t` and path reads that the value of a `let` depends on,
    through other lets too.
    """

    name: str
    role: Role
    shape: Shape | None
    span: Span | None = None
    of: str = ""
    condition: bool = False
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class UseSite:
    """A `use` line resolved: the layer it names and its sizes as polynomials in the sizes of the user."""

    name: str
    statement: tree.Use
    layer: CheckedDefinition
    sizes: Mapping[str, Size]


@dataclass(frozen=True, eq=False)
class Structure:
    """How the equations of a `root` or `dae` meet its unknowns.

    `index` is the structural index of a dae (0 without algebraic equations, 1 where they can be solved for the vars);
    `hidden` names an unknown that only derivatives of the equations determine, where the index is above 1.
    """

    index: int = 0
    hidden: str = ""


@dataclass(frozen=True, eq=False)
class CheckedDefinition:
    """A definition with what its names mean.

    `symbols` holds every name of the block; `sizes` the names fixed at construction, in order; `call_sizes` those that
    a call binds; `outputs` the shapes with the axis of the `at` times; `states` and `vars` in the order of the text.
    """

    tree: tree.Definition
    symbols: Mapping[str, Symbol]
    sizes: tuple[str, ...]
    call_sizes: tuple[str, ...]
    uses: Mapping[str, UseSite]
    outputs: tuple[Shape | None, ...]
    around: Surroundings
    structure: Structure = field(default_factory=Structure)

    def layer_named(self, module: str | None, name: str) -> CheckedDefinition | None:
        """The layer that a `use` line of this definition names."""
        return next(
            (u.layer for u in self.uses.values() if (u.statement.module, u.statement.layer) == (module, name)), None
        )

    @property
    def name(self) -> str:
        return self.tree.name

    def names(self, role: Role) -> tuple[str, ...]:
        """The names of a role, in the order of the text."""
        return tuple(s.name for s in self.symbols.values() if s.role == role)

    @property
    def states(self) -> tuple[str, ...]:
        return self.names("state")

    @property
    def vars(self) -> tuple[str, ...]:
        return self.names("var")


@dataclass(frozen=True, eq=False)
class CheckedFile:
    """A file that was checked: its definitions and functions by name (those imported without alias among them), and the
    files imported with one."""

    tree: tree.File
    definitions: Mapping[str, CheckedDefinition]
    functions: Mapping[str, CheckedFunction]
    modules: Mapping[str, CheckedFile]


@dataclass(frozen=True, eq=False)
class CheckedFunction:
    """A `fn`: its tree, and the functions that its body sees by name."""

    tree: tree.Function
    sees: Mapping[str, CheckedFunction]


@dataclass(frozen=True)
class Surroundings:
    """What a block sees of its file: functions by name, files by alias, and the aliases of those that are wrong."""

    functions: Mapping[str, CheckedFunction]
    modules: Mapping[str, CheckedFile]
    broken: frozenset[str] = frozenset()
