"""Four operators of torch without autograd: solve, its pullback, the pullback's pullback, and the pushforward.

They have no autograd of their own, because an op with `register_autograd` gives silent zeros to forward mode and an
error to `torch.func.grad`; `derivatives.py` puts each under an `autograd.Function` instead.

Schema. `args` are the arguments of the engine named by `key`, each shared or with one leading axis B = prod(shape);
`shape` is the batch shape, which errors speak of. `solve` returns outputs, status, notes, steps and what is saved, in
one list; the others take status and saved back. `dots` are directions, one an argument, in the argument's layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from implicitdsl.backends import threads
from implicitdsl.backends.engine import Array, NotCompiledError, is_per_sample
from implicitdsl.layers import bodies
from implicitdsl.layers.registry import Entry, find

threads.set_default(torch.get_num_threads)

_library = torch.library.Library("implicitdsl", "DEF")
_library.define("solve(Tensor[] args, SymInt[] shape, str key, str on_fail, Tensor? seed, int first) -> Tensor[]")
_library.define(
    "pullback(Tensor[] cots, Tensor[] args, Tensor status, Tensor[] saved, SymInt[] shape, str key, str on_fail)"
    " -> Tensor[]"
)
_library.define(
    "pullback_pullback(Tensor[] cots, Tensor[] dots, Tensor[] args, Tensor status, Tensor[] saved, SymInt[] shape,"
    " str key, str on_fail) -> Tensor[]"
)
_library.define(
    "pushforward(Tensor[] dots, Tensor[] args, Tensor status, Tensor[] saved, SymInt[] shape, str key, str on_fail)"
    " -> Tensor[]"
)

Tensors = Sequence[Tensor]
Shape = Sequence[int]
TORCH_TYPES: dict[Any, torch.dtype] = {
    np.dtype(n): getattr(torch, n) for n in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
}


def arrays_of(tensors: Tensors) -> list[Array]:
    """The memory of tensors as arrays, contiguous."""
    return [(t.detach() if t.requires_grad else t).contiguous().numpy() for t in tensors]


def tensor_of(array: Array) -> Tensor:
    """A tensor on the memory of an array."""
    flags = array.flags
    return torch.from_numpy(array if flags.c_contiguous and flags.writeable else np.require(array, None, ["C", "W"]))


def tensors_of(arrays: Sequence[Array]) -> list[Tensor]:
    """Tensors on the memory of arrays."""
    return [tensor_of(a) for a in arrays]


def _solve(args: Tensors, shape: Shape, key: str, on_fail: str, seed: Tensor | None, first: int) -> list[Tensor]:
    number = None if seed is None else int(seed)
    outputs, status, notes, steps, saved, _ = bodies.solve(
        find(key), arrays_of(args), tuple(shape), on_fail, number, first
    )
    return tensors_of([*outputs, status, notes, steps, *saved])


def _pullback(
    cots: Tensors, args: Tensors, status: Tensor, saved: Tensors, shape: Shape, key: str, on_fail: str
) -> list[Tensor]:
    return tensors_of(
        bodies.pullback(
            find(key), arrays_of(cots), arrays_of(args), status.numpy(), arrays_of(saved), tuple(shape), on_fail
        )
    )


def _pullback_pullback(
    cots: Tensors, dots: Tensors, args: Tensors, status: Tensor, saved: Tensors, shape: Shape, key: str, on_fail: str
) -> list[Tensor]:
    forward, grads = bodies.pullback_pullback(
        find(key),
        arrays_of(cots),
        arrays_of(dots),
        arrays_of(args),
        status.numpy(),
        arrays_of(saved),
        tuple(shape),
        on_fail,
    )
    return tensors_of([*forward, *grads])


def _pushforward(
    dots: Tensors, args: Tensors, status: Tensor, saved: Tensors, shape: Shape, key: str, on_fail: str
) -> list[Tensor]:
    return tensors_of(
        bodies.pushforward(
            find(key), arrays_of(args), arrays_of(dots), status.numpy(), arrays_of(saved), tuple(shape), on_fail
        )
    )


def _blank(entry: Entry, batch: int) -> list[Tensor]:
    dtype = TORCH_TYPES[entry.engine.dtype]
    return [torch.empty((batch, *s), dtype=dtype) for s in entry.engine.outputs]


def _solve_fake(args: Tensors, shape: Shape, key: str, on_fail: str, seed: Tensor | None, first: int) -> list[Tensor]:
    entry, batch = find(key), math.prod(shape)
    facts = [torch.empty((batch,), dtype=t) for t in (torch.int32, torch.int64, torch.int64)]
    saved = [torch.empty((batch, *s), dtype=TORCH_TYPES[np.dtype(t)]) for s, t in entry.engine.saved]
    return [*_blank(entry, batch), *facts, *saved]


def _pullback_fake(
    cots: Tensors, args: Tensors, status: Tensor, saved: Tensors, shape: Shape, key: str, on_fail: str
) -> list[Tensor]:
    return [torch.empty(a.shape, dtype=a.dtype) for a in args]


def _pullback_pullback_fake(
    cots: Tensors, dots: Tensors, args: Tensors, status: Tensor, saved: Tensors, shape: Shape, key: str, on_fail: str
) -> list[Tensor]:
    return [torch.empty(t.shape, dtype=t.dtype) for t in (*cots, *args)]


def _pushforward_fake(
    dots: Tensors, args: Tensors, status: Tensor, saved: Tensors, shape: Shape, key: str, on_fail: str
) -> list[Tensor]:
    return _blank(find(key), math.prod(shape))


# ---- vmap: the mapped axis joins the batch ----

Dims = Sequence[int | None]


def _front(tensors: Tensors, dims: Dims) -> list[Tensor]:
    return [t if d is None else t.movedim(d, 0) for t, d in zip(tensors, dims, strict=True)]


def _merge(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """[V, B, …] or [B, …] to [V·B, …]."""
    full = tensor if dim is not None else tensor.expand((size, *tensor.shape))
    return full.reshape((full.shape[0] * full.shape[1], *full.shape[2:]))


def _merge_facts(tensors: Tensors, dims: Dims, size: int) -> list[Tensor]:
    return [_merge(t, d, size) for t, d in zip(_front(tensors, dims), dims, strict=True)]


def _is_shared(entry: Entry, tensors: Tensors, dims: Dims) -> list[bool]:
    return [
        not is_per_sample(t if d is None else t.select(d, 0), a)
        for t, d, a in zip(tensors, dims, entry.engine.arguments, strict=True)
    ]


def _merge_args(
    tensors: Tensors, dims: Dims, shared: Sequence[bool], keep: Sequence[bool], size: int, batch: int
) -> list[Tensor]:
    """Arguments for V·B samples: shared ones are spread over the batch unless `keep` leaves them shared."""
    merged: list[Tensor] = []
    for tensor, dim, is_shared, stays in zip(_front(tensors, dims), dims, shared, keep, strict=True):
        if stays:
            merged.append(tensor)
            continue
        if is_shared:
            own = tensor if dim is not None else tensor.expand((size, *tensor.shape))
            tensor, dim = own.unsqueeze(1).expand((size, batch, *own.shape[1:])), 0
        merged.append(_merge(tensor, dim, size))
    return merged


def _split(tensors: Tensors, size: int) -> list[Tensor]:
    return [t.reshape((size, t.shape[0] // size, *t.shape[1:])) for t in tensors]


def _one_by_one(op: Callable[..., list[Tensor]], dims: Sequence[Any], values: Sequence[Any], size: int) -> list[Tensor]:
    """The op for each place of the mapped axis alone: sums over the batch stay sums over that batch, bit for bit."""

    def at(value: Any, dim: Any, i: int) -> Any:
        if isinstance(value, (list, tuple)):
            return [t if d is None else t.select(d, i) for t, d in zip(value, dim, strict=True)]
        return value if dim is None else value.select(dim, i)

    runs = [op(*(at(v, d, i) if d is not None else v for v, d in zip(values, dims, strict=True))) for i in range(size)]
    return [torch.stack(parts) for parts in zip(*runs, strict=True)]


def _together(
    together: Callable[[], list[Tensor]] | None, op: Callable[..., list[Tensor]], dims: Sequence[Any],
    values: Sequence[Any], size: int,
) -> list[Tensor]:  # fmt: skip
    """What `together` gives for the whole mapped axis at once; the op place by place where it is None, or the code that
    it asks for is not there."""
    if together is not None:
        try:
            return together()
        except NotCompiledError:
            pass
    return _one_by_one(op, dims, values, size)


def _solve_vmap(
    info: Any, dims: Any, args: Tensors, shape: Shape, key: str, on_fail: str, seed: Tensor | None, first: int
) -> tuple[list[Tensor], list[int]]:
    if dims[4] is not None:
        raise NotImplementedError('vmap(randomness="different"): one call has one seed; give `seed=` an integer')
    entry, size = find(key), info.batch_size
    shared = _is_shared(entry, args, dims[0])
    keep = [s and d is None for s, d in zip(shared, dims[0], strict=True)]
    merged = _merge_args(args, dims[0], shared, keep, size, math.prod(shape))
    found = torch.ops.implicitdsl.solve(merged, [size, *shape], key, on_fail, seed, first)
    return _split(found, size), [0] * len(found)


def _pullback_vmap(
    info: Any,
    dims: Any,
    cots: Tensors,
    args: Tensors,
    status: Tensor,
    saved: Tensors,
    shape: Shape,
    key: str,
    on_fail: str,
) -> tuple[list[Tensor], list[int]]:
    entry, size, batch = find(key), info.batch_size, math.prod(shape)
    shared = _is_shared(entry, args, dims[1])

    op = torch.ops.implicitdsl.pullback

    def together() -> list[Tensor]:
        merged = _merge_args(args, dims[1], shared, [False] * len(args), size, batch)
        (facts,) = _merge_facts([status], [dims[2]], size)
        cotangents, kept = _merge_facts(cots, dims[0], size), _merge_facts(saved, dims[3], size)
        found = op(cotangents, merged, facts, kept, [size, *shape], key, on_fail)
        return _drop_batch(_split(found, size), shared)

    given = (cots, args, status, saved, shape, key, on_fail)
    found = _together(None if any(shared) and batch != 1 else together, op, dims, given, size)
    return found, [0] * len(found)


def _drop_batch(grads: list[Tensor], shared: Sequence[bool]) -> list[Tensor]:
    """Where B = 1 the gradient of a shared argument is that of the only sample."""
    return [g.squeeze(1) if s else g for g, s in zip(grads, shared, strict=True)]


def _pullback_pullback_vmap(
    info: Any,
    dims: Any,
    cots: Tensors,
    dots: Tensors,
    args: Tensors,
    status: Tensor,
    saved: Tensors,
    shape: Shape,
    key: str,
    on_fail: str,
) -> tuple[list[Tensor], list[int]]:
    entry, size, batch = find(key), info.batch_size, math.prod(shape)
    shared = _is_shared(entry, args, dims[2])

    op = torch.ops.implicitdsl.pullback_pullback

    def together() -> list[Tensor]:
        spread = [False] * len(args)
        (facts,) = _merge_facts([status], [dims[3]], size)
        found = op(
            _merge_facts(cots, dims[0], size),
            _merge_args(dots, dims[1], shared, spread, size, batch),
            _merge_args(args, dims[2], shared, spread, size, batch),
            facts,
            _merge_facts(saved, dims[4], size),
            [size, *shape],
            key,
            on_fail,
        )
        parts = _split(found, size)
        return parts[: len(cots)] + _drop_batch(parts[len(cots) :], shared)

    given = (cots, dots, args, status, saved, shape, key, on_fail)
    found = _together(None if any(shared) and batch != 1 else together, op, dims, given, size)
    return found, [0] * len(found)


def _pushforward_vmap(
    info: Any,
    dims: Any,
    dots: Tensors,
    args: Tensors,
    status: Tensor,
    saved: Tensors,
    shape: Shape,
    key: str,
    on_fail: str,
) -> tuple[list[Tensor], list[int]]:
    entry, size, batch = find(key), info.batch_size, math.prod(shape)
    shared = _is_shared(entry, args, dims[1])
    keep = [s and a is None and b is None for s, a, b in zip(shared, dims[1], dims[0], strict=True)]
    op = torch.ops.implicitdsl.pushforward

    def together() -> list[Tensor]:
        tangents = _merge_args(dots, dims[0], shared, keep, size, batch)
        merged = _merge_args(args, dims[1], shared, keep, size, batch)
        (facts,) = _merge_facts([status], [dims[2]], size)
        return _split(
            op(tangents, merged, facts, _merge_facts(saved, dims[3], size), [size, *shape], key, on_fail), size
        )

    given = (dots, args, status, saved, shape, key, on_fail)
    splits = batch != 1 and any(s and not k for s, k in zip(shared, keep, strict=True))
    found = _together(None if splits else together, op, dims, given, size)
    return found, [0] * len(found)


for _name, _body, _fake, _rule in (
    ("solve", _solve, _solve_fake, _solve_vmap),
    ("pullback", _pullback, _pullback_fake, _pullback_vmap),
    ("pullback_pullback", _pullback_pullback, _pullback_pullback_fake, _pullback_pullback_vmap),
    ("pushforward", _pushforward, _pushforward_fake, _pushforward_vmap),
):
    _library.impl(_name, _body, "CompositeExplicitAutograd")
    torch.library.register_fake(f"implicitdsl::{_name}", _fake, lib=_library)
    torch.library.register_vmap(f"implicitdsl::{_name}", _rule, lib=_library)

OPS = torch.ops.implicitdsl
