"""A `param` in a set: unconstrained storage, the map onto the set, and a value that cannot be written in place.

The state_dict keys are torch's own of a parametrised tensor: `parametrizations.NAME.original` is the storage, and
`parametrizations.NAME.base` (`orthogonal` only) the matrix that the storage turns.
`torch.nn.utils.parametrize.is_parametrized` says yes.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch._C import _functorch as functorch  # type: ignore[attr-defined]  # torch's stubs leave this module out

from implicitdsl.layers.sets import SETS, in_interior
from implicitdsl.problems.signature import MemberSet


class Constrained(torch.nn.Module):
    """Holds the storage of one param; calling it gives the value."""

    original: torch.nn.Parameter
    base: Tensor | None

    def __init__(self, name: str, shape: tuple[int, ...], which: MemberSet, value: Tensor) -> None:
        """Raises ValueError if the value lies outside the set's interior."""
        super().__init__()
        self.name = name
        self.shape = shape
        self.set_name = which.name
        self.set_args = tuple(float(a) for a in which.args)
        self._check(value)
        raw, base = SETS[which.name].raw(value, self.set_args)
        self.original = torch.nn.Parameter(raw)
        self.register_buffer("base", base)

    def forward(self) -> Tensor:
        """The value, in the set's interior, differentiable in the storage."""
        return SETS[self.set_name].value(self.original, self.base, self.set_args, self.shape)

    def assign(self, given: object) -> None:
        """Sets the value: a number or array that broadcasts to the shape. Raises ValueError outside the set's
        interior."""
        value = torch.as_tensor(cast(Any, given), dtype=self.original.dtype).detach()
        try:
            value = value.expand(self.shape).contiguous()
        except RuntimeError:
            raise ValueError(f"`{self.name}` has shape {list(self.shape)}, not {list(value.shape)}") from None
        self._check(value)
        raw, base = SETS[self.set_name].raw(value, self.set_args)
        with torch.no_grad():
            self.original.copy_(raw)
            if base is not None and self.base is not None:
                self.base.copy_(base)

    def _check(self, value: Tensor) -> None:
        which = MemberSet(self.set_name, self.set_args)
        if not in_interior(which, value.detach().numpy()):
            flat = value.detach().flatten()
            shown = ", ".join(f"{float(v):.6g}" for v in flat[:4]) + (", …" if flat.numel() > 4 else "")
            raise ValueError(
                f"`{self.name}` must lie inside {which}: {SETS[self.set_name].interior_is}; it was given {shown}"
            )

    def extra_repr(self) -> str:
        return f"{self.name} in {MemberSet(self.set_name, self.set_args)}"


class ReadOnly(Tensor):
    """A tensor whose in-place methods raise: writing to a computed value would be lost without a word."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        written = (name.endswith("_") and not name.endswith("__") and name != "requires_grad_") or name in _WRITERS
        if written and isinstance(args[0], ReadOnly):
            raise RuntimeError(
                "this is the value of a param in a set, computed from its storage: writing to it in place changes "
                "nothing. Assign a new value to the layer instead: `layer.NAME = value`"
            )
        if name in _COPIES:
            return func(*(a.as_subclass(Tensor) if isinstance(a, ReadOnly) else a for a in args), **(kwargs or {}))
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        return _keep(result, args)


_WRITERS = frozenset(
    {"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__"}
)
_COPIES = frozenset({"__reduce_ex__", "__deepcopy__", "__repr__", "__format__"})


def _keep(result: Any, args: Any) -> Any:
    """A view of a read-only tensor is read-only."""
    source = next((a for a in args if isinstance(a, ReadOnly)), None) if args else None
    if source is None or type(result) is not Tensor or not result.numel():
        return result
    with torch._C.DisableTorchFunctionSubclass():
        shares = result.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    return result.as_subclass(ReadOnly) if shares else result


def read_only(value: Tensor) -> Tensor:
    """The value as a ReadOnly; as it is in traces and under torch.func, which know no subclasses of ours."""
    if torch.compiler.is_compiling() or functorch.is_functorch_wrapped_tensor(value):
        return value
    return value.as_subclass(ReadOnly)
