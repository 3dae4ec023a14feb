"""Switches: the jumps and kinks of functions of time and state, each held as a mode while the solution is smooth.

A comparison `a < b` becomes a leaf, its *mode*, which is 1 or 0 and changes only where its *guard* b - a changes sign;
a `floor(x)` becomes a whole number with the two guards x - m and m + 1 - x. Between changes the function is smooth, so
a solver may step past a change with the old modes, find the place on a smooth curve, and continue with the new ones
(F. E. Cellier & E. Kofman, Continuous System Simulation, 2006, section 9.4).

A guard is satisfied where it is above 0 (`strict`) or at least 0; the mode of a comparison is whether its guard is
satisfied, the guards of a `floor` are both satisfied all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from implicitdsl.functions.expression import Apply, Arg, Const, Expr, apply
from implicitdsl.functions.scalar import walk as walk_expression
from implicitdsl.ir import build, derive
from implicitdsl.ir.node import Leaf, Map, Node, Reduce, walk

COMPARISONS = frozenset({"lt", "le", "gt", "ge"})
JUMPS = frozenset({*COMPARISONS, "heaviside", "sign", "floor"})
KINKS = frozenset({"abs", "relu", "maximum", "minimum", "clip"})
REDUCTIONS = frozenset({"max", "min"})
ZERO, ONE = Const(0.0), Const(1.0)


@dataclass(frozen=True, eq=False)
class Guard:
    """One vector of functions of (t, y, modes), as long as its mode. `step` is 0 for a comparison, whose mode flips,
    and what is added to the mode of a `floor`."""

    node: Node
    mode: int
    strict: bool
    step: int = 0


@dataclass(eq=False)
class Switches:
    """All modes, in an order in which each depends on earlier ones only; `values` are their values by formula."""

    modes: list[Leaf] = field(default_factory=list[Leaf])
    values: list[Node] = field(default_factory=list[Node])
    guards: list[Guard] = field(default_factory=list[Guard])
    replaced: dict[Node, Node] = field(default_factory=dict[Node, Node])
    _known: dict[Node, Leaf] = field(default_factory=dict[Node, Leaf])

    def smooth(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """The nodes with everything tracked replaced by modes."""
        return derive.substitute(nodes, self.replaced)

    def _mode(self, value: Node, guards: Iterable[tuple[Node, bool, int]]) -> Leaf:
        found = self._known.get(value)
        if found is None:
            number = len(self.modes)
            found = Leaf("mode", f"mode{number}", value.shape)
            self.modes.append(found)
            self.values.append(value)
            self.guards += [Guard(build.reshape(g, (g.size,)), number, strict, step) for g, strict, step in guards]
            self._known[value] = found
        return found

    def above(self, distance: Node, *, strict: bool = True) -> Leaf:
        """The mode of distance > 0 (or >= 0)."""
        return self._mode(build.apply("gt" if strict else "ge", distance, 0.0), [(distance, strict, 0)])

    def level(self, x: Node) -> Leaf:
        """The mode of floor(x)."""
        value = build.apply("floor", x)
        mode = self._known.get(value) or Leaf("mode", f"mode{len(self.modes)}", value.shape)
        upper = build.sub(build.add(mode, 1.0), x)
        return self._mode(value, [(build.sub(x, mode), False, -1), (upper, True, 1)])

    def choose(self, distance: Node, above: Node, below: Node, at: Node) -> Node:
        """`above` where the distance is above 0, `below` where it is below 0, and `at` where it stays 0."""
        up, down = self.above(distance), self.above(build.neg(distance))
        return build.select(up, above, build.select(down, below, at))


def track(
    roots: Sequence[Node], eligible: Callable[[Node], frozenset[str]], moving: frozenset[Node], switches: Switches
) -> None:
    """Enter every tracked function on the way to the roots into the switches. `eligible(node)` are the functions to be
    tracked in a node; those that do not depend on `moving` leaves are left as they are."""
    touched: set[Node] = set(moving)
    for node in walk(roots):
        if any(a in touched for a in node.args):
            touched.add(node)
        if node not in touched or node in switches.replaced:
            continue
        names = eligible(node)
        match node:
            case Map() if names:
                found = _map(node, names, touched, switches)
            case Reduce() if node.kind in names:
                found = _reduction(node, switches)
            case _:
                continue
        if found is not None:
            switches.replaced[node] = found


def functions_of(node: Node) -> frozenset[str]:
    """The names of the scalar functions in a Map, or of a reduction."""
    match node:
        case Map(expr=expr):
            return frozenset(e.function for e in walk_expression(expr) if isinstance(e, Apply))
        case Reduce(kind=kind):
            return frozenset({kind})
        case _:
            return frozenset()


def jumping_parts(root: Node) -> Iterator[Node]:
    """The Maps below a node that make it jump: the search ends at each, as what is below has a jump of its own."""
    stack, seen = [root], set[Node]()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if functions_of(node) & JUMPS:
            yield node
        else:
            stack += node.args


def _map(node: Map, names: frozenset[str], touched: set[Node], switches: Switches) -> Node | None:
    """The Map with its tracked functions replaced; None where none of them moves."""
    args: list[Node] = list(switches.smooth(node.args))
    moves = [a in touched for a in node.args]
    new: dict[Expr, Expr] = {}
    changed = False

    def value(e: Expr) -> Node:
        return build.mapped(e, args) if args else build.lift(0.0)

    for e in walk_expression(node.expr):
        if not isinstance(e, Apply):
            new[e] = e
            continue
        inner = tuple(new[a] for a in e.args)
        new[e] = apply(e.function, *inner)
        if e.function not in names or not any(isinstance(a, Arg) and moves[a.index] for a in walk_expression(e)):
            continue
        smooth = _smooth(e.function, tuple(build.broadcast(value(a), node.shape) for a in inner), switches)
        if smooth is not None:
            args.append(smooth)
            moves.append(True)
            new[e] = Arg(len(args) - 1)
            changed = True
    return build.mapped(new[node.expr], args) if changed else None


def _smooth(name: str, args: tuple[Node, ...], switches: Switches) -> Node | None:
    """A tracked function as a smooth one of modes."""
    first = args[0]
    match name:
        case "lt" | "le":
            return switches.above(build.sub(args[1], first), strict=name == "lt")
        case "gt" | "ge":
            return switches.above(build.sub(first, args[1]), strict=name == "gt")
        case "heaviside":
            one, zero = build.broadcast(build.constant(1.0), first.shape), build.zeros(first.shape)
            return switches.choose(first, one, zero, args[1])
        case "sign":
            return build.sub(switches.above(first), switches.above(build.neg(first)))
        case "floor":
            return switches.level(first)
        case "abs":
            return switches.choose(first, first, build.neg(first), build.apply("abs", first))
        case "relu":
            return switches.choose(first, first, build.zeros(first.shape), build.apply("relu", first))
        case "maximum" | "minimum":
            return _extreme(name, first, args[1], switches)
        case "clip":
            return _extreme("minimum", _extreme("maximum", first, args[1], switches), args[2], switches)
        case _:
            return None


def _extreme(name: str, a: Node, b: Node, switches: Switches) -> Node:
    larger, smaller = (a, b) if name == "maximum" else (b, a)
    return switches.choose(build.sub(a, b), larger, smaller, build.apply(name, a, b))


def _reduction(node: Reduce, switches: Switches) -> Node:
    """max or min over the last axis as a chain of comparisons of two."""
    (arg,) = switches.smooth(node.args)
    *front, last = arg.shape
    whole = [(0, n) for n in front]
    parts = [build.reshape(build.pick(arg, [*whole, (i, i + 1)]), tuple(front)) for i in range(last)]
    found = parts[0]
    for part in parts[1:]:
        found = _extreme("maximum" if node.kind == "max" else "minimum", found, part, switches)
    return found
