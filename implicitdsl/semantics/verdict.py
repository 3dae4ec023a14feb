"""Whether a value is convex in the unknowns: proven, conditional, unknown or refuted.

The composition rules of `curvature.py` first; a quadratic that they cannot decide is judged by its Hessian (a number:
proven or refuted; an expression of the data: conditional on its being positive semidefinite).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir import build, evaluate
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.degree import degree
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.signature import MemberSet
from implicitdsl.semantics.curvature import Condition, Conditions, Judgement, judge
from implicitdsl.semantics.definite import is_psd

Outcome = Literal["proven", "conditional", "unknown", "refuted"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """The outcome for a value that should be convex, the conditions where it is conditional, and where a quadratic is
    refuted the direction of its negative curvature."""

    outcome: Outcome
    conditions: Conditions = ()
    direction: str = ""


def verdict(node: Node, unknowns: Sequence[Leaf], sets: Mapping[Leaf, MemberSet]) -> Verdict:
    """Whether a node is convex in the unknowns; `sets` tells what is known of the data."""
    found = judge(node, unknowns, sets)
    if found.convex is not None:
        if not found.convex:
            return Verdict("proven")
        if degree(node, set(unknowns)) != 2:
            return Verdict("conditional", distinct(found.convex))
    order = degree(node, set(unknowns))
    if order == 2:
        return _quadratic(node, unknowns, sets, found)
    if found.concave == () and order != 1:
        return Verdict("refuted")
    return Verdict("unknown")


def _quadratic(node: Node, unknowns: Sequence[Leaf], sets: Mapping[Leaf, MemberSet], rules: Judgement) -> Verdict:
    gradient = calculus.pullback((node,), (build.constant(1.0),), unknowns)
    nodes = [build.zeros(u.shape) if g is None else g for g, u in zip(gradient, unknowns, strict=True)]
    blocks = [
        build.concat([build.reshape(calculus.jacobian(g, u), (g.size, u.size)) for u in unknowns], axis=1)
        for g in nodes
    ]
    hessian = build.concat(blocks, axis=0)
    if not any(isinstance(n, Leaf) for n in walk((hessian,))):
        value = evaluate.evaluate((hessian,), {})[0]
        eigenvalues, vectors = np.linalg.eigh((value + value.T) / 2)
        if eigenvalues[0] >= -1e-12 * float(np.abs(value).max()):
            return Verdict("proven")
        return Verdict("refuted", direction=_direction_text(vectors[:, 0], unknowns))
    if len(unknowns) == 1 and is_psd(calculus.jacobian(nodes[0], unknowns[0]), sets):
        return Verdict("proven")
    # Of a quadratic the Hessian decides exactly; conditions on the signs of factors say the same in words.
    if rules.convex is not None and all(c.requirement != "psd" for c in rules.convex):
        return Verdict("conditional", distinct(rules.convex))
    if rules.concave == ():
        return Verdict("refuted")
    return Verdict("conditional", (Condition(hessian, "psd"),))


def distinct(conditions: Conditions) -> Conditions:
    """The conditions without repetitions: nodes are interned, so equal expressions are one."""
    return tuple({(c.node, c.requirement): c for c in conditions}.values())


def _direction_text(vector: NDArray[np.float64], unknowns: Sequence[Leaf]) -> str:
    """A direction, scaled to largest entry 1, by the names of the unknowns that it moves."""
    scaled_to_one = vector / vector[np.argmax(np.abs(vector))]
    texts: list[str] = []
    start = 0
    for u in unknowns:
        part = scaled_to_one[start : start + u.size]
        start += u.size
        if np.abs(part).max(initial=0.0) > 1e-9:
            numbers = ", ".join(f"{0.0 if abs(v) < 1e-9 else v:.4g}" for v in part)
            texts.append(f"{u.name} = [{numbers}]" if u.shape else f"{u.name} = {numbers}")
    return ", ".join(texts)
