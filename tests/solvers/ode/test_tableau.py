"""Order conditions over rooted trees, to 60 digits, of the steps, the estimates and the dense outputs."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import pytest
from mpmath import mp

from implicitdsl.solvers.reading_stages import READ, SAME, first_reading
from implicitdsl.solvers.tableau import TABLEAUS

mp.dps = 60


@cache
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


def exact(x):
    """The number as it is published, to 60 digits."""
    return mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mp.mpf(x)


@cache
def stages(name):
    return [[exact(x) for x in row] for row in TABLEAUS[name].a]


@cache
def branch_weights(tree, name):
    """sum_j a_ij * (weights of the tree)_j for every stage i."""
    inner = stage_weights(tree, name)
    return [mp.fdot(row, inner[: len(row)]) for row in stages(name)]


def stage_weights(tree, name):
    """For every stage the product over the branches of sum_j a_ij * (weights of the branch)_j."""
    result = [mp.mpf(1)] * len(stages(name))
    for branch in tree:
        result = [r * w for r, w in zip(result, branch_weights(branch, name), strict=True)]
    return result


def defect(weights, tableau, order):
    """The largest defect of the conditions of exactly that order, for weights over the stages."""
    weights = [exact(w) for w in weights]
    return max(
        abs(mp.fdot(weights, stage_weights(tree, tableau.name)) - mp.mpf(1) / density(tree)) for tree in trees(order)
    )


def dense_defect(tableau, order):
    """The conditions sum_i b_i(theta)*weights_i = theta^order/density, coefficient by coefficient."""
    worst = mp.mpf(0)
    for tree in trees(order):
        weights = stage_weights(tree, tableau.name)
        for k in range(1, max(tableau.degree, order) + 1):
            column = [exact(row[k - 1]) if k <= tableau.degree else 0 for row in tableau.dense]
            wanted = mp.mpf(1) / density(tree) if k == order else 0
            worst = max(worst, abs(mp.fdot(column, weights) - wanted))
    return worst


ROUNDING = mp.mpf("1e-55")
# tsit5 is published in decimals of 16 digits, its interpolant with coefficients up to 88; dop853 and prince9 in 30 digits.
STEP_ERROR = {"tsit5": 1.2e-14, "dop853": 1e-27, "prince9": 1e-26}
DENSE_ERROR = {"tsit5": 2.5e-13, "dop853": 1e-25, "prince9": 1e-25}
# A method that is better than its order says has small constants in the first terms that it does not meet.
FIRST_ERROR = {"dop853": 1e-6, "prince9": 1e-9}


def b(tableau):
    """The weights of the step over all stages."""
    s = tableau.stages
    return (*tableau.a[s], *(Fraction(0),) * (tableau.top + 1 - s))


def tolerance(table, tableau):
    return table.get(tableau.name, ROUNDING)


def other_solution(tableau, weights):
    """The solution that an estimate compares the step with."""
    padded = (*weights, *(Fraction(0),) * tableau.extra)
    return [exact(x) - exact(e) for x, e in zip(b(tableau), padded, strict=True)]


def order_of(weights, tableau):
    """The largest order whose conditions the weights meet."""
    order = 0
    while defect(weights, tableau, order + 1) <= tolerance(STEP_ERROR, tableau):
        order += 1
    return order


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_the_step_has_its_order_and_no_more(tableau):
    for order in range(1, tableau.order + 1):
        assert defect(b(tableau), tableau, order) <= tolerance(STEP_ERROR, tableau)
    assert defect(b(tableau), tableau, tableau.order + 1) > FIRST_ERROR.get(tableau.name, 1e-4)


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_the_dense_output_has_its_order_and_no_more(tableau):
    for order in range(1, tableau.dense_order + 1):
        assert dense_defect(tableau, order) <= tolerance(DENSE_ERROR, tableau)
    assert dense_defect(tableau, tableau.dense_order + 1) > FIRST_ERROR.get(tableau.name, 1e-4)


@pytest.mark.parametrize("tableau", [x for x in TABLEAUS.values() if x.adaptive], ids=lambda x: x.name)
def test_the_estimate_compares_with_a_solution_of_another_order(tableau):
    found = order_of(other_solution(tableau, tableau.error), tableau)
    if not tableau.crude:
        assert min(found, tableau.order) == tableau.error_order
        assert found != tableau.order
        return
    # The error of two estimates e, d is e²/|d|.
    crude = order_of(other_solution(tableau, tableau.crude), tableau)
    assert 2 * (found + 1) - (crude + 1) == tableau.error_order + 1
    assert crude < found < tableau.order


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_the_dense_output_meets_both_ends_with_their_slopes(tableau):
    margin = tolerance(DENSE_ERROR, tableau)
    s = tableau.stages
    for i, (row, weight) in enumerate(zip(tableau.dense, b(tableau), strict=True)):
        assert abs(sum(map(exact, row)) - exact(weight)) <= margin
        assert abs(exact(row[0]) - (1 if i == 0 else 0)) <= margin
        slope = sum((k + 1) * exact(x) for k, x in enumerate(row))
        assert abs(slope - (1 if i == s else 0)) <= 10 * margin


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
def test_nodes_are_row_sums_and_arrays_are_row_major(tableau):
    s, top = tableau.stages, tableau.top
    a, c, error, dense = tableau.arrays(np.float32)
    assert (a.shape, c.shape, error.shape, dense.shape) == (
        ((top + 1) * (top + 1),),
        (top + 1,),
        (2 * s + 3,),
        ((top + 1) * tableau.degree,),
    )
    assert {x.dtype for x in (a, c, error, dense)} == {np.dtype(np.float32)}
    for i, row in enumerate(tableau.a):
        assert abs(sum(map(exact, row)) - exact(tableau.c[i])) <= tolerance(STEP_ERROR, tableau)
        assert a[i * top : i * top + len(row)] == pytest.approx([float(x) for x in row], rel=1e-7)
        assert not a[i * top + len(row) : (i + 1) * top].any()
    assert abs(exact(tableau.c[s]) - 1) <= tolerance(STEP_ERROR, tableau)
    assert not a[(top + 1) * top :].any()
    assert error[-1] == bool(tableau.crude)


@pytest.mark.parametrize("tableau", [x for x in TABLEAUS.values() if x.extra], ids=lambda x: x.name)
def test_a_method_without_extra_stages_is_the_same_method(tableau):
    eager = tableau.eager
    assert (eager.extra, eager.stages) == (0, tableau.top + 1)
    assert eager.a[: tableau.top + 1] == tableau.a
    assert [x for x in eager.a[-1] if x] == [x for x in tableau.a[tableau.stages] if x]
    # What the dense output has of the last stage it has of the last place; the place where others find it is a copy.
    s = tableau.stages
    assert (*eager.dense[:s], eager.dense[-1], *eager.dense[s + 1 : -1]) == tableau.dense
    assert not any(eager.dense[s])
    assert [kind for kind in eager.kinds if kind] == [SAME, *(READ,) * tableau.extra]
    assert first_reading(eager.stages, eager.arrays(float)[0]) == s
    # Nothing else builds on them.
    assert not any(any(row[s:]) for i, row in enumerate(eager.a) if not eager.kinds[i])
    assert not any(weights[i] for weights in (eager.error, eager.crude) for i in range(s, eager.stages))
