"""`ode` on the back end `lanes`: the solvers of `solvers/`, compiled for blocks of samples with the model linked in.

Each of solve, pullback and second order is machine code of its own, made at its first use. The tape is not kept
between the calls of torch: the pullback runs a block again, with the same bits, records it, and goes back over it, all
in the cache.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Argument,
    Array,
    Gradient,
    RunOptions,
    Second,
    Shape,
    Solution,
    Tangents,
    is_per_sample,
)
from implicitdsl.backends.lanes import blocks
from implicitdsl.backends.lanes.emit import emit_functions
from implicitdsl.backends.lanes.link import Linked
from implicitdsl.backends.lanes.model_constants import constants_text
from implicitdsl.backends.lanes.ode_solver import SIGNATURES, Part, solver
from implicitdsl.backends.settings import Settings
from implicitdsl.ir.node import Leaf, walk
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem, derive, used_arguments
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.explicit_rk import ACCEPTED, LAST_TIME, REJECTED, ROWS, STATISTICS
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.tableau import TABLEAUS

WIDTH = {"float64": 8, "float32": 16}
GRID = 4
FACTS = 1 + STATISTICS
STACK = 1 << 21
"""Bytes of the processor's stack that a solve may take."""
WRITTEN_OUT = 600
"""Nodes times stages up to which the loops over stages are written out."""
FUNCTIONS: dict[Part, tuple[str, ...]] = {
    "solve": ("rhs", "begin", "at", "output"),
    "pull": ("rhs", "begin", "at", "rhs_vjp", "begin_vjp", "at_vjp", "output_vjp"),
    "second": (
        "rhs", "begin", "at", "rhs_tangent", "rhs_tangent_vjp", "begin_vjp", "begin_jvp", "begin_jvp_vjp", "at_vjp",
        "at_jvp", "at_jvp_vjp", "output_jvp", "output_jvp_vjp",
    ),
}  # fmt: skip


@dataclass
class Tape:
    """Room for the tape of one block, and what else one block needs."""

    rows: int
    grid: Array
    states: Array
    states2: Array


def too_large(problem: OdeProblem, settings: Settings) -> str | None:
    """Why the back end cannot hold this problem, or None."""
    n = sum(s.size for s in problem.states)
    needed = 8 * (TABLEAUS[settings.solver].stages + 1) * n * 64
    return f"{n} states are more than fit the stack" if needed > STACK else None


class OdeEngine:
    """dx/dt = f(t, x, p), read at times or at the end."""

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        signature = problem.signature
        inputs = [Argument(item.name, item.leaf.shape, "input") for item in signature.inputs]
        params = [Argument(item.name, item.leaf.shape, "param") for item in signature.params]
        consts = [Argument(item.name, item.leaf.shape, "const") for item in signature.consts]
        self.arguments: tuple[Argument, ...] = (*inputs, *params, *consts)
        self.layer_name = signature.layer
        self.dtype = dtype
        self._leaves = signature.arguments
        self._width = WIDTH[dtype.name]
        self._at = problem.at is not None
        self._m = problem.at.shape[0] if problem.at is not None else 0
        self.outputs: tuple[Shape, ...] = tuple((self._m, *o.shape) if self._at else o.shape for o in problem.outputs)
        self.saved: tuple[tuple[Shape, np.dtype[Any]], ...] = (((), np.dtype(np.int64)),)
        functions = derive(problem)
        self._functions = {name: simplified(f) for name, f in functions.items()}
        self._used = used_arguments(problem)
        self._timing = functions["at"].inputs[0].leaves if self._at else ()
        self._n = sum(s.size for s in problem.states)
        self._p, self._q = (sum(leaf.size for leaf in leaves) for leaves in (self._used, self._timing))
        self._out_sizes = [o.size for o in problem.outputs]
        self._instants = self._m if self._at else 1
        self._empty = self._at and self._m == 0
        self._settings = settings
        self._from_times = problem.t0 is None
        self._code: dict[Part, Any] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------ code

    def _constants(self) -> str:
        settings, tableau = self._settings, TABLEAUS[self._settings.solver]
        a, c, error, dense = tableau.arrays(self.dtype)
        numbers = {
            "states": self._n, "size_p": self._p, "size_q": self._q, "save_times": self._m,
            "size_out": sum(self._out_sizes), "has_times": int(self._at), "from_times": int(self._from_times),
            "max_steps": settings.max_steps,
        }  # fmt: skip
        tables = {
            "tableau_a": a, "tableau_c": c, "tableau_error": error, "tableau_dense": dense,
            "control": PI_CONTROLLER.array(tableau, self.dtype),
        }  # fmt: skip
        reals = {"rtol": settings.rtol, "atol": settings.atol, "dt": settings.dt or 0.0}
        return constants_text(self.dtype.name, numbers, reals, {name: np.ravel(t) for name, t in tables.items()})

    def _entry(self, part: Part) -> Any:
        with self._lock:
            if part not in self._code:
                self._code[part] = self._make(part)
            return self._code[part]

    def _make(self, part: Part) -> Any:
        chosen = [self._functions[name] for name in FUNCTIONS[part] if name in self._functions]
        nodes = len(list(walk(tuple(n for f in chosen if f.name.startswith("rhs") for n in f.nodes))))
        written_out = (nodes + self._n) * TABLEAUS[self._settings.solver].stages <= WRITTEN_OUT
        code = solver(part, self._settings.solver, self.dtype.name, self._width, written_out=written_out)
        model = emit_functions(chosen, self.dtype.name, self._width)  # type: ignore[arg-type] - one of the two names
        linked = Linked([code, model, self._constants()], [f"imp_{part}"], inline_all=written_out)
        kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in SIGNATURES[part]]
        return linked.function(f"imp_{part}", ctypes.c_int64, *kinds)

    # ------------------------------------------------------------ blocks

    def _flat(self, args: Sequence[Array], leaves: Sequence[Leaf], batch: int) -> list[Array]:
        place = {leaf: i for i, leaf in enumerate(self._leaves)}
        found: list[Array] = []
        for leaf in leaves:
            i = place[leaf]
            value = np.asarray(args[i], self.dtype)
            found.append(value.reshape((batch, -1) if is_per_sample(value, self.arguments[i]) else -1))
        return found

    def _pack(self, args: Sequence[Array], leaves: Sequence[Leaf], batch: int) -> Array:
        sizes = [leaf.size for leaf in leaves]
        return blocks.pack(self._flat(args, leaves, batch), sizes, batch, self._width, self.dtype)

    def _pair(self, args: Sequence[Array], directions: Sequence[Array], leaves: Sequence[Leaf], batch: int) -> Array:
        values = [*self._flat(args, leaves, batch), *self._flat(directions, leaves, batch)]
        sizes = [leaf.size for leaf in leaves] * 2
        return blocks.pack(values, sizes, batch, self._width, self.dtype)

    def _room(self, *shape: int) -> Array:
        return blocks.aligned((*shape, self._width), self.dtype)

    def _cotangent(self, cotangents: Sequence[Array], batch: int) -> tuple[Array, NDArray[np.bool_]]:
        """The cotangents in blocks, by instant, and which samples have any that is not 0."""
        parts = [np.asarray(c, self.dtype).reshape(batch, self._instants, -1) for c in cotangents]
        flat = np.concatenate(parts, axis=2).reshape(batch, -1)
        return blocks.pack([flat], [flat.shape[1]], batch, self._width, self.dtype), flat.any(axis=1)

    def _split(self, found: Array, batch: int) -> list[Array]:
        """Outputs by instant, in blocks, as the arrays of the outputs."""
        flat = blocks.unpack(found, batch).reshape(batch, self._instants, -1)
        edges = np.cumsum(self._out_sizes)[:-1]
        parts = np.split(flat, edges, axis=2) if len(self._out_sizes) > 1 else [flat]
        return [np.ascontiguousarray(p).reshape(batch, *s) for p, s in zip(parts, self.outputs, strict=True)]

    def _run_taped(self, part: Part, arguments: Any, blocks_: int, facts: Array, rows: int) -> None:
        """Run an entry over all blocks, with a larger tape where a block needs one."""
        entry, first = self._entry(part), 0
        tape = self._tape(part, max(rows, 1))
        while True:
            stopped = entry(first, blocks_, *[_address(a) for a in arguments(tape)])
            if stopped == 0:
                return
            first = stopped - 1
            tape = self._tape(part, int(facts[first, 1 + ROWS, 0]))

    def _tape(self, part: Part, rows: int) -> Tape:
        doubled = rows * 2 * self._n if part == "second" else 0
        return Tape(rows, self._room(rows * GRID), self._room(rows * self._n), self._room(doubled))

    # ------------------------------------------------------------ the engine

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        if self._empty:
            return self._nothing(batch)
        count = blocks.count(batch, self._width)
        p, q = self._pack(args, self._used, batch), self._pack(args, self._timing, batch)
        out, facts = self._room(count, self._instants * sum(self._out_sizes)), self._room(count, FACTS)
        work = self._room(self._m * (self._n + 1))
        self._entry("solve")(0, count, *[_address(a) for a in (p, q, out, facts, work)])
        told = blocks.unpack(facts, batch)
        accepted, rejected = (told[:, 1 + place].astype(np.int64) for place in (ACCEPTED, REJECTED))
        status = told[:, 0].astype(np.int32)
        rows = told[:, 1 + ROWS].astype(np.int64)
        extras = {"t_end": told[:, 1 + LAST_TIME].copy(), "accepted": accepted}
        notes = np.zeros(batch, np.int64)
        return Solution(self._split(out, batch), status, notes, accepted + rejected, [rows], extras)

    def _nothing(self, batch: int) -> Solution:
        outputs = [np.zeros((batch, *shape), self.dtype) for shape in self.outputs]
        zeros = np.zeros(batch, np.int64)
        ends = {"t_end": np.full(batch, np.nan, self.dtype)}
        return Solution(outputs, np.zeros(batch, np.int32), zeros, zeros.copy(), [zeros.copy()], ends)

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        found = np.zeros(batch, np.int32)
        if self._empty:
            return Gradient([np.zeros(a.shape, self.dtype) for a in args], found)
        cot, asked = self._cotangent(cotangents, batch)
        count = blocks.count(batch, self._width)
        p, q = self._pack(args, self._used, batch), self._pack(args, self._timing, batch)
        p_bar, q_bar, facts = self._room(count, self._p), self._room(count, self._q), self._room(count, FACTS)
        trial, work = self._room(self._p), self._room(2 * self._m * (self._n + 1))

        def arguments(tape: Tape) -> list[Any]:
            return [p, q, cot, p_bar, q_bar, facts, tape.grid, tape.states, tape.rows, trial, work]

        self._run_taped("pull", arguments, count, facts, int(saved[0].max()))
        bars = blocks.unpack(p_bar, batch), blocks.unpack(q_bar, batch)
        return Gradient(self._gather(args, batch, *bars, status, asked), found)

    def _gather(
        self, args: Sequence[Array], batch: int, p_bar: Array, q_bar: Array, status: NDArray[np.int32],
        asked: NDArray[np.bool_],
    ) -> list[Array | None]:  # fmt: skip
        """The gradient of every argument; a failed sample that a cotangent asks about has none."""
        failed = asked & (status != codes.SUCCESS)
        by_leaf: dict[Leaf, Array] = {}
        for leaves, bars in ((self._used, p_bar), (self._timing, q_bar)):
            start = 0
            for leaf in leaves:
                part = bars[:, start : start + leaf.size]
                by_leaf[leaf] = by_leaf[leaf] + part if leaf in by_leaf else part
                start += leaf.size
        grads: list[Array | None] = []
        for leaf, arg, spec in zip(self._leaves, args, self.arguments, strict=True):
            part = by_leaf.get(leaf, np.zeros((batch, leaf.size), self.dtype))
            if failed.any():
                part = np.where(failed[:, None], np.asarray(np.nan, self.dtype), part)
            if is_per_sample(arg, spec):
                part = part if asked.all() else np.where(asked[:, None], part, np.asarray(0, self.dtype))
                grads.append(np.array(part, self.dtype).reshape(arg.shape))
            else:
                grads.append(blocks.sum_over_samples(part, asked).reshape(arg.shape))
        return grads

    # ------------------------------------------------------------ second order

    def _second(
        self, args: list[Array], batch: int, saved: list[Array], directions: list[Array], cot: Array | None
    ) -> tuple[Array, Array, Array]:
        """The tangents of the outputs and the bars of p and q, in blocks."""
        count = blocks.count(batch, self._width)
        p2, q2 = self._pair(args, directions, self._used, batch), self._pair(args, directions, self._timing, batch)
        out = self._room(count, self._instants * sum(self._out_sizes))
        kept = count if cot is not None else 1
        p2_bar, q_bar, facts = self._room(kept, 2 * self._p), self._room(kept, self._q), self._room(count, FACTS)
        trial, work = self._room(max(2 * self._p, self._q)), self._room(4 * self._m * (self._n + 1))
        given = out if cot is None else cot

        def arguments(tape: Tape) -> list[Any]:
            return [
                p2, q2, given, out, p2_bar, q_bar, facts, tape.grid, tape.states, tape.rows, tape.states2, trial, work,
                int(cot is not None),
            ]  # fmt: skip

        self._run_taped("second", arguments, count, facts, int(saved[0].max()))
        return out, p2_bar[:, : self._p], q_bar

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """See `Engine`."""
        found = np.zeros(batch, np.int32)
        if self._empty:
            zeros = [np.zeros((batch, *shape), self.dtype) for shape in self.outputs]
            return Second(zeros, [np.zeros(a.shape, self.dtype) for a in args], found)
        cot, asked = self._cotangent(cotangents, batch)
        out, p_bar, q_bar = self._second(args, batch, saved, directions, cot)
        bars = blocks.unpack(p_bar, batch), blocks.unpack(q_bar, batch)
        return Second(self._tangents(out, batch, status), self._gather(args, batch, *bars, status, asked), found)

    def _tangents(self, out: Array, batch: int, status: NDArray[np.int32]) -> list[Array]:
        found = self._split(out, batch)
        for whole in found:
            whole[status != codes.SUCCESS] = np.nan
        return found

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        found = np.zeros(batch, np.int32)
        if self._empty:
            return Tangents([np.zeros((batch, *shape), self.dtype) for shape in self.outputs], found)
        out, _, _ = self._second(args, batch, saved, tangents, None)
        return Tangents(self._tangents(out, batch, status), found)


def _address(given: Any) -> int:
    return given if isinstance(given, int) else given.__array_interface__["data"][0]
