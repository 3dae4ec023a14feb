"""What the torch side asks of a back end: one engine a (layer, dtype, call sizes), on NumPy arrays.

An engine knows neither torch nor batches of more than one axis. Every argument is given either in its own shape
(*shared* by the samples) or with one leading axis of length `batch` (*per sample*); which it is, its rank tells.

Duties of every engine:
- each sample is computed on its own: its bits depend on no other sample and not on the layout;
- gradients have the shape of their argument as given; that of a shared argument is the sum over the samples in order,
  a sample whose cotangents are all zero adding nothing at all;
- a failure is a status of its sample, never an exception and never a change to another sample;
- the arrays it returns are its own: fresh, of `dtype`, and aliasing no argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Role = Literal["input", "param", "const"]


@dataclass(frozen=True)
class Argument:
    """One argument of an engine. `name` is that of an input or slot, or of a param or const, qualified (`f.W`) for
    those of used layers. `differentiable=False` states that its derivative is zero wherever it exists."""

    name: str
    shape: Shape
    role: Role
    differentiable: bool = True


@dataclass(frozen=True)
class RunOptions:
    """What one call decides: the seed of its noise (None: no noise), and the number of each sample in the whole batch,
    because the noise of a sample depends on its number and samples that need no work are left out."""

    seed: int | None = None
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    keep: bool = False
    """Whether a pullback follows, so that what it would compute again may be kept."""


class Deferred(Sequence[Array]):
    """Arrays that are made when the first of them is asked for."""

    def __init__(self, make: Callable[[], list[Array]]) -> None:
        self._make = make
        self._made: list[Array] | None = None

    @overload
    def __getitem__(self, k: int) -> Array: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[Array]: ...
    def __getitem__(self, k: int | slice) -> Array | Sequence[Array]:
        if self._made is None:
            self._made = self._make()
        return self._made[k]

    def __len__(self) -> int:
        return len(self[:])


class DeferredFacts(Mapping[str, Array]):
    """Arrays by name that are made when one of them is asked for."""

    def __init__(self, make: Callable[[], Mapping[str, Array]]) -> None:
        self._make = make
        self._made: Mapping[str, Array] | None = None

    def _found(self) -> Mapping[str, Array]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, name: str) -> Array:
        return self._found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())


class Tape(Protocol):
    """What a solve kept for its pullback."""

    def pullback(self, cotangents: list[Array], wanted: Sequence[bool]) -> Gradient | None:
        """As `Engine.pullback` of that solve with the same bits, where every sample is asked about and none failed;
        None where it cannot serve. Gradients of arguments that are not wanted may be anything."""
        ...


@dataclass(frozen=True)
class Solution:
    """Answers. `outputs[i]` is (B, *shape), `status` int32 (B,), `notes` and `steps` int64 (B,), `saved[i]` (B,
    *shape): what the pullback needs. `extras` are further facts for `layer.last`, each with a leading batch axis
    (`t_end`). `tape` makes the pullback cheaper, or is None."""

    outputs: list[Array]
    status: NDArray[np.int32]
    notes: NDArray[np.int64]
    steps: NDArray[np.int64]
    saved: Sequence[Array] = field(default_factory=list[Array])
    extras: Mapping[str, Array] = field(default_factory=dict[str, Array])
    tape: Tape | None = None


@dataclass(frozen=True)
class Gradient:
    """`grads[i]` belongs to argument i, in the argument's shape as given; None stands for zero. `status` int32 (B,)
    tells of samples whose derivative does not exist."""

    grads: list[Array | None]
    status: NDArray[np.int32]


@dataclass(frozen=True)
class Second:
    """The pullback's pullback: with v the directions and g the cotangents, `cotangents[j]` is J v (B, *output shape),
    and `grads[i]` the gradient of <g, J v> with respect to argument i."""

    cotangents: list[Array]
    grads: list[Array | None]
    status: NDArray[np.int32]


@dataclass(frozen=True)
class Tangents:
    """`outputs[j]` is J v (B, *output shape)."""

    outputs: list[Array]
    status: NDArray[np.int32]


class Engine(Protocol):
    """One problem, solved for a batch; the module's docstring lists its duties."""

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Inputs of the call first, then params, then consts."""
        ...

    @property
    def outputs(self) -> tuple[Shape, ...]:
        """The shape of every output, without the batch axis."""
        ...

    @property
    def saved(self) -> tuple[tuple[Shape, np.dtype[Any]], ...]:
        """Shape (without the batch axis) and type of everything kept for the pullback."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        ...

    @property
    def layer_name(self) -> str:
        """The layer that errors name."""
        ...

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """The answers for `batch` ≥ 1 samples."""
        ...

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """Gradients of <cotangents, outputs>; cotangents are (B, *output shape)."""
        ...

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """The pullback of the pullback; `directions[i]` has the shape of `args[i]`."""
        ...

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """Directional derivatives of the outputs; `tangents[i]` has the shape of `args[i]`."""
        ...


class NotCompiledError(LookupError):
    """Code for this choice of shared arguments is not there and cannot be made, as in a package of compiled layers."""


@runtime_checkable
class Preparable(Protocol):
    """An engine whose machine code can be made before the first call."""

    def prepare(self, *, batch: bool) -> None:
        """Makes what solve and pullback run, for batches of samples or for one."""
        ...


def is_per_sample(array: Any, argument: Argument) -> bool:
    """Whether an array (or tensor) given for an argument has the leading batch axis.

    Raises ValueError if its rank is neither that of a shared nor that of a per-sample argument."""
    extra = array.ndim - len(argument.shape)
    if extra not in (0, 1):
        raise ValueError(f"`{argument.name}` has rank {array.ndim}, its argument {len(argument.shape)}")
    return extra == 1


def asked_rows(cot: Array) -> NDArray[np.bool_]:
    """The samples with a cotangent (batch, size) that is not 0."""
    # Most often the first number of each says so.
    if cot.shape[1] and np.count_nonzero(cot[:, 0]) == len(cot):
        return np.ones(len(cot), np.bool_)
    return np.logical_or.reduce(cot, axis=1)


def sum_in_order(terms: Array, rows: Sequence[int] | NDArray[np.int64] | None = None) -> Array:
    """The sum over the first axis, first to last, whatever the length: the order in which shared gradients are
    added."""
    total = np.zeros(terms.shape[1:], terms.dtype)
    for row in range(len(terms)) if rows is None else rows:
        total += terms[row]
    return total
