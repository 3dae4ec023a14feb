"""`net` on the back end `lanes`: an explicit function of blocks of samples, and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, Gradient, RunOptions, Second, Solution, Tangents
from implicitdsl.backends.lanes.block_code import BlockCode, arguments_of
from implicitdsl.backends.lanes.block_engine import WIDTH, BlockEngine, Spec, failed, flat_rows, split
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import fill_lanes, put_rows
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.target import width_of
from implicitdsl.ir.node import walk
from implicitdsl.problems.derived import transpose
from implicitdsl.problems.net import NetProblem, derive
from implicitdsl.solvers import status as codes

SIGNATURES = {"solve": "nnaa", "pull": "nnaaa", "push": "nnaaa", "second": "nnaaaa"}
CALLS = {"solve": ("output",), "pull": ("output_vjp",), "push": ("output_jvp",), "second": ("output_jvp_p",)}
PARTS = {"second": ("push", "second")}
"""The entries that are called together."""
SMALL = 24
"""Nodes up to which a function and its derivatives are made in one piece: each piece more costs more than they do."""


def build_net(problem: NetProblem, dtype: np.dtype[Any], threads: int | None = None) -> NetEngine:
    """The engine of a `net` problem."""
    leaves = problem.signature.arguments
    functions = derive(problem)
    functions["output_jvp_p"] = replace(transpose(functions["output_jvp"], ("p",)), name="output_jvp_p")
    spec = Spec(
        layer_name=problem.signature.layer,
        dtype=dtype.name,
        width=width_of(dtype.name, WIDTH),
        arguments=arguments_of(problem.signature),
        outputs=tuple(o.shape for o in problem.outputs),
        saved=(),
        groups={"p": tuple(range(len(leaves)))},
        numbers={"size_out": sum(o.size for o in problem.outputs)},
    )
    small = sum(1 for _ in walk(functions["output"].nodes)) <= SMALL
    parts = {"all": tuple(SIGNATURES)} if small else PARTS
    maker = BlockCode(
        spec, leaves, functions, blocks="net_blocks", signatures=SIGNATURES, calls=CALLS, parts=parts, in_one_piece=True
    )
    return NetEngine(spec, MachineCode(SIGNATURES, maker.make, parts, data=spec.data), threads)


class NetEngine(BlockEngine):
    """o = g(p)."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        self._out = spec.numbers["size_out"]

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        flat = self._forward("solve", args, batch, None)
        zeros = np.zeros(batch, np.int64)
        return Solution(split(flat, self.outputs), np.zeros(batch, np.int32), zeros, zeros.copy())

    def _forward(self, part: str, args: Sequence[Array], batch: int, dots: Sequence[Array] | None) -> Array:
        """The outputs, or their tangents along directions, as (batch, size)."""
        values, shared = self.values(args, batch), self.layout(args, batch)
        directions = None if dots is None else self.values(dots, batch)
        p, entry = self.packing("p", shared), self.code.entry(part, shared)
        flat = np.empty((batch, self._out), self.dtype)

        def work(first: int, last: int) -> None:
            count, rows = last - first, self.samples_of(None, first, last, batch)
            room = self.arena((count, p.size), (count if directions else 0, p.size), (count, self._out))
            p_all, dot, out = (room.array(k) for k in range(3))
            p_at, dot_at, out_at = room.addresses
            p.pack(values, rows, p_all)
            if directions is not None:
                p.pack(directions, rows, dot)
                entry(0, count, p_at, dot_at, out_at)
            else:
                entry(0, count, p_at, out_at)
            put_rows(flat, rows, out)

        elements = (p.size if dots is None else 2 * p.size) + self._out
        self.run_tasks(part, batch, elements * self.width * self.dtype.itemsize, work)
        return flat

    def _backward(
        self, args: Sequence[Array], batch: int, cot: Array, dots: Sequence[Array] | None, spoiled: NDArray[np.bool_]
    ) -> list[Array | None]:
        """The gradients of <cot, output>, or with directions of <cot, tangent of the output>."""
        part = "pull" if dots is None else "second"
        values, shared = self.values(args, batch), self.layout(args, batch)
        directions = None if dots is None else self.values(dots, batch)
        p, entry = self.packing("p", shared), self.code.entry(part, shared)
        # A sample whose cotangents are all 0 adds nothing at all.
        order = np.flatnonzero(cot.any(axis=1) & ~spoiled)
        grads = Gradients(self.arguments, args, (p,), self.blocks_of(len(order)), self.width)

        def work(first: int, last: int) -> None:
            count, rows = last - first, self.samples_of(order, first, last, len(order))
            room = self.arena(
                (count, p.size), (count if directions else 0, p.size), (count, self._out), (count, p.size)
            )
            p_all, dot, c, p_bar = (room.array(k) for k in range(4))
            p_at, dot_at, c_at, bar_at = room.addresses
            p.pack(values, rows, p_all)
            fill_lanes(c, cot, rows, fill=0.0)
            grads.set_addresses(p, p_bar, first)
            if directions is not None:
                p.pack(directions, rows, dot)
                entry(0, count, p_at, dot_at, c_at, bar_at)
            else:
                entry(0, count, p_at, c_at, bar_at)
            grads.gather(p, p_bar, first, rows)

        if len(order):
            elements = (2 if dots is None else 3) * p.size + self._out
            self.run_tasks(part, len(order), elements * self.width * self.dtype.itemsize, work, whole=grads.chunk)
        return grads.result(spoiled)

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        cot = flat_rows(cotangents, batch, self.dtype)
        grads = self._backward(args, batch, cot, None, failed(status, cot.any(axis=1)))
        return Gradient(grads, np.zeros(batch, np.int32))

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
        cot = flat_rows(cotangents, batch, self.dtype)
        tangents = self.pushforward(args, batch, saved, status, directions)
        grads = self._backward(args, batch, cot, directions, failed(status, cot.any(axis=1)))
        return Second(tangents.outputs, grads, tangents.status)

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        flat = self._forward("push", args, batch, tangents)
        flat[status != codes.SUCCESS] = np.nan
        return Tangents(split(flat, self.outputs), np.zeros(batch, np.int32))
