"""What the torch side needs to know of a built definition. The compiler fills it, a `Layer` is made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from implicitdsl.backends.engine import Engine
from implicitdsl.layers.options import Options
from implicitdsl.problems.signature import Draw as DrawSpec
from implicitdsl.problems.signature import MemberSet as SetSpec

__all__ = ["Blueprint", "CallPiece", "DrawSpec", "EnginePiece", "InputSpec", "ParamSpec", "Piece", "SetSpec"]


@dataclass(frozen=True)
class InputSpec:
    """An input of `forward`: a str in `shape` is a size bound at each call. NaN is allowed in a path, where it marks a
    missing value, and in nothing else."""

    name: str
    shape: tuple[int | str, ...] = ()
    set: SetSpec | None = None
    path: bool = False


@dataclass(frozen=True, eq=False)
class ParamSpec:
    """A param (trained) or const (buffer) and how its value starts: `start`, else `draw`, else the centre of its set,
    else zeros. `start` has the shape or broadcasts to it."""

    name: str
    shape: tuple[int, ...] = ()
    set: SetSpec | None = None
    start: NDArray[np.float64] | None = None
    draw: DrawSpec | None = None


@dataclass(frozen=True)
class EnginePiece:
    """A piece that an engine computes. Slots are the inputs of the layer and the outputs of earlier pieces; the
    engine's arguments are slots, params and consts by name; its outputs go to the slots `outputs`, in order."""

    outputs: tuple[str, ...]


@dataclass(frozen=True)
class CallPiece:
    """A call of the sub-layer `use`: slots of its inputs, in its order, and slots for its outputs."""

    use: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


Piece = EnginePiece | CallPiece


def no_engine(piece: int, dtype: torch.dtype, sizes: Mapping[str, int]) -> Engine:
    """The engines of a blueprint that has none. Raises NotImplementedError."""
    raise NotImplementedError("this blueprint has no engines")


@dataclass(frozen=True, eq=False, kw_only=True)
class Blueprint:
    """A definition with sizes and options bound.

    `program` is one EnginePiece for every definition but a `net` that calls implicit layers, which is cut at each call.
    `results` names the slots returned, `outputs` their shapes (a str is a call size). `tuple_output` tells that several
    outputs are returned as a tuple. `engine(piece, dtype, call sizes)` gives the engine of an EnginePiece, cached.
    `rebuild(recipe)` makes an equal blueprint in another process; it is a function that pickles by name.
    `noisy` tells that a call takes a seed. `warnings` are the sentences that its construction gives. `origin()` is this
    blueprint as the compiler made it from the text, where this one was found in a cache.
    """

    kind: str
    name: str
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    doc: str = ""
    inputs: tuple[InputSpec, ...] = ()
    params: tuple[ParamSpec, ...] = ()
    consts: tuple[ParamSpec, ...] = ()
    uses: Mapping[str, Blueprint] = field(default_factory=dict[str, "Blueprint"])
    outputs: tuple[tuple[int | str, ...], ...] = ()
    results: tuple[str, ...] = ("result",)
    tuple_output: bool = False
    options: Options = field(default_factory=Options)
    program: tuple[Piece, ...] = (EnginePiece(("result",)),)
    engine: Callable[[int, torch.dtype, Mapping[str, int]], Engine] = no_engine
    noisy: bool = False
    recipe: tuple[Any, ...] | None = None
    rebuild: Callable[[tuple[Any, ...]], Blueprint] | None = None
    warnings: tuple[str, ...] = ()
    origin: Callable[[], Blueprint] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Blueprint:
        return self

    def __copy__(self) -> Blueprint:
        return self

    def every_warning(self) -> tuple[str, ...]:
        """The warnings of this blueprint and of those that it uses."""
        return (*self.warnings, *(text for used in self.uses.values() for text in used.every_warning()))

    @property
    def call_sizes(self) -> tuple[str, ...]:
        """Names of the sizes that bind at each call, in the order of the inputs."""
        return tuple(dict.fromkeys(d for spec in self.inputs for d in spec.shape if isinstance(d, str)))
