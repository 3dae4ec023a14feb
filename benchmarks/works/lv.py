"""`lv`: 1024 Lotka–Volterra systems with rates of their own, 51 save times on [0, 10].

float64, dopri5 (heyoka: its Taylor method), rtol = atol = 1e-6; the gradient of sum(y²) with respect to start and
rates.

Floor. A step of dopri5 evaluates the right-hand side 6 times (7 operations each, first same as last) and forms 6 stage
sums, the error and its norm: 6·7 + 2·2·(1 + 2 + 3 + 4 + 5 + 6) + 2·2·6 + 10 = 160 operations for 2 states; each save
time costs 2·(2·4 + 2) for the polynomial of degree 4. The reverse sweep computes every stage once more and pulls back
through it, at least twice the operations of the stage: three times the forward pass. Bytes: inputs, outputs and
cotangents once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "lotka_volterra.imp"
TOLERANCE = 1e-6
CHECKED = 12
"""Samples for which the reference solves the variational equations."""


def data(batch: int) -> tuple[Array, Array, Array]:
    """Starts [B, 2], rates [B, 4] and the save times [51]."""
    draws = np.random.default_rng(0).standard_normal((batch, 4))
    return np.ones((batch, 2)), np.array([1.5, 1.0, 3.0, 1.0]) * (1 + 0.1 * draws), np.linspace(0, 10, 51)


def reference(batch: int, tolerance: float = 1e-12) -> dict[Mode, Values]:
    """SciPy's DOP853 on the states and their derivatives with respect to start and rates (12 + 2 equations)."""
    from scipy.integrate import solve_ivp

    starts, rates, times = data(batch)

    def field(t: float, s: Array, p: Array) -> Array:
        x, y, d = s[0], s[1], s[2:].reshape(2, 6)
        slope = np.array([p[0] * x - p[1] * x * y, p[3] * x * y - p[2] * y])
        by_state = np.array([[p[0] - p[1] * y, -p[1] * x], [p[3] * y, p[3] * x - p[2]]])
        by_rate = np.array([[0, 0, x, -x * y, 0, 0], [0, 0, 0, 0, -y, x * y]])
        return np.concatenate([slope, (by_state @ d + by_rate).ravel()])

    values, by_start, by_rates = [], [], []
    for start, p in zip(starts[:CHECKED], rates[:CHECKED], strict=True):
        first = np.concatenate([start, np.eye(2, 6).ravel()])
        span = (float(times[0]), float(times[-1]))
        found = solve_ivp(field, span, first, "DOP853", times, args=(p,), rtol=tolerance, atol=tolerance)
        y, d = found.y[:2].T, found.y[2:].T.reshape(-1, 2, 6)
        gradient = np.einsum("ti,tij->j", 2 * y, d)
        values.append(y)
        by_start.append(gradient[:2])
        by_rates.append(gradient[2:])
    return {
        "forward": {"y": np.array(values)},
        "gradient": {"y0": np.array(by_start), "p": np.array(by_rates)},
    }


def ours(settings: Settings, batch: int) -> Contender:
    """Our layer, on torch tensors."""
    import torch

    import implicitdsl

    model = implicitdsl.load(MODEL).Ensemble
    options = {"solver": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE, "dtype": torch.float64}
    layer = model(**options, **settings.layer())
    y0, p, ts = (torch.tensor(a) for a in data(batch))
    y0_live, p_live = y0.clone().requires_grad_(), p.clone().requires_grad_()

    def gradient() -> Any:
        return torch.autograd.grad(layer(y0_live, p_live, ts).square().sum(), (y0_live, p_live))

    calls: dict[Mode, Call] = {
        "forward": Call(lambda: layer(y0, p, ts), lambda y: {"y": y.numpy()}),
        "gradient": Call(gradient, _torch_gradient),
    }
    return Contender("implicitdsl", calls, "dopri5, discrete adjoint", facts_of(layer))


def _torch_gradient(found: Any) -> Values:
    return {"y0": found[0].numpy(), "p": found[1].numpy()}


def torchdiffeq(settings: Settings, batch: int) -> Contender:
    """torchdiffeq, one step size for the whole batch, backpropagation through the steps (its faster way here)."""
    import torch
    from torchdiffeq import odeint

    y0, p, ts = (torch.tensor(a) for a in data(batch))
    options: dict[str, Any] = {"rtol": TOLERANCE, "atol": TOLERANCE, "method": "dopri5"}

    def forward(start: Any, rates: Any) -> Any:
        return odeint(_torch_field(rates), start, ts, **options)

    return Contender("torchdiffeq", _torch_calls(forward, y0, p, time_first=True), "dopri5, backpropagation")


def torchode(settings: Settings, batch: int) -> Contender:
    """torchode, step sizes of each sample."""
    import torch
    import torchode as to

    y0, p, ts = (torch.tensor(a) for a in data(batch))

    def forward(start: Any, rates: Any) -> Any:
        term = to.ODETerm(_torch_field(rates))
        control = to.IntegralController(atol=TOLERANCE, rtol=TOLERANCE, term=term)
        solver = to.AutoDiffAdjoint(to.Dopri5(term=term), control)
        return solver.solve(to.InitialValueProblem(y0=start, t_eval=ts.repeat(len(start), 1))).ys

    return Contender("torchode", _torch_calls(forward, y0, p, time_first=False), "dopri5, backpropagation")


def _torch_field(rates: Any) -> Callable[[Any, Any], Any]:
    import torch

    a, b, g, d = rates.unbind(1)

    def field(t: Any, y: Any) -> Any:
        both = y[:, 0] * y[:, 1]
        return torch.stack([a * y[:, 0] - b * both, d * both - g * y[:, 1]], 1)

    return field


def _torch_calls(forward: Callable[[Any, Any], Any], y0: Any, p: Any, *, time_first: bool) -> dict[Mode, Call]:
    import torch

    y0_live, p_live = y0.clone().requires_grad_(), p.clone().requires_grad_()

    def plain() -> Any:
        with torch.no_grad():
            return forward(y0, p)

    def gradient() -> Any:
        return torch.autograd.grad(forward(y0_live, p_live).square().sum(), (y0_live, p_live))

    return {
        "forward": Call(plain, lambda y: {"y": (y.transpose(0, 1) if time_first else y).numpy()}),
        "gradient": Call(gradient, _torch_gradient),
    }


def diffrax(settings: Settings, batch: int) -> Contender:
    """diffrax under jit and vmap, recursive checkpointing; dopri5 is faster than its tsit5 here."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    y0, p, ts = (jnp.array(a) for a in data(batch))
    control = dx.PIDController(rtol=TOLERANCE, atol=TOLERANCE)

    def field(t: Any, y: Any, p: Any) -> Any:
        return jnp.stack([p[0] * y[0] - p[1] * y[0] * y[1], p[3] * y[0] * y[1] - p[2] * y[1]])

    def one(y: Any, p: Any) -> Any:
        term, save = dx.ODETerm(field), dx.SaveAt(ts=ts)
        found = dx.diffeqsolve(
            term, dx.Dopri5(), 0.0, 10.0, 0.01, y, args=p, saveat=save, stepsize_controller=control, max_steps=1024
        )
        return found.ys

    many = jax.vmap(one)
    forward = jax.jit(many)
    gradient = jax.jit(jax.grad(lambda y, p: (many(y, p) ** 2).sum(), argnums=(0, 1)))
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: forward(y0, p).block_until_ready(), lambda y: {"y": np.asarray(y)}),
        "gradient": Call(
            lambda: jax.block_until_ready(gradient(y0, p)),
            lambda g: {"y0": np.asarray(g[0]), "p": np.asarray(g[1])},
        ),
    }
    return Contender("diffrax", calls, "dopri5, recursive checkpoints")


def heyoka(settings: Settings, batch: int) -> Contender:
    """heyoka's batched Taylor integrator at its recommended width, one integrator a thread."""
    import heyoka as hy

    _, p, ts = data(batch)
    width = hy.recommended_simd_size()
    x, y = hy.make_vars("x", "y")
    system = [
        (x, hy.par[0] * x - hy.par[1] * x * y),
        (y, hy.par[3] * x * y - hy.par[2] * y),
    ]
    grid = np.repeat(ts[:, None], width, 1).copy()
    whole = -(-batch // width)
    filled = np.resize(p, (whole * width, 4))
    first = hy.taylor_adaptive_batch(system, np.ones((2, width)), pars=np.ones((4, width)), tol=TOLERANCE)
    workers = [first] + [first.__copy__() for _ in range(settings.threads - 1)]
    pool = ThreadPoolExecutor(settings.threads)

    def share(worker: Any, blocks: range) -> list[Array]:
        found = []
        for b in blocks:
            worker.set_time(np.zeros(width))
            worker.state[:] = 1.0
            worker.pars[:] = filled[width * b : width * (b + 1)].T
            found.append(worker.propagate_grid(grid)[1])
        return found

    def run() -> list[list[Array]]:
        n = len(workers)
        if n == 1:
            return [share(first, range(whole))]
        jobs = [pool.submit(share, w, range(i * whole // n, (i + 1) * whole // n)) for i, w in enumerate(workers)]
        return [job.result() for job in jobs]

    def read(found: list[list[Array]]) -> Values:
        blocks = np.array([block for part in found for block in part])  # [blocks, T, 2, width]
        return {"y": blocks.transpose(0, 3, 1, 2).reshape(whole * width, len(ts), 2)[:batch]}

    return Contender("heyoka", {"forward": Call(run, read)}, f"Taylor, {width} lanes, no reverse mode")


def floor(mode: Mode, facts: dict[str, Any], batch: int) -> Floor:
    """See the head of this file."""
    forward = 160 * facts["total_steps"] + 20 * 51 * batch
    moved = 8 * batch * (2 + 4 + 51 * 2)
    return Floor(forward, moved) if mode == "forward" else Floor(3 * forward, 2 * moved)


def make(batch: int = 1024) -> Comparison:
    """The work for `batch` samples."""
    return Comparison(
        name="lv",
        title=f"{batch} Lotka–Volterra systems, 51 save times, float64, tolerance 1e-6",
        dtype="float64",
        ours=partial(ours, batch=batch),
        peers={
            "diffrax": partial(diffrax, batch=batch),
            "heyoka": partial(heyoka, batch=batch),
            "torchdiffeq": partial(torchdiffeq, batch=batch),
            "torchode": partial(torchode, batch=batch),
        },
        reference=partial(reference, batch),
        # Local errors of 1e-6 grow along the orbit, most of all in the gradient.
        bounds={"forward": 1e-3, "gradient": 1e-2},
        floor=partial(floor, batch=batch),
        goals={"forward": (Goal(6, "heyoka"), Goal(12, "diffrax")), "gradient": (Goal(20, "diffrax"),)},
    )


WORKS = {"lv": make()}
