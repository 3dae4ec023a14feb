"""From an `ode` problem to its engine on lanes: sizes, derived functions, and how its machine code is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.adjoints import CONTINUOUS, COSTATE_METHOD, save_times_argument
from implicitdsl.backends.auto import AUTO, PLAIN, in_use, of_rest
from implicitdsl.backends.engine import Engine, Shape
from implicitdsl.backends.lanes.apart import link_model
from implicitdsl.backends.lanes.auto_engine import LATER, AutoEngine, signatures, spec_of
from implicitdsl.backends.lanes.block_code import arguments_of
from implicitdsl.backends.lanes.block_engine import WIDTH, Spec
from implicitdsl.backends.lanes.costate_engine import (
    AutoCostateEngine,
    CostateEngine,
    EventsCostateEngine,
    TangentAutoEngine,
    TangentEventsEngine,
    TangentOdeEngine,
)
from implicitdsl.backends.lanes.data import DRIVE, Value
from implicitdsl.backends.lanes.delay_engine import DelayEngine
from implicitdsl.backends.lanes.emit import emit_apart, is_dear
from implicitdsl.backends.lanes.emit_times import FUNCTIONS as TIMES
from implicitdsl.backends.lanes.emit_times import times_text
from implicitdsl.backends.lanes.events_engine import EventsEngine
from implicitdsl.backends.lanes.flatten import MIDDLE
from implicitdsl.backends.lanes.keeping_engine import KEEPING, KeepingEngine
from implicitdsl.backends.lanes.keeping_engine import signatures as keeping_signatures
from implicitdsl.backends.lanes.kept_values import Kept, dear_values
from implicitdsl.backends.lanes.length import length_of
from implicitdsl.backends.lanes.machine_code import WHOLE, MachineCode
from implicitdsl.backends.lanes.model_constants import constants_text, sizes_of
from implicitdsl.backends.lanes.narrow_engine import ALONE, NarrowEngine, narrow
from implicitdsl.backends.lanes.narrow_engine import signatures as narrow_signatures
from implicitdsl.backends.lanes.ode_calls import FUNCTIONS
from implicitdsl.backends.lanes.ode_calls import KEPT as KEPT_FUNCTIONS
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.backends.lanes.ode_linking import Form, asks_length, form_of
from implicitdsl.backends.lanes.ode_methods import COSTATE, DELAYED, KEEPS, OdeMethod, ode_method
from implicitdsl.backends.lanes.ode_room import event_bytes, seen_by_rhs, too_large
from implicitdsl.backends.lanes.ode_solver import SIGNATURES, Part, solver
from implicitdsl.backends.lanes.open_numbers import layout_numbers, open_of
from implicitdsl.backends.lanes.shared_groups import arranged, bars_arranged
from implicitdsl.backends.lanes.simplified_once import SimplifiedOnce
from implicitdsl.backends.lanes.target import width_of
from implicitdsl.backends.settings import Settings, highest_order, matrix_choice
from implicitdsl.ir.node import Node, walk
from implicitdsl.problems.derived import Derived
from implicitdsl.problems.events import tables as event_tables
from implicitdsl.problems.handover import rest_of
from implicitdsl.problems.ode import OdeProblem, used_arguments
from implicitdsl.problems.separable import parts
from implicitdsl.problems.step_pattern import StepPattern
from implicitdsl.solvers.bdf import BDF
from implicitdsl.solvers.delay_breaks import break_counts
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.step_matrix import DENSE
from implicitdsl.solvers.stiffness import END
from implicitdsl.solvers.tableau import SPLIT

Make = Callable[[str, tuple[int, ...]], bytes]
STACK = 1 << 21
"""Bytes of the processor's stack that a solve may take; larger arrays come from the heap."""
KEPT = 1 << 18
"""Bytes of what the stages of a block keep for their transposes."""


def build_ode(problem: OdeProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None) -> Engine:
    """The engine of an `ode` problem."""
    settings, _ = in_use(problem, settings, too_large)
    tangents = settings.adjoint == "forward"
    if settings.solver == AUTO:
        return _build_auto(problem, settings, dtype, threads)
    if settings.adjoint in CONTINUOUS:
        settings = replace(settings, solver=f"{settings.solver} {COSTATE}")
        spec = ode_spec(problem, settings, dtype)
        maker = Maker(spec, settings, problem)
        engine = CostateEngine if problem.events is None else EventsCostateEngine
        parts = maker.with_whole(_entries(*COSTATE_PARTS))
        return engine(spec, MachineCode(parts, maker.make, data=spec.data), threads)
    if problem.delays is not None:
        settings = replace(settings, solver=f"{settings.solver} {DELAYED}")
    spec = ode_spec(problem, settings, dtype)
    maker = Maker(spec, settings, problem)
    make = maker.make
    if problem.delays is not None:
        return DelayEngine(spec, MachineCode(_entries("solve", "pull", "second"), make, data=spec.data), threads)
    if problem.events is not None:
        engine = TangentEventsEngine if tangents else EventsEngine
        parts = maker.with_whole(_entries("solve", "pull", "second"))
        return engine(spec, MachineCode(parts, make, data=spec.data), threads)
    parts = maker.with_whole(_entries(*(part for part in PARTS if part != "thin" or spec.more["thins"])))
    if tangents:
        return TangentOdeEngine(spec, MachineCode(parts, make, data=spec.data), threads)
    if is_sparse(problem, settings):
        either = _by_name(ALONE, Maker(narrow(spec), settings, problem), make)
        return NarrowEngine(spec, MachineCode(narrow_signatures(parts), either, data=spec.data), threads)
    if row := maker.stage_row:
        spec = replace(spec, more={**spec.more, "stage_row": row, "stage_point": maker.stage_point})
        keeping = Maker(spec, replace(settings, solver=f"{settings.solver} {KEEPS}"), problem)
        either = _by_name(KEEPING, keeping, make)
        return KeepingEngine(spec, MachineCode(keeping_signatures(parts), either, data=spec.data), threads)
    return OdeEngine(spec, MachineCode(parts, make, data=spec.data), threads)


def _by_name(prefix: str, special: Maker, plain: Make) -> Make:
    """What makes the parts whose names begin so, and the others."""

    def make(part: str, shared: tuple[int, ...]) -> bytes:
        return special.make(part.removeprefix(prefix), shared) if part.startswith(prefix) else plain(part, shared)

    return make


def is_sparse(problem: OdeProblem, settings: Settings) -> bool:
    """Whether the matrix of a step is held by its pattern: then there are many states, and none of the work is that of
    dense matrices, which a vector of samples shares."""
    pattern = ode_method(settings.solver).pattern(problem, matrix_choice(settings))
    return pattern is not None and pattern.jacobian is not None


PARTS: tuple[Part, ...] = ("solve", "pull", "second", "thin")
"""The parts of an engine of one method without events."""
COSTATE_PARTS: tuple[Part, ...] = ("solve", "second", "costate")
"""Those where the gradient is that of the costate equation."""


def _entries(*parts: Part) -> dict[Part, str]:
    return {part: SIGNATURES[part] for part in parts}


def _build_auto(problem: OdeProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None) -> AutoEngine:
    """The engine of two methods; nothing is derived for the second before it is needed."""
    continuous = settings.adjoint in CONTINUOUS
    role = f" {COSTATE}" if continuous else ""
    plain, stiff = replace(settings, solver=f"{PLAIN} watched{role}"), of_rest(settings, role=role)
    rest = rest_of(problem)
    first, second = ode_spec(problem, plain, dtype), ode_spec(rest, stiff, dtype)
    second = replace(second, numbers={**second.numbers, "resumed": 1})
    first = replace(first, outputs=(*first.outputs, (first.numbers["states"] + END,)))
    early, later = Maker(first, plain, problem), Maker(second, stiff, rest)
    make = _by_name(LATER, later, early.make)
    engine = TangentAutoEngine if settings.adjoint == "forward" else AutoCostateEngine if continuous else AutoEngine
    parts = _entries(*(COSTATE_PARTS if continuous else PARTS))
    return engine(
        spec_of(first, second), MachineCode(signatures(early.with_whole(parts), later.with_whole(parts)), make), threads
    )


def ode_spec(problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> Spec:
    """What the engine of a problem is, in plain data."""
    signature = problem.signature
    place = {leaf: i for i, leaf in enumerate(signature.arguments)}
    times = problem.at.shape[0] if problem.at is not None else 0
    seen = set(walk((problem.at,))) if problem.at is not None else set[Node]()
    clock = set(walk(tuple(node for node in (problem.at, problem.t0, problem.t1) if node is not None)))
    outputs: tuple[Shape, ...] = tuple(
        (times, *o.shape) if problem.at is not None else o.shape for o in problem.outputs
    )
    carried = settings.adjoint in CONTINUOUS and CONTINUOUS[settings.adjoint].carried
    method = ode_method(settings.solver)
    pattern = method.pattern(problem, matrix_choice(settings))
    about = "" if pattern is None else pattern.about
    room = method.working_bytes(seen_by_rhs(problem), pattern, dtype.itemsize)
    room += 0 if problem.events is None else event_bytes(problem, dtype.itemsize)
    return Spec(
        layer_name=signature.layer,
        dtype=dtype.name,
        width=width_of(dtype.name, WIDTH),
        arguments=arguments_of(signature),
        outputs=outputs,
        saved=(((), "int64"),) * (1 if problem.events is None else 2),
        groups={
            "p": tuple(place[leaf] for leaf in used_arguments(problem)),
            "q": tuple(i for leaf, i in place.items() if leaf in seen),
        },
        numbers={
            "states": sum(s.size for s in problem.states), "save_times": times,
            "size_out": sum(o.size for o in problem.outputs), "has_times": int(problem.at is not None),
            "from_times": int(problem.t0 is None),
            "algebraic": problem.algebraic, "highest_order": int(highest_order(settings)),
            "carried": int(carried), "resumed": 0,
            "nodes": len(_rule(settings, dtype)) // 2,
            **_sizes_of(problem),
        },
        more={
            "room": room,
            "tape_bytes": settings.tape_bytes,
            "thins": method.thins,
            "degree": method.tableau.degree,
            "adjoint": settings.adjoint,
            "step_matrix": about,
            "save_times": save_times_argument(problem),
            "timed_by": tuple(i for leaf, i in place.items() if leaf in clock),
        },
        data=_data(problem, settings, dtype),
    )  # fmt: skip


def _data(problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> dict[str, Value]:
    """What a run is asked for beyond the problem: tolerances, steps, and how their lengths are chosen."""
    method = ode_method(settings.solver, events=problem.events is not None)
    found: dict[str, Value] = {
        "rtol": settings.rtol, "atol": settings.atol, "max_steps": settings.max_steps,
        "control": tuple(settings.control(method.tableau, dtype).tolist()),
    }  # fmt: skip
    # Whether steps are chosen or given is known to the code, which is shorter for it.
    if _step(settings, dtype) > 0:
        found["dt"] = _step(settings, dtype)
    if settings.solver.split()[0] in (*ESDIRK, BDF.name) and problem.events is not None:
        found[DRIVE] = (settings.rtol, settings.atol)
    # So is the number of save times where nothing but their own copy depends on it.
    if save_times_argument(problem) is not None and problem.at is not None:
        found |= {"save_times": problem.at.size, "size_q": problem.at.size}
    if COSTATE in method.roles and method.is_stiff:
        found["costate_control"] = tuple(settings.control(COSTATE_METHOD, dtype).tolist())
    return found


def _step(settings: Settings, dtype: np.dtype[Any]) -> float:
    """The length of steps that is given, 0 where they are chosen."""
    return float(dtype.type(settings.dt or 0.0))


def _rule(settings: Settings, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The quadrature rule of a continuous adjoint, nodes before weights."""
    continuous = CONTINUOUS.get(settings.adjoint)
    return np.zeros(0) if continuous is None else continuous.rule(settings.solver.split()[0], dtype)


def _sizes_of(problem: OdeProblem) -> dict[str, int]:
    """The numbers of guards, modes and blocks of a problem that has events, of lags of one that has delays."""
    events = problem.events
    if problem.delays is not None:
        return {"delay_lags": len(problem.delays.lags)}
    if events is None:
        return {}
    guards, modes = sum(g.node.size for g in events.switches.guards), sum(m.size for m in events.modes)
    return {"event_guards": guards, "event_modes": modes, "event_blocks": len(events.blocks)}


class Maker:
    """Makes the object file of one part for one layout."""

    def __init__(self, spec: Spec, settings: Settings, problem: OdeProblem) -> None:
        self._spec, self._settings, self._problem = spec, settings, problem
        self._leaves = problem.signature.arguments
        wholes = {} if problem.events is None else vars(event_tables(problem.events, problem.states))
        self._wholes = {f"event_{name}": table for name, table in wholes.items()}
        self._simple = SimplifiedOnce()
        self._kept = Kept()

    @cached_property
    def _functions(self) -> dict[str, Derived]:
        happening = self._problem.events is not None
        method = ode_method(self._settings.solver, events=happening)
        found = method.functions(self._problem, self._pattern)
        if happening or method.is_stiff or {COSTATE, DELAYED} & set(method.roles):
            return found
        # An explicit step is transposed with what its stages have kept.
        rhs, rhs_vjp = found["rhs"], found.pop("rhs_vjp")
        row = (method.stages + 1) * self._spec.width * np.dtype(self._spec.dtype).itemsize
        self._kept = dear_values([rhs_vjp], ("t", "y", "p"), "stage", most=KEPT // row)
        return found | {
            "rhs_keeping": self._kept.keeping(rhs, "rhs_keeping"),
            "rhs_vjp_kept": self._kept.reading(rhs_vjp, "rhs_vjp_kept", "y"),
        }

    @property
    def stage_row(self) -> int:
        """Numbers in a row of a tape that holds what stages keep; 0 where the method has none, or nothing is kept."""
        method = ode_method(self._settings.solver, events=self._problem.events is not None)
        if not method.keeps_stages or not self._functions or not self._kept.size:
            return 0
        return method.tableau.stages * self.stage_point

    @property
    def stage_point(self) -> int:
        """Numbers of one stage there."""
        return 2 * self._spec.numbers["states"] + self._kept.size

    @cached_property
    def _pattern(self) -> StepPattern | None:
        return ode_method(self._settings.solver).pattern(self._problem, matrix_choice(self._settings))

    def _chosen(self, part: str) -> list[Derived]:
        written = TIMES if self._spec.more["save_times"] is not None else {}
        called = KEPT_FUNCTIONS if KEEPS in ode_method(self._settings.solver).roles else FUNCTIONS
        names = [name for name in called[part] if name in self._functions and name not in written]
        return self._simple.of(self._functions, names)

    def make(self, part: str, shared: tuple[int, ...]) -> bytes:
        is_whole, part = part.startswith(WHOLE), part.removeprefix(WHOLE)
        spec, method = self._spec, self._method
        chosen = self._chosen(part)
        common = {self._leaves[i] for i in shared}
        form = self._form(part, is_whole=is_whole)
        far = spec.more["room"] * spec.width > STACK
        named = method.name if part == COSTATE else method.name.removesuffix(f" {COSTATE}")
        code = solver(part, named, spec.dtype, spec.width, written_out=form.written_out, far=far, events=method.events)
        given, every = arranged(chosen, common)
        given = [bars_arranged(f, like) for f, like in zip(given, chosen, strict=True)]
        model = emit_apart(given, spec.dtype, spec.width, shared=every, summed=every, are_called=form.calls)  # type: ignore[arg-type] - one of two names
        if spec.more["save_times"] is not None:
            model.append(times_text(spec.dtype, spec.width))  # type: ignore[arg-type] - one of two names
        modules = [self._constants([code, *model], shared, is_open=form.is_open), code]
        return link_model(
            modules,
            [f"imp_{part}"],
            model=model,
            inline_all=form.is_one,
            is_straight=form.is_straight,
            sizes=sizes_of(spec.numbers, is_open=form.is_open),
        )

    def with_whole(self, parts: Mapping[Part, str]) -> dict[str, str]:
        """The parameters of the entries of parts, and of those that they have in one piece besides."""
        if self._spec.numbers["states"] > MIDDLE:
            return {**parts}
        whole = {f"{WHOLE}{part}": letters for part, letters in parts.items() if self._form(part).has_whole}
        return {**parts, **whole}

    def _form(self, part: Part, *, is_whole: bool = False) -> Form:
        chosen, states = self._chosen(part), self._spec.numbers["states"]
        rates = [f for f in chosen if f.name.startswith("rhs")]
        return form_of(
            part,
            self._method,
            states=states,
            nodes=len(list(walk(tuple(node for f in rates for node in f.nodes)))),
            length=sum(length_of(f.nodes) for f in chosen if not is_dear(f)) if asks_length(part, states) else 0,
            is_dear=any(map(is_dear, rates)),
            is_whole=is_whole,
        )

    @property
    def _method(self) -> OdeMethod:
        return ode_method(self._settings.solver, events="event_guards" in self._spec.numbers)

    def _constants(self, modules: Sequence[str | bytes], shared: tuple[int, ...], *, is_open: bool) -> str:
        spec, settings = self._spec, self._settings
        method = ode_method(settings.solver, events=bool(self._wholes))
        dtype = np.dtype(spec.dtype)
        sizes = [int(np.prod(argument.shape, dtype=np.int64)) for argument in spec.arguments]
        numbers = {**spec.numbers, **layout_numbers(spec.groups, sizes, shared), **method.numbers}
        data = {**spec.data, **(open_of(numbers) if is_open else {})}
        numbers["size_kept"] = self._kept.size
        # Explicit methods have no use for the first two, which solvers through events are given all the same.
        tables = {"tableau_couple": np.zeros(1), "tableau_drive": np.zeros(1)}
        tables |= {f"tableau_{name}": table for name, table in method.tables(dtype).items()}
        if settings.solver in SPLIT:
            moved = parts(self._problem)
            assert not isinstance(moved, str), moved
            tables["tableau_a"] = np.array([*np.ravel(tables["tableau_a"]), *moved], dtype)
        still = spec.numbers["algebraic"]
        tables["mass"] = np.repeat(np.array([1.0, 0.0], dtype), [spec.numbers["states"] - still, still])
        if lags := spec.numbers.get("delay_lags", 0):
            tables["delay_breaks"] = break_counts(lags, method.tableau.order, dtype)
            numbers["delay_points"] = tables["delay_breaks"].size // lags
        tables["gauss"] = _rule(settings, dtype) if spec.numbers["nodes"] else np.zeros(1)
        if COSTATE in method.roles and method.is_stiff:
            tables |= {f"costate_{name}": table for name, table in COSTATE_METHOD.tables(dtype).items()}
        pattern = (DENSE,) if self._pattern is None else self._pattern.numbers.tolist()
        return constants_text(
            spec.dtype,
            read_by=modules,
            numbers=numbers,
            reals={"dt": 0.0},
            tables={name: np.ravel(t) for name, t in tables.items()},
            whole_tables={"pattern": pattern, **self._wholes},
            data=data,
        )
