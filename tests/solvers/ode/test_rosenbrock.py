"""rodas5p: its order conditions, known solutions, and the derivatives of the computed map."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers.rosenbrock_tableau import RODAS5P
from tests.solvers.ode.models import PROTHERO_ROBINSON
from tests.solvers.ode.stiff import solve
from tests.solvers.ode.test_tableau import density, trees


def classical(tableau):
    """(alpha, beta, b by powers of theta) of the form of Hairer & Wanner II, IV.7, where J multiplies sums of stages."""
    s1 = tableau.stages + 1
    t = tableau.tables(float)
    gamma = np.linalg.inv(np.eye(s1) / tableau.gamma - t["couple"].reshape(s1, s1))
    a = t["a"].reshape(s1 + 1, s1)
    alpha = a[:-1] @ gamma
    dense = t["dense"].reshape(s1, -1).T @ gamma
    return alpha, alpha + gamma, a[-1] @ gamma, dense, t["error"] @ gamma, gamma


def weights(tree, alpha, beta):
    """As for Runge–Kutta methods, but a vertex with one branch sums with beta (Hairer & Wanner II, theorem 7.4)."""
    result = np.ones(len(alpha))
    for branch in tree:
        result = result * ((beta if len(tree) == 1 else alpha) @ weights(branch, alpha, beta))
    return result


def defect(b, alpha, beta, order):
    return max(abs(b @ weights(tree, alpha, beta) - 1 / density(tree)) for tree in trees(order))


def test_the_method_has_its_orders_and_no_more():
    alpha, beta, b, dense, error, gamma = classical(RODAS5P)
    for order in range(1, 6):
        assert defect(b, alpha, beta, order) <= 1e-13
    assert defect(b, alpha, beta, 6) > 1e-5
    for order in range(1, 5):
        assert defect(b - error, alpha, beta, order) <= 1e-13
    assert defect(b - error, alpha, beta, 5) > 1e-5
    np.testing.assert_allclose(alpha.sum(axis=1), RODAS5P.c, atol=1e-14)
    np.testing.assert_allclose(gamma.sum(axis=1), RODAS5P.drive, atol=2e-14)
    np.testing.assert_allclose(dense.sum(axis=0), b, atol=1e-13)
    for order in range(1, 5):
        for tree in trees(order):
            found = dense @ weights(tree, alpha, beta)
            wanted = np.where(np.arange(1, 5) == order, 1 / density(tree), 0.0)
            np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_the_method_is_stiffly_accurate_and_l_stable():
    _alpha, beta, b, _, error, _ = classical(RODAS5P)
    np.testing.assert_allclose(b, beta[-1], atol=1e-14)
    # R(z) = 1 + z b'(I - z beta)^-1 1 at z = -inf, for both solutions.
    for weight in (b, b - error):
        assert abs(1 - weight @ np.linalg.solve(beta, np.ones(len(b)))) <= 1e-12
    for z in -(10.0 ** np.arange(-2, 7)):
        assert abs(1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * beta, np.ones(len(b)))) <= 1.0


@pytest.mark.parametrize("jump", [1e4, 1e6])
def test_stiff_problems_keep_order_three_with_an_error_that_falls_with_stiffness(jump):
    """Prothero–Robinson along its smooth solution, with h*jump far beyond 1."""

    def exact(t):
        return (jump**2 * np.cos(t) + jump * np.sin(t)) / (1 + jump**2)

    errors = [
        abs(solve(PROTHERO_ROBINSON, (exact(0.0),), (jump,), (0, 2), dt=dt).end[0] - exact(2.0)) for dt in (0.2, 0.1)
    ]
    assert errors[1] <= errors[0] / 6
    assert errors[1] <= 3e-6 / jump
