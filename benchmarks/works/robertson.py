"""`robertson`: stiff kinetics, 128 samples with rates of their own, from 0 to 1e5.

float64, rtol 1e-6, atol 1e-9; the final state and the gradient of the sum of its second component with respect to the
rates.

Floor. A step of rodas5p factors one 3×3 matrix (about 20 operations), evaluates the right-hand side (9 operations) and
its Jacobian once, and solves 8 stages (9 + 18 each, with the stage sums 6·8·7/2·2): some 600 operations. The reverse
sweep computes the stages once more and transposes them: three times the forward pass. Bytes: rates and final states.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "robertson.imp"
RTOL, ATOL, END = 1e-6, 1e-9, 1e5
CHECKED = 6


def data(batch: int) -> Array:
    """Rates [B, 3], log-normal around those of Robertson (1966)."""
    draws = np.random.default_rng(1).standard_normal((batch, 3))
    return np.array([0.04, 3e7, 1e4]) * np.exp(0.1 * draws)


def reference(batch: int) -> dict[Mode, Values]:
    """SciPy's Radau at 1e-9 on the states and their derivatives with respect to the logarithms of the rates, which
    are of one order of magnitude; the first samples."""
    from scipy.integrate import solve_ivp

    def field(t: float, s: Array, k: Array) -> Array:
        a, b, c = s[:3]
        d = s[3:].reshape(3, 3)
        r1, r2, r3 = k[0] * a, k[1] * b * b, k[2] * b * c
        slope = np.array([-r1 + r3, r1 - r2 - r3, r2])
        first, second, third = [k[0], 0, 0], [0, 2 * k[1] * b, 0], [0, k[2] * c, k[2] * b]
        j1, j2, j3 = np.array(first), np.array(second), np.array(third)
        by_state = np.array([-j1 + j3, j1 - j2 - j3, j2])
        by_log = np.array([[-r1, 0, r3], [r1, -r2, -r3], [0, r2, 0]])
        return np.concatenate([slope, (by_state @ d + by_log).ravel()])

    finals, gradients = [], []
    start = np.concatenate([[1.0, 0.0, 0.0], np.zeros(9)])
    for k in data(batch)[:CHECKED]:
        found = solve_ivp(field, (0.0, END), start, "Radau", args=(k,), rtol=1e-9, atol=1e-14)
        last = found.y[:, -1]
        finals.append(last[:3])
        gradients.append(last[3:].reshape(3, 3)[1] / k)
    return {"forward": {"y": np.array(finals)}, "gradient": {"log k": np.array(gradients) * data(batch)[:CHECKED]}}


def ours(settings: Settings, batch: int) -> Contender:
    """Our layer, on torch tensors."""
    import torch

    import implicitdsl

    model = implicitdsl.load(MODEL).Robertson
    layer = model(solver="rodas5p", rtol=RTOL, atol=ATOL, dtype=torch.float64, **settings.layer())
    k = torch.tensor(data(batch))
    live = k.clone().requires_grad_()

    def gradient() -> Any:
        return torch.autograd.grad(layer(live)[:, 1].sum(), live)[0]

    calls: dict[Mode, Call] = {
        "forward": Call(lambda: layer(k), lambda y: {"y": y.numpy()}),
        "gradient": Call(gradient, lambda g: {"log k": g.numpy() * data(batch)}),
    }
    return Contender("implicitdsl", calls, "rodas5p, discrete adjoint", facts_of(layer))


def diffrax(settings: Settings, batch: int) -> Contender:
    """diffrax's Kvaerno5 under jit and vmap."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    rates, start = jnp.array(data(batch)), jnp.array([1.0, 0.0, 0.0])
    control = dx.PIDController(rtol=RTOL, atol=ATOL)

    def field(t: Any, y: Any, k: Any) -> Any:
        a, b, c = y
        r1, r2, r3 = k[0] * a, k[1] * b * b, k[2] * b * c
        return jnp.stack([-r1 + r3, r1 - r2 - r3, r2])

    def one(k: Any) -> Any:
        found = dx.diffeqsolve(
            dx.ODETerm(field), dx.Kvaerno5(), 0.0, END, 1e-6, start, args=k, stepsize_controller=control, max_steps=4096
        )
        return found.ys[-1]

    forward = jax.jit(jax.vmap(one))
    gradient = jax.jit(jax.grad(lambda k: jax.vmap(one)(k)[:, 1].sum()))
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: forward(rates).block_until_ready(), lambda y: {"y": np.asarray(y)}),
        "gradient": Call(
            lambda: gradient(rates).block_until_ready(), lambda g: {"log k": np.asarray(g) * data(batch)}
        ),
    }  # fmt: skip
    return Contender("diffrax", calls, "Kvaerno5, recursive checkpoints")


def casadi(settings: Settings, batch: int) -> Contender:
    """CasADi's CVODES, one sample after the other (its `map` is no faster here)."""
    import casadi as ca

    rates = data(batch)
    x, p = ca.SX.sym("x", 3), ca.SX.sym("p", 3)
    r1, r2, r3 = p[0] * x[0], p[1] * x[1] ** 2, p[2] * x[1] * x[2]
    system = {"x": x, "p": p, "ode": ca.vertcat(-r1 + r3, r1 - r2 - r3, r2)}
    options = {"abstol": ATOL, "reltol": RTOL, "max_num_steps": 100_000}
    solve = ca.integrator("solve", "cvodes", system, 0, END, options)
    pull = solve.factory("pull", ["x0", "p", "adj:xf"], ["xf", "adj:p"])
    start, seed = [1, 0, 0], [0, 1, 0]
    calls: dict[Mode, Call] = {
        "forward": Call(
            lambda: [solve(x0=start, p=k)["xf"] for k in rates],
            lambda found: {"y": np.array(found).reshape(batch, 3)},
        ),
        "gradient": Call(
            lambda: [pull(x0=start, p=k, adj_xf=seed)["adj_p"] for k in rates],
            lambda found: {"log k": np.array(found).reshape(batch, 3) * rates},
        ),
    }
    return Contender("casadi", calls, "CVODES, its adjoint")


def floor(mode: Mode, facts: dict[str, Any], batch: int) -> Floor:
    """See the head of this file."""
    forward, moved = 600 * facts["total_steps"], 8 * batch * 6
    return Floor(forward, moved) if mode == "forward" else Floor(3 * forward, 2 * moved)


def make(batch: int = 128) -> Comparison:
    """The work for `batch` samples."""
    return Comparison(
        name="robertson",
        title=f"Robertson's stiff kinetics to t = 1e5, {batch} samples, float64, rtol 1e-6, atol 1e-9",
        dtype="float64",
        ours=partial(ours, batch=batch),
        peers={"diffrax": partial(diffrax, batch=batch), "casadi": partial(casadi, batch=batch)},
        reference=partial(reference, batch),
        bounds={"forward": 1e-3, "gradient": 1e-1},
        floor=partial(floor, batch=batch),
        goals={"forward": (Goal(100, "best"),), "gradient": (Goal(60, "best"),)},
    )


WORKS = {"robertson": make()}
