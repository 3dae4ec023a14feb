"""The memory and time of the gradient of 10^6 steps of one small system, by a full and by a thinned tape.

    python benchmarks/tape_memory.py            # prints both, each in a process of its own

A sample alone fills a whole vector of lanes with copies: these padding lanes are counted, they lie in memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

TEXT = """
ode Oscillator(x0[2], t1) -> [2] {
  param k = 1 in positive
  state x[2] = x0
  from t = 0 to t1
  dx/dt = [x[1], -k*x[0]]
  return x
}
"""
STEPS = 1_000_000


def peak() -> float:
    """The peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure(memory: str) -> None:
    """Prints what the gradient takes beyond the forward run."""
    import torch

    import implicitdsl

    layer = implicitdsl.loads(TEXT).Oscillator(
        solver="rk4", dt=1e-3, max_steps=2 * STEPS, adjoint=f"discrete(memory = {memory})", dtype=torch.float64
    )
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    # Machine code is made before anything is measured.
    layer(start, 1.0).sum().backward()
    layer.zero_grad()
    before = time.perf_counter()
    value = layer(start, STEPS * 1e-3).sum()
    forward, floor = time.perf_counter() - before, peak()
    before = time.perf_counter()
    value.backward()
    backward = time.perf_counter() - before
    grad = next(layer.parameters()).grad
    assert grad is not None
    print(
        f"memory = {memory:>5}: {peak() - floor:6.0f} MB beyond the forward run, forward {forward:.2f} s, backward "
        f"{backward:.2f} s, gradient {grad.item():.17g}"
    )


def main() -> None:
    """Both tapes."""
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    for memory in ("10000", "100"):
        subprocess.run([sys.executable, __file__, memory], check=True)


if __name__ == "__main__":
    main()
