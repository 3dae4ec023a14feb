"""The ops under `autograd.Function`s: each derivative is the next op, until the third order, which raises a sentence.

With o = o(p), J = do/dp: the pullback is J^T g, its pullback along v is (J v, d<g, J v>/dp), the pushforward is J v. So
reverse over reverse, forward over reverse and reverse over forward need nothing else.

Each function has a twin with a forward-mode rule (`jvp`): torch.compile refuses a Function that has one, so a trace
takes the plain class.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from implicitdsl.layers import ops
from implicitdsl.layers.registry import find

OPS = ops.OPS


def _third() -> NotImplementedError:
    return NotImplementedError(
        "third derivatives of an implicit layer are not provided: layers are exact to second order. Detach what need "
        "not be differentiated again, or take the third order by finite differences of second derivatives"
    )


def _zeros(given: tuple[Any, ...], like: tuple[Tensor, ...]) -> list[Tensor]:
    return [torch.zeros_like(a) if g is None else g for g, a in zip(given, like, strict=True)]


def _nones(count: int) -> tuple[None, ...]:
    return (None,) * count


def head(key: str, on_fail: str, outputs: int, arguments: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """What every function takes before its tensors: engine, failure mode, numbers of outputs and arguments, and the
    batch shape, number by number after its length, because vmap loses count of the operands when one of them is a
    tuple."""
    return (key, on_fail, outputs, arguments, len(shape), *shape)


def _parts(given: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The head and the rest."""
    length = 5 + given[4]
    return given[:length], given[length:]


class Solve(torch.autograd.Function):
    """(outputs…, status, notes, steps, saved…) of the engine. Takes seed (or None), number of the first sample,
    arguments."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*given: Any) -> Any:
        (key, on_fail, _, _, _, *shape), (seed, first, *args) = _parts(given)
        return tuple(OPS.solve(args, shape, key, on_fail, seed, first))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.head, (_seed, _first, *args) = _parts(inputs)
        n = ctx.head[2]
        ctx.mark_non_differentiable(*output[n:])
        ctx.save_for_backward(*args, output[n], *output[n + 3 :])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        found = apply(Pullback, *ctx.head, *grads[: ctx.head[2]], *ctx.saved_tensors)
        return (*_nones(len(ctx.head) + 2), *found)


class Pullback(torch.autograd.Function):
    """Gradients for all arguments. Takes cotangents, arguments, status, saved."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*given: Any) -> Any:
        (key, on_fail, n, k, _, *shape), tensors = _parts(given)
        cots, args, status, saved = tensors[:n], tensors[n : n + k], tensors[n + k], tensors[n + k + 1 :]
        return tuple(OPS.pullback(list(cots), list(args), status, list(saved), shape, key, on_fail))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.head, tensors = _parts(inputs)
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *dots: Any) -> Any:
        n, k = ctx.head[2], ctx.head[3]
        given = ctx.saved_tensors
        found = apply(PullbackPullback, *ctx.head, *given[:n], *dots, *given[n:])
        return (*_nones(len(ctx.head)), *found, *_nones(len(given) - n - k))


class PullbackPullback(torch.autograd.Function):
    """(J v for every output, gradients of <g, J v> for all arguments). Takes cotangents, directions, arguments, status,
    saved."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*given: Any) -> Any:
        (key, on_fail, n, k, _, *shape), tensors = _parts(given)
        cots, dots, args = tensors[:n], tensors[n : n + k], tensors[n + k : n + 2 * k]
        status, saved = tensors[n + 2 * k], tensors[n + 2 * k + 1 :]
        return tuple(
            OPS.pullback_pullback(list(cots), list(dots), list(args), status, list(saved), shape, key, on_fail)
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise _third()


class Pushforward(torch.autograd.Function):
    """J v for every output. Takes directions, arguments, status, saved."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*given: Any) -> Any:
        (key, on_fail, _, k, _, *shape), tensors = _parts(given)
        dots, args, status, saved = tensors[:k], tensors[k : 2 * k], tensors[2 * k], tensors[2 * k + 1 :]
        return tuple(OPS.pushforward(list(dots), list(args), status, list(saved), shape, key, on_fail))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.head, tensors = _parts(inputs)
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cots: Any) -> Any:
        n, k = ctx.head[2], ctx.head[3]
        dots, rest = ctx.saved_tensors[:k], ctx.saved_tensors[k:]
        along = apply(Pullback, *ctx.head, *cots, *rest)
        across = apply(PullbackPullback, *ctx.head, *cots, *dots, *rest)
        return (*_nones(len(ctx.head)), *along, *across[n:], *_nones(len(rest) - k))


class SolveBothWays(Solve):
    """Solve with its forward-mode rule."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Solve.setup_context(ctx, inputs, output)
        n = ctx.head[2]
        ctx.entry = find(ctx.head[0])  # a result outlives its layer: its gradient still needs the engine
        ctx.save_for_forward(*inputs[len(ctx.head) + 2 :], output[n], *output[n + 3 :])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        k, given = ctx.head[3], ctx.saved_tensors
        dots = _zeros(tangents[len(ctx.head) + 2 :], given[:k])
        found = apply(Pushforward, *ctx.head, *dots, *given)
        return (*found, *_nones(3 + len(given) - k - 1))


class PullbackBothWays(Pullback):
    """Pullback with its forward-mode rule: forward over reverse."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Pullback.setup_context(ctx, inputs, output)
        ctx.entry = find(ctx.head[0])
        ctx.save_for_forward(*inputs[len(ctx.head) :])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        n, k = ctx.head[2], ctx.head[3]
        given, moved = ctx.saved_tensors, tangents[len(ctx.head) :]
        cots, args, rest = given[:n], given[n : n + k], given[n + k :]
        turned, dots = _zeros(moved[:n], cots), _zeros(moved[n : n + k], args)
        along = apply(Pullback, *ctx.head, *turned, *args, *rest)
        across = apply(PullbackPullback, *ctx.head, *cots, *dots, *args, *rest)
        return tuple(a + b for a, b in zip(along, across[n:], strict=True))


class PullbackPullbackBothWays(PullbackPullback):
    """PullbackPullback, whose forward mode raises too."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise _third()


class PushforwardBothWays(Pushforward):
    """Pushforward, whose forward mode raises."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Pushforward.setup_context(ctx, inputs, output)
        ctx.entry = find(ctx.head[0])
        ctx.save_for_forward(*inputs[len(ctx.head) :])  # for vmap, which counts what is saved before it calls `jvp`

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(
            "forward over forward is not provided for an implicit layer: use torch.func.jacfwd(torch.func.jacrev(f)) "
            "(which is torch.func.hessian), or jacrev twice"
        )


class Poison(torch.autograd.Function):
    """The values with NaN where `failed`; so are their cotangents, unless they are 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, failed: Tensor) -> Tensor:
        return torch.where(failed, torch.nan, value)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,) = grads
        (failed,) = ctx.saved_tensors
        return torch.where(failed & (grad != 0), torch.nan, grad), None


class PoisonBothWays(Poison):
    """Poison with its forward-mode rule."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Poison.setup_context(ctx, inputs, output)
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        tangent = tangents[0]
        (failed,) = ctx.saved_tensors
        return torch.where(failed & (tangent != 0), torch.nan, tangent)


_TWINS: dict[type, type] = {
    Poison: PoisonBothWays,
    Solve: SolveBothWays,
    Pullback: PullbackBothWays,
    PullbackPullback: PullbackPullbackBothWays,
    Pushforward: PushforwardBothWays,
}


def apply(function: Any, *given: Any) -> Any:
    """The function's value, with its derivatives. Outside of traces its twin computes it, which has a forward-mode
    rule. In a trace where nothing is to be differentiated the op stands for itself: there torch.compile calls
    `forward` on its own, and passes a context too many to one with a variable number of arguments."""
    if not torch.compiler.is_compiling():
        return _TWINS[function].apply(*given)
    if torch.is_grad_enabled() and any(isinstance(value, Tensor) and value.requires_grad for value in given):
        return function.apply(*given)
    return function.forward(*given)
