"""Engines of the back end `lanes` out of plain data and machine code that were kept, without the text of the layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from implicitdsl.artifacts.keys import Recipe, engine_key, find_record, keep_record, key_of, without_values
from implicitdsl.backends.engine import Engine
from implicitdsl.layers.blueprint import Blueprint

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.block_engine import BlockEngine, Spec
    from implicitdsl.backends.lanes.machine_code import Key
    from implicitdsl.backends.shooting.spec import ShootingSpec


Make = Callable[[str, tuple[int, ...]], bytes]
"""`make(part, shared)`: the object file of a part for one layout."""
AtHand = Callable[[str, tuple[int, ...]], bool]
"""`at_hand(part, shared)`: whether that object file need not be compiled."""


def _never(part: str, shared: tuple[int, ...]) -> bool:
    return False


@dataclass(frozen=True)
class EngineRecord:
    """An engine without its machine code: its class (module and name), its plain data, the parameters of its entries,
    and the entries of its parts."""

    module: str
    name: str
    spec: Spec
    signatures: Mapping[str, str]
    parts: Mapping[str, tuple[str, ...]]

    @property
    def layer_name(self) -> str:
        """The layer that the engine is of."""
        return self.spec.layer_name

    def code_of(self, part: str) -> Spec:
        """What the object files of a part are made for, the same for all values that they are loaded with."""
        return self.spec.blank

    def with_values(self, values: Mapping[str, int | float]) -> EngineRecord | None:
        """The same machine code with other values of the options rtol, atol, max_steps and dt; None where the code does
        not read one of them."""
        try:
            return replace(self, spec=self.spec.with_values(values))
        except KeyError:
            return None

    def restore(self, make: Make, threads: int | None, at_hand: AtHand = _never) -> Engine:
        """The engine whose object files `make` gives."""
        from implicitdsl.backends.lanes.machine_code import MachineCode

        made: Any = getattr(import_module(self.module), self.name)
        code = MachineCode(self.signatures, make, self.parts, data=self.spec.data, at_hand=at_hand)
        return made(self.spec, code, threads)


@dataclass(frozen=True)
class ShootingRecord:
    """A boundary value problem: its plain data, and the records of the engines that it is made of."""

    spec: ShootingSpec
    engines: Mapping[str, EngineRecord]

    @property
    def layer_name(self) -> str:
        """The layer that the engine is of."""
        return self.spec.layer_name

    def code_of(self, part: str) -> Spec:
        """See `EngineRecord`."""
        name, _, own = part.partition(INNER)
        return self.engines[name].code_of(own)

    def with_values(self, values: Mapping[str, int | float]) -> ShootingRecord | None:
        """See `EngineRecord`; the iteration has its tolerances in its plain data, so that only none can be changed."""
        return None if values else self

    def restore(self, make: Make, threads: int | None, at_hand: AtHand = _never) -> Engine:
        """The engine whose object files `make` gives; the parts of an inner engine bear its name in front."""
        from implicitdsl.backends.shooting.engine import ShootingEngine

        def inner(name: str) -> Engine:
            return self.engines[name].restore(
                lambda part, shared: make(f"{name}{INNER}{part}", shared),
                threads,
                lambda part, shared: at_hand(f"{name}{INNER}{part}", shared),
            )

        return ShootingEngine(self.spec, inner)


Record = EngineRecord | ShootingRecord
INNER = "."
"""Between the names of an inner engine and of its part."""


def compiled_engines(engine: Engine) -> Mapping[str, BlockEngine] | None:
    """The engines with machine code that an engine is made of, by what stands before the names of their parts; None
    where some other engine is among them."""
    from implicitdsl.backends.lanes.block_engine import BlockEngine
    from implicitdsl.backends.shooting.engine import ShootingEngine

    inner = {f"{n}{INNER}": e for n, e in engine.parts.items()} if isinstance(engine, ShootingEngine) else {"": engine}
    found = {prefix: part for prefix, part in inner.items() if isinstance(part, BlockEngine)}
    return found if len(found) == len(inner) else None


def entries_ahead(engine: Engine) -> Iterator[tuple[Key, Callable[[], bytes]]]:
    """Every part that calls of an engine may run, with what makes its object file anew."""
    from implicitdsl.backends.shooting.spec import ONLY_SOLVED

    for prefix, inner in (compiled_engines(engine) or {}).items():
        for part, shared in inner.entries():
            if "solve" in inner.code.entries_of(part) or prefix.removesuffix(INNER) not in ONLY_SOLVED:
                yield (f"{prefix}{part}", shared), partial(inner.code.make, part, shared)


def object_file(engine: Engine, part: str, shared: tuple[int, ...]) -> bytes:
    """The object file of a part of an engine that `record_of` knows."""
    inner, dot, own = part.rpartition(INNER)
    found = (compiled_engines(engine) or {})[f"{inner}{dot}"]
    return found.code.object(own, shared)


def record_of(engine: Engine) -> Record | None:
    """The plain data of an engine of the back end `lanes`; None for others."""
    from implicitdsl.backends.shooting.engine import ShootingEngine

    found = compiled_engines(engine)
    if found is None:
        return None
    records = {
        prefix.removesuffix(INNER): EngineRecord(
            type(part).__module__, type(part).__qualname__, part.spec, dict(part.code.signatures), part.code.grouped
        )
        for prefix, part in found.items()
    }
    return ShootingRecord(engine.spec, records) if isinstance(engine, ShootingEngine) else records[""]


def target() -> str:
    """The processor that machine code is made for here, how it is linked, and where elementary functions come from."""
    from implicitdsl.backends.lanes.apart import linking
    from implicitdsl.backends.lanes.link import processor
    from implicitdsl.backends.lanes.sleef import library_name

    return repr((processor("native"), library_name(), linking()))


class KeptEngines:
    """The engines of one blueprint: each out of the cache, or made by the blueprint as compiled and kept.

    Both ways end in the same restored engine, so that what is kept of it is always enough."""

    def __init__(self, recipe: Recipe, origin: Callable[[], Blueprint], threads: int | None) -> None:
        self._recipe = recipe
        self._origin = origin
        self._threads = threads
        self._engines: dict[str, Engine] = {}

    def engine(self, piece: int, dtype: torch.dtype, call_sizes: Mapping[str, int]) -> Engine:
        """The engine of a piece for a type and call sizes. Raises ImpError where the compiler does."""
        name = str(dtype).removeprefix("torch.")
        case = piece, name, tuple(sorted(call_sizes.items())), target()
        key = engine_key(self._recipe, *case)
        if key not in self._engines:
            code = engine_key(without_values(self._recipe), *case)
            self._engines[key] = self._made(key, code, piece, dtype, call_sizes)
        return self._engines[key]

    def _made(self, key: str, code: str, piece: int, dtype: torch.dtype, call_sizes: Mapping[str, int]) -> Engine:
        from implicitdsl.backends.lanes.cache import find, is_kept, keep

        def compiled() -> Engine:
            return self._origin().engine(piece, dtype, call_sizes)

        record = find_record(f"{key}.engine")
        if not isinstance(record, Record):
            fresh = compiled()
            record = record_of(fresh)
            if record is None:
                return fresh
            keep_record(f"{key}.engine", record)

        def place(part: str, shared: tuple[int, ...]) -> str:
            return f"{key_of(code, record.code_of(part), part, shared)}.part"

        def make(part: str, shared: tuple[int, ...]) -> bytes:
            name = place(part, shared)
            found = find(name)
            if found is None:
                found = object_file(compiled(), part, shared)
                keep(name, found)
            return found

        return record.restore(make, self._threads, lambda part, shared: is_kept(place(part, shared)))
