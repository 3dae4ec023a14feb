"""The syntax tree: what the text says, before any name or size means anything.

Frozen dataclasses; every node carries its `span`, which takes no part in equality. A tree compares equal to the tree of
its own printed text (tests/test_round_trip.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from implicitdsl.diagnostics.span import Source, Span

Kind = Literal["net", "ode", "dae", "sde", "cde", "bvp", "fixpoint", "root", "argmin"]
Role = Literal["param", "const", "state", "var", "noise"]


@dataclass(frozen=True, kw_only=True)
class Node:
    span: Span = field(compare=False, repr=False)


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True)
class Number(Node):
    """A literal; `text` is as written (`1e-3`)."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text)


@dataclass(frozen=True)
class Name(Node):
    """A name. `dx`, `dt` are plain names here; scope gives them their meaning."""

    id: str


@dataclass(frozen=True)
class Negate(Node):
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    operator: Literal["+", "-", "*", "/", "@", "^"]
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Compare(Node):
    """`a < b`, and chains `a <= z <= b`; `operators` has one item fewer than `operands`."""

    operators: tuple[Literal["<", "<=", ">", ">="], ...]
    operands: tuple[Expression, ...]


@dataclass(frozen=True)
class Contains(Node):
    """`z in set`."""

    item: Expression
    set: Expression


@dataclass(frozen=True)
class Logical(Node):
    operator: Literal["and", "or"]
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Not(Node):
    operand: Expression


@dataclass(frozen=True)
class IfElse(Node):
    """`if condition then yes else no`."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True)
class Slice(Node):
    """`a:b`, half-open; either end may be missing."""

    start: Expression | None
    stop: Expression | None


@dataclass(frozen=True)
class Index(Node):
    """`x[i, a:b]`."""

    base: Expression
    items: tuple[Expression | Slice, ...]


@dataclass(frozen=True)
class Transpose(Node):
    """`x.T`."""

    operand: Expression


@dataclass(frozen=True)
class Attribute(Node):
    """`m.name`: a definition of the module imported as `m`."""

    base: Expression
    name: str


@dataclass(frozen=True)
class Range(Node):
    """`a:b` after `for k in`, half-open."""

    start: Expression
    stop: Expression


@dataclass(frozen=True)
class Family(Node):
    """`e for k in a:b`, only as the argument of a call."""

    body: Expression
    index: str
    range: Range


@dataclass(frozen=True)
class Named(Node):
    """`name = value`, only as the argument of a call or pick."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Call(Node):
    """A function, a used layer, a delayed state or a path at a time; or a draw's or a set's name with options."""

    function: Expression
    arguments: tuple[Expression | Named | Family, ...]


@dataclass(frozen=True)
class Bracket(Node):
    """`[a, b]`: a matrix by rows if all items are brackets, else a concatenation along the first axis."""

    items: tuple[Expression, ...]


Expression = (
    Number
    | Name
    | Negate
    | Binary
    | Compare
    | Contains
    | Logical
    | Not
    | IfElse
    | Index
    | Transpose
    | Attribute
    | Call
    | Bracket
)

# ---------------------------------------------------------------- statements


@dataclass(frozen=True)
class DeclaredName(Node):
    """One name of a declaration: `x[n] = start`."""

    name: str
    shape: tuple[Expression, ...]
    start: Expression | None


@dataclass(frozen=True)
class Declare(Node):
    """`param a[n] = 1, b ~ draw() in set`; `noise W[m] stratonovich`. `~` and `in` hold for every name on the line."""

    role: Role
    names: tuple[DeclaredName, ...]
    draw: Call | None = None
    set: Expression | None = None
    stratonovich: bool = False


@dataclass(frozen=True)
class History(Node):
    """`history x = e`: the values of a delayed state before the start."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Use(Node):
    """`use f = Layer[sizes](options)`, `use f = m.Layer[sizes]`."""

    name: str
    module: str | None
    layer: str
    sizes: tuple[Expression | Named, ...]
    options: tuple[Named, ...]


@dataclass(frozen=True)
class Let(Node):
    name: str
    value: Expression


@dataclass(frozen=True)
class Horizon(Node):
    """`from t = a to b`."""

    variable: str
    start: Expression
    stop: Expression


@dataclass(frozen=True)
class Reset(Node):
    """`x := e` inside `when`."""

    target: Expression
    value: Expression


@dataclass(frozen=True)
class Stop(Node):
    """`stop` inside `when`."""


@dataclass(frozen=True)
class When(Node):
    condition: Expression
    actions: tuple[Reset | Stop, ...]


@dataclass(frozen=True)
class Objective(Node):
    sense: Literal["minimize", "maximize"]
    value: Expression


@dataclass(frozen=True)
class Equation(Node):
    """`left = right`. A statement of its own, or a constraint (then it may bear a label)."""

    left: Expression
    right: Expression
    label: str | None = None


@dataclass(frozen=True)
class Inequality(Node):
    """A `Compare` or a `Contains` as a constraint."""

    condition: Compare | Contains
    label: str | None = None


@dataclass(frozen=True)
class ForAll(Node):
    """`for k in a:b { … }` inside `subject to`."""

    index: str
    range: Range
    body: tuple[Relation, ...]


Relation = Equation | Inequality | ForAll


@dataclass(frozen=True)
class Subject(Node):
    """`subject to { … }`."""

    relations: tuple[Relation, ...]


@dataclass(frozen=True)
class Choice(Node):
    """`solver name(options)` or `adjoint name(options)`; the options are `Named`."""

    what: Literal["solver", "adjoint"]
    name: str
    options: tuple[Named, ...]


@dataclass(frozen=True)
class Return(Node):
    values: tuple[Expression, ...]
    at: Expression | None = None


Statement = Declare | History | Use | Let | Horizon | When | Objective | Subject | Equation | Choice | Return

# ---------------------------------------------------------------- definitions


@dataclass(frozen=True)
class SizeName(Node):
    """A size of a definition, `n` or `h = 64`."""

    name: str
    default: Expression | None = None


@dataclass(frozen=True)
class Input(Node):
    """`x[n] in positive`, `path X[c] by hermite`."""

    name: str
    shape: tuple[Expression, ...]
    set: Expression | None = None
    path: bool = False
    by: str | None = None


@dataclass(frozen=True)
class Output(Node):
    """A shape (`[T, n]`, name None), a named scalar (`E`, shape ()) or a named tensor (`w[n]`)."""

    name: str | None
    shape: tuple[Expression, ...]


@dataclass(frozen=True)
class Definition(Node):
    """One layer. `outputs` has one item unless the signature has a tuple of them. `doc`: the comments right above."""

    kind: Kind
    name: str
    sizes: tuple[SizeName, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    body: tuple[Statement, ...]
    doc: str = field(default="", compare=False)
    name_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Function(Node):
    """`fn name(args) = expr`."""

    name: str
    arguments: tuple[str, ...]
    value: Expression


@dataclass(frozen=True)
class Import(Node):
    """`import "other.imp" as m`."""

    path: str
    alias: str | None = None


Item = Definition | Function | Import


@dataclass(frozen=True)
class Comment(Node):
    """`# text`, kept for the printer. `own_line` is False behind a statement."""

    text: str
    own_line: bool


@dataclass(frozen=True)
class File(Node):
    """A whole text. `version` is that of the first line `imp 1`, 1 where it is missing."""

    source: Source = field(compare=False, repr=False)
    items: tuple[Item, ...]
    version: int = 1
    has_version_line: bool = False
    comments: tuple[Comment, ...] = field(default=(), compare=False)
