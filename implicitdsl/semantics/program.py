"""What elaboration gathers while it goes through the statements of a definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from implicitdsl.diagnostics import Diagnostic, Span
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.signature import PROBE, Given, Parameter
from implicitdsl.semantics.library import Library
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree


@dataclass(frozen=True, eq=False)
class UsedLayer:
    """A `use` line with its sizes bound; `path` is its qualified name (`f`, `body.f`)."""

    path: str
    definition: tree.Definition
    library: Library
    sizes: dict[str, int]
    options: tuple[tree.Named, ...]
    span: Span

    @property
    def is_net(self) -> bool:
        return self.definition.kind == "net"


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call of an implicit layer inside a `net`: its results are leaves of what follows."""

    path: str
    arguments: tuple[Node, ...]
    results: tuple[Leaf, ...]


@dataclass(frozen=True, eq=False)
class Jump:
    """A condition, `heaviside`, `sign` or `floor` written in the definition itself: where its value may jump."""

    node: Node
    span: Span


@dataclass(frozen=True, eq=False)
class PastRead:
    """`x(where)`: the leaf that stands for the value, and the state it is of."""

    leaf: Leaf
    state: Leaf
    where: Node
    span: Span


@dataclass
class Program:
    """The arguments met so far, the implicit layers called, the jumps and what the solver is told of them (`kinks`)."""

    layer: str
    inputs: list[Given] = field(default_factory=list[Given])
    params: list[Parameter] = field(default_factory=list[Parameter])
    consts: list[Parameter] = field(default_factory=list[Parameter])
    uses: dict[str, UsedLayer] = field(default_factory=dict[str, UsedLayer])
    calls: list[LayerCall] = field(default_factory=list[LayerCall])
    jumps: list[Jump] = field(default_factory=list[Jump])
    probes: list[Given] = field(default_factory=list[Given])
    kinks: str = ""
    reads: list[PastRead] = field(default_factory=list[PastRead])
    warnings: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def read(self, state: Leaf, where: Node, span: Span) -> Leaf:
        """Record that a state is read at another time and give the leaf of its value; one for each time."""
        if where.shape != ():
            raise fail("E309", f"a time is a scalar; that of `{span.text}` is {list(where.shape)}", span)
        moments = list(dict.fromkeys((*(r.where for r in self.reads), where)))
        leaf = Leaf("delayed", f"{state.name}.{moments.index(where)}", state.shape)
        self.reads.append(PastRead(leaf, state, where, span))
        return leaf

    def call_between(self, value: Node, by: Node) -> str | None:
        """The layer through whose result a value depends on a node, or None."""
        known = {result: call for call in self.calls for result in call.results}
        work, met = [value], set[LayerCall]()
        while work:
            for node in walk((work.pop(),)):
                call = known.get(node) if isinstance(node, Leaf) else None
                if call is None or call in met:
                    continue
                met.add(call)
                if by in walk(call.arguments):
                    return call.path
                work.extend(call.arguments)
        return None

    def probe(self, shape: tuple[int, ...]) -> Leaf:
        """A new input of random signs, which every call draws for each sample."""
        leaf = Leaf("input", f"{PROBE}{len(self.probes)}", shape)
        self.probes.append(Given(leaf))
        return leaf

    def call(self, path: str, arguments: Sequence[Node], shapes: Sequence[tuple[int, ...]]) -> tuple[Node, ...]:
        """Record a call and give the leaves of its results."""
        number = len(self.calls)
        results = tuple(Leaf("result", f"{path}#{number}.{i}", shape) for i, shape in enumerate(shapes))
        self.calls.append(LayerCall(path, tuple(arguments), results))
        return results
