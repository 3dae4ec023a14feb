"""`brusselator`: two chemicals on a line of N cells, one sample, from 0 to 20: a stiff system of 2N states whose
Jacobian is sparse. N = 500; as `brusselator100` and `brusselator2000` N = 100 and N = 2000.

float64, rtol 1e-6, atol 1e-8; the final state, and the gradient of the mean of u² there with respect to the logarithms
of the four rates. SciPy and CasADi get the pattern: LSODA a banded matrix (u and v of a cell side by side: two
diagonals on either side), Radau a sparse Jacobian in closed form, CVODES the sparse Jacobian that CasADi derives.
diffrax factors dense matrices: at 1,000 states a forward pass took more than two minutes, so it takes part at 200 only.
SciPy has no gradient: LSODA shows what central differences cost, eight more solves.

Floor. A step of rodas5p evaluates the right-hand side 8 times (21 operations a cell), factors a band (20), solves 8
times (20) and sums its stages (8·7/2 · 8): some 600 operations a cell. The reverse sweep computes the stages once more
and transposes them: three times the forward pass. Bytes: the rates and the final state.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.work import Array, Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "brusselator.imp"
RTOL, ATOL, END = 1e-6, 1e-8, 20.0
RATES = np.array([4.5, 7.5, 1e-4, 8e-4])
OFFSETS: Any = (0, 1, -1, 2, -2)  # SciPy declares the argument as one number
STEP = 1e-3
"""Of central differences, in the logarithm of a rate."""


def start_of(rates: Array, cells: int) -> Array:
    """The start, u and v of a cell side by side, [2N]."""
    x = (np.arange(cells) + 0.5) / cells
    u = rates[0] + np.exp(-(((x - 0.5) / 0.02) ** 2))
    return np.stack([u, np.full(cells, rates[1] / rates[0])], 1).ravel()


def field(t: float, y: Array, rates: Array) -> Array:
    """The rates of change, [2N]."""
    a, b = rates[:2]
    u, v = y[::2], y[1::2]
    reacted = u * u * v
    # What flows over the walls between cells; none over the ends.
    over_walls = np.diff(y.reshape(-1, 2), axis=0) * (rates[2:] * len(u) ** 2)
    slope = np.stack([a - (b + 1) * u + reacted, b * u - reacted], 1)
    slope[:-1] += over_walls
    slope[1:] -= over_walls
    return slope.ravel()


def jacobian(t: float, y: Array, rates: Array) -> Any:
    """The Jacobian of `field`, a sparse matrix."""
    from scipy.sparse import diags_array

    n = len(y)
    u, v = y[::2], y[1::2]
    apart = np.tile(rates[2:] * (n // 2) ** 2, n // 2)
    middle = np.stack([2 * u * v - rates[1] - 1, -u * u], 1).ravel()
    middle[2:] -= apart[2:]
    middle[:-2] -= apart[2:]
    above, below = np.zeros(n - 1), np.zeros(n - 1)
    above[::2], below[::2] = u * u, rates[1] - 2 * u * v
    return diags_array([middle, above, below, apart[2:], apart[2:]], offsets=OFFSETS).tocsc()


def by_lsoda(rates: Array, cells: int, rtol: float, atol: float) -> Array:
    """The final state by SciPy's LSODA with a banded matrix."""
    from scipy.integrate import solve_ivp

    start = start_of(rates, cells)
    found = solve_ivp(
        field, (0.0, END), start, "LSODA", t_eval=[END], args=(rates,), rtol=rtol, atol=atol, lband=2, uband=2
    )
    return found.y[:, -1]


def by_differences(cells: int, rtol: float, atol: float, step: float) -> Array:
    """The gradient, [4], by central differences of LSODA's answers."""

    def loss(log: Array) -> float:
        return float(np.mean(by_lsoda(np.exp(log), cells, rtol, atol)[::2] ** 2))

    log = np.log(RATES)
    return np.array([loss(log + move) - loss(log - move) for move in step * np.eye(4)]) / (2 * step)


def reference(cells: int) -> dict[Mode, Values]:
    """LSODA at 1e-11, and differences of step 1e-4 of it."""
    final = by_lsoda(RATES, cells, 1e-11, 1e-13)
    return {
        "forward": {"u": final[::2], "v": final[1::2]},
        "gradient": {"log rates": by_differences(cells, 1e-11, 1e-13, 1e-4)},
    }


def ours(settings: Settings, cells: int) -> Contender:
    """Our layer, on torch tensors without batch dimensions."""
    import torch

    import implicitdsl

    model = implicitdsl.load(MODEL).Brusselator
    layer = model(N=cells, solver="rodas5p", rtol=RTOL, atol=ATOL, dtype=torch.float64, **settings.layer())
    rates = torch.tensor(RATES)
    log = rates.log().requires_grad_()
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: layer(rates), lambda y: {"u": y[0].numpy(), "v": y[1].numpy()}),
        "gradient": Call(
            lambda: torch.autograd.grad(layer(log.exp())[0].square().mean(), log)[0],
            lambda g: {"log rates": g.numpy()},
        ),
    }
    return Contender("implicitdsl", calls, "rodas5p, sparse, discrete adjoint", facts_of(layer))


def scipy_lsoda(settings: Settings, cells: int) -> Contender:
    """SciPy's LSODA (Fortran) on a field in NumPy."""
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: by_lsoda(RATES, cells, RTOL, ATOL), lambda y: {"u": y[::2], "v": y[1::2]}),
        "gradient": Call(lambda: by_differences(cells, RTOL, ATOL, STEP), lambda g: {"log rates": g}),
    }
    return Contender("scipy LSODA", calls, "banded matrix; central differences")


def scipy_radau(settings: Settings, cells: int) -> Contender:
    """SciPy's Radau (Python, SuperLU) with the sparse Jacobian in closed form."""
    from scipy.integrate import solve_ivp

    start = start_of(RATES, cells)

    def forward() -> Array:
        found = solve_ivp(
            field, (0.0, END), start, "Radau", t_eval=[END], args=(RATES,), rtol=RTOL, atol=ATOL, jac=jacobian
        )
        return found.y[:, -1]

    calls: dict[Mode, Call] = {"forward": Call(forward, lambda y: {"u": y[::2], "v": y[1::2]})}
    return Contender("scipy Radau", calls, "sparse Jacobian given")


def casadi(settings: Settings, cells: int) -> Contender:
    """CasADi's CVODES with the sparse Jacobian that it derives, and its adjoint."""
    import casadi as ca

    y, p = ca.SX.sym("y", 2 * cells), ca.SX.sym("p", 4)
    u, v = y[:cells], y[cells:]
    reacted = u**2 * v

    def spread(c: Any) -> Any:
        return cells**2 * (ca.vertcat(c[0], c[:-1]) - 2 * c + ca.vertcat(c[1:], c[-1]))

    rate = ca.vertcat(p[0] - (p[1] + 1) * u + reacted + p[2] * spread(u), p[1] * u - reacted + p[3] * spread(v))
    options = {"abstol": ATOL, "reltol": RTOL, "max_num_steps": 100_000}
    solve = ca.integrator("solve", "cvodes", {"x": y, "p": p, "ode": rate}, 0, END, options)
    start = np.concatenate([start_of(RATES, cells)[::2], start_of(RATES, cells)[1::2]])
    log = ca.MX.sym("log", 4)
    k = ca.exp(log)
    # The start depends on a and b.
    x = (np.arange(cells) + 0.5) / cells
    bump = np.exp(-(((x - 0.5) / 0.02) ** 2))
    begin = ca.vertcat(k[0] + ca.DM(bump), ca.repmat(k[1] / k[0], cells, 1))
    loss = ca.sumsqr(solve(x0=begin, p=k)["xf"][:cells]) / cells
    pull = ca.Function("pull", [log], [ca.gradient(loss, log)])
    calls: dict[Mode, Call] = {
        "forward": Call(
            lambda: np.array(solve(x0=start, p=RATES)["xf"]).ravel(), lambda y: {"u": y[:cells], "v": y[cells:]}
        ),
        "gradient": Call(lambda: np.array(pull(np.log(RATES))).ravel(), lambda g: {"log rates": g}),
    }
    return Contender("casadi", calls, "CVODES, sparse direct solver, its adjoint")


def diffrax(settings: Settings, cells: int) -> Contender:
    """diffrax's Kvaerno5 under jit."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    control = dx.PIDController(rtol=RTOL, atol=ATOL)
    x = (jnp.arange(cells) + 0.5) / cells

    def rate(t: Any, y: Any, p: Any) -> Any:
        u, v = y
        reacted = u * u * v
        near = jnp.pad(y, ((0, 0), (1, 1)), "edge")
        spread = (near[:, :-2] - 2 * y + near[:, 2:]) * (p[2:, None] * cells**2)
        return jnp.stack([p[0] - (p[1] + 1) * u + reacted, p[1] * u - reacted]) + spread

    def solve(log: Any) -> Any:
        p = jnp.exp(log)
        start = jnp.stack([p[0] + jnp.exp(-(((x - 0.5) / 0.02) ** 2)), jnp.full(cells, p[1] / p[0])])
        term = dx.ODETerm(rate)
        found = dx.diffeqsolve(
            term, dx.Kvaerno5(), 0.0, END, 1e-4, start, args=p, stepsize_controller=control, max_steps=4096
        )
        return found.ys[-1]

    log = jnp.log(jnp.array(RATES))
    forward, gradient = jax.jit(solve), jax.jit(jax.grad(lambda log: jnp.mean(solve(log)[0] ** 2)))
    calls: dict[Mode, Call] = {
        "forward": Call(
            lambda: forward(log).block_until_ready(), lambda y: {"u": np.asarray(y[0]), "v": np.asarray(y[1])}
        ),
        "gradient": Call(lambda: gradient(log).block_until_ready(), lambda g: {"log rates": np.asarray(g)}),
    }
    return Contender("diffrax", calls, "Kvaerno5, dense matrices, recursive checkpoints")


def floor(mode: Mode, facts: dict[str, Any], cells: int) -> Floor:
    """See the head of this file."""
    forward, moved = 600 * cells * facts["total_steps"], 8 * (4 + 2 * cells)
    return Floor(forward, moved) if mode == "forward" else Floor(3 * forward, 2 * moved)


def make(name: str, cells: int) -> Comparison:
    """The work on that many cells."""
    peers: dict[str, Any] = {"scipy LSODA": scipy_lsoda, "scipy Radau": scipy_radau, "casadi": casadi}
    if cells <= 100:
        peers["diffrax"] = diffrax
    return Comparison(
        name=name,
        title=f"the Brusselator on a line, {2 * cells:,} states, t = 0 … {END:g}, one sample, float64, rtol 1e-6",
        dtype="float64",
        ours=partial(ours, cells=cells),
        peers={peer: partial(make_peer, cells=cells) for peer, make_peer in peers.items()},
        reference=partial(reference, cells),
        bounds={"forward": 1e-4, "gradient": 1e-2},
        floor=partial(floor, cells=cells),
    )


WORKS = {
    name: make(name, cells)
    for name, cells in (("brusselator100", 100), ("brusselator", 500), ("brusselator2000", 2000))
}
