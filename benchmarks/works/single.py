"""`single`: one Lotka–Volterra system, 10 save times, tsit5, rtol = atol = 1e-8: what one call costs.

float64, batch 1, the call from Python included; the gradient of sum(y²) with respect to start and rates.

Floor. As in `lv`, a step is 160 operations and a save time 20; that is a microsecond or two. What remains is the call:
torch's own 13 µs forward and 65 µs with backward for an operator with an autograd kernel that does nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of
from benchmarks.works import lv

MODEL = Path(__file__).parents[1] / "models" / "lotka_volterra.imp"
TOLERANCE = 1e-8
TIMES = np.linspace(0, 10, 10)
RATES = np.array([1.5, 1.0, 3.0, 1.0])

DIFFSL = """
in_i { a = 1, b = 1, g = 1, d = 1, x0 = 1, y0 = 1 }
u_i { x = x0, y = y0 }
F_i { a*x - b*x*y, d*x*y - g*y }
"""


def reference() -> dict[Mode, Values]:
    """As in `lv`: SciPy's DOP853 on the variational equations."""
    from scipy.integrate import solve_ivp

    def field(t: float, s: Array) -> Array:
        x, y, d, p = s[0], s[1], s[2:].reshape(2, 6), RATES
        slope = np.array([p[0] * x - p[1] * x * y, p[3] * x * y - p[2] * y])
        by_state = np.array([[p[0] - p[1] * y, -p[1] * x], [p[3] * y, p[3] * x - p[2]]])
        by_rate = np.array([[0, 0, x, -x * y, 0, 0], [0, 0, 0, 0, -y, x * y]])
        return np.concatenate([slope, (by_state @ d + by_rate).ravel()])

    first = np.concatenate([np.ones(2), np.eye(2, 6).ravel()])
    found = solve_ivp(field, (0.0, 10.0), first, "DOP853", TIMES, rtol=1e-12, atol=1e-12)
    y, d = found.y[:2].T, found.y[2:].T.reshape(-1, 2, 6)
    gradient = np.einsum("ti,tij->j", 2 * y, d)
    return {"forward": {"y": y}, "gradient": {"y0": gradient[:2], "p": gradient[2:]}}


def ours(settings: Settings) -> Contender:
    """Our layer, on torch tensors without batch dimensions."""
    import torch

    import implicitdsl

    model = implicitdsl.load(MODEL).Ensemble
    layer = model(solver="tsit5", rtol=TOLERANCE, atol=TOLERANCE, dtype=torch.float64, **settings.layer())
    y0, p, ts = torch.ones(2, dtype=torch.float64), torch.tensor(RATES), torch.tensor(TIMES)
    y0_live, p_live = y0.clone().requires_grad_(), p.clone().requires_grad_()

    def gradient() -> Any:
        return torch.autograd.grad(layer(y0_live, p_live, ts).square().sum(), (y0_live, p_live))

    calls: dict[Mode, Call] = {
        "forward": Call(lambda: layer(y0, p, ts), lambda y: {"y": y.numpy()}),
        "gradient": Call(gradient, lambda g: {"y0": g[0].numpy(), "p": g[1].numpy()}),
    }
    return Contender("implicitdsl", calls, "tsit5, discrete adjoint", facts_of(layer))


def diffrax(settings: Settings) -> Contender:
    """diffrax under jit, no vmap."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    y0, p, ts = jnp.ones(2), jnp.array(RATES), jnp.array(TIMES)
    control = dx.PIDController(rtol=TOLERANCE, atol=TOLERANCE)

    def field(t: Any, y: Any, p: Any) -> Any:
        return jnp.stack([p[0] * y[0] - p[1] * y[0] * y[1], p[3] * y[0] * y[1] - p[2] * y[1]])

    def solve(y: Any, p: Any) -> Any:
        term, save = dx.ODETerm(field), dx.SaveAt(ts=ts)
        found = dx.diffeqsolve(
            term, dx.Tsit5(), 0.0, 10.0, 0.01, y, args=p, saveat=save, stepsize_controller=control, max_steps=1024
        )
        return found.ys

    forward = jax.jit(solve)
    gradient = jax.jit(jax.grad(lambda y, p: (solve(y, p) ** 2).sum(), argnums=(0, 1)))
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: forward(y0, p).block_until_ready(), lambda y: {"y": np.asarray(y)}),
        "gradient": Call(
            lambda: jax.block_until_ready(gradient(y0, p)),
            lambda g: {"y0": np.asarray(g[0]), "p": np.asarray(g[1])},
        ),
    }
    return Contender("diffrax", calls, "tsit5, recursive checkpoints")


def pydiffsol(settings: Settings) -> Contender:
    """pydiffsol's tsit45 with LLVM; its gradient by forward sensitivities, contracted in NumPy."""
    import pydiffsol as ds

    ode = ds.Ode(DIFFSL, matrix_type=ds.nalgebra_dense, ode_solver=ds.tsit45)
    ode.rtol = ode.atol = TOLERANCE
    given = np.append(RATES, [1.0, 1.0])

    def gradient() -> Array:
        found = ode.solve_fwd_sens(given, TIMES)
        return np.einsum("it,kit->k", 2 * found.ys, np.asarray(found.sens))

    calls: dict[Mode, Call] = {
        "forward": Call(lambda: ode.solve_dense(given, TIMES), lambda found: {"y": found.ys.T}),
        "gradient": Call(gradient, lambda g: {"y0": g[4:], "p": g[:4]}),
    }
    return Contender("pydiffsol", calls, "tsit45, forward sensitivities")


def floor(mode: Mode, facts: dict[str, Any]) -> Floor:
    """See the head of this file: the operations alone."""
    least = lv.floor(mode, facts, 1)
    return Floor(least.operations, 8 * (6 + 2 * len(TIMES)))


WORKS = {
    "single": Comparison(
        name="single",
        title="one Lotka–Volterra system, 10 save times, tsit5, float64, tolerance 1e-8, the call included",
        dtype="float64",
        ours=ours,
        peers={"diffrax": diffrax, "pydiffsol": pydiffsol},
        reference=reference,
        bounds={"forward": 1e-5, "gradient": 1e-4},
        floor=floor,
        goals={"forward": (Goal(limit=0.15),), "gradient": (Goal(limit=0.5),)},
    )
}
