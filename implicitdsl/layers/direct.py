"""The short way to a solve: where nothing watches the operators, the bodies are called without them.

`derivatives.py` serves traces, transforms and forward mode; each costs tens of microseconds a call. An ordinary call of
plain tensors needs an `autograd.Function` where a derivative may be asked for, and nothing at all where none can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from implicitdsl.backends.engine import Array
from implicitdsl.layers import bodies
from implicitdsl.layers.derivatives import Pullback, apply, head
from implicitdsl.layers.missing_derivatives import exist, report_missing
from implicitdsl.layers.ops import TORCH_TYPES, arrays_of, tensor_of, tensors_of
from implicitdsl.layers.registry import Entry

PLAIN = (Tensor, torch.nn.Parameter)


def _watchers() -> tuple[Any, Any] | None:
    """What tells of functorch's transforms and of dispatch modes; both are private to torch, and may move."""
    functorch = getattr(torch._C, "_functorch", None)
    peek = getattr(functorch, "peek_interpreter_stack", None)
    modes = getattr(torch._C, "_len_torch_dispatch_stack", None)
    return None if peek is None or modes is None or not hasattr(forward_ad, "_current_level") else (peek, modes)


_WATCHERS = _watchers()


def applies(tensors: Sequence[Tensor]) -> bool:
    """Whether a call may take the short way: plain tensors, and no transform, mode or forward-mode level."""
    if _WATCHERS is None:
        return False
    peek, modes = _WATCHERS
    return (
        peek() is None
        and modes() == 0
        and forward_ad._current_level < 0
        and all(type(tensor) in PLAIN for tensor in tensors)
    )


@dataclass(frozen=True)
class Job:
    """What a call asks for besides tensors: of which engine, what becomes of failures, the batch, its noise, and
    whether the caller wants the status too."""

    entry: Entry
    on_fail: str
    batch: tuple[int, ...]
    seed: Tensor | None
    first: int
    told: bool

    def answers(self, args: Sequence[Tensor], *, keep: bool = False) -> bodies.Answers:
        """As `bodies.solve`."""
        seed = None if self.seed is None else int(self.seed)
        return bodies.solve(self.entry, arrays_of(args), self.batch, self.on_fail, seed, self.first, keep=keep)


def solve(job: Job, args: list[Tensor]) -> tuple[Sequence[Tensor], Tensor | None]:
    """The outputs, differentiable twice, and the status where it is wanted."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in args):
        found: tuple[Tensor, ...] = Solve.apply(job, *args)
        return (found[:-1], found[-1]) if job.told else (found, None)
    values, status, *_ = job.answers(args)
    return tensors_of(values), tensor_of(status) if job.told else None


class Solve(torch.autograd.Function):
    """As `derivatives.Solve`, for an ordinary call: takes a job and arguments, gives outputs, then the status where the
    job tells it."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Any:
        job, *args = given
        values, status, _, _, saved, tape = job.answers(args, keep=True)
        # A result outlives its layer: what it refers to lives as long as it does.
        ctx.held = job, status, saved, tape, [value.shape for value in values]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*args)
        found = tensors_of(values)
        if job.told:
            found.append(tensor_of(status))
            ctx.mark_non_differentiable(found[-1])
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        job, status, saved, tape, shapes = ctx.held
        args = ctx.saved_tensors
        cots = [
            torch.zeros(shape, dtype=TORCH_TYPES[job.entry.engine.dtype]) if g is None else g
            for g, shape in zip(grads[: len(shapes)], shapes, strict=True)
        ]
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not applies(cots):
            facts = tensors_of([status, *saved])
            parts = head(job.entry.key, job.on_fail, len(shapes), len(args), job.batch)
            whole: Sequence[Tensor] = apply(Pullback, *parts, *cots, *args, *facts)
            if applies(cots):
                _test(ctx, arrays_of(whole), cots, args)
            return None, *whole
        gradients: Sequence[Array | None] | None = None
        if tape is not None:
            # A tape reads cotangents as they lie.
            given = [cot.detach().numpy() for cot in cots]
            gradients = bodies.pullback_of_tape(tape, given, math.prod(job.batch), wanted)
        if gradients is None:
            gradients = bodies.pullback(
                job.entry, arrays_of(cots), arrays_of(args), status, saved, job.batch, job.on_fail
            )
        gradients = _test(ctx, gradients, cots, args)
        found = [
            None if not wants else torch.zeros_like(arg) if grad is None else tensor_of(grad)
            for grad, wants, arg in zip(gradients, wanted, args, strict=True)
        ]
        return None, *found


def _test(
    ctx: Any, gradients: Sequence[Array | None], cots: Sequence[Tensor], args: Sequence[Tensor]
) -> Sequence[Array | None]:
    """The gradients, after those that are wanted and do not exist were treated as failures."""
    wanted = ctx.needs_input_grad[1:]
    if exist(gradients, wanted):
        return gradients
    job, status, saved, *_ = ctx.held
    given = arrays_of(cots), arrays_of(args)
    return report_missing(job.entry, gradients, wanted, *given, status, saved, job.batch, job.on_fail)
