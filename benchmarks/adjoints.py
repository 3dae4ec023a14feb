"""Error and time of every adjoint on three works: a small system with four params, a stiff one, a neural ode.

    python benchmarks/adjoints.py [WORK …]    # prints the table, of which docs/adjoints.md has the first two works

The error is that of the gradient, relative to its largest number, against the discrete adjoint at tolerance 1e-12; the
time is the best of some calls, forward and backward.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

import implicitdsl

TEXT = """
ode Lotka(y0[2], ts[T]) -> [T, 2] {
  param p[4] = [1.5, 1, 3, 1]
  state x = y0[0], y = y0[1]
  dx/dt = p[0]*x - p[1]*x*y
  dy/dt = p[3]*x*y - p[2]*y
  return [x, y] at ts
}

ode Relaxation(y0[2], ts[T]) -> [T, 2] {
  param eps = 0.001
  state x = y0[0], v = y0[1]
  dx/dt = v
  dv/dt = ((1 - x^2)*v - x)/eps
  return [x, v] at ts
}

net MLP[n, h](x[n]) -> [n] {
  param W[h, n], V[n, h] ~ glorot()
  param b[h] = 0.1
  return V @ tanh(W @ x + b)
}

ode Neural(y0[8], ts[T]) -> [T, 8] {
  use f = MLP[8, 32]
  state z[8] = y0
  dz/dt = f(z)
  return z at ts
}
"""
BATCH = 64
WORKS: dict[str, tuple[int, float, str, tuple[str, ...]]] = {
    "Lotka": (2, 10.0, "tsit5", ("discrete", "forward", "interpolated", "gauss", "backsolve")),
    "Relaxation": (2, 0.5, "rodas5p", ("discrete", "forward", "interpolated", "gauss")),
    # One tangent run for each of 544 weights says nothing that the small system does not.
    "Neural": (8, 2.0, "tsit5", ("discrete", "interpolated", "gauss", "backsolve")),
}


def gradient(layer: Any, start: torch.Tensor, ts: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of the mean square of the solution."""
    given = start.clone().requires_grad_()
    loss = layer(given, ts).square().mean()
    return list(torch.autograd.grad(loss, [given, *layer.parameters()]))


def best(layer: Any, start: torch.Tensor, ts: torch.Tensor, calls: int) -> float:
    """The shortest of some calls in milliseconds."""
    found: list[float] = []
    for _ in range(calls):
        before = time.perf_counter()
        gradient(layer, start, ts)
        found.append(time.perf_counter() - before)
    return 1000 * min(found)


def main() -> None:
    """The table."""
    models = implicitdsl.loads(TEXT)
    print(
        "| work | adjoint | rtol 1e-4: error | ms | rtol 1e-8: error | ms |\n| --- | --- | ---: | ---: | ---: | ---: |"
    )
    for name, (n, end, solver, adjoints) in WORKS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        torch.manual_seed(0)
        start = 1.0 + torch.rand(BATCH, n, dtype=torch.float64)
        ts = torch.linspace(0, end, 5, dtype=torch.float64)
        # One set of weights for all.
        exact = getattr(models, name)(solver=solver, rtol=1e-12, atol=1e-14, dtype=torch.float64)
        wanted = gradient(exact, start, ts)
        for adjoint in adjoints:
            cells: list[str] = []
            for rtol in (1e-4, 1e-8):
                told = {"solver": solver, "adjoint": adjoint, "rtol": rtol, "atol": rtol / 100}
                layer = getattr(models, name)(**told, dtype=torch.float64)
                layer.load_state_dict(exact.state_dict())
                found = gradient(layer, start, ts)
                error = max(
                    ((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, wanted, strict=True)
                )  # fmt: skip
                cells += [f"{error:.0e}", f"{best(layer, start, ts, 5 if adjoint == 'forward' else 20):.2f}"]
            print(f"| {name} | `{adjoint}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
