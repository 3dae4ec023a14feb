"""`deq`: an equilibrium layer z = tanh(W z + U x + b) with ‖W‖₂ = 0.9, n = 64, m = 32, 256 samples.

float32, relative tolerance 1e-5; the gradient of sum(z²) with respect to W, U, b and x by the implicit function
theorem, solved as exactly as the forward pass.

Floor. An iteration is 2·n² operations and n tanh at 20 each (as in `node`) a sample; U x once. The adjoint iterates
with the transposed matrix, the same count without tanh, and the gradients of W and U are one product each over the
batch, 2·B·n² and 2·B·n·m. Iterations: those our layer took; a method with fewer of them (Anderson, Newton) has a lower
floor in iterations and a higher one in operations each. Bytes: x, z, W, U and their gradients once.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "deq.imp"
TOLERANCE = 1e-5
NAMES = ("W", "U", "b", "x")


def data(batch: int, n: int, m: int) -> dict[str, Array]:
    """W, U, b and x [B, m], float32."""
    draws = np.random.default_rng(0)
    W = draws.standard_normal((n, n))
    W *= 0.9 / np.linalg.norm(W, 2)
    U, x = draws.standard_normal((n, m)) / m**0.5, draws.standard_normal((batch, m))
    found = {"W": W, "U": U, "b": np.zeros(n), "x": x}
    return {name: value.astype(np.float32) for name, value in found.items()}


def reference(batch: int, n: int, m: int) -> dict[Mode, Values]:
    """Newton's method in float64 to the last digit, and the gradient from one dense transposed solve a sample."""
    given = {name: value.astype(np.float64) for name, value in data(batch, n, m).items()}
    W, drive = given["W"], given["x"] @ given["U"].T + given["b"]
    z, unit = np.zeros((batch, n)), np.eye(n)
    for _ in range(50):
        f = np.tanh(z @ W.T + drive)
        slope = unit - (1 - f**2)[:, :, None] * W
        step = np.linalg.solve(slope, (f - z)[:, :, None])[:, :, 0]
        z = z + step
        if np.abs(step).max() < 1e-15:
            break
    assert np.abs(z - np.tanh(z @ W.T + drive)).max() < 1e-14
    inner = 1 - z**2  # the derivative of tanh where tanh is z
    slope = unit - inner[:, :, None] * W
    u = np.linalg.solve(slope.transpose(0, 2, 1), 2 * z[:, :, None])[:, :, 0] * inner
    gradient = {"W": u.T @ z, "U": u.T @ given["x"], "b": u.sum(0), "x": u @ given["U"]}
    return {"forward": {"z": z}, "gradient": gradient}


def ours(settings: Settings, batch: int, n: int, m: int) -> Contender:
    """Our layer, on torch tensors."""
    import torch

    import implicitdsl

    given = {name: torch.tensor(value) for name, value in data(batch, n, m).items()}
    layer = implicitdsl.load(MODEL).DEQ(n=n, m=m, rtol=TOLERANCE, dtype=torch.float32, **settings.layer())
    with torch.no_grad():
        for name in ("W", "U", "b"):
            getattr(layer, name).copy_(given[name])
    x = given["x"].clone().requires_grad_()
    wanted = [layer.W, layer.U, layer.b, x]

    def forward() -> Any:
        with torch.no_grad():
            return layer(given["x"])

    def gradient() -> Any:
        return torch.autograd.grad(layer(x).square().sum(), wanted)

    calls: dict[Mode, Call] = {
        "forward": Call(forward, lambda z: {"z": z.numpy()}),
        "gradient": Call(gradient, _named),
    }
    return Contender("implicitdsl", calls, "picard, implicit adjoint", facts_of(layer))


def _named(found: Any) -> Values:
    return {name: np.asarray(g) for name, g in zip(NAMES, found, strict=True)}


def torchdeq(settings: Settings, batch: int, n: int, m: int, *, method: str) -> Contender:
    """torchdeq with one of its solvers, both ways, and its exact implicit gradient (`ift=True`)."""
    import torch
    from torchdeq import get_deq

    given = {name: torch.tensor(value) for name, value in data(batch, n, m).items()}
    W, U, b, x = live = [given[name].clone().requires_grad_() for name in NAMES]
    solver = get_deq(
        f_solver=method, f_max_iter=100, f_tol=TOLERANCE, b_solver=method, b_max_iter=100, b_tol=TOLERANCE, ift=True
    )

    def solve() -> Any:
        linear = torch.nn.functional.linear
        drive = linear(x, U, b)
        return solver(lambda z: torch.tanh(linear(z, W) + drive), torch.zeros(batch, n))[0][-1]

    def forward() -> Any:
        with torch.no_grad():
            return solve()

    def gradient() -> Any:
        return torch.autograd.grad(solve().square().sum(), live)

    calls: dict[Mode, Call] = {
        "forward": Call(forward, lambda z: {"z": z.numpy()}),
        "gradient": Call(gradient, _named),
    }
    return Contender(f"torchdeq {method}", calls, f"{method}, ift")


def jaxopt(settings: Settings, batch: int, n: int, m: int, *, method: str) -> Contender:
    """jaxopt under jit and vmap, with its implicit gradient."""
    import jax
    import jax.numpy as jnp
    import jaxopt as jo

    W, U, b, x = (jnp.array(data(batch, n, m)[name]) for name in NAMES)

    def map_(z: Any, drive: Any, W: Any) -> Any:
        return jnp.tanh(W @ z + drive)

    solver: Any
    if method == "anderson":
        solver = jo.AndersonAcceleration(map_, history_size=5, tol=TOLERANCE, maxiter=100)
    else:
        solver = jo.FixedPointIteration(map_, tol=TOLERANCE, maxiter=100)

    def many(W: Any, U: Any, b: Any, x: Any) -> Any:
        return jax.vmap(lambda one: solver.run(jnp.zeros(n, jnp.float32), U @ one + b, W).params)(x)

    return Contender(f"jaxopt {method}", _jax_calls(many, W, U, b, x), f"{method}, implicit gradient")


def optimistix(settings: Settings, batch: int, n: int, m: int) -> Contender:
    """optimistix under jit and vmap: its Newton method on z - f(z), with its implicit gradient."""
    import jax
    import jax.numpy as jnp
    import optimistix as ox

    W, U, b, x = (jnp.array(data(batch, n, m)[name]) for name in NAMES)
    solver = ox.Newton(TOLERANCE, TOLERANCE)

    def residual(z: Any, given: Any) -> Any:
        W, drive = given
        return jnp.tanh(W @ z + drive) - z

    def many(W: Any, U: Any, b: Any, x: Any) -> Any:
        def one(x: Any) -> Any:
            start = jnp.zeros(n, jnp.float32)
            return ox.root_find(residual, solver, start, (W, U @ x + b), throw=False).value

        return jax.vmap(one)(x)

    return Contender("optimistix", _jax_calls(many, W, U, b, x), "newton, implicit gradient")


def _jax_calls(many: Any, *given: Any) -> dict[Mode, Call]:
    import jax

    forward = jax.jit(many)
    gradient = jax.jit(jax.grad(lambda *args: (many(*args) ** 2).sum(), argnums=(0, 1, 2, 3)))
    return {
        "forward": Call(lambda: forward(*given).block_until_ready(), lambda z: {"z": np.asarray(z)}),
        "gradient": Call(lambda: jax.block_until_ready(gradient(*given)), _named),
    }


def floor(mode: Mode, facts: dict[str, Any], batch: int, n: int, m: int) -> Floor:
    """See the head of this file."""
    forward = facts["total_steps"] * (2 * n * n + 20 * n) + batch * 2 * n * m
    moved = 4 * (batch * (n + m) + n * (n + m + 1))
    if mode == "forward":
        return Floor(forward, moved)
    return Floor(forward + facts["total_steps"] * 2 * n * n + batch * 2 * n * (n + 2 * m), 2 * moved)


def make(batch: int = 256, n: int = 64, m: int = 32) -> Comparison:
    """The work for `batch` samples and those sizes."""
    sizes = {"batch": batch, "n": n, "m": m}
    return Comparison(
        name="deq",
        title=f"DEQ z = tanh(Wz + Ux + b), n = {n}, m = {m}, {batch} samples, float32, tolerance 1e-5",
        dtype="float32",
        ours=partial(ours, **sizes),
        peers={
            "torchdeq anderson": partial(torchdeq, **sizes, method="anderson"),
            "torchdeq broyden": partial(torchdeq, **sizes, method="broyden"),
            "torchdeq picard": partial(torchdeq, **sizes, method="fixed_point_iter"),
            "jaxopt anderson": partial(jaxopt, **sizes, method="anderson"),
            "jaxopt picard": partial(jaxopt, **sizes, method="picard"),
            "optimistix": partial(optimistix, **sizes),
        },
        reference=partial(reference, **sizes),
        # A residual of 1e-5 at a contraction of 0.9 is an error of up to 1e-4.
        bounds={"forward": 3e-4, "gradient": 3e-3},
        floor=partial(floor, **sizes),
        # "best" holds us against jaxopt's Picard too, which is no peer of this row by the list that the goals were set
        # on.
        goals={
            "forward": (Goal(2, "torchdeq picard"), Goal(2, "best")),
            "gradient": (Goal(2, "jaxopt anderson"), Goal(2, "best")),
        },
    )


WORKS = {"deq": make()}
