"""Order conditions over rooted trees, in exact rational arithmetic, of the steps, the estimates and the dense outputs."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from implicitdsl.solvers.tableau import TABLEAUS


def trees(size):
    """All rooted trees with that many vertices; a tree is the sorted tuple of the trees at its root."""

    def partitions(total, largest):
        if total == 0:
            yield ()
        for first in range(min(total, largest), 0, -1):
            for rest in partitions(total - first, first):
                yield (first, *rest)

    return {
        tuple(sorted(branches))
        for sizes in partitions(size - 1, size - 1)
        for branches in product(*(trees(k) for k in sizes))
    }


def size(tree):
    return 1 + sum(map(size, tree))


def density(tree):
    result = size(tree)
    for branch in tree:
        result *= density(branch)
    return result


def stage_weights(tree, a):
    """For every stage the product over the branches of sum_j a_ij * (weights of the branch)_j."""
    result = [Fraction(1)] * len(a)
    for branch in tree:
        inner = stage_weights(branch, a)
        result = [
            r * sum((Fraction(x) * w for x, w in zip(row, inner, strict=False)), Fraction(0))
            for r, row in zip(result, a, strict=True)
        ]
    return result


def defect(weights, tableau, order):
    """The largest defect of the conditions of exactly that order, for weights over the s + 1 stages."""
    return max(
        abs(
            sum(Fraction(w) * x for w, x in zip(weights, stage_weights(tree, tableau.a), strict=True))
            - Fraction(1, density(tree))
        )
        for tree in trees(order)
    )


def dense_defect(tableau, order):
    """The conditions sum_i b_i(theta)*weights_i = theta^order/density, coefficient by coefficient."""
    worst = Fraction(0)
    for tree in trees(order):
        weights = stage_weights(tree, tableau.a)
        for k in range(1, max(tableau.degree, order) + 1):
            column = [row[k - 1] if k <= tableau.degree else 0 for row in tableau.dense]
            found = sum((Fraction(x) * w for x, w in zip(column, weights, strict=True)), Fraction(0))
            worst = max(worst, abs(found - (Fraction(1, density(tree)) if k == order else 0)))
    return worst


# tsit5 is published in decimals of 16 digits, its interpolant with coefficients up to 88.
STEP_ERROR = {"tsit5": 1.2e-14}
DENSE_ERROR = {"tsit5": 2.5e-13}


def b(tableau):
    return (*tableau.a[-1], Fraction(0))


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_the_step_has_its_order_and_no_more(tableau):
    for order in range(1, tableau.order + 1):
        assert defect(b(tableau), tableau, order) <= STEP_ERROR.get(tableau.name, 0)
    assert defect(b(tableau), tableau, tableau.order + 1) > 1e-4


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_the_dense_output_has_its_order_and_no_more(tableau):
    for order in range(1, tableau.dense_order + 1):
        assert dense_defect(tableau, order) <= DENSE_ERROR.get(tableau.name, 0)
    assert dense_defect(tableau, tableau.dense_order + 1) > 1e-4


@pytest.mark.parametrize("tableau", [x for x in TABLEAUS.values() if x.adaptive], ids=lambda x: x.name)
def test_the_estimate_compares_with_a_solution_of_another_order(tableau):
    other = [Fraction(x) - Fraction(e) for x, e in zip(b(tableau), tableau.error, strict=True)]
    for order in range(1, tableau.error_order + 1):
        assert defect(other, tableau, order) <= STEP_ERROR.get(tableau.name, 0)
    worse = min(defect(x, tableau, tableau.error_order + 1) for x in (other, b(tableau)))
    assert max(defect(x, tableau, tableau.error_order + 1) for x in (other, b(tableau))) > 1e-4
    assert worse <= STEP_ERROR.get(tableau.name, 0)


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_the_dense_output_meets_both_ends_with_their_slopes(tableau):
    tolerance = DENSE_ERROR.get(tableau.name, 0)
    s = tableau.stages
    for i, (row, weight) in enumerate(zip(tableau.dense, b(tableau), strict=True)):
        assert abs(sum(map(Fraction, row)) - Fraction(weight)) <= tolerance
        assert Fraction(row[0]) == (1 if i == 0 else 0)
        slope = sum((k + 1) * Fraction(x) for k, x in enumerate(row))
        assert abs(slope - (1 if i == s else 0)) <= 4 * tolerance


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_nodes_are_row_sums_and_arrays_are_row_major(tableau):
    s = tableau.stages
    a, c, error, dense = tableau.arrays(np.float32)
    assert (a.shape, c.shape, error.shape, dense.shape) == (
        ((s + 1) * s,),
        (s + 1,),
        (s + 1,),
        ((s + 1) * tableau.degree,),
    )
    assert {x.dtype for x in (a, c, error, dense)} == {np.dtype(np.float32)}
    for i, row in enumerate(tableau.a):
        assert abs(sum(map(Fraction, row), Fraction(0)) - Fraction(tableau.c[i])) <= STEP_ERROR.get(tableau.name, 0)
        assert a[i * s : i * s + len(row)] == pytest.approx([float(x) for x in row], rel=1e-7)
        assert not a[i * s + len(row) : (i + 1) * s].any()
    assert tableau.c[s] == 1
