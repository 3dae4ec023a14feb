"""The bounds of the slope of a map as plain data: matrices by the numbers of the arguments that hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from implicitdsl.backends.lanes.contraction import Matrices, Sum
from implicitdsl.ir.node import Constant, Leaf, Node
from implicitdsl.ir.slope_bound import Term, slope_bound


def slopes_of(outputs: Sequence[Node], unknowns: Sequence[Leaf], arguments: Sequence[Leaf]) -> tuple[Sum, ...]:
    """For each output a bound of the 2-norm of its Jacobian by the unknowns; () where one is not known."""
    bounds = [b for b in slope_bound(outputs, unknowns) if b is not None]
    if len(bounds) < len(outputs):
        return ()

    def of_term(term: Term) -> tuple[float, tuple[Matrices, ...]]:
        factor, found = term.factor, list[Matrices]()
        for norm in term.norms:
            number = -1 if isinstance(norm.array, Constant) else arguments.index(norm.array)
            matrices = Matrices(number, norm.array.shape, norm.rows, norm.columns)
            if isinstance(norm.array, Constant):
                factor *= matrices.norm(norm.array.value)
            else:
                found.append(matrices)
        return factor, tuple(found)

    sums = tuple(tuple(of_term(term) for term in bound) for bound in bounds)
    return sums if all(math.isfinite(factor) for terms in sums for factor, _ in terms) else ()
