"""The works that are run on the GPU: those of `benchmarks/works`, for as many samples as a GPU has room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cuda.cases import Made, Work, fixpoint, ode, program
from implicitdsl.backends.lanes.target import Device

FEW = [1 << 10, 1 << 14, 1 << 17]
MANY = [*FEW, 1 << 20]
RATES = np.array([1.5, 1.0, 3.0, 1.0])
KINETICS = np.array([0.04, 3e7, 1e4])


def _weights(*shape: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape) / np.sqrt(shape[-1])


def lotka_volterra(samples: list[int], dtype: str = "float64") -> Work:
    """`lv`: every sample has rates of its own."""
    return Work(
        "lv" if dtype == "float64" else "lv32", f"Lotka–Volterra, 51 save times, dopri5, {dtype}, tolerance 1e-6",
        "lotka_volterra", "Ensemble", samples, {"y0": (np.ones(2), 0.0), "p": (RATES, 0.2 * RATES)},
        {"ts": np.linspace(0, 10, 51)}, {"solver": "dopri5", "rtol": 1e-6, "atol": 1e-6}, {}, {"T": 51}, dtype,
    )  # fmt: skip


def robertson(samples: list[int]) -> Work:
    """`robertson`: stiff kinetics, rates of each sample."""
    return Work(
        "robertson", "Robertson's kinetics to 1e5, rodas5p, float64, rtol 1e-6, atol 1e-9", "robertson", "Robertson",
        samples, {"k": (KINETICS, 0.3 * KINETICS)}, {}, {"solver": "rodas5p", "rtol": 1e-6, "atol": 1e-9}, {}, {},
    )  # fmt: skip


def neural(samples: list[int], hidden: int = 64) -> Work:
    """`node` in float64: an element of one float32 has no room for the address of weights."""
    held = {
        "f.W1": _weights(hidden, 2, seed=1), "f.b1": np.zeros(hidden), "f.W2": _weights(hidden, hidden, seed=2),
        "f.b2": np.zeros(hidden), "f.W3": _weights(2, hidden, seed=3), "f.b3": np.zeros(2), "ts": np.linspace(0, 1, 11),
    }  # fmt: skip
    return Work(
        "node", f"dy/dt a network of two hidden layers of {hidden}, dopri5, float64, tolerance 1e-5", "neural_ode",
        "NeuralODE", samples, {"y0": (np.zeros(2), 1.5)}, held, {"solver": "dopri5", "rtol": 1e-5, "atol": 1e-5},
        {"n": 2, "h": hidden}, {"T": 11},
    )  # fmt: skip


def quadratic(samples: list[int], n: int = 10, m: int = 10, p: int = 3) -> Work:
    """`qp10`: q of each sample, matrices shared."""
    root = _weights(n, n, seed=4)
    G, A, inside = _weights(m, n, seed=5) * n**0.5, _weights(p, n, seed=6) * n**0.5, _weights(n, seed=7)
    held = {
        "L": np.linalg.cholesky(root @ root.T + 0.1 * np.eye(n)), "A": A, "G": G, "b": A @ inside,
        "h": G @ inside + np.random.default_rng(8).random(m),
    }  # fmt: skip
    return Work(
        "qp10", f"quadratic programs, n = {n}, {m} inequalities, {p} equations, float64", "qp", "QP", samples,
        {"q": (np.zeros(n), 3.0)}, held, {}, {"n": n, "m": m, "p": p}, {},
    )  # fmt: skip


def equilibrium(samples: list[int], n: int = 32, m: int = 16) -> Work:
    """`deq` in float64, of half the size."""
    W = _weights(n, n, seed=9)
    held = {"W": W * (0.9 / np.linalg.norm(W, 2)), "U": _weights(n, m, seed=10), "b": np.zeros(n)}
    return Work(
        "deq", f"z = tanh(Wz + Ux + b), n = {n}, picard, float64, tolerance 1e-8", "deq", "DEQ", samples,
        {"x": (np.zeros(m), 1.7)}, held, {"solver": "picard", "rtol": 1e-8}, {"n": n, "m": m}, {},
    )  # fmt: skip


WORKS: dict[str, Callable[[Device], Made]] = {
    "lv": lambda device: ode(lotka_volterra(MANY), device),
    "lv32": lambda device: ode(lotka_volterra(MANY, "float32"), device),
    "lv_gradient": lambda device: ode(lotka_volterra(MANY), device, most_steps=256),
    "robertson": lambda device: ode(robertson(MANY), device),
    "robertson_gradient": lambda device: ode(robertson(FEW), device, most_steps=256),
    "node": lambda device: ode(neural(FEW), device),
    "qp10": lambda device: program(quadratic(MANY), device),
    "deq": lambda device: fixpoint(equilibrium(FEW), device),
}
