"""The ops under `autograd.Function`s: each derivative is the next op, until the third order, which raises a sentence.

With o = o(p), J = do/dp: the pullback is J^T g, its pullback along v is (J v, d<g, J v>/dp), the pushforward is J v. So
reverse over reverse, forward over reverse and reverse over forward need nothing else.

Each function has a twin with a forward-mode rule (`jvp`): torch.compile refuses a Function that has one, so a trace takes
the plain class.
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
        "third derivatives of an implicit layer are not provided: layers are exact to second order. Detach what need not "
        "be differentiated again, or take the third order by finite differences of second derivatives"
    )


def _zeros(given: tuple[Any, ...], like: tuple[Tensor, ...]) -> list[Tensor]:
    return [torch.zeros_like(a) if g is None else g for g, a in zip(given, like, strict=True)]


def _nones(count: int) -> tuple[None, ...]:
    return (None,) * count


class Solve(torch.autograd.Function):
    """(outputs…, status, notes, steps, saved…) of the engine for `args`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shape: Any, key: str, on_fail: str, outputs: int, seed: Tensor | None, first: int, *args: Tensor) -> Any:
        return tuple(OPS.solve(list(args), shape, key, on_fail, seed, first))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        shape, key, on_fail, outputs, _seed, _first, *args = inputs
        kept = (*args, output[outputs], *output[outputs + 3 :])
        ctx.mark_non_differentiable(*output[outputs:])
        ctx.save_for_backward(*kept)
        ctx.shape, ctx.key, ctx.on_fail, ctx.outputs, ctx.arguments = shape, key, on_fail, outputs, len(args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        cots = grads[: ctx.outputs]
        found = pick(Pullback).apply(ctx.shape, ctx.key, ctx.on_fail, ctx.outputs, ctx.arguments, *cots, *ctx.saved_tensors)
        return (None, None, None, None, None, None, *found)


class Pullback(torch.autograd.Function):
    """Gradients for all arguments. Takes cotangents, arguments, status, saved."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shape: Any, key: str, on_fail: str, outputs: int, arguments: int, *given: Tensor) -> Any:
        cots, args = list(given[:outputs]), list(given[outputs : outputs + arguments])
        rest = given[outputs + arguments :]
        return tuple(OPS.pullback(cots, args, rest[0], list(rest[1:]), shape, key, on_fail))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        shape, key, on_fail, outputs, arguments, *given = inputs
        ctx.save_for_backward(*given)
        ctx.shape, ctx.key, ctx.on_fail, ctx.outputs, ctx.arguments = shape, key, on_fail, outputs, arguments

    @staticmethod
    def backward(ctx: Any, *dots: Any) -> Any:
        n, k = ctx.outputs, ctx.arguments
        given = ctx.saved_tensors
        found = pick(PullbackPullback).apply(ctx.shape, ctx.key, ctx.on_fail, n, k, *given[:n], *dots, *given[n:])
        return (None, None, None, None, None, *found[:n], *found[n:], *_nones(len(given) - n - k))


class PullbackPullback(torch.autograd.Function):
    """(J v for every output, gradients of <g, J v> for all arguments). Takes cotangents, directions, arguments, status,
    saved."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shape: Any, key: str, on_fail: str, outputs: int, arguments: int, *given: Tensor) -> Any:
        n, k = outputs, arguments
        cots, dots, args = list(given[:n]), list(given[n : n + k]), list(given[n + k : n + 2 * k])
        rest = given[n + 2 * k :]
        return tuple(OPS.pullback_pullback(cots, dots, args, rest[0], list(rest[1:]), shape, key, on_fail))

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
    def forward(shape: Any, key: str, on_fail: str, outputs: int, arguments: int, *given: Tensor) -> Any:
        dots, args = list(given[:arguments]), list(given[arguments : 2 * arguments])
        rest = given[2 * arguments :]
        return tuple(OPS.pushforward(dots, args, rest[0], list(rest[1:]), shape, key, on_fail))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        shape, key, on_fail, outputs, arguments, *given = inputs
        ctx.save_for_backward(*given)
        ctx.shape, ctx.key, ctx.on_fail, ctx.outputs, ctx.arguments = shape, key, on_fail, outputs, arguments

    @staticmethod
    def backward(ctx: Any, *cots: Any) -> Any:
        n, k = ctx.outputs, ctx.arguments
        given = ctx.saved_tensors
        dots, rest = given[:k], given[k:]
        along = pick(Pullback).apply(ctx.shape, ctx.key, ctx.on_fail, n, k, *cots, *rest)
        across = pick(PullbackPullback).apply(ctx.shape, ctx.key, ctx.on_fail, n, k, *cots, *dots, *rest)
        return (None, None, None, None, None, *along, *across[n:], *_nones(len(rest) - k))


class SolveBothWays(Solve):
    """Solve with its forward-mode rule."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Solve.setup_context(ctx, inputs, output)
        outputs = inputs[3]
        ctx.entry = find(inputs[1])  # a result outlives its layer: its gradient still needs the engine
        ctx.save_for_forward(*inputs[6:], output[outputs], *output[outputs + 3 :])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        k = ctx.arguments
        given = ctx.saved_tensors
        dots = _zeros(tangents[6:], given[:k])
        found = pick(Pushforward).apply(ctx.shape, ctx.key, ctx.on_fail, ctx.outputs, k, *dots, *given)
        return (*found, *_nones(3 + len(given) - k - 1))


class PullbackBothWays(Pullback):
    """Pullback with its forward-mode rule: forward over reverse."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Pullback.setup_context(ctx, inputs, output)
        ctx.entry = find(inputs[1])
        ctx.save_for_forward(*inputs[5:])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        n, k = ctx.outputs, ctx.arguments
        given = ctx.saved_tensors
        cots, args, rest = given[:n], given[n : n + k], given[n + k :]
        turned = _zeros(tangents[5 : 5 + n], cots)
        dots = _zeros(tangents[5 + n : 5 + n + k], args)
        along = pick(Pullback).apply(ctx.shape, ctx.key, ctx.on_fail, n, k, *turned, *args, *rest)
        across = pick(PullbackPullback).apply(ctx.shape, ctx.key, ctx.on_fail, n, k, *cots, *dots, *args, *rest)
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
        ctx.entry = find(inputs[1])

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
    def backward(ctx: Any, grad: Any) -> Any:
        (failed,) = ctx.saved_tensors
        return torch.where(failed & (grad != 0), torch.nan, grad), None


class PoisonBothWays(Poison):
    """Poison with its forward-mode rule."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        Poison.setup_context(ctx, inputs, output)
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def jvp(ctx: Any, tangent: Any, _: Any) -> Any:
        (failed,) = ctx.saved_tensors
        return torch.where(failed & (tangent != 0), torch.nan, tangent)


_TWINS: dict[type, type] = {
    Poison: PoisonBothWays,
    Solve: SolveBothWays,
    Pullback: PullbackBothWays,
    PullbackPullback: PullbackPullbackBothWays,
    Pushforward: PushforwardBothWays,
}


def pick(function: Any) -> Any:
    """The class itself in a trace, its twin with a forward-mode rule otherwise."""
    if torch.compiler.is_compiling():
        return function
    return _TWINS[function]
