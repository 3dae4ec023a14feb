"""One real layer of each way through the compiler, with inputs that it solves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

import implicitdsl

F64 = torch.float64

TEXT = """
net MLP[n, h, m](x[n]) -> [m] {
  param W[h, n], V[m, h] ~ glorot()
  param b[h] = 0, c[m] = 0
  return V @ tanh(W @ x + b) + c
}

ode Decay(y0[2], ts[T]) -> [T, 2] {
  param alpha = 1.1, beta = 0.4, delta = 0.1, gamma = 0.4 in positive
  state x = y0[0], y = y0[1]
  dx/dt = alpha*x - beta*x*y
  dy/dt = delta*x*y - gamma*y
  return [x, y] at ts
}

ode Neural[d, h = 3](z0[d], ts[T]) -> [T, d] {
  use f = MLP[d, h, d]
  state z[d] = z0
  dz/dt = f(z)
  return z at ts
}

bvp Rope(b, ts[T]) -> [T, 2] {
  param c = 0.8 in positive
  const a = 0.2
  state y = a + (b - a)*t, s = b - a
  dy/dt = s
  ds/dt = sqrt(1 + s^2)/c
  y(0) = a
  y(1) + 0.1*s(1)^2 = b
  return [y, s*b] at ts
}

root Kepler(M, e in interval(0, 1)) -> E {
  var E = M + e*sin(M)
  E - e*sin(E) = M
  return E
}

fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  param b[n] = 0
  var z[n] = 0
  z = tanh(W @ z + U @ x + b)
  return z
}

fixpoint NetDEQ[n, m](x[m]) -> [n] {
  use f = MLP[n + m, 3, n]
  var z[n] = 0
  z = 0.3*tanh(f([z, x]))
  return z
}

argmin Program[n, m](q[n], h[m]) -> [n] {
  param L[n, n] ~ identity()
  param G[m, n] ~ normal()
  var z[n]
  minimize 1/2*normsq(L.T @ z) + q @ z
  subject to {
    G @ z <= h
    sum(z) = 0
  }
  return z
}

net Classifier[m, k](x[m]) -> [k] {
  use features = DEQ[n = 3, m = m]
  use head     = MLP[3, 4, k]
  return head(features(x))
}
"""


@cache
def models() -> Any:
    return implicitdsl.load(TEXT)


@dataclass(frozen=True)
class Case:
    """A layer and its inputs: `rows` have a batch of two in front, `shared` ones none."""

    name: str
    sizes: dict[str, Any]
    rows: Callable[[], tuple[Tensor, ...]]
    shared: tuple[Tensor, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def layer(self, **options: Any) -> Any:
        torch.manual_seed(3)
        return models()[self.name](**self.sizes, **{"dtype": F64, **self.options, **options})

    def inputs(self) -> tuple[Tensor, ...]:
        return (*self.rows(), *self.shared)


TS = torch.tensor([0.0, 0.4, 0.9], dtype=F64)
INSIDE = TS + 0.05
"""At fixed steps what is read at a start bends otherwise than what is read beside it, where that start does not move."""


def _rows(*shape: int, low: float = -1.0, high: float = 1.0) -> Callable[[], tuple[Tensor, ...]]:
    def make() -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(7)
        return (low + (high - low) * torch.rand(2, *shape, dtype=F64, generator=generator),)

    return make


def _kepler() -> tuple[Tensor, ...]:
    return torch.tensor([0.3, 1.9], dtype=F64), torch.tensor([0.2, 0.7], dtype=F64)


def _program() -> tuple[Tensor, ...]:
    # At the first sample no inequality is active, at the second one is, with a multiplier well off 0.
    q = torch.tensor([[0.3, -0.2, 0.1], [2.0, -1.0, 0.5]], dtype=F64)
    return q, torch.tensor([[1.5, 1.7, 1.6], [0.1, 0.2, 0.3]], dtype=F64)


CASES = {
    case[0]: Case(*case[1:])
    for case in (
        ("net", "MLP", {"n": 2, "h": 3, "m": 2}, _rows(2)),
        ("ode fixed steps", "Decay", {}, _rows(2, low=0.5, high=2.0), (TS,), {"solver": "rk4", "dt": 0.1}),
        ("ode adaptive", "Decay", {}, _rows(2, low=0.5, high=2.0), (TS,), {"rtol": 1e-10, "atol": 1e-10}),
        ("ode with a net", "Neural", {"d": 2}, _rows(2), (TS,), {"solver": "rk4", "dt": 0.25}),
        ("bvp", "Rope", {}, _rows(), (INSIDE,), {"solver": "shooting(segments = 2, method = rk4, dt = 0.13)"}),
        ("root", "Kepler", {}, _kepler),
        ("fixpoint", "DEQ", {"n": 3, "m": 2}, _rows(2)),
        ("fixpoint with a net", "NetDEQ", {"n": 2, "m": 2}, _rows(2)),
        ("argmin", "Program", {"n": 3, "m": 3}, _program),
        ("cut net", "Classifier", {"m": 2, "k": 2}, _rows(2)),
    )
}
