"""`argmin`: z in argmin f(z, p) subject to h(z, p) = 0, g(z, p) <= 0.

First-order conditions (Karush 1939; Kuhn & Tucker 1951), with L = f + λᵀh + μᵀg:

    ∇_z f + (∂h/∂z)ᵀ λ + (∂g/∂z)ᵀ μ = 0,   h = 0,   g <= 0,   μ >= 0,   μ∘g = 0.

With the active set a ∈ {0, 1} of the answer frozen, complementarity becomes a∘g + (1 - a)∘μ = 0 and the conditions are
a
square system in w = (z, λ, μ): derivatives are those of a root (Fiacco 1976; exact where strict complementarity and
independent active rows hold, one-sided or refused elsewhere). Any smooth dependence on p is allowed, because the system
is
differentiated, not the coefficients of a canonical form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.degree import degree
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.derived import Derived, group
from implicitdsl.problems.implicit import derive_implicit, flat, jacobian
from implicitdsl.problems.signature import Signature


@dataclass(frozen=True, eq=False)
class Constraint:
    """h = 0 or g <= 0, elementwise; `dual` holds its multipliers."""

    node: Node
    dual: Leaf
    label: str | None = None


@dataclass(frozen=True, eq=False)
class ArgminProblem:
    """`objective` is minimised: a `maximize` has been negated. `conditions` are what convexity hangs on: expressions of
    the
    data that must be >= 0, <= 0 or positive semidefinite for each sample."""

    signature: Signature
    unknowns: tuple[Leaf, ...]
    start: tuple[Node, ...]
    objective: Node
    equalities: tuple[Constraint, ...]
    inequalities: tuple[Constraint, ...]
    outputs: tuple[Node, ...]
    conditions: tuple[tuple[Node, Literal["nonneg", "nonpos", "psd"]], ...] = ()

    @property
    def masks(self) -> tuple[Leaf, ...]:
        """The active set: 1 where an inequality holds with equality and a positive multiplier."""
        return tuple(Leaf("const", f"active.{i}", c.node.shape) for i, c in enumerate(self.inequalities))

    @property
    def duals(self) -> tuple[Leaf, ...]:
        return tuple(c.dual for c in (*self.equalities, *self.inequalities))


def is_quadratic(problem: ArgminProblem) -> bool:
    """Whether the problem is a linear or quadratic program: objective of degree <= 2, constraints affine."""
    unknowns = set(problem.unknowns)
    if degree(problem.objective, unknowns) is None:
        return False
    return all(degree(c.node, unknowns) in (0, 1) for c in (*problem.equalities, *problem.inequalities))


def stationarity(problem: ArgminProblem) -> tuple[Node, ...]:
    """∇_z L, one node for each unknown."""
    nodes = (problem.objective, *(c.node for c in problem.equalities), *(c.node for c in problem.inequalities))
    cotangents: tuple[Node, ...] = (build.constant(1.0), *problem.duals)
    found = calculus.pullback(nodes, cotangents, problem.unknowns)
    return tuple(build.zeros(u.shape) if d is None else d for u, d in zip(problem.unknowns, found, strict=True))


def kkt_residual(problem: ArgminProblem) -> tuple[Node, ...]:
    """The square system of the answer with its active set frozen."""
    complementarity = [
        build.add(build.mul(a, c.node), build.mul(build.sub(1.0, a), c.dual))
        for a, c in zip(problem.masks, problem.inequalities, strict=True)
    ]
    return (*stationarity(problem), *(c.node for c in problem.equalities), *complementarity)


def _rows(constraints: Sequence[Constraint]) -> Node | None:
    return flat([c.node for c in constraints]) if constraints else None


def quadratic_data(problem: ArgminProblem) -> Derived:
    """(p) → Q (n·n), q (n), A (m·n), b (m), G (k·n), h (k) of  min ½zᵀQz + qᵀz,  Az = b,  Gz <= h."""
    unknowns = problem.unknowns
    n = sum(u.size for u in unknowns)
    origin: dict[Node, Node] = {u: build.zeros(u.shape) for u in unknowns}
    gradient = calculus.pullback((problem.objective,), (build.constant(1.0),), unknowns)
    present = [build.zeros(u.shape) if d is None else d for u, d in zip(unknowns, gradient, strict=True)]
    given = Derived("given", (group("p", problem.signature.arguments),), ())

    def matrix(rows: Sequence[Node]) -> Node:
        nodes = jacobian("matrix", given, rows, unknowns).nodes
        return calculus.substitute(nodes, origin)[0]

    found: list[tuple[str, Node]] = [("Q", matrix(present)), ("q", calculus.substitute((flat(present),), origin)[0])]
    for names, constraints in ((("A", "b"), problem.equalities), (("G", "h"), problem.inequalities)):
        rows = _rows(constraints)
        if rows is None:
            found += [(names[0], build.zeros((0, n))), (names[1], build.zeros((0,)))]
        else:
            found += [(names[0], matrix([rows])), (names[1], build.neg(calculus.substitute((rows,), origin)[0]))]
    return Derived("quadratic_data", given.inputs, tuple(group(name, (node,)) for name, node in found))


def smooth_data(problem: ArgminProblem) -> dict[str, Derived]:
    """`gradient` and `hessian` of the objective, (z, p) → ∇f and ∇²f."""
    given = (group("z", problem.unknowns), group("p", problem.signature.arguments))
    gradient = Derived("gradient", given, (group("out", stationarity(problem)),))
    return {"gradient": gradient, "hessian": jacobian("hessian", gradient, gradient.nodes, problem.unknowns)}


def derive(problem: ArgminProblem) -> dict[str, Derived]:
    """What the minimisers may call: `start`; `quadratic_data` of a linear or quadratic program, else `objective`,
    `gradient`, `hessian`; and the functions of `derive_implicit` for the KKT system, whose arguments end with the
    masks."""
    arguments = problem.signature.arguments
    given = (group("z", problem.unknowns), group("p", arguments))
    functions: dict[str, Derived] = {
        "conditions": Derived(
            "conditions", (group("p", arguments),), (group("out", (n for n, _ in problem.conditions)),)
        ),
        "start": Derived("start", (group("p", arguments),), (group("z", problem.start),)),
        "objective": Derived("objective", given, (group("out", (problem.objective,)),)),
    }
    functions |= {"quadratic_data": quadratic_data(problem)} if is_quadratic(problem) else smooth_data(problem)
    implicit = derive_implicit(
        unknowns=(*problem.unknowns, *problem.duals),
        residual=kkt_residual(problem),
        outputs=problem.outputs,
        arguments=(*arguments, *problem.masks),
    )
    return functions | implicit
