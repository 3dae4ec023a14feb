"""The way of an ordinary call through a layer of one piece, found once for each case of types and shapes.

Most layers are one engine's, and most calls like the one before. What follows from types and shapes alone, which
arguments come from where and in which shape the engine wants them, is then known, and so is what torch shall see: the
whole call is one node of its graph, without views around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from implicitdsl.layers.batching import Call
from implicitdsl.layers.blueprint import Blueprint, EnginePiece
from implicitdsl.layers.direct import Job
from implicitdsl.layers.registry import Entry


@dataclass(slots=True)
class Known:
    """What is known of a case: its plan, and its route once it was looked for; None where it has none."""

    call: Call
    route: Route | None = None
    is_sought: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """`sources` says of each argument whether it is an input, by its number, or a value, by its name; of the inputs in
    `made`, and of values where `casts`, the engine gets another tensor: see `Call.made`."""

    job: Job
    call: Call
    sources: tuple[int | str, ...]
    made: tuple[int, ...]
    casts: bool
    picks: tuple[int, ...] | None
    """The output that each result is; None where they are the outputs in order."""

    def arguments(self, read: Sequence[tuple[Tensor, bool]], values: Mapping[str, Tensor]) -> list[Tensor]:
        """The tensors that go to the engine."""
        found = [read[s][0] if isinstance(s, int) else values[s] for s in self.sources]
        for k in self.made:
            source = self.sources[k]
            assert isinstance(source, int)
            found[k] = self.call.made(source, found[k])
        if self.casts:
            dtype = self.call.dtype
            return [tensor if tensor.dtype is dtype else tensor.to(dtype) for tensor in found]
        return found


def route_of(
    blueprint: Blueprint,
    piece: EnginePiece,
    entry: Entry,
    call: Call,
    read: Sequence[tuple[Tensor, bool]],
    values: Mapping[str, Tensor],
) -> Route | None:
    """The route of calls like this one through the only piece of a layer, or None for a layer that gives back an input
    or draws random signs."""
    if not set(blueprint.results) <= set(piece.outputs):
        return None
    places = {name: k for k, (name, _) in enumerate(call.inputs)}
    names = [argument.name for argument in entry.engine.arguments]
    if not all(name in places or name in values for name in names):
        return None
    sources = tuple(places.get(name, name) for name in names)
    flats = tuple(call.flat(s, read[s][0].shape) if isinstance(s, int) else None for s in sources)
    shapes = None if len(call.batch) == 1 else tuple((*call.batch, *own) for own in entry.engine.outputs)
    picks = tuple(piece.outputs.index(name) for name in blueprint.results)
    given = [read[s][0] if isinstance(s, int) else values[s] for s in sources]
    return Route(
        Job(
            entry, blueprint.options.on_fail, tuple(call.batch), told=False,
            flats=None if all(f is None for f in flats) else flats, shapes=shapes,
        ),
        call,
        sources,
        tuple(k for k, s in enumerate(sources) if isinstance(s, int) and call.is_made(s, read[s][0].shape)),
        any(tensor.dtype is not call.dtype for tensor in given),
        None if picks == tuple(range(len(piece.outputs))) else picks,
    )  # fmt: skip
