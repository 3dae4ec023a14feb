"""The implicit function theorem, shared by `root`, `fixpoint` and `argmin`.

Let 0 = F(z, p) with K = ∂F/∂z regular at the answer, and o = g(z, p). With cotangent ḡ of o,

    Kᵀ λ = -(∂g/∂z)ᵀ ḡ,     p̄ = (∂g/∂p)ᵀ ḡ + (∂F/∂p)ᵀ λ,

and along ṗ:  K ż = -(∂F/∂p) ṗ,  ȯ = g_z ż + g_p ṗ.  The pair (F, F_z ż + F_p ṗ) is a system of the same form with
Jacobian
[[K, 0], [∗, K]], so its pullback needs solves with Kᵀ alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir import build
from implicitdsl.ir.jacobian import matrix
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.derived import Derived, group, tangent, transpose
from implicitdsl.problems.kinks import kink_distances


def flat(nodes: Sequence[Node]) -> Node:
    """All scalars of the nodes in one vector."""
    return build.concat([build.reshape(n, (n.size,)) for n in nodes])


def jacobian(name: str, inputs: Derived, rows: Sequence[Node], unknowns: Sequence[Leaf]) -> Derived:
    """The dense matrix of derivatives, row-major: rows are the scalars of `rows`, columns those of the unknowns."""
    return Derived(name, inputs.inputs, (group("matrix", (matrix(rows, unknowns),)),))


def derive_implicit(
    *, unknowns: Sequence[Leaf], residual: Sequence[Node], outputs: Sequence[Node], arguments: Sequence[Leaf]
) -> dict[str, Derived]:
    """The functions of 0 = F(z, p), o = g(z, p): `residual`, `residual_jacobian`, `output`, `kinks`
    (what is zero where one of them has a kink), and their vjp, jvp and the
    vjp
    of the jvp."""
    given = (group("z", unknowns), group("p", arguments))
    found: list[Derived] = []
    for name, nodes in (("residual", residual), ("output", outputs)):
        value = Derived(name, given, (group("out", nodes),))
        value_jvp = tangent(value, ("z", "p"))
        found += [value, transpose(value, ("z", "p")), value_jvp, transpose(value_jvp, ("z", "p", "z_dot", "p_dot"))]
    found.append(jacobian("residual_jacobian", found[0], residual, unknowns))
    found.append(Derived("kinks", given, (group("out", kink_distances((*residual, *outputs))),)))
    return {f.name: f for f in found}
