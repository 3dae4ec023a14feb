"""Minima of a smooth convex function plus norms, f(z) + sum w_j |r_j(z)| with r_j affine, as roots of their conditions.

A minimum may lie where some r_j is 0, and the gradient of |r_j| does not exist there. Its subgradients are the u_j with
|u_j| <= w_j that are w_j r_j/|r_j| elsewhere, and the conditions of a minimum are equations in z and the u_j:

    grad f + sum (dr_j/dz)' u_j = 0,    u_j = P(u_j + s r_j),    P(v) = w_j v / max(w_j, |v|)

for any s > 0: P projects on the ball of radius w_j (Rockafellar, Convex Analysis (1970), sections 27 and 31). They are
solved from the start of z, with the u_j of the norms there, as smooth equations are: Qi & Sun, Math. Program. 58 (1993)
353, for Newton's method on what is smooth in pieces. At a root P is smooth unless |u_j| = w_j and r_j = 0 at once, so
values and derivatives are exact on the kink and beside it: there r_j = 0 stands in the place of the norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from implicitdsl.functions.expression import Apply
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.degree import degree
from implicitdsl.ir.node import Contract, Leaf, Map, Node, walk
from implicitdsl.problems.argmin import ArgminProblem
from implicitdsl.problems.root import RootProblem

MOST = 64
"""Unknowns up to which the subgradients are found beside z: their equations are solved by a dense factorisation."""
ROOT = "norm_root"
TINY = 1e-30
"""A length below which there is no direction."""


@dataclass(frozen=True, eq=False)
class SumOfNorms(RootProblem):
    """The conditions as a root; `outputs` read z alone."""


def as_root(problem: ArgminProblem) -> SumOfNorms | None:
    """The same problem as a root, where it is such a sum that is proven convex, without constraints; else None."""
    if problem.equalities or problem.inequalities or problem.conditions:
        return None
    unknowns = set(problem.unknowns)
    norms = _norms((problem.objective,), unknowns)
    size = sum(u.size for u in problem.unknowns) + sum(r.size for r in norms.values())
    if not norms or size > MOST:
        return None
    lengths = tuple(Leaf("unknown", f"length.{j}", ()) for j in range(len(norms)))
    (rest,) = calculus.substitute((problem.objective,), dict(zip(norms, lengths, strict=True)))
    # What is no such norm may hold one.
    if any(_holds_root(node) and not unknowns.isdisjoint(walk((node,))) for node in walk((rest,))):
        return None
    found = calculus.pullback((rest,), (build.constant(1.0),), lengths)
    weights = [build.constant(0.0) if w is None else w for w in found]
    if any(not (unknowns | set(lengths)).isdisjoint(walk((w,))) for w in weights):
        return None
    return _conditions(problem, rest, tuple(norms.values()), weights)


def _conditions(problem: ArgminProblem, rest: Node, residues: tuple[Node, ...], weights: Sequence[Node]) -> SumOfNorms:
    """`rest` is the objective with a leaf for each norm, linear in those. The u_j are measured by the weights, and z by
    what moves the other slopes by as much, or by the lengths at the start where nothing else bends: so the equations
    are the same in all units."""
    at_start = calculus.substitute(residues, dict(zip(problem.unknowns, problem.start, strict=True)))
    lengths = [_length(r) for r in at_start]
    weight = _octave(weights)
    bends = degree(rest, problem.unknowns) not in (0, 1)
    length = build.div(weight, _octave([_curvature(problem, rest)])) if bends else _octave(lengths)
    z = tuple(Leaf("unknown", u.name, u.shape) for u in problem.unknowns)
    moved: dict[Node, Node] = {u: _times(length, v) for u, v in zip(problem.unknowns, z, strict=True)}
    forces = tuple(Leaf("unknown", f"force.{j}", r.shape) for j, r in enumerate(residues))
    scale = build.div(1.0, length)
    projected = [
        _projected(build.div(w, weight), build.add(u, _times(scale, r)))
        for u, w, r in zip(forces, weights, residues, strict=True)
    ]
    pulling = [_times(weight, p) for p in projected]
    found = calculus.pullback((rest, *residues), (build.constant(1.0), *pulling), problem.unknowns)
    unit = build.div(1.0, weight)
    slopes = [
        build.zeros(u.shape) if d is None else _times(unit, d) for u, d in zip(problem.unknowns, found, strict=True)
    ]
    held = [build.sub(u, p) for u, p in zip(forces, projected, strict=True)]
    residual, outputs = calculus.substitute((*slopes, *held), moved), calculus.substitute(problem.outputs, moved)
    started = [
        _times(build.div(build.div(w, weight), build.apply("maximum", l, TINY)), r)
        for w, l, r in zip(weights, lengths, at_start, strict=True)
    ]
    start = [_times(scale, x) for x in problem.start]
    free = np.full(sum(u.size for u in (*z, *forces)), np.inf)
    return SumOfNorms(problem.signature, (*z, *forces), (*start, *started), residual, -free, free, outputs)


def _curvature(problem: ArgminProblem, rest: Node) -> Node:
    """How much the gradient of the rest changes at the start, in a direction of no structure, relative to the step."""
    found = calculus.pullback((rest,), (build.constant(1.0),), problem.unknowns)
    slopes = [build.zeros(u.shape) if d is None else d for u, d in zip(problem.unknowns, found, strict=True)]
    size = sum(u.size for u in problem.unknowns)
    signs = np.where(np.modf(np.arange(1, size + 1) * 0.6180339887498949)[0] < 0.5, -1.0, 1.0)
    here: dict[Node, Node] = dict(zip(problem.unknowns, problem.start, strict=True))
    there: dict[Node, Node] = {}
    place = 0
    for u, x in here.items():
        there[u] = build.add(x, build.constant(signs[place : place + u.size].reshape(u.shape)))
        place += u.size
    change = build.constant(0.0)
    for before, after in zip(*(calculus.substitute(slopes, at) for at in (here, there)), strict=True):
        change = build.add(change, build.norm_sq(build.sub(after, before)))
    return build.apply(ROOT, build.mul(1.0 / size, change))


def _octave(values: Sequence[Node]) -> Node:
    """About the mean of the values, a power of 2, so that it has no derivative; 1 where they vanish."""
    total = build.constant(0.0)
    for value in values:
        total = build.add(total, build.mul(1.0 / len(values), value))
    size = build.apply("select", build.apply("gt", total, TINY), total, 1.0)
    octaves = build.apply("floor", build.mul(1.0 / np.log(2.0), build.apply("log", size)))
    return build.apply("exp", build.mul(np.log(2.0), octaves))


def _projected(weight: Node, v: Node) -> Node:
    """The point of the ball of radius `weight` that is nearest to v."""
    longest = build.apply("maximum", build.apply("maximum", weight, _length(v)), TINY)
    return _times(build.div(weight, longest), v)


def _times(scalar: Node, x: Node) -> Node:
    return build.mul(build.broadcast(scalar, x.shape), x)


def _length(x: Node) -> Node:
    return build.apply(ROOT, build.norm_sq(x))


def _norms(roots: Sequence[Node], unknowns: set[Leaf]) -> dict[Node, Node]:
    """The norms of what is affine in the unknowns, each with what it is the norm of."""
    found: dict[Node, Node] = {}
    for node in walk(roots):
        if _is_root(node) and isinstance(square := node.args[0], Contract) and len(square.args) == 2:
            r, other = square.args
            if r is other and square.ins[0] == square.ins[1] and square.out == "" and degree(r, unknowns) == 1:
                found[node] = r
    return found


def _is_root(node: Node) -> bool:
    return isinstance(node, Map) and isinstance(node.expr, Apply) and node.expr.function == ROOT


def _holds_root(node: Node) -> bool:
    return isinstance(node, Map) and any(isinstance(e, Apply) and e.function == ROOT for e in walk_expr(node.expr))
