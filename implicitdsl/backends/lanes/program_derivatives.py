"""Derivatives of quadratic programs on the back end `lanes`, their active sets frozen.

A vector of samples solves its KKT systems by `block_held`; samples whose system is not clearly regular, or whose answer
bears a note, go the same way with their systems solved one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Argument, Array, Gradient, Second, Tangents, is_per_sample
from implicitdsl.backends.lanes.arena import Arena, address_of
from implicitdsl.backends.lanes.block_engine import BlockEngine, Spec, failed, flat_rows, split
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import Packing, fill_lanes, put_rows, take_lanes
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.plans import Plans
from implicitdsl.backends.lanes.program_plan import ProgramPlan, make_plan
from implicitdsl.backends.lanes.program_rest import OneByOne
from implicitdsl.backends.lanes.program_sizes import OWN, SERVES_ALL
from implicitdsl.backends.lanes.program_tape import Program
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.block_held import room_of_factors, room_of_solve
from implicitdsl.solvers.block_prepared import room_of_prepare, size_of_prepared

CACHE_SHARE = 4
"""How much less than a task may hold lies in a core's own cache, which the passes over a program want."""
MOST_PREPARED = 1 << 22
"""Bytes of a program up to which an engine keeps the last one that it prepared."""
UNCLEAR = codes.WEAK_ACTIVE | codes.DEPENDENT_ROWS | codes.NEAR_SINGULAR

Rows = NDArray[np.int64]
Solve = Callable[[int, int, int, Array], None]
"""(transposed, number of the array given, of the array found, good): good becomes 0 where there is no solution."""


class ProgramEngine(BlockEngine):
    """What is solved and what is differentiated have in common, and the derivatives."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        numbers = spec.numbers
        self._n, self._e, self._count = numbers["unknowns"], numbers["equations"], numbers["constraints"]
        self.unknowns, self.equations, self.rows = self._n, self._e, self._count
        self._out, self._kinks = numbers["size_out"], numbers["size_kinks"]
        self._whole, self._masks = self._n + self._count, self._count - self._e
        self._program = size_of_prepared(self._n, self._count)
        self.size_of_answer, self.size_of_program = self._whole, self._program
        self.size_of_outputs = self._out + self._kinks
        self._no_masks = np.zeros(self._masks, self.dtype)
        self._prepared: tuple[bytes, Program] | None = None
        self.plans: Plans[ProgramPlan] = Plans(make_plan)
        self._has_own, self._spent = "program_own" in code.parts, 0.0
        # The masks of the active set are an argument more to the code.
        self.take_sizes([*self._sizes, self._masks])
        self.given = (*self.arguments, Argument("active", (self._masks,), "const"))
        self._one_by_one = OneByOne(
            self.dtype, self._n, self._e, self._count, spec.data["rtol"], spec.data["max_steps"]
        )

    def _bytes(self, elements: int) -> int:
        return CACHE_SHARE * elements * self.width * self.dtype.itemsize

    def _masks_at(self, p: Packing) -> slice:
        """Where the masks lie in the flat arguments: the last of a sample's own."""
        return slice(p.own_size - self._masks, p.own_size)

    # ------------------------------------------------------------ programs

    def prepare(self, *, batch: bool) -> None:
        """See `BlockEngine`; small programs take the code of their own sizes at once."""
        super().prepare(batch=batch)
        self._spent = np.inf

    def program_entry(self, kernel: str) -> Any:
        """The function of `program_kernel.py` for these programs: that for all, or their own, where it pays."""
        own = self._has_own and self.code.is_there("program_own", (), spent=self._spent)
        return self.code.entry(f"{OWN if own else SERVES_ALL}{kernel}", ())

    def _common(self, values: Sequence[Array | None], plan: ProgramPlan) -> Program | None:
        """The prepared program that all samples share, where their matrices are the same; else None."""
        if not plan.is_common:
            return None
        # Calls of one layer seldom change its matrices.
        kept = self._program * self.width * self.dtype.itemsize <= MOST_PREPARED
        numbers = b"".join([values[i].tobytes() for i in self.spec.more["matrix_arguments"]]) if kept else b""
        last = self._prepared
        if kept and last is not None and last[0] == numbers:
            return last[1]
        found = np.empty((self._program + 1) * self.width, self.dtype)
        start = -address_of(found) % (self.width * self.dtype.itemsize) // self.dtype.itemsize
        found = found[start : start + self._program * self.width]
        made = Program(found, address_of(found))
        room = self.arena((1, plan.packed.size), (room_of_prepare(self._n, self._count),))
        plan.packed.pack(values, slice(0, 1), room.array(0))
        self._prepare(1, plan.shared, room.addresses[0], made.address, room.addresses[1])
        if kept:
            self._prepared = numbers, made
        return made

    def _prepare(self, blocks: int, shared: tuple[int, ...], p_at: int, program_at: int, room_at: int) -> None:
        self.code.entry("matrices", shared)(blocks, p_at, program_at)
        self.code.entry("program_prepare", ())(blocks, self._n, self._e, self._count, program_at, room_at)

    # ------------------------------------------------------------ systems

    def _solve_in_lanes(
        self, room: Arena, blocks: int, held: int, kept: int, program_at: int, step: int
    ) -> Solve:  # fmt: skip
        """Solves the KKT systems of whole blocks; `held`, `kept` and what follows it are numbers of arrays."""
        at, n, count = room.addresses, self._n, self._count
        self.program_entry("factor")(blocks, n, count, program_at, step, at[held], at[kept], at[kept + 1])
        entry = self.program_entry("held")

        def solve(transposed: int, given: int, found: int, good: Array) -> None:
            good_at = address_of(good)
            entry(
                blocks, n, count, transposed, program_at, step, at[held], at[kept], at[given], at[found], good_at,
                at[kept + 1],
            )  # fmt: skip

        return solve

    def _solve_one_by_one(self, room: Arena, samples: int, held: int, program: int, told: Array) -> Solve:
        """The same for single samples; `told` receives the first failure of each."""
        programs = take_lanes(room.array(program), samples)
        masks = take_lanes(room.array(held)[:, self._e :], samples)

        def solve(transposed: int, given: int, found: int, good: Array) -> None:
            right, left = take_lanes(room.array(given), samples), np.zeros((samples, self._whole), self.dtype)
            fine = np.zeros((samples, 1), self.dtype)
            for k in range(samples):
                left[k], status = self._one_by_one.derivative(transposed, programs[k], masks[k], right[k])
                fine[k] = status == codes.SUCCESS
                told[k] = told[k] or status
            fill_lanes(room.array(found), left, slice(0, samples))
            good *= _in_lanes(fine, good)

        return solve

    def _pass(
        self, args: Sequence[Array], batch: int, saved: Sequence[Array], order: Rows, cot: Array | None,
        dots: Sequence[Array] | None, told: NDArray[np.int32] | None,
    ) -> tuple[Array, NDArray[np.bool_], Gradients]:  # fmt: skip
        """(tangents of the outputs along `dots`, which samples have what was asked for, gradients) for the samples in
        order: of <cot, outputs>, or with directions of <cot, tangents>. With `told` one by one."""
        values, shared = [*self.values(args, batch), saved[2]], self.layout(args, batch)
        directions = None if dots is None else [*self.values(dots, batch), self._no_masks]
        p = self.packing("p", shared)
        grads = Gradients(self.given, [*args, saved[2]], (p,), self.blocks_of(len(order)), self.width)
        flat, done = np.zeros((batch, self._out if dots is not None else 0), self.dtype), np.zeros(batch, bool)
        names = []
        names += [] if dots is None else ["push", "pushed"]
        names += [] if cot is None else ["seed", "finish"] if dots is None else ["seed_second", "bend", "finish_second"]
        entries = {name: self.code.entry(name, shared) for name in names}
        n, count, whole = self._n, self._count, self._whole
        room_size = max(room_of_prepare(n, count), room_of_solve(n, count))
        common = self._common(values, self.plans.of(self, args, batch)) if told is None else None

        def work(first: int, last: int) -> None:
            blocks, rows = last - first, self.samples_of(order, first, last, len(order))
            moving, asking = (blocks if wanted is not None else 0 for wanted in (directions, cot))
            both = asking if directions is not None else 0
            room = self.arena(
                (blocks, p.size), (blocks, whole), (blocks, count), (0,),
                (blocks if common is None else 0, self._program),
                (blocks if told is None else 0, room_of_factors(n, count)), (room_size,), (blocks, 1), (blocks, 1),
                (moving, p.size), (moving, whole), (moving, whole), (moving, self._out),
                (asking, self._out), (asking, whole), (asking, whole), (asking, p.size), (both, whole), (both, whole),
            )  # fmt: skip
            p_all, w, held, good, use = (room.array(k) for k in (0, 1, 2, 7, 8))
            at = room.addresses
            p_at, w_at = at[0], at[1]
            p.pack(values, rows, p_all)
            fill_lanes(w, saved[0], rows)
            held[:, : self._e] = 1.0
            held[:, self._e :] = p_all[:, self._masks_at(p)]
            program_at, step = (at[4], self._program) if common is None else (common.address, 0)
            if told is not None:
                self.code.entry("matrices", shared)(blocks, p_at, program_at)
            elif common is None:
                self._prepare(blocks, shared, p_at, program_at, at[6])
            good[...] = 1.0
            failure = np.zeros(len(rows), np.int32)
            solve = (
                self._solve_in_lanes(room, blocks, 2, 5, program_at, step) if told is None
                else self._solve_one_by_one(room, len(rows), 2, 4, failure)
            )  # fmt: skip
            v_at, r_at, dot_at, out_at, c_at, w_bar_at, lam_at, p_bar_at, dot_bar_at, mu_at = at[9:]
            if directions is not None:
                p.pack(directions, rows, room.array(9))
                entries["push"](blocks, p_at, w_at, v_at, r_at)
                solve(0, 10, 11, good)
                entries["pushed"](blocks, p_at, w_at, v_at, dot_at, out_at)
                put_rows(flat, rows, room.array(12))
            if cot is not None:
                c, p_bar = room.array(13), room.array(16)
                fill_lanes(c, cot, rows, fill=0.0)
                grads.set_addresses(p, p_bar, first)
                # A sample that no cotangent asks about adds nothing at all.
                asked = (c != 0).any(axis=1, keepdims=True)
                if directions is None:
                    entries["seed"](blocks, p_at, w_at, c_at, w_bar_at)
                    solve(1, 14, 15, good)
                    use[...] = good * asked
                    entries["finish"](blocks, p_at, w_at, c_at, lam_at, at[8], p_bar_at)
                else:
                    entries["seed_second"](blocks, p_at, w_at, v_at, dot_at, c_at, w_bar_at, dot_bar_at)
                    solve(1, 17, 18, good)
                    entries["bend"](blocks, p_at, w_at, v_at, dot_at, mu_at, w_bar_at)
                    solve(1, 14, 15, good)
                    use[...] = good * asked
                    entries["finish_second"](
                        blocks, p_at, w_at, v_at, dot_at, c_at, mu_at, lam_at, at[8], p_bar_at
                    )  # fmt: skip
                grads.gather(p, p_bar, first, rows)
            done[rows] = take_lanes(good, len(rows))[:, 0] > 0
            if told is not None:
                told[rows] = failure

        if len(order):
            elements = 2 * p.size + room_of_factors(n, count) + (self._program if common is None else 0)
            part = f"{'second' if dots is not None else 'pull'}{'' if told is None else ' one by one'}"
            self.run_tasks(part, len(order), elements * self.width * self.dtype.itemsize, work, whole=grads.chunk)
        return flat, done, grads

    # ------------------------------------------------------------ the engine

    def _derive(
        self, args: Sequence[Array], batch: int, saved: Sequence[Array], status: NDArray[np.int32], chosen: Rows,
        cot: Array | None, dots: Sequence[Array] | None,
    ) -> tuple[Array, list[Array | None], NDArray[np.int32]]:  # fmt: skip
        """(tangents, gradients, statuses) of the chosen samples: in lanes, and what those leave one by one."""
        clear = chosen[saved[1][chosen] & UNCLEAR == 0]
        flat, done, grads = self._pass(args, batch, saved, clear, cot, dots, None)
        found, told = grads.result(np.zeros(batch, bool))[:-1], np.zeros(batch, np.int32)
        rest = chosen[~done[chosen]]
        if len(rest):
            other, _, more = self._pass(args, batch, saved, rest, cot, dots, told)
            flat[rest] = other[rest]
            flat[told != codes.SUCCESS] = np.nan
            asked = np.zeros(batch, bool) if cot is None else cot.any(axis=1)
            for whole, part, arg, spec in zip(
                found, more.result(failed(told, asked))[:-1], args, self.arguments, strict=True
            ):
                if whole is None or part is None:
                    continue
                if is_per_sample(arg, spec):
                    whole[rest] = part[rest]
                else:
                    whole += part
        asked = np.zeros(batch, bool) if cot is None else cot.any(axis=1)
        spoiled = failed(status, asked)
        if spoiled.any():
            for whole, arg, spec in zip(found, args, self.arguments, strict=True):
                if whole is not None:
                    whole[spoiled if is_per_sample(arg, spec) else ...] = np.nan
        flat[status != codes.SUCCESS] = np.nan
        return flat, found, told

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        cot = flat_rows(cotangents, batch, self.dtype)
        chosen = np.flatnonzero(cot.any(axis=1) & (status == codes.SUCCESS))
        _, grads, told = self._derive(args, batch, saved, status, chosen, cot, None)
        return Gradient(grads, told)

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
        cot, chosen = flat_rows(cotangents, batch, self.dtype), np.flatnonzero(status == codes.SUCCESS)
        flat, grads, told = self._derive(args, batch, saved, status, chosen, cot, directions)
        return Second(split(flat, self.outputs), grads, told)

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        chosen = np.flatnonzero(status == codes.SUCCESS)
        flat, _, told = self._derive(args, batch, saved, status, chosen, None, tangents)
        return Tangents(split(flat, self.outputs), told)


def _in_lanes(values: Array, like: Array) -> Array:
    found = np.empty_like(like)
    fill_lanes(found, values, slice(0, len(values)), fill=0.0)
    return found
