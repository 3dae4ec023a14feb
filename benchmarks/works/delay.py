"""`delay`: 64 Mackey–Glass equations on [0, 100] with starts and lags of their own, lags between 10 and 20.

float64, tsit5, rtol = atol = 1e-7; the gradient of sum(x²) with respect to start and lag. No library of the peers
solves delay equations. What stands beside ours is what one writes instead: SciPy's DOP853 from segment to segment with
the dense output of the one before (values alone), and the classical method of order 4 in jax, `STEPS` to a lag, so that
what it reads lies on its grid, or between two points of it with their slopes (cubic Hermite). The back end `python` is
our solver on one sample at a time.

Reference: DOP853 on the stacked segments at 1e-12, derivatives by complex steps.

Floor. A step of tsit5 evaluates 6 slopes of 12 operations, forms stages, error and dense output with 160, and reads 6
values by a polynomial of degree 4, 20 operations each; the sweep in reverse does it all again and transposes it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "mackey_glass.imp"
TOLERANCE = 1e-7
END = 100.0
STEPS = 32
"""Steps to a lag of the method in jax: its errors are then near ours."""
CHECKED = 6
"""Samples that the reference solves."""


def data(batch: int) -> tuple[Array, Array]:
    """Starts [B] and lags [B]."""
    draws = np.random.default_rng(0).uniform(size=(2, batch))
    return 0.5 + draws[0], 10.0 + 10.0 * draws[1]


def slope(x: Any, past: Any) -> Any:
    """The right-hand side."""
    return 0.2 * past / (1.0 + past**10) - 0.1 * x


def at_the_end(x0: complex, tau: complex) -> complex:
    """x(100): the segments between multiples of the lag are states of one equation each, with the start of every one
    the end of the one before; the last pass goes as far as the rest of the interval."""
    from scipy.integrate import solve_ivp

    whole = int(END / np.real(tau))
    starts = [x0]
    for k in range(whole + 1):
        length = tau if k < whole else END - whole * tau

        def field(_: float, x: Array, length: complex = length) -> Array:
            return length * slope(x, np.concatenate([[x0], x[:-1]]))

        found = solve_ivp(field, (0.0, 1.0), np.array(starts, complex), "DOP853", rtol=1e-12, atol=1e-13)
        starts.append(found.y[-1, -1])
    return starts[-1]


def reference(batch: int) -> dict[Mode, Values]:
    """See the head of this file."""
    pairs = list(zip(*(a[:CHECKED] for a in data(batch)), strict=True))
    step = 1e-30
    x = np.array([at_the_end(x0, tau).real for x0, tau in pairs])
    by_start = np.array([at_the_end(x0 + 1j * step, tau).imag / step for x0, tau in pairs])
    by_lag = np.array([at_the_end(x0, tau + 1j * step).imag / step for x0, tau in pairs])
    return {"forward": {"x": x}, "gradient": {"x0": 2 * x * by_start, "tau": 2 * x * by_lag}}


def ours(settings: Settings, batch: int, backend: str = "") -> Contender:
    """Our layer, on torch tensors."""
    import torch

    import implicitdsl

    options = {"rtol": TOLERANCE, "atol": TOLERANCE, "dtype": torch.float64, **settings.layer()}
    layer = implicitdsl.load(MODEL).MackeyGlass(**options | ({"backend": backend} if backend else {}))
    still = [torch.tensor(a) for a in data(batch)]
    moving = [a.clone().requires_grad_() for a in still]
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: layer(*still), lambda x: {"x": x.numpy()}),
        "gradient": Call(
            lambda: torch.autograd.grad(layer(*moving).square().sum(), moving),
            lambda g: {"x0": g[0].numpy(), "tau": g[1].numpy()},
        ),
    }
    name = f"the back end {backend}" if backend else "implicitdsl"
    return Contender(name, calls, "tsit5, discrete adjoint", facts_of(layer))


def scipy(settings: Settings, batch: int) -> Contender:
    """One sample at a time, from segment to segment."""
    from scipy.integrate import solve_ivp

    def one(x0: float, tau: float) -> float:
        begin, end, past = 0.0, x0, lambda t: x0
        while begin < END:
            until = min(begin + tau, END)
            found = solve_ivp(
                lambda t, x, past=past: slope(x, past(t - tau)), (begin, until), [end], "DOP853", dense_output=True,
                rtol=TOLERANCE, atol=TOLERANCE,
            )  # fmt: skip
            begin, end, past = until, float(found.y[0, -1]), found.sol
        return end

    pairs = list(zip(*data(batch), strict=True))
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: np.array([one(*pair) for pair in pairs]), lambda x: {"x": x}),
    }
    return Contender("scipy", calls, "DOP853 by segments, one sample at a time")


def by_hand(settings: Settings, batch: int) -> Contender:
    """The method of steps as one writes it in jax: fixed steps, compiled, all samples at once."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    shortest = float(data(batch)[1].min())
    rows = int(np.ceil(END / shortest * STEPS))

    def solve(x0: Any, tau: Any) -> Any:
        h = tau / STEPS

        def step(state: tuple[Any, Any, Any], i: Any) -> tuple[tuple[Any, Any, Any], None]:
            # The last STEPS + 1 values, the present one last, and the slopes at both ends of the steps between them.
            x, first, last = state
            part = jnp.clip(END / h - i, 0.0, 1.0)

            def read(s: Any) -> Any:
                a, b, da, db = x[0], x[1], h * first[0], h * last[0]
                return a + s * (da + s * (3 * (b - a) - 2 * da - db + s * (2 * (a - b) + da + db)))

            now, length, half, whole = x[-1], part * h, read(part / 2), read(part)
            k1 = slope(now, x[0])
            k2 = slope(now + length / 2 * k1, half)
            k3 = slope(now + length / 2 * k2, half)
            k4 = slope(now + length * k3, whole)
            following = now + length / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            first, last = jnp.append(first[1:], k1), jnp.append(last[1:], slope(following, whole))
            return (jnp.append(x[1:], following), first, last), None

        before = jnp.full(STEPS + 1, x0), jnp.zeros(STEPS), jnp.zeros(STEPS)
        (x, _, _), _ = jax.lax.scan(step, before, jnp.arange(rows))
        return x[-1]

    many = jax.vmap(solve)
    forward = jax.jit(many)
    gradient = jax.jit(jax.grad(lambda *given: (many(*given) ** 2).sum(), (0, 1)))
    given = [jnp.array(a) for a in data(batch)]
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: jax.block_until_ready(forward(*given)), lambda x: {"x": np.asarray(x)}),
        "gradient": Call(
            lambda: jax.block_until_ready(gradient(*given)), lambda g: {"x0": np.asarray(g[0]), "tau": np.asarray(g[1])}
        ),
    }
    return Contender("jax by hand", calls, f"order 4, {STEPS} steps to a lag, backpropagation")


def floor(mode: Mode, facts: dict[str, Any]) -> Floor:
    """See the head of this file."""
    forward = facts["total_steps"] * (6 * (12 + 20) + 160)
    return Floor(forward, 24) if mode == "forward" else Floor(3 * forward, 40)


def make(batch: int) -> Comparison:
    """The work at a number of samples."""
    return Comparison(
        name="delay",
        title=f"{batch} Mackey–Glass delay equations, float64, tolerance 1e-7",
        dtype="float64",
        ours=partial(ours, batch=batch),
        peers={
            "jax by hand": partial(by_hand, batch=batch),
            "scipy": partial(scipy, batch=batch),
            "the back end python": partial(ours, batch=batch, backend="python"),
        },
        reference=partial(reference, batch),
        bounds={"forward": 1e-5, "gradient": 1e-4},
        floor=floor,
    )


WORKS = {"delay": make(64)}
