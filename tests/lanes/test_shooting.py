"""`bvp` on both back ends: one answer, the same bits anywhere in a batch; and the matrix against a dense one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

import implicitdsl
from implicitdsl import compiler
from implicitdsl.backends.shooting.matrix import factor

TEXT = """
bvp Odd(p[2], c, e, ts[T]) -> (y[T, 2], z[T]) {
  param k = 0.7
  state u[2] = [p[0]*t, 1], v = 0
  du/dt = [u[1], -k*sin(u[0]) + p[1]*t]
  dv/dt = u[0]^2 - v
  u(0)[0] + 0.3*v(e^2)^2 = p[0]
  u(c)[0]*u(e^2)[1] + exp(v(0)) = 1.2
  v(0) + 0.1*u(e^2)[0] = 0.1*p[1]
  return u, sin(v)*t at ts
}

bvp Swings(a, b) -> u {
  state u = a, v = 0
  du/dt = v
  dv/dt = if u > 1/2 then -2*u else -u
  u(0) = a
  u(1) = b
  from t = 0 to 1/2
  return u
}
"""
F64 = torch.float64


@pytest.fixture(scope="module")
def models():
    return implicitdsl.loads(TEXT)


def given(batch: int):
    generator = torch.Generator().manual_seed(3)
    p = torch.rand(batch, 2, dtype=F64, generator=generator) - 0.3
    c = 0.4 + 0.3 * torch.rand(batch, dtype=F64, generator=generator)
    return p, c, torch.tensor(1.02, dtype=F64), torch.tensor([0.0, 0.3, 1.0], dtype=F64)


def gradients(layer, inputs):
    """Outputs, gradients of a square, and gradients of a square of those by the inputs."""
    inputs = tuple(x.clone().requires_grad_() for x in inputs)
    outputs = layer(*inputs)
    first = torch.autograd.grad(sum(o.pow(2).sum() for o in outputs), (*inputs, layer.k), create_graph=True)
    second = torch.autograd.grad(sum(g.pow(2).sum() for g in first), (*inputs, layer.k))
    return outputs, first, second


def test_the_back_ends_agree_to_the_second_derivative(models):
    found = [
        gradients(models.Odd(backend=b, dtype=F64, solver="shooting(segments = 2)"), given(2))
        for b in ("python", "lanes")
    ]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_bits_do_not_depend_on_the_batch(models):
    layer = models.Odd(dtype=F64, solver="shooting(segments = 5)")
    p, c, e, ts = given(13)
    order = torch.randperm(13, generator=torch.Generator().manual_seed(1))

    def run(p, c):
        p, c = p.clone().requires_grad_(), c.clone().requires_grad_()
        y, z = layer(p, c, e, ts)
        first = torch.autograd.grad(y.pow(2).sum() + z.sum(), (p, c), create_graph=True)
        return y, z, *first, *torch.autograd.grad(sum(g.pow(2).sum() for g in first), (p, c))

    whole = run(p, c)
    for one, other in zip(whole, run(p[order], c[order]), strict=True):
        assert torch.equal(one[order], other)
    for k in (0, 7, 12):
        for one, other in zip(whole, run(p[k : k + 1], c[k : k + 1]), strict=True):
            assert torch.equal(one[k : k + 1], other)
    with torch.no_grad():
        assert torch.equal(layer(p[4], c[4], e, ts)[0], whole[0][4])


def test_a_jump_on_the_right_is_located(models):
    """u'' = -2u above 1/2 and -u below, from 0.2 to 0.7: pieces of sines."""
    layer = models.Swings(dtype=F64, rtol=1e-10, atol=1e-12, solver="shooting(segments = 1)")
    found = layer(0.2, 0.7)

    # u = 0.2 cos t + s sin t up to T where it is 1/2, then with 2 for 1; u(1) = 0.7.
    def end(s, t):
        crossing = brentq(lambda x: 0.2 * np.cos(x) + s * np.sin(x) - 0.5, 0.0, 1.0, xtol=1e-15)
        if t <= crossing:
            return 0.2 * np.cos(t) + s * np.sin(t)
        slope = s * np.cos(crossing) - 0.2 * np.sin(crossing)
        rest = np.sqrt(2) * (t - crossing)
        return 0.5 * np.cos(rest) + slope / np.sqrt(2) * np.sin(rest)

    s = brentq(lambda s: end(s, 1.0) - 0.7, 0.5, 1.5, xtol=1e-14)
    assert abs(found.item() - end(s, 0.5)) < 1e-8


@pytest.mark.parametrize("segments", [1, 2, 3, 5, 8, 11])
def test_the_matrix_and_its_transpose(segments):
    n, batch = 3, 4
    random = np.random.default_rng(segments)
    a, g = random.normal(size=(batch, segments, n, n)), random.normal(size=(batch, segments + 1, n, n))
    r, q = random.normal(size=(batch, segments, n)), random.normal(size=(batch, n))
    b = random.normal(size=(batch, segments + 1, n))
    whole = np.zeros((batch, (segments + 1) * n, (segments + 1) * n))
    for i in range(segments):
        row = slice(i * n, (i + 1) * n)
        whole[:, row, row] = a[:, i]
        whole[:, row, (i + 1) * n : (i + 2) * n] = -np.eye(n)
    whole[:, segments * n :] = g.transpose(0, 2, 1, 3).reshape(batch, n, -1)
    factors = factor(a, g)
    x = factors.solve(r, q).reshape(batch, -1)
    mu, nu = factors.solve_transposed(b)
    lam = np.concatenate([mu.reshape(batch, -1), nu], axis=1)
    right = np.concatenate([r.reshape(batch, -1), q], axis=1)
    np.testing.assert_allclose((whole @ x[..., None])[..., 0], right, atol=1e-10 * np.abs(x).max())
    turned = (whole.swapaxes(1, 2) @ lam[..., None])[..., 0]
    np.testing.assert_allclose(turned, b.reshape(batch, -1), atol=1e-10 * np.abs(lam).max())


def test_solutions_that_grow_and_decay_by_many_orders_are_told_apart():
    """diag(exp(k), exp(-k)) over 20 segments, the decaying part given at the start, the growing one at the end."""
    k = 12.0
    a = np.broadcast_to(np.diag([np.exp(k), np.exp(-k)]), (1, 20, 2, 2))
    g = np.zeros((1, 21, 2, 2))
    g[0, 20, 0, 0] = g[0, 0, 1, 1] = 1.0
    x = factor(a, g).solve(np.zeros((1, 20, 2)), np.ones((1, 2)))[0]
    np.testing.assert_allclose(x[:, 1], np.exp(-k * np.arange(21)), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(x[:, 0], np.exp(-k * np.arange(20, -1, -1)), rtol=1e-12, atol=1e-16)


def test_the_report_names_the_kernels_of_all_parts(models):
    text = compiler.stages(models.Odd(dtype=F64, backend="lanes").blueprint)["bind"]
    assert "lanes, vectors of 8 samples" in text
    assert all(kernel in text for kernel in ("flow solve", "flow pull", "flow second", "conditions", "reading"))
