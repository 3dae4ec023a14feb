"""Published derivatives of programs, the families of control and of dense random programs, float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import implicitdsl
from tests.reference.argmin_cases import jacobian, models, outputs, second_error, tensor

pytestmark = pytest.mark.usefixtures("backend")

PROGRAMS = "argmin_programs"


def layer_of(name: str, **keywords):
    return getattr(models(PROGRAMS), name)(**{"dtype": torch.float64, **keywords})


def test_projection_derivatives() -> None:
    """T01, T05, T12, T20: 0 or 1; I - 11'/3 on the support; the published rows."""
    relu = layer_of("Relu")
    found = [jacobian(relu, [-1]), jacobian(relu, [1]), jacobian(relu, [-1], output=1)]
    np.testing.assert_allclose(np.ravel(found), [0, 1, -1], rtol=0, atol=1e-15)
    on = np.array([1, 1, 0, 1])
    for name in ("SimplexProjection", "OnSimplex"):
        found = jacobian(layer_of(name, n=4), [[0.5, 0.8, -0.2, 0.3]])
        np.testing.assert_allclose(found, np.diag(on) - np.outer(on, on) / 3, atol=1e-10)
    np.testing.assert_allclose(jacobian(layer_of("Knapsack"), [[0.9, 0.25, 0.1], 0.4])[1], [0, 0.5, -0.5], atol=1e-10)
    np.testing.assert_allclose(jacobian(layer_of("SmoothedLinear", n=3), [[1, 1.2, 4], 0.5])[0], [-1, 1, 0], atol=1e-10)


def test_portfolio_derivative() -> None:
    """T16: dw/dmu of the three-asset portfolio whose third asset is excluded."""
    S = [[0.04, 0.006, 0.002], [0.006, 0.09, 0.01], [0.002, 0.01, 0.01]]
    found = jacobian(layer_of("Markowitz"), [[0.08, 0.14, 0.01], S, 3])
    want = np.zeros((3, 3))
    want[:2, :2] = 2.82485875706 * np.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(found, want, atol=1e-8)


def test_hock_schittkowski_derivatives() -> None:
    """HS35 by b = 3, x and multiplier; HS76 by its first side."""
    hs35 = layer_of("HS35")
    np.testing.assert_allclose(jacobian(hs35, [3]), [-1 / 3, 2 / 9, 5 / 9], atol=1e-9)
    np.testing.assert_allclose(jacobian(hs35, [3], output=1), -2 / 9, atol=1e-9)
    np.testing.assert_allclose(jacobian(layer_of("HS76"), [[5, 4, -1.5]])[:, 0], [1 / 11, 4 / 11, 0, 2 / 11], atol=1e-9)


def test_sensitivity_and_active_set_change() -> None:
    """T25: published derivatives; the linear prediction to p1 = 4.5 leaves the bound, the layer does not."""
    layer = layer_of("Sensitivity")
    found = jacobian(layer, [[5, 1]])
    np.testing.assert_allclose(found[:, 0], [0.1122448980, 0.0204081633, 0.1326530612], atol=1e-9)
    np.testing.assert_allclose(found[:, 1], [-0.0087463557, -0.2390670554, 0.3848396501], atol=1e-9)
    x = layer(tensor([5, 1]))[0].numpy()
    np.testing.assert_allclose(x - 0.5 * found[:, 0], [0.576530612, 0.377551020, -0.045918367], atol=1e-8)
    np.testing.assert_allclose(layer(tensor([4.5, 1]))[0], [0.5, 0.5, 0], atol=1e-9)


def test_two_sided_derivative() -> None:
    """T38: (1/2, 1/2) from above, (2/3, 1/3) from below; at b = 1 the constraint counts as active and a note says so."""
    layer = layer_of("TwoSided")
    np.testing.assert_allclose(jacobian(layer, [1 + 1e-3]), [1 / 2, 1 / 2], atol=1e-9)
    np.testing.assert_allclose(jacobian(layer, [1 - 1e-3]), [2 / 3, 1 / 3], atol=1e-9)
    np.testing.assert_allclose(jacobian(layer, [1]), [2 / 3, 1 / 3], atol=1e-9)
    assert "weak_active" in layer.last.message()


def test_nearly_parallel_equations_are_not_damped() -> None:
    """T39: rows that differ by eps. With x0 + x1 = b0 and x1 + x2 = d = (b1 - b0)/eps the solution is closed form. The
    derivative, of size 1/eps, is right or refused; it is never the damped one of a regularised system."""
    layer = layer_of("NearlyParallel")
    by_d = np.array([-1, 1, 2]) / 3
    solved = 0
    for eps in 10.0 ** -np.arange(2, 13):
        b = np.array([1, 1 + 0.3 * eps])
        d = (b[1] - b[0]) / eps
        middle = (b[0] + d) / 3
        want = np.stack([np.array([2, 1, -1]) / 3 - by_d / eps, by_d / eps], axis=1)
        try:
            found = jacobian(layer, [b, eps])
        except implicitdsl.SolveError as refused:
            assert eps < 1e-5 and {"stalled", "singular"} & set(str(refused).split())
        else:
            np.testing.assert_allclose(layer(tensor(b), tensor(eps)), [b[0] - middle, middle, d - middle], rtol=1e-6)
            np.testing.assert_allclose(found, want, rtol=1e-6)
            solved += 1
    assert solved >= 4


def test_hard_margin_whose_multipliers_are_not_unique() -> None:
    """T24: w is a smooth function of the margin (w = margin/2 (1, 1)) though four rows press on three unknowns."""
    layer = layer_of("HardMargin", k=4)
    data = [[[2, 2], [3, 1], [0, 0], [1, -1]], [1, 1, -1, -1], 1]
    np.testing.assert_allclose(jacobian(layer, data, wrt=2), [0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(jacobian(layer, data, wrt=2, output=1), -1, atol=1e-9)
    assert "dependent_rows" in layer.last.message()


def test_double_integrator() -> None:
    """T34: u0 = -K0 x0 for every x0, J = x0'P0 x0/2; both derivatives of J are the Riccati ones."""
    A, B = tensor([[1, 0.1], [0, 1]]), tensor([0.005, 0.1])
    K, P = (
        np.array([2.43015183978, 3.39099165325]),
        np.array([[12.7752253699, 3.01891310827], [3.01891310827, 4.54193730866]]),
    )
    layer = layer_of("DoubleIntegrator")
    u0, J = layer(tensor([1, 0]), A, B)
    assert u0.item() == pytest.approx(-K[0], rel=1e-10) and J.item() == pytest.approx(6.38761268493, rel=1e-11)
    np.testing.assert_allclose(jacobian(layer, [[0.3, -2], A, B]), -K, rtol=1e-9)
    hessian = torch.autograd.functional.hessian(lambda x0: layer(x0, A, B)[1], tensor([0.3, -2]))
    np.testing.assert_allclose(hessian, P, rtol=1e-9)
    assert second_error(layer_of("DoubleIntegrator", H=4), [[1, 0], A, B]) <= 1e-6


def random_program(n: int, m: int, p: int, count: int):
    """Dense programs of one shape with a common feasible point, each with a linear term of its own."""
    g = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    L = draw(n, n) / n**0.5
    Q = L @ L.T + 0.1 * torch.eye(n, dtype=torch.float64)
    G, x0 = draw(m, n), draw(n)
    h = G @ x0 + torch.rand(m, generator=g, dtype=torch.float64)
    A = draw(p, n)
    return Q, 2 * draw(64, n)[:count], G, h, A, A @ x0


def held_system(Q, q, A, b, G, h, x, mu):
    """The KKT matrix of a program with the rows of positive multiplier held, and its right-hand side."""
    on = mu > 1e-7
    C = torch.cat([A, G[on]])
    zero = torch.zeros(len(C), len(C), dtype=torch.float64)
    return torch.cat([torch.cat([Q, C.T], 1), torch.cat([C, zero], 1)]), torch.cat([-q, b, h[on]]), on


@pytest.mark.parametrize(("n", "m", "p", "count"), [(10, 10, 3, 4), (50, 50, 10, 2)])
def test_dense_programs(n: int, m: int, p: int, count: int) -> None:
    """T53: solution, multipliers and all gradients against dense linear algebra on the exact active set."""
    Q, q, G, h, A, b = random_program(n, m, p, count)
    given = [v.clone().requires_grad_() for v in (Q, q, A, b, G, h)]
    layer = layer_of("Program", n=n, m=m, p=p)
    x, lam, mu = layer(*given)
    assert torch.all(layer.last.status == 0) and torch.all(layer.last.notes == 0)
    x.sum(1).pow(2).sum().backward()
    other = [v.clone().requires_grad_() for v in (Q, q, A, b, G, h)]
    total = torch.zeros((), dtype=torch.float64)
    for i in range(count):
        Qs = (other[0] + other[0].T) / 2
        K, right, on = held_system(Qs, other[1][i], *other[2:], x[i].detach(), mu[i].detach())
        exact = torch.linalg.solve(K, right)
        assert torch.all(exact[n + p :] > 0) and torch.all(G @ exact[:n] <= h + 1e-9)
        np.testing.assert_allclose(x[i].detach(), exact[:n].detach(), atol=1e-9)
        np.testing.assert_allclose(lam[i].detach(), exact[n : n + p].detach(), atol=1e-8)
        np.testing.assert_allclose(mu[i, on].detach(), exact[n + p :].detach(), atol=1e-8)
        total = total + exact[:n].sum() ** 2
    total.backward()
    for mine, theirs in zip(given, other, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert float((mine.grad - theirs.grad).abs().max() / theirs.grad.abs().max()) <= 1e-6


def test_float32() -> None:
    """KKT conditions to 1e-5 of their terms, solution and gradient next to the float64 ones."""
    Q, q, G, h, A, b = random_program(10, 10, 3, 8)
    exact = layer_of("Program", n=10, m=10, p=3)
    layer = layer_of("Program", n=10, m=10, p=3, dtype=torch.float32)
    given = [v.float().requires_grad_() for v in (Q, q, A, b, G, h)]
    x, lam, mu = layer(*given)
    assert x.dtype == torch.float32 and torch.all(layer.last.status == 0)
    X, LAM, MU = (v.detach().double() for v in (x, lam, mu))
    Q, q, A, b, G, h = (v.detach().double() for v in given)
    scale = 1 + max(float(v.abs().max()) for v in (X @ Q, q, LAM @ A, MU @ G))
    assert float((X @ Q + q + LAM @ A + MU @ G).abs().max()) <= 1e-5 * scale
    assert float((X @ A.T - b).abs().max()) <= 1e-5 * scale
    assert float((X @ G.T - h).clamp(min=0).max()) <= 1e-5 * scale
    assert float((MU * (X @ G.T - h)).abs().max()) <= 1e-5 * scale and float(MU.min()) >= 0
    x.sum(1).pow(2).sum().backward()
    double = [v.detach().double().requires_grad_() for v in given]
    want = exact(*double)[0]
    want.sum(1).pow(2).sum().backward()
    np.testing.assert_allclose(X, want.detach(), atol=2e-5)
    for low, high in zip(given, double, strict=True):
        assert low.grad is not None and high.grad is not None and low.grad.dtype == torch.float32
        assert float((low.grad - high.grad).abs().max() / high.grad.abs().max()) <= 1e-3


def test_float32_reference_cases() -> None:
    """T01, T05, HS35 and HS76 in float32."""
    for name, inputs, want in (
        ("Relu", [1], [1]),
        ("HS35", [3], [4 / 3, 7 / 9, 4 / 9]),
        ("HS76", [[5, 4, -1.5]], [3 / 11, 23 / 11, 0, 6 / 11]),
        ("Knapsack", [[0.9, 0.25, 0.1], 0.4], [0.4, 0.375, 0.225]),
    ):
        layer = layer_of(name, dtype=torch.float32)
        x = outputs(layer(*(tensor(v).float() for v in inputs)))[0]
        assert x.dtype == torch.float32
        np.testing.assert_allclose(x, np.reshape(want, x.shape), atol=2e-5)
