"""`cold` and `warm`: what the first call costs in a new process, Lotka–Volterra with its gradient.

- cold, solvers present: no model is in the cache, the compiled solver is (another model with the same solver was
  compiled); the clock starts after everything that the work will import has been imported.
- cold, nothing cached: an empty cache directory; the clock starts as above.
- cold, solvers of the wheel: an empty cache directory, and a package that holds its solvers compiled, as one from
  `make wheel` does.
- warm: everything cached by an earlier process; the clock starts after `import torch` alone, so that our own imports,
  the reading of the model and the first call are all in it.

diffrax stands beside the cold ones: tracing, XLA's compilation and the first call, after its imports.

Floor: none of these is bound by arithmetic; the least is to read the code from disk, a few milliseconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.row import Goal, Row
from benchmarks.work import OURS, Settings, Study

ROOT = Path(__file__).parents[2]
REPEATS = 2

#: Run in a new process: prints the seconds. {imports} come before the clock.
OUR_SCRIPT = """
import time, torch
{imports}
start, busy = time.perf_counter(), time.process_time()
import implicitdsl
layer = implicitdsl.load({model!r})[{name!r}](solver="dopri5", rtol=1e-6, atol=1e-6, dtype=torch.float64, {options})
y0 = torch.ones(64, 2, dtype=torch.float64, requires_grad=True)
p = torch.tensor([1.5, 1.0, 3.0, 1.0], dtype=torch.float64).expand(64, 4).clone().requires_grad_()
y = layer(y0, p, torch.linspace(0, 10, 51, dtype=torch.float64))
{backward}
print("seconds", time.perf_counter() - start, time.process_time() - busy, float(y.detach().square().sum()))
"""
BACKWARD = "y.square().sum().backward()"
IMPORTS = """
import numpy, lark, llvmlite.binding, implicitdsl.models, implicitdsl.artifacts.construct, implicitdsl.compiler
import implicitdsl.backends.lanes.build, implicitdsl.backends.lanes.lower
"""
#: Puts the solvers of the work into a folder as the wheel has them, and has a process look there.
WHEEL = """
from implicitdsl.backends.lanes import bitcode, standard
from pathlib import Path
bitcode.FOLDER = Path({folder!r})
bitcode.write(standard.made(standard.Group("ode", "dopri5", "float64", written_out=True)))
print("seconds", 0.0, 0.0, 0.0)
"""
FROM_WHEEL = """
from implicitdsl.backends.lanes import bitcode
from pathlib import Path
bitcode.FOLDER = Path({folder!r})
"""

DIFFRAX_SCRIPT = """
import time
import diffrax as dx, jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
y0, p, ts = np.ones((64, 2)), np.tile([1.5, 1.0, 3.0, 1.0], (64, 1)), np.linspace(0, 10, 51)
start, busy = time.perf_counter(), time.process_time()
def field(t, y, p):
    return jnp.stack([p[0]*y[0] - p[1]*y[0]*y[1], p[3]*y[0]*y[1] - p[2]*y[1]])
control = dx.PIDController(rtol=1e-6, atol=1e-6)
def one(y, p):
    save = dx.SaveAt(ts=jnp.array(ts))
    return dx.diffeqsolve(dx.ODETerm(field), dx.Dopri5(), 0.0, 10.0, 0.01, y, args=p, saveat=save,
                          stepsize_controller=control, max_steps=1024).ys
def loss(y, p):
    return (jax.vmap(one)(y, p)**2).sum()
value, gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(y0, p)
jax.block_until_ready(gradient)
print("seconds", time.perf_counter() - start, time.process_time() - busy, float(value))
"""

#: The same solver for other equations: leaves the compiled solver in the cache, and not the model.
OTHER = """
ode Other(y0[2], p[4], ts[T]) -> [T, 2] {
  state x = y0[0], y = y0[1]
  dx/dt = p[0]*y - p[1]*x
  dy/dt = p[3]*x - p[2]*y*y
  return [x, y] at ts
}
"""
MODEL = Path(__file__).parents[1] / "models" / "lotka_volterra.imp"


@dataclass(frozen=True)
class Timed:
    """Seconds that a new process printed, of clock and processor, and the sum of squares that it computed."""

    seconds: float
    cpu: float
    value: float


def run_new(script: str, cache: Path, threads: int) -> Timed:
    """Runs a script in a new process with that cache directory. Raises RuntimeError with the end of its errors."""
    environment = {**os.environ, "IMPLICITDSL_CACHE": str(cache), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("seconds ")]
    if done.returncode or not lines:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no output")
    _, seconds, cpu, value = lines[-1].split()
    return Timed(float(seconds), float(cpu), float(value))


def script_of(
    model: Path | str, name: str, settings: Settings, *, imports: Sequence[str], backward: bool = True
) -> str:
    """The script of one first call of ours."""
    options = ", ".join(f"{k}={v!r}" for k, v in settings.layer().items())
    return OUR_SCRIPT.format(
        model=str(model), name=name, options=options, imports="\n".join(imports), backward=BACKWARD if backward else ""
    )


def _row(work: str, mode: str, contender: str, settings: Settings, found: list[Timed], limit: float, about: str) -> Row:
    times = sorted(1e3 * one.seconds for one in found)
    goals = (Goal(limit=limit),) if limit else ()
    return Row(
        work, mode, contender, settings.threads, best=round(times[0], 1), median=round(times[len(times) // 2], 1),
        cpu=round(1e3 * min(one.cpu for one in found), 1),
        runs=len(times), about=about, goals=goals, facts={"value": found[0].value},
    )  # fmt: skip


def cold(settings: Settings) -> Iterator[Row]:
    """First calls with nothing of the model cached, and with nothing cached at all."""
    lv = script_of(MODEL, "Ensemble", settings, imports=(IMPORTS,))
    present, empty, wheel = [], [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as solvers:
            run_new(WHEEL.format(folder=solvers), Path(folder) / "making", settings.threads)
            imports = (IMPORTS, FROM_WHEEL.format(folder=solvers))
            script = script_of(MODEL, "Ensemble", settings, imports=imports)
            wheel.append(run_new(script, Path(folder) / "using", settings.threads))
        with tempfile.TemporaryDirectory() as folder:
            run_new(script_of(OTHER, "Other", settings, imports=(IMPORTS,)), Path(folder), settings.threads)
            present.append(run_new(lv, Path(folder), settings.threads))
        with tempfile.TemporaryDirectory() as folder:
            empty.append(run_new(lv, Path(folder), settings.threads))
    about = "load, build, forward, backward; imports before"
    yield _row("cold", "solvers cached", OURS, settings, present, 500, about)
    yield _row("cold", "solvers of the wheel", OURS, settings, wheel, 500, about)
    yield _row("cold", "nothing cached", OURS, settings, empty, 3000, about)
    if settings.takes("diffrax"):
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = [run_new(DIFFRAX_SCRIPT, Path(folder), settings.threads) for _ in range(REPEATS)]
            except RuntimeError as error:
                note = str(error)[:200]
                yield Row("cold", "nothing cached", "diffrax", settings.threads, status="failed", note=note)
                return
        yield _row("cold", "nothing cached", "diffrax", settings, found, 0, "trace, compile, forward, backward")


def warm(settings: Settings) -> Iterator[Row]:
    """First calls of a new process that finds everything in the cache, beyond `import torch`."""
    with tempfile.TemporaryDirectory() as folder:
        both = script_of(MODEL, "Ensemble", settings, imports=())
        forward = script_of(MODEL, "Ensemble", settings, imports=(), backward=False)
        run_new(both, Path(folder), settings.threads)
        first = [run_new(forward, Path(folder), settings.threads) for _ in range(REPEATS)]
        whole = [run_new(both, Path(folder), settings.threads) for _ in range(REPEATS)]
    yield _row("warm", "load, first call", OURS, settings, first, 300, "our imports included")
    yield _row("warm", "load, first call, backward", OURS, settings, whole, 0, "our imports included")


WORKS = {
    "cold": Study("cold", "the first call of a new process, Lotka–Volterra with gradient, 64 samples", cold),
    "warm": Study("warm", "the first call of a new process that finds everything cached", warm),
}
