"""`node`: a neural ODE 2-64-64-2 with tanh, 256 samples, 11 save times on [0, 1].

float32, dopri5, rtol = atol = 1e-5; the gradient of sum(y²) with respect to the starts and all weights and biases.

Floor. A right-hand side is 2·(2·64 + 64·64 + 64·2) operations and 128 tanh, each counted as 20 (argument reduction, an
exponential by a polynomial of degree 6 or so, a division); dopri5 evaluates 6 a step, the stage sums are small beside
them. Backward: every stage once more, then twice as many operations for the two products with the cotangent (into the
state and into the weights): with the forward pass itself, four times the forward pass. Bytes: inputs, weights, outputs.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "neural_ode.imp"
TOLERANCE = 1e-5
WEIGHTS = ("W1", "b1", "W2", "b2", "W3", "b3")
NAMES = ("y0", *WEIGHTS)


def data(batch: int, hidden: int) -> dict[str, Array]:
    """Weights, starts y0 [B, 2] and save times ts [11], float32."""
    draws = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        return draws.standard_normal(shape) / np.sqrt(shape[-1])

    found = {
        "W1": draw(hidden, 2), "b1": np.zeros(hidden), "W2": draw(hidden, hidden), "b2": np.zeros(hidden),
        "W3": draw(2, hidden), "b3": np.zeros(2), "y0": draws.standard_normal((batch, 2)), "ts": np.linspace(0, 1, 11),
    }  # fmt: skip
    return {name: value.astype(np.float32) for name, value in found.items()}


def reference(batch: int, hidden: int, substeps: int = 20) -> dict[Mode, Values]:
    """The classical Runge–Kutta method in float64, 20 steps between save times, differentiated by torch: its error is
    below 1e-9 here (half the steps change the result by less than that)."""
    import torch

    given = data(batch, hidden)
    live = {name: torch.tensor(given[name], dtype=torch.float64, requires_grad=True) for name in NAMES}
    ts = given["ts"].astype(np.float64)

    def field(y: Any) -> Any:
        first = torch.tanh(y @ live["W1"].T + live["b1"])
        return torch.tanh(first @ live["W2"].T + live["b2"]) @ live["W3"].T + live["b3"]

    y = live["y0"]
    found = [y]
    for a, b in pairwise(ts):
        h = float(b - a) / substeps
        for _ in range(substeps):
            k1 = field(y)
            k2 = field(y + h / 2 * k1)
            k3 = field(y + h / 2 * k2)
            k4 = field(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        found.append(y)
    values = torch.stack(found, 1)
    gradient = torch.autograd.grad(values.square().sum(), [live[name] for name in NAMES])
    return {
        "forward": {"y": values.detach().numpy()},
        "gradient": {name: g.numpy() for name, g in zip(NAMES, gradient, strict=True)},
    }


def ours(settings: Settings, batch: int, hidden: int) -> Contender:
    """Our layer, on torch tensors."""
    import torch

    import implicitdsl

    given = {name: torch.tensor(value) for name, value in data(batch, hidden).items()}
    options = {"solver": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE, "dtype": torch.float32}
    layer = implicitdsl.load(MODEL).NeuralODE(n=2, h=hidden, **options, **settings.layer())
    with torch.no_grad():
        for name in WEIGHTS:
            getattr(layer.f, name).copy_(given[name])
    y0 = given["y0"].clone().requires_grad_()
    wanted = [y0, *(getattr(layer.f, name) for name in WEIGHTS)]

    def forward() -> Any:
        with torch.no_grad():
            return layer(given["y0"], given["ts"])

    def gradient() -> Any:
        return torch.autograd.grad(layer(y0, given["ts"]).square().sum(), wanted)

    calls: dict[Mode, Call] = {
        "forward": Call(forward, lambda y: {"y": y.numpy()}),
        "gradient": Call(gradient, _named),
    }
    return Contender("implicitdsl", calls, "dopri5, discrete adjoint", facts_of(layer))


def _named(found: Any) -> Values:
    return {name: np.asarray(g) for name, g in zip(NAMES, found, strict=True)}


def torchdiffeq(settings: Settings, batch: int, hidden: int) -> Contender:
    """torchdiffeq, one step size for the whole batch, backpropagation through the steps (its faster way here)."""
    import torch
    from torchdiffeq import odeint

    given = {name: torch.tensor(value) for name, value in data(batch, hidden).items()}
    live = [given[name].clone().requires_grad_() for name in NAMES]
    options: dict[str, Any] = {"rtol": TOLERANCE, "atol": TOLERANCE, "method": "dopri5"}

    def solve(y0: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
        linear = torch.nn.functional.linear

        def field(t: Any, y: Any) -> Any:
            return linear(torch.tanh(linear(torch.tanh(linear(y, w1, b1)), w2, b2)), w3, b3)

        return odeint(field, y0, given["ts"], **options).transpose(0, 1)

    def forward() -> Any:
        with torch.no_grad():
            return solve(*live)

    def gradient() -> Any:
        return torch.autograd.grad(solve(*live).square().sum(), live)

    calls: dict[Mode, Call] = {
        "forward": Call(forward, lambda y: {"y": y.numpy()}),
        "gradient": Call(gradient, _named),
    }
    return Contender("torchdiffeq", calls, "dopri5, backpropagation")


def diffrax(settings: Settings, batch: int, hidden: int) -> Contender:
    """diffrax under jit and vmap, recursive checkpointing."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    given = {name: jnp.array(value) for name, value in data(batch, hidden).items()}
    control = dx.PIDController(rtol=TOLERANCE, atol=TOLERANCE)

    def field(t: Any, y: Any, w: Any) -> Any:
        first = jnp.tanh(w["W1"] @ y + w["b1"])
        return w["W3"] @ jnp.tanh(w["W2"] @ first + w["b2"]) + w["b3"]

    def one(y: Any, w: Any) -> Any:
        term, save = dx.ODETerm(field), dx.SaveAt(ts=given["ts"])
        found = dx.diffeqsolve(
            term, dx.Dopri5(), 0.0, 1.0, 0.01, y, args=w, saveat=save, stepsize_controller=control, max_steps=256
        )
        return found.ys

    many = jax.vmap(one, (0, None))
    weights = {name: given[name] for name in WEIGHTS}
    forward = jax.jit(many)
    gradient = jax.jit(jax.grad(lambda y, w: (many(y, w) ** 2).sum(), argnums=(0, 1)))
    calls: dict[Mode, Call] = {
        "forward": Call(
            lambda: forward(given["y0"], weights).block_until_ready(),
            lambda y: {"y": np.asarray(y)},
        ),
        "gradient": Call(
            lambda: jax.block_until_ready(gradient(given["y0"], weights)),
            lambda g: {"y0": np.asarray(g[0]), **{name: np.asarray(value) for name, value in g[1].items()}},
        ),
    }
    return Contender("diffrax", calls, "dopri5, recursive checkpoints")


def floor(mode: Mode, facts: dict[str, Any], batch: int, hidden: int) -> Floor:
    """See the head of this file."""
    products = 2 * (2 * hidden + hidden * hidden + 2 * hidden)
    forward = facts["total_steps"] * 6 * (products + 20 * 2 * hidden)
    moved = 4 * (batch * (2 + 11 * 2) + hidden * (hidden + 6) + 2)
    return Floor(forward, moved) if mode == "forward" else Floor(4 * forward, 2 * moved)


def make(batch: int = 256, hidden: int = 64) -> Comparison:
    """The work for `batch` samples and hidden layers of that width."""
    sizes = {"batch": batch, "hidden": hidden}
    return Comparison(
        name="node",
        title=f"neural ODE 2-{hidden}-{hidden}-2, {batch} samples, 11 save times, float32, tolerance 1e-5",
        dtype="float32",
        ours=partial(ours, **sizes),
        peers={"diffrax": partial(diffrax, **sizes), "torchdiffeq": partial(torchdiffeq, **sizes)},
        reference=partial(reference, **sizes),
        bounds={"forward": 1e-4, "gradient": 1e-3},
        floor=partial(floor, **sizes),
        goals={"forward": (Goal(1.3, "diffrax"),), "gradient": (Goal(3, "diffrax"),)},
    )


WORKS = {"node": make()}
