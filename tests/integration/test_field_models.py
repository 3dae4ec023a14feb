"""Models as scientists and engineers write them: each against a reference of its own, and by gradcheck to second order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import implicitdsl

F64 = torch.float64
FIXED: dict[str, Any] = {"solver": "rk4", "dt": 0.25}
TIMES = torch.tensor([0.0, 0.4, 1.0], dtype=F64)

MODELS = """
ode Mat[n](X0[n, n], ts[T]) -> [T, n, n] {
  param A[n, n] ~ normal(0, 0.5)
  state X[n, n] = X0
  dX/dt = A @ X - X @ A.T + sin(t)*eye(n)
  return X at ts
}
ode Ham(q0[2], p0[2]) -> (q[2], H) {
  param m = 2 in positive
  state q[2] = q0, p[2] = p0
  let H = normsq(p)/(2*m) + 1/4*sum(q^4) - q[0]*q[1]
  dq/dt = grad(H, p)
  dp/dt = -grad(H, q)
  from t = 0 to m/2
  return q, H
}
ode Forced(x0, a, b) -> [2] {
  param w = 1.3, z = 0.2
  state x = x0, v = 0
  dx/dt = v
  dv/dt = -w^2*x - 2*z*w*v + cos(t) + max(0, x)
  from t = a to b
  return [x, v]
}
ode Kinky(x0) -> y {
  state y = x0
  dy/dt = relu(sin(3*t)) - abs(y) + clip(y, -1/2, 1/2)
  from t = 0 to 1
  return y
}
net Sw(x[3]) -> (y[3], s) {
  param a[3] = 1
  let c = if x[0] > 0 then exp(a*x) else log1p(x^2)
  return c, logsumexp(c) + sum(softmax(a*x)*x) + prod(x) + mean(x) + cumsum(x)[-1]
}
net Lin(A[3, 3], b[3]) -> (x[3], ld, d) {
  let S = A @ A.T + 2*eye(3)
  return solve(S, b), logdet(S), det(A) + trace(inv(S)) + sum(cholesky(S))
}
net Conv(x[1, 8]) -> [3] {
  param w[1, 1, 3] ~ normal()
  let y = reshape(conv1d(x, w), [6])
  return tanh(y[0:3]) + y[-3:6]*softplus(y[1])
}
fixpoint Attn[n, d](X[n, d]) -> [n, d] {
  param W[d, d] ~ normal(0, 0.2)
  var Z[n, d]
  Z = 1/2*softmax(Z @ W @ Z.T) @ Z + X
  return Z
}
fixpoint Two(x[2]) -> (u[2], v) {
  param a = 0.3
  var u[2], v = 0
  u = a*tanh(u + v) + x
  v = a*sum(sin(u))
  return u, v
}
root Chem(C in positive) -> (pH, h) {
  param Ka = 1e-2 in positive
  const Kw = 1e-6
  var h = 0.1 in positive
  h^3 + Ka*h^2 - (Kw + Ka*C)*h = Ka*Kw
  return -log(h)/log(10), h
}
root Eig(A[2, 2]) -> (lam, v[2]) {
  var lam = 3, v[2] = [1, 1]
  A @ v = lam*v
  v @ v = 1
  return lam, v
}
argmin Ridge[n, d](X[n, d], y[n], lam in positive) -> w[d] {
  var w[d]
  minimize 1/2*normsq(X @ w - y) + lam/2*normsq(w)
  return w
}
argmin Logistic[n, d](X[n, d], y[n]) -> w[d] {
  param lam = 0.5 in positive
  var w[d]
  minimize sum(softplus(-y*(X @ w))) + lam*normsq(w)
  return w
}
argmin Lasso[n, d](X[n, d], y[n]) -> (w[d], m[d]) {
  var w[d], s[d]
  minimize 1/2*normsq(X @ w - y) + 0.3*sum(s)
  subject to {
    up: w <= s
    -s <= w
  }
  return w, dual(up)
}
argmin Proj[n](t[n]) -> x[n] {
  var x[n] in simplex(n)
  minimize 1/2*normsq(x - t)
  return x
}
argmin Iso[n](t[n]) -> x[n] {
  var x[n] in ordered
  minimize 1/2*normsq(x - t)
  return x
}
fn sat(x) = x/(1 + abs(x))
ode SIR(beta in positive, ts[T]) -> (S[T], I[T]) {
  param gamma = 0.5 in interval(0, 2)
  state S = 0.99, I = 0.01
  let new = beta*S*sat(I)
  dS/dt = -new
  dI/dt = new - gamma*I
  return S, I at ts
}
"""


@pytest.fixture(scope="module")
def models() -> Any:
    return implicitdsl.loads(MODELS)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed + 31 * len(shape)))


def number(*values: float) -> Tensor:
    return torch.tensor(values if len(values) > 1 else values[0], dtype=F64)


CASES: dict[str, tuple[dict[str, int], tuple[Tensor, ...], dict[str, Any]]] = {
    "Mat": ({"n": 2}, (draw(2, 2, 2), TIMES), FIXED),
    "Ham": ({}, (draw(2, 2), draw(2, 2, seed=1)), {"rtol": 1e-10, "atol": 1e-10}),
    "Forced": ({}, (number(1.0, -0.5), number(0.1), number(1.2)), FIXED),
    "Kinky": ({}, (number(0.2, -0.9),), FIXED),
    "Sw": ({}, (draw(2, 3),), {}),
    "Lin": ({}, (draw(2, 3, 3), draw(2, 3)), {}),
    "Conv": ({}, (draw(2, 1, 8),), {}),
    "Attn": ({"n": 3, "d": 2}, (0.3 * draw(1, 3, 2),), {}),
    "Two": ({}, (draw(2, 2),), {}),
    "Chem": ({}, (number(0.1, 0.5),), {}),
    "Eig": ({}, (torch.tensor([[2.0, 1.0], [0.5, 3.0]], dtype=F64),), {}),
    "Ridge": ({"n": 5, "d": 3}, (draw(5, 3), draw(2, 5), number(0.7)), {}),
    "Logistic": ({"n": 5, "d": 3}, (draw(5, 3), torch.sign(draw(5))), {}),
    "Lasso": ({"n": 5, "d": 3}, (draw(5, 3), draw(2, 5)), {}),
    "Proj": ({"n": 4}, (draw(3, 4),), {}),
    "Iso": ({"n": 4}, (draw(3, 4),), {}),
    "SIR": ({}, (number(1.5, 2.0), TIMES), FIXED),
}


def build(models: Any, name: str) -> tuple[Any, tuple[Tensor, ...]]:
    sizes, inputs, options = CASES[name]
    torch.manual_seed(1)
    return models[name](**sizes, dtype=F64, **options), inputs


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives(models: Any, name: str) -> None:
    layer, inputs = build(models, name)
    leaves = [i.clone().requires_grad_() for i in inputs]
    params = list(layer.parameters())

    def run(*values: Tensor) -> Any:
        return layer(*values[: len(leaves)])

    assert gradcheck(run, (*leaves, *params), atol=1e-6, rtol=1e-5, fast_mode=True)
    assert gradgradcheck(run, (*leaves, *params), atol=1e-5, rtol=1e-4, fast_mode=True)


def test_a_hamiltonian_keeps_its_energy(models: Any) -> None:
    layer, (q, p) = build(models, "Ham")
    found = layer(q, p)[1]
    start = (p**2).sum(-1) / 4 + 0.25 * (q**4).sum(-1) - q[:, 0] * q[:, 1]
    assert torch.allclose(found, start, atol=1e-8)


def test_a_switched_net_is_torchs(models: Any) -> None:
    layer, (x,) = build(models, "Sw")
    y, s = layer(x)
    c = torch.where(x[:, :1] > 0, x.exp(), torch.log1p(x**2))
    rest = (torch.softmax(x, -1) * x).sum(-1) + x.prod(-1) + x.mean(-1) + x.sum(-1)
    assert torch.allclose(y, c, rtol=1e-14)
    assert torch.allclose(s, torch.logsumexp(c, -1) + rest, rtol=1e-13)


def test_linear_algebra_is_torchs(models: Any) -> None:
    layer, (a, b) = build(models, "Lin")
    x, ld, d = layer(a, b)
    s = a @ a.mT + 2 * torch.eye(3, dtype=F64)
    assert torch.allclose(x, torch.linalg.solve(s, b), rtol=1e-12)
    assert torch.allclose(ld, torch.logdet(s), rtol=1e-12)
    traces = torch.linalg.inv(s).diagonal(dim1=-1, dim2=-2).sum(-1)
    assert torch.allclose(d, torch.det(a) + traces + torch.linalg.cholesky(s).sum((-1, -2)), rtol=1e-12)


def test_a_convolution_is_torchs(models: Any) -> None:
    layer, (x,) = build(models, "Conv")
    y = torch.nn.functional.conv1d(x, layer.w)[:, 0]
    expected = torch.tanh(y[:, :3]) + y[:, 3:6] * torch.nn.functional.softplus(y[:, 1:2])
    assert torch.allclose(layer(x), expected, rtol=1e-12)


def test_an_attention_equilibrium_is_one(models: Any) -> None:
    layer, (x,) = build(models, "Attn")
    z = layer(x)
    assert torch.allclose(z, 0.5 * torch.softmax(z @ layer.W @ z.mT, -1) @ z + x, atol=1e-12)


def test_a_weak_acid_against_the_roots_of_its_polynomial(models: Any) -> None:
    layer, (c,) = build(models, "Chem")
    ph, h = layer(c)
    for i, value in enumerate(c.tolist()):
        roots = np.roots([1.0, 1e-2, -(1e-6 + 1e-2 * value), -1e-8])
        positive = max(r.real for r in roots if abs(r.imag) < 1e-14)
        assert h[i].item() == pytest.approx(positive, rel=1e-10)
        assert ph[i].item() == pytest.approx(-math.log10(positive), rel=1e-10)


def test_an_eigenvalue_is_torchs(models: Any) -> None:
    layer, (a,) = build(models, "Eig")
    lam, v = layer(a)
    assert lam.item() == pytest.approx(torch.linalg.eigvals(a).real.max().item(), rel=1e-12)
    assert torch.allclose(a @ v, lam * v, atol=1e-12)


def test_ridge_regression_in_closed_form(models: Any) -> None:
    layer, (x, y, lam) = build(models, "Ridge")
    expected = torch.linalg.solve(x.T @ x + lam * torch.eye(3, dtype=F64), x.T @ y.T).T
    assert torch.allclose(layer(x, y, lam), expected, rtol=1e-10)


def test_logistic_regression_is_stationary(models: Any) -> None:
    layer, (x, y) = build(models, "Logistic")
    w = layer(x, y)
    slope = -(torch.sigmoid(-y * (x @ w)) * y) @ x + 2 * layer.lam * w
    assert slope.abs().max().item() < 1e-9


def test_the_lasso_meets_its_optimality_conditions(models: Any) -> None:
    layer, (x, y) = build(models, "Lasso")
    w, upper = layer(x, y)
    slope = (w @ x.T - y) @ x
    assert (slope.abs() <= 0.3 + 1e-9).all()
    assert torch.allclose(slope[w.abs() > 1e-7], -0.3 * torch.sign(w[w.abs() > 1e-7]), atol=1e-8)
    assert ((upper >= 0) & (upper <= 0.3 + 1e-8)).all()


def test_the_simplex_projection_by_sorting(models: Any) -> None:
    layer, (t,) = build(models, "Proj")
    u = t.sort(-1, descending=True).values
    shifted = (u.cumsum(-1) - 1) / torch.arange(1, 5, dtype=F64)
    count = (u > shifted).sum(-1, keepdim=True)
    assert torch.allclose(layer(t), (t - shifted.gather(-1, count - 1)).clamp(min=0), atol=1e-9)


def test_isotonic_regression_by_pooling(models: Any) -> None:
    layer, (t,) = build(models, "Iso")
    for row, found in zip(t.tolist(), layer(t), strict=True):
        blocks: list[list[float]] = []
        for value in row:
            blocks.append([value, 1.0])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                (b, m), (a, n) = blocks.pop(), blocks.pop()
                blocks.append([(a * n + b * m) / (n + m), n + m])
        expected = [mean for mean, n in blocks for _ in range(int(n))]
        assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_a_matrix_equation_against_scipy(models: Any) -> None:
    from scipy.integrate import solve_ivp

    sizes, (x0, _), _ = CASES["Mat"]
    torch.manual_seed(1)
    layer = models.Mat(**sizes, dtype=F64, rtol=1e-10, atol=1e-10)
    a = layer.A.detach().numpy()

    def rhs(t: float, x: Any) -> Any:
        m = x.reshape(2, 2)
        return (a @ m - m @ a.T + math.sin(t) * np.eye(2)).ravel()

    found = layer(x0, TIMES).detach().numpy()
    for i in range(2):
        expected = solve_ivp(rhs, (0, 1), x0[i].ravel().numpy(), t_eval=TIMES.numpy(), rtol=1e-11, atol=1e-12)
        assert np.allclose(found[i].reshape(3, 4), expected.y.T, rtol=1e-8, atol=1e-9)


def test_an_epidemic_against_scipy(models: Any) -> None:
    from scipy.integrate import solve_ivp

    layer = models.SIR(dtype=F64, rtol=1e-10, atol=1e-10)
    s, i = layer(number(1.5, 2.0), TIMES)

    def rhs(t: float, x: Any, beta: float) -> Any:
        new = beta * x[0] * x[1] / (1 + abs(x[1]))
        return [-new, new - 0.5 * x[1]]

    for row, beta in enumerate((1.5, 2.0)):
        expected = solve_ivp(rhs, (0, 1), [0.99, 0.01], t_eval=TIMES.numpy(), args=(beta,), rtol=1e-11, atol=1e-13)
        assert np.allclose([s[row].detach(), i[row].detach()], expected.y, rtol=1e-8, atol=1e-11)


KINKS = """
fixpoint Rectified(x) -> z {
  var z = 0
  z = relu(z/2 + x)
  return z
}

root Larger(x) -> z {
  var z = 5
  2*z + max(z, 1) = x
  return z
}

argmin Hinge(t) -> (x, m) {
  var x
  minimize 1/2*(x - t)^2
  return x, max(x, 0)
}
"""


@pytest.mark.parametrize(
    ("name", "inputs", "kinked"),
    [
        ("Rectified", (-1.0, 0.0, 1.0), (False, True, False)),
        ("Larger", (2.0, 3.0, 4.0), (False, True, False)),
        ("Hinge", (-1.0, 0.0, 2.0), (False, True, False)),
    ],
)
def test_an_answer_on_a_kink_is_noted(name: str, inputs: tuple[float, ...], kinked: tuple[bool, ...]) -> None:
    from implicitdsl.solvers.status import KINK

    layer = implicitdsl.loads(KINKS)[name](dtype=F64)
    layer(number(*inputs))
    assert [bool(note & KINK) for note in layer.last.notes.tolist()] == list(kinked)


RICCATI = """
# The cost matrix of a linear-quadratic regulator, from the end of its time to the start.
ode Riccati[n = 3](A[n, n], b[n], S1[n, n], end) -> S[n, n] {
  state S[n, n] = S1
  dS/dt = -(A.T @ S + S @ A - S @ outer(b, b) @ S + eye(n))
  from t = end to 0
  return S
}
"""


def test_a_riccati_equation_to_second_order_is_radons_linear_one() -> None:
    """LLVM's `newgvn` stopped the process on the second derivative of this model, in the middle of compiling it."""

    def linear(a: Tensor, b: Tensor, s1: Tensor, end: Tensor) -> Tensor:
        top, bottom = torch.cat([a, -torch.outer(b, b)], 1), torch.cat([-torch.eye(3, dtype=F64), -a.T], 1)
        xy = torch.linalg.matrix_exp(-end * torch.cat([top, bottom])) @ torch.cat([torch.eye(3, dtype=F64), s1])
        return xy[3:] @ torch.linalg.inv(xy[:3])

    def derivatives(f: Any) -> list[Tensor]:
        inputs = [i.clone().requires_grad_() for i in (0.5 * draw(3, 3), draw(3), 0.3 * torch.eye(3, dtype=F64), end)]
        value = f(*inputs)
        first = torch.autograd.grad((value * draw(3, 3, seed=4)).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(((k + 1) * g).sum() for k, g in enumerate(first)), inputs)
        return [value, *first, *second]

    end = number(1.5)
    layer = implicitdsl.loads(RICCATI).Riccati(dtype=F64, rtol=1e-11, atol=1e-12)
    for found, expected in zip(derivatives(layer), derivatives(linear), strict=True):
        assert torch.allclose(found, expected, rtol=1e-7, atol=1e-8)
