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

from implicitdsl.backends.engine import Array, Shape
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


@dataclass(frozen=True, slots=True)
class Job:
    """What calls of the same types and shapes have in common: of which engine they ask, what becomes of failures, the
    batch, and whether the caller wants the status too.

    Torch may see an argument, or an output, in another shape than the engine, which spares its graph a view: `flats`
    has the engine's shapes of arguments, None for one that has it already, and `shapes` torch's of the outputs; None
    stands for no difference at all."""

    entry: Entry
    on_fail: str
    batch: tuple[int, ...]
    told: bool
    flats: tuple[Shape | None, ...] | None = None
    shapes: tuple[Shape, ...] | None = None

    @property
    def outputs(self) -> list[Shape]:
        """The engine's shapes of the outputs, with the axis of the samples."""
        size = math.prod(self.batch)
        return [(size, *own) for own in self.entry.engine.outputs]

    def arrays(self, args: Sequence[Tensor]) -> list[Array]:
        """The memory of arguments, as the engine sees it."""
        found = arrays_of(args)
        if self.flats is None:
            return found
        return [a if f is None else a.reshape(f) for a, f in zip(found, self.flats, strict=True)]

    def flat(self, args: Sequence[Tensor]) -> Sequence[Tensor]:
        """Arguments as the engine sees them, for torch to differentiate."""
        if self.flats is None:
            return args
        return [a if f is None else a.reshape(f) for a, f in zip(args, self.flats, strict=True)]

    def tensors(self, values: Sequence[Array]) -> list[Tensor]:
        """Outputs for torch."""
        if self.shapes is None:
            return tensors_of(values)
        return [tensor_of(value.reshape(shape)) for value, shape in zip(values, self.shapes, strict=True)]

    def solve(self, args: Sequence[Tensor], seed: int | None, first: int, *, keep: bool = False) -> bodies.Answers:
        """As `bodies.solve`."""
        return bodies.solve(self.entry, self.arrays(args), self.batch, self.on_fail, seed, first, keep=keep)


def solve(job: Job, args: Sequence[Tensor], seed: int | None, first: int) -> tuple[Sequence[Tensor], Tensor | None]:
    """The outputs, differentiable twice, and the status where it is wanted."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in args):
        found: tuple[Tensor, ...] = Solve.apply(job, seed, first, *args)
        return (found[:-1], found[-1]) if job.told else (found, None)
    values, status, *_ = job.solve(args, seed, first)
    return job.tensors(values), tensor_of(status) if job.told else None


class Solve(torch.autograd.Function):
    """As `derivatives.Solve`, for an ordinary call: takes a job, seed and number of the first sample, then arguments;
    gives outputs, then the status where the job tells it."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Any:
        job, seed, first, *args = given
        values, status, _, _, saved, tape = job.solve(args, seed, first, keep=True)
        # A result outlives its layer: what it refers to lives as long as it does.
        ctx.held = job, status, saved, tape
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*args)
        found = job.tensors(values)
        if job.told:
            found.append(tensor_of(status))
            ctx.mark_non_differentiable(found[-1])
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        job, status, saved, tape = ctx.held
        args = ctx.saved_tensors
        cots = _cotangents(job, grads)
        wanted = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled() or not applies(cots):
            facts = tensors_of([status, *saved])
            parts = head(job.entry.key, job.on_fail, len(cots), len(args), job.batch)
            whole: Sequence[Tensor] = apply(Pullback, *parts, *cots, *job.flat(args), *facts)
            if applies(cots):
                _test(ctx, arrays_of(whole), cots, args)
            return None, None, None, *[_like(grad, arg) for grad, arg in zip(whole, args, strict=True)]
        gradients: Sequence[Array | None] | None = None
        if tape is not None:
            # A tape reads cotangents as they lie.
            given = [(cot.detach() if cot.requires_grad else cot).numpy() for cot in cots]
            gradients = bodies.pullback_of_tape(tape, given, len(status), wanted)
        if gradients is None:
            gradients = bodies.pullback(
                job.entry, arrays_of(cots), job.arrays(args), status, saved, job.batch, job.on_fail
            )
        gradients = _test(ctx, gradients, cots, args)
        return (
            None,
            None,
            None,
            *[
                None if not wants else torch.zeros_like(arg) if grad is None else _like(tensor_of(grad), arg)
                for grad, wants, arg in zip(gradients, wanted, args, strict=True)
            ],
        )


def _cotangents(job: Job, grads: Sequence[Tensor | None]) -> list[Tensor]:
    """The cotangents of the outputs in the engine's shapes."""
    dtype, found = TORCH_TYPES[job.entry.engine.dtype], list[Tensor]()
    for grad, shape in zip(grads, job.outputs, strict=False):
        if grad is None:
            found.append(torch.zeros(shape, dtype=dtype))
        else:
            found.append(grad if job.shapes is None else grad.reshape(shape))
    return found


def _like(grad: Tensor, arg: Tensor) -> Tensor:
    """The gradient in the shape of its argument."""
    return grad if grad.ndim == arg.ndim else grad.reshape(arg.shape)


def _test(
    ctx: Any, gradients: Sequence[Array | None], cots: Sequence[Tensor], args: Sequence[Tensor]
) -> Sequence[Array | None]:
    """The gradients, after those that are wanted and do not exist were treated as failures."""
    wanted = ctx.needs_input_grad[3:]
    if exist(gradients, wanted):
        return gradients
    job, status, saved, *_ = ctx.held
    given = arrays_of(cots), job.arrays(args)
    return report_missing(job.entry, gradients, wanted, *given, status, saved, job.batch, job.on_fail)
