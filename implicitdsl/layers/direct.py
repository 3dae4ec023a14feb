"""The short way to a solve: where nothing watches the operators, the bodies are called without them.

`derivatives.py` serves traces, transforms and forward mode; each costs tens of microseconds a call. An ordinary call of
plain tensors needs an `autograd.Function` where a derivative may be asked for, and nothing at all where none can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from implicitdsl.backends.engine import Array
from implicitdsl.layers import bodies
from implicitdsl.layers.derivatives import Pullback, apply, head
from implicitdsl.layers.missing_derivatives import exist, report_missing
from implicitdsl.layers.ops import arrays_of, tensor_of, tensors_of
from implicitdsl.layers.registry import find

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


def solve(
    key: str, on_fail: str, outputs: int, batch: tuple[int, ...], seed: Tensor | None, first: int, args: list[Tensor]
) -> Sequence[Tensor]:
    """The outputs of the engine under a key, then the status; differentiable twice."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in args):
        return Solve.apply(key, on_fail, outputs, batch, seed, first, *args)
    found, status, _, _, _, _ = bodies.solve(find(key), arrays_of(args), tuple(batch), on_fail, _number(seed), first)
    return tensors_of([*found, status])


def _number(seed: Tensor | None) -> int | None:
    return None if seed is None else int(seed)


class Solve(torch.autograd.Function):
    """As `derivatives.Solve`, for an ordinary call."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Any:
        key, on_fail, outputs, batch, seed, first, *args = given
        # A result outlives its layer: what it refers to lives as long as it does.
        ctx.entry = find(key)
        values, ctx.status, _, _, ctx.saved, ctx.tape = bodies.solve(
            ctx.entry, arrays_of(args), tuple(batch), on_fail, _number(seed), first, keep=True
        )
        found = tensors_of([*values, ctx.status])
        ctx.head = (key, on_fail, outputs, batch)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(found[outputs])
        ctx.save_for_backward(*args)
        ctx.like = [value.shape for value in values]
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        key, on_fail, outputs, batch = ctx.head
        args = ctx.saved_tensors
        dtype = args[0].dtype if args else torch.get_default_dtype()
        cots = [
            torch.zeros(shape, dtype=dtype) if g is None else g
            for g, shape in zip(grads[:outputs], ctx.like, strict=True)
        ]
        if torch.is_grad_enabled() or not applies(cots):
            facts = tensors_of([ctx.status, *ctx.saved])
            found = apply(Pullback, *head(key, on_fail, outputs, len(args), tuple(batch)), *cots, *args, *facts)
            if applies(cots):
                _test(ctx, arrays_of(found), cots, args)
            return (*(None,) * 6, *found)
        wanted, given = ctx.needs_input_grad[6:], arrays_of(cots)
        gradients: Sequence[Array | None] | None = None
        if ctx.tape is not None:
            gradients = bodies.pullback_of_tape(ctx.tape, given, math.prod(batch), wanted)
        if gradients is None:
            gradients = bodies.pullback(ctx.entry, given, arrays_of(args), ctx.status, ctx.saved, tuple(batch), on_fail)
        gradients = _test(ctx, gradients, cots, args)
        whole = [
            None if not wants else torch.zeros_like(arg) if grad is None else tensor_of(grad)
            for grad, wants, arg in zip(gradients, wanted, args, strict=True)
        ]
        return (*(None,) * 6, *whole)


def _test(
    ctx: Any, gradients: Sequence[Array | None], cots: Sequence[Tensor], args: Sequence[Tensor]
) -> Sequence[Array | None]:
    """The gradients, after those that are wanted and do not exist were treated as failures."""
    wanted, (_, on_fail, _, batch) = ctx.needs_input_grad[6:], ctx.head
    if exist(gradients, wanted):
        return gradients
    given = arrays_of(cots), arrays_of(args)
    return report_missing(ctx.entry, gradients, wanted, *given, ctx.status, ctx.saved, tuple(batch), on_fail)
