"""The works for the GPU, from layers: kernels of their engines' parts, and the launches that a solve or a pullback is.

What stands here for each kind is what its engine does on lanes (`ode_engine.py`, `minimum_engine.py`, `root_engine.py`)
with a block of one sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cuda.plan import Array, Buffer, Case, Launch, Output
from implicitdsl import compiler
from implicitdsl.backends.engine import RunOptions
from implicitdsl.backends.lanes import build as lanes
from implicitdsl.backends.lanes.data import PLACE
from implicitdsl.backends.lanes.target import Device, made_for
from implicitdsl.layers.options import Options
from implicitdsl.solvers.block_prepared import room_of_prepare, size_of_prepared
from implicitdsl.solvers.block_program import room_of_program

MODELS = Path(__file__).parents[1] / "models"
RUN = RunOptions()
Drawn = tuple[Any, Any]
"""The middle of an argument that differs between samples, and how far it reaches to either side."""


@dataclass(frozen=True)
class Work:
    """A layer and its arguments: those of a sample, and those that all samples share."""

    name: str
    title: str
    model: str
    layer: str
    samples: list[int]
    drawn: Mapping[str, Drawn]
    held: Mapping[str, Array]
    options: Mapping[str, Any]
    sizes: Mapping[str, int]
    call_sizes: Mapping[str, int]
    dtype: str = "float64"

    def engine(self) -> Any:
        """The engine for lanes, or, inside `made_for`, for a device."""
        unit = compiler.read_unit((MODELS / f"{self.model}.imp").read_text())
        builder = compiler._builder(
            compiler.construct(unit, self.layer, dict(self.sizes), Options(**self.options, threads=1))
        )
        problem, settings = builder.elaborated(self.call_sizes).problem, builder.settings(self.dtype)
        return lanes.build(problem, settings, np.dtype(self.dtype), 1)

    def arguments(self, engine: Any, rows: Array, places: Mapping[str, int]) -> list[Array]:
        """The arguments of a call, the drawn ones out of the rows of inputs."""
        found = []
        for a in engine.arguments:
            if a.name in self.drawn:
                start, size = places[a.name], int(np.prod(a.shape, dtype=int))
                found.append(np.ascontiguousarray(rows[:, start : start + size]).reshape(-1, *a.shape))
            else:
                found.append(np.asarray(self.held[a.name], self.dtype))
        return found


@dataclass
class Made:
    """A case on its way: what lanes give for some rows of inputs (by output, one row a sample), and the texts of its
    modules."""

    case: Case
    modules: dict[str, bytes]
    held: dict[str, Array]
    expected: Callable[[Array], dict[str, Array]]
    timed: Callable[[Array], Callable[[], Any]]


class _Making:
    """One case being put together."""

    def __init__(self, work: Work, device: Device, suffix: str = "") -> None:
        self.work, self.device = work, device
        with made_for(device):
            self.engine = work.engine()
        self.lanes = work.engine()
        self.name = work.name + suffix
        self.modules: dict[str, bytes] = {}
        self.held: dict[str, Array] = {}
        self.places: dict[str, int] = {}
        self.case = Case(self.name, work.title, work.dtype, work.samples, {}, [], {})

    def module(self, part: str, shared: tuple[int, ...]) -> str:
        """A part of the engine as a module; gives its name."""
        name = f"{self.work.name}_{part}"
        if name not in self.modules:
            with made_for(self.device):
                self.modules[name] = self.engine.code.object(part, shared)
            code = self.modules[name]
            self.case.data[name] = {k: v for k, v in self.engine.spec.data.items() if f"{PLACE}{k}".encode() in code}
        return name

    def hold(self, name: str, numbers: Array) -> None:
        """An array that all samples share."""
        flat = np.ascontiguousarray(numbers, self.work.dtype).reshape(-1)
        self.held[f"{self.name}.{name}"] = flat
        self.case.buffers[name] = Buffer(flat.size, "held", shared=True, held=f"{self.name}.{name}")

    def room(self, *, shared: bool = False, **sizes: int) -> None:
        """Arrays that a kernel works in, by their numbers a sample."""
        for name, size in sizes.items():
            self.case.buffers[name] = Buffer(max(size, 1), shared=shared)

    def rows(self) -> tuple[Any, tuple[int, ...]]:
        """The flat arguments `p`: drawn ones, small ones that all share, and addresses of large ones."""
        engine, work = self.engine, self.work
        like = [np.zeros((2, *a.shape) if a.name in work.drawn else a.shape) for a in engine.arguments]
        shared = engine.layout(like, 2)
        p = engine.packing("p", shared)
        base: list[float] = []
        spread: list[float] = []
        for i in p.own:
            # The masks of a program's active set are an argument more, of which no sample has any yet.
            given = engine.arguments[i] if i < len(engine.arguments) else None
            size = p.sizes[p.members.index(i)]
            middle, reach = work.drawn.get(given.name, (work.held.get(given.name), 0.0)) if given else (0.0, 0.0)
            if given:
                self.places[given.name] = len(base)
            base += np.broadcast_to(np.asarray(middle, float).reshape(-1), (size,)).tolist()
            spread += np.broadcast_to(np.asarray(reach, float).reshape(-1), (size,)).tolist()
        addresses = {}
        for k, i in enumerate(p.shared):
            name = engine.arguments[i].name
            self.hold(name, work.held[name])
            addresses[str(p.own_size + k)] = name
        self.case.buffers["p"] = Buffer(p.size, "rows", base=base, spread=spread, addresses=addresses)
        return p, shared

    def launch(self, module: str, kernel: str, *arguments: int | str, once: bool = False) -> None:
        """A kernel more; ValueError where it takes something else."""
        takes = self.engine.code.signatures[kernel]
        if takes != "".join("n" if isinstance(a, int) else "a" for a in arguments):
            raise ValueError(f"{self.name}: the kernel {kernel} takes {takes}, and is given {arguments}")
        self.case.launches.append(Launch(module, kernel, list(arguments), once))

    def arguments(self, rows: Array) -> list[Array]:
        """The arguments of a call."""
        return self.work.arguments(self.lanes, rows, self.places)

    def made(self, expected: Callable[[Array], dict[str, Array]], timed: Callable[[Array], Callable[[], Any]]) -> Made:
        """The case, whose outputs `expected` gives and whose time on lanes is that of what `timed` gives."""
        return Made(self.case, self.modules, self.held, expected, timed)


def ode(work: Work, device: Device, *, most_steps: int = 0) -> Made:
    """The solve of an `ode`; with `most_steps`, the room for its tape, also the gradient of the sum of all outputs."""
    m = _Making(work, device, "_gradient" if most_steps else "")
    e, (p, shared) = m.engine, m.rows()
    q = e.packing("q", shared)
    times = [np.asarray(work.held[e.arguments[i].name]).reshape(-1) for i in q.own]
    m.hold("q", np.concatenate([*times, np.zeros(1)])[: max(q.size, 1)])
    m.room(out=e.read_size, facts=e.facts_size, kept=e.kept_size)
    m.case.outputs = {
        "values": Output("out", 0, e.read_size),
        # The status, then the steps accepted and rejected.
        "facts": Output("facts", 0, 3, exact=True),
    }
    grid = states = "kept"
    if most_steps:
        wide, deep = e.row_parts
        grid, states = "grid", "states"
        m.room(grid=most_steps * wide, states=most_steps * deep)
    given = (0, 1, "p", "q", 0, "out", "facts", "kept", e.kept_size if most_steps else 0, grid, states, most_steps)
    m.launch(m.module("solve", shared), "solve", *given)
    if most_steps:
        m.case.buffers["cot"] = Buffer(e.read_size, "ones")
        m.room(p_bar=p.size, q_bar=max(q.size, 1), trial=max(p.size, q.size, 1), work=max(e.bars_size, 1))
        m.launch(
            m.module("pull", shared), "pull", 0, 1, "p", "q", 0, "cot", "p_bar", "q_bar", "facts", "kept", e.kept_size,
            grid, states, most_steps, "trial", "work", 0,
        )  # fmt: skip
        m.case.outputs["gradient"] = Output("p_bar", 0, p.own_size)

    def solved(args: list[Array]) -> Any:
        return m.lanes.solve(args, len(args[0]) if args[0].ndim else 1, RUN)

    def pulled(args: list[Array], found: Any) -> Any:
        cots = [np.ones_like(o) for o in found.outputs]
        return m.lanes.pullback(args, len(found.status), found.saved, found.status, cots)

    def solve(rows: Array) -> tuple[list[Array], Any]:
        args = m.arguments(rows)
        return args, m.lanes.solve(args, len(rows), RUN)

    def expected(rows: Array) -> dict[str, Array]:
        args, found = solve(rows)
        accepted = found.extras["accepted"]
        facts = np.stack([found.status, accepted, found.steps - accepted], 1).astype(work.dtype)
        made = {"values": np.concatenate([o.reshape(len(rows), -1) for o in found.outputs], 1), "facts": facts}
        if most_steps:
            grads = pulled(args, found).grads
            made["gradient"] = np.concatenate([grads[i].reshape(len(rows), -1) for i in p.own], 1)
        return made

    def timed(rows: Array) -> Callable[[], Any]:
        args = m.arguments(rows)

        def call() -> Any:
            found = m.lanes.solve(args, len(rows), RunOptions(keep=bool(most_steps)))
            if not most_steps:
                return found
            cots = [np.ones_like(o) for o in found.outputs]
            wanted = [a.name in work.drawn for a in m.lanes.arguments]
            told = None if found.tape is None else found.tape.pullback(cots, wanted)
            return pulled(args, found) if told is None else told

        return call

    return m.made(expected, timed)


def program(work: Work, device: Device) -> Made:
    """The solve of a quadratic program whose matrices all samples share, in code of its own sizes."""
    m = _Making(work, device)
    e, (_, shared) = m.engine, m.rows()
    numbers = e.spec.numbers
    n, equations, count = (numbers[name] for name in ("unknowns", "equations", "constraints"))
    m.room(shared=True, program=size_of_prepared(n, count), room_of_prepare=room_of_prepare(n, count))
    m.room(vectors=n + count, conditions=numbers["size_conditions"], w=n + count, held=count, facts=2)
    m.room(room=room_of_program(n, count))
    sizes = (n, equations, count)
    m.launch(m.module("solve", shared), "matrices", 1, "p", "program", once=True)
    m.launch(m.module("program", ()), "program_prepare", 1, *sizes, "program", "room_of_prepare", once=True)
    m.launch(m.module("solve", shared), "vectors", 1, "p", "vectors", "conditions")
    given = (1, *sizes, "program", 0, "vectors", "w", "held", "facts", "room", "room", 0)
    m.launch(m.module("program_own", ()), "program_own_solve", *given)
    m.case.outputs = {
        # What is not clear is left to the solver of one sample, and nothing is said of what lies there.
        "values": Output("w", 0, n + count, read_where="facts"),
        # Whether it is clear, then the passes.
        "facts": Output("facts", 0, 2, exact=True),
    }

    def expected(rows: Array) -> dict[str, Array]:
        # Its own sizes at once, as on the device.
        m.lanes.prepare(batch=True)
        w, _, _, steps, clear, _ = m.lanes._solve_in_lanes_what_is_clear(m.arguments(rows), len(rows), keep=False)
        return {"values": w, "facts": np.stack([clear, steps], 1).astype(work.dtype)}

    def timed(rows: Array) -> Callable[[], Any]:
        args = m.arguments(rows)
        return lambda: m.lanes.solve(args, len(rows), RUN)

    return m.made(expected, timed)


def fixpoint(work: Work, device: Device) -> Made:
    """The solve of a `fixpoint` by Picard iteration."""
    m = _Making(work, device)
    e, (p, shared) = m.engine, m.rows()
    n, out = e.spec.numbers["states"], e.spec.numbers["size_out"]
    one = m.arguments(np.zeros((1, m.case.buffers["p"].size)))
    proved = m.lanes._contraction.is_proved(m.lanes.values(one, 1), 1)
    m.hold("bounds", e._known(proved=proved).array(0))
    m.room(z=n, out=out, facts=e.facts_size, work=e.room_for(p))
    for part in ("picard", "picard_rest"):
        m.launch(m.module(part, shared), part, 0, 1, "p", "z", "out", "facts", "bounds", "work")
    m.case.outputs = {"values": Output("z", 0, n), "facts": Output("facts", 1, 1, exact=True)}

    def expected(rows: Array) -> dict[str, Array]:
        found = m.lanes.solve(m.arguments(rows), len(rows), RUN)
        return {"values": found.saved[0], "facts": found.steps[:, None].astype(work.dtype)}

    def timed(rows: Array) -> Callable[[], Any]:
        args = m.arguments(rows)
        return lambda: m.lanes.solve(args, len(rows), RUN)

    return m.made(expected, timed)
