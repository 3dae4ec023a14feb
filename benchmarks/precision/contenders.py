"""Who takes part in the diagrams: a contender is told a problem once and a tolerance for each point."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.precision.problems import Problem
from benchmarks.work import Array, Settings
from implicitdsl.backends import aside

MODEL = Path(__file__).parents[1] / "models" / "precision.imp"
STEPS = 1_000_000
SETTLING, RUN_IN = 1e-6, 1.5
"""A tolerance, and seconds of it: our code takes its last form, with which further layers of the model begin."""


@dataclass(frozen=True)
class Point:
    """`run` solves the batch and is timed; `read` gives the last states [samples, states]."""

    run: Callable[[], Any]
    read: Callable[[Any], Array]


@dataclass(frozen=True)
class Curve:
    """One method of one library on one problem. `share` of the batch is solved in a call: its time counts 1/share."""

    at: Callable[[float], Point]
    share: float = 1.0


def ours(problem: Problem, settings: Settings, batch: int, solver: str) -> Curve:
    """Our layer with that solver, in the form that its code has when it has run for a while: peers have one form."""
    import torch

    import implicitdsl

    model = implicitdsl.load(MODEL)[problem.model]
    k = torch.tensor(problem.samples(batch))

    def at(tolerance: float) -> Point:
        options = {"solver": solver, "rtol": tolerance, "atol": tolerance * problem.small, "max_steps": STEPS}
        layer = model(**options, dtype=torch.float64, **settings.layer())
        return Point(lambda: layer(k), lambda y: y.numpy())

    begun, settling = time.perf_counter(), at(SETTLING)
    while time.perf_counter() < begun + RUN_IN:
        settling.run()
    aside.wait()
    return Curve(at)


def diffrax(problem: Problem, settings: Settings, batch: int, solver: str) -> Curve:
    """diffrax under jit and vmap, compiled once: the tolerance is an argument."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    start, many = jnp.array(problem.start, jnp.float64), jnp.array(problem.samples(batch))

    def one(k: Any, tolerance: Any) -> Any:
        control = dx.PIDController(rtol=tolerance, atol=tolerance * problem.small)
        term = dx.ODETerm(lambda t, y, k: jnp.stack(problem.field(y, k)))
        method = getattr(dx, solver)()
        found = dx.diffeqsolve(
            term,
            method,
            0.0,
            problem.end,
            None,
            start,
            args=k,
            stepsize_controller=control,
            max_steps=STEPS,
            throw=False,
        )
        return jnp.where(found.result == dx.RESULTS.successful, found.ys[-1], jnp.nan)

    solve = jax.jit(jax.vmap(one, in_axes=(0, None)))
    return Curve(lambda tolerance: Point(lambda: solve(many, tolerance).block_until_ready(), np.asarray))


def casadi(problem: Problem, settings: Settings, batch: int) -> Curve:
    """CasADi's CVODES with exact Jacobians, one sample after the other."""
    import casadi as ca

    x, p = ca.SX.sym("x", len(problem.start)), ca.SX.sym("p", len(problem.constants))
    slopes = problem.field([x[i] for i in range(x.numel())], [p[i] for i in range(p.numel())])
    system = {"x": x, "p": p, "ode": ca.vertcat(*slopes)}
    many = problem.samples(batch)
    method = {} if problem.stiff else {"linear_multistep_method": "adams", "nonlinear_solver_iteration": "functional"}

    def at(tolerance: float) -> Point:
        options = {"abstol": tolerance * problem.small, "reltol": tolerance, "max_num_steps": STEPS, **method}
        solve = ca.integrator("solve", "cvodes", system, 0, problem.end, options)
        return Point(
            lambda: [solve(x0=problem.start, p=k)["xf"] for k in many],
            lambda found: np.array([np.asarray(each).ravel() for each in found]),
        )

    return Curve(at)


def pydiffsol(problem: Problem, settings: Settings, batch: int, solver: str) -> Curve:
    """pydiffsol with LLVM, one sample after the other."""
    import pydiffsol as ds
    import sympy

    x, k = _symbols(problem)
    slopes = ", ".join(sympy.ccode(slope) for slope in _by_products(problem, x, k))
    inputs, states = (
        ", ".join(f"{name} = {float(value)!r}" for name, value in zip(names, values, strict=True))
        for names, values in ((k, problem.constants), (x, problem.start))
    )
    text = f"in_i {{ {inputs} }}\nu_i {{ {states} }}\nF_i {{ {slopes} }}"
    ode = ds.Ode(text, matrix_type=ds.nalgebra_dense, ode_solver=getattr(ds, solver))
    many, end = problem.samples(batch), np.array([float(problem.end)])

    def at(tolerance: float) -> Point:
        def run() -> Any:
            ode.rtol, ode.atol = tolerance, tolerance * problem.small
            return [ode.solve_dense(k, end).ys[:, -1] for k in many]

        return Point(run, np.array)

    return Curve(at)


def _by_products(problem: Problem, x: Any, k: Any) -> list[Any]:
    """The slopes with squares written as products: `pow` is dear."""
    import sympy

    def written(slope: Any) -> Any:
        power = sympy.Wild("power", properties=[lambda e: e.is_Integer and e > 1])
        base = sympy.Wild("base")
        return slope.replace(base**power, lambda base, power: sympy.Mul(*[base] * int(power), evaluate=False))

    return [written(sympy.sympify(slope)) for slope in problem.field(x, k)]


SCIPY_SAMPLES = 2


def scipy(problem: Problem, settings: Settings, batch: int, solver: str) -> Curve:
    """SciPy with the exact Jacobian, on the first samples."""
    from scipy.integrate import solve_ivp

    field, jacobian = scipy_functions(problem)
    few = problem.samples(batch)[:SCIPY_SAMPLES]
    extra: dict[str, Any] = {"jac": jacobian} if problem.stiff else {}

    def at(tolerance: float) -> Point:
        options = {"rtol": tolerance, "atol": tolerance * problem.small, **extra}

        def one(k: Array) -> Array:
            return solve_ivp(field, (0, problem.end), problem.start, solver, (problem.end,), args=(k,), **options).y[
                :, -1
            ]

        return Point(lambda: [one(k) for k in few], np.array)

    return Curve(at, len(few) / batch)


def heyoka(problem: Problem, settings: Settings, batch: int) -> Curve:
    """heyoka's batched Taylor integrator at its recommended width, made once for a tolerance."""
    import heyoka as hy

    width = hy.recommended_simd_size()
    names = hy.make_vars(*(f"x{i}" for i in range(len(problem.start))))
    slopes = problem.field(names, [hy.par[i] for i in range(len(problem.constants))])
    start = np.repeat(np.array(problem.start, float)[:, None], width, 1)
    whole = -(-batch // width)
    filled = np.resize(problem.samples(batch), (whole * width, len(problem.constants)))

    def at(tolerance: float) -> Point:
        system = list(zip(names, slopes, strict=True))
        worker = hy.taylor_adaptive_batch(system, start.copy(), pars=filled[:width].T.copy(), tol=tolerance)

        def run() -> list[Array]:
            found = []
            for block in range(whole):
                worker.set_time(np.zeros(width))
                worker.state[:] = start
                worker.pars[:] = filled[width * block : width * (block + 1)].T
                worker.propagate_until(problem.end)
                found.append(worker.state.T.copy())
            return found

        return Point(run, lambda found: np.concatenate(found)[:batch])

    return Curve(at)


def scipy_functions(problem: Problem) -> tuple[Any, Any]:
    """Right-hand side and Jacobian f(t, x, k), from symbols, on floats."""
    import sympy

    x, k = _symbols(problem)
    slopes = sympy.Matrix(problem.field(x, k))
    field = sympy.lambdify((x, k), list(slopes), "math", cse=True)
    jacobian = sympy.lambdify((x, k), slopes.jacobian(x).tolist(), "math", cse=True)
    return (
        lambda t, y, k: field(y.tolist(), k.tolist()),
        lambda t, y, k: np.array(jacobian(y.tolist(), k.tolist())),
    )


def _symbols(problem: Problem) -> tuple[Any, Any]:
    import sympy

    return sympy.symbols(f"x:{len(problem.start)}"), sympy.symbols(f"k:{len(problem.constants)}")
