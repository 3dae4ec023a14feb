"""Engines of the back end `lanes` out of plain data and machine code that were kept, without the text of the layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from implicitdsl.artifacts.keys import Recipe, engine_key, find_record, keep_record, key_of
from implicitdsl.backends.engine import Engine
from implicitdsl.layers.blueprint import Blueprint

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.block_engine import Spec


@dataclass(frozen=True)
class EngineRecord:
    """An engine without its machine code: its class (module and name), its plain data, and the parameters of its
    entries."""

    module: str
    name: str
    spec: Spec
    signatures: Mapping[str, str]

    def restore(self, make: Callable[[str, tuple[int, ...]], bytes], threads: int | None) -> Engine:
        """The engine whose object files `make(part, shared)` gives."""
        from implicitdsl.backends.lanes.machine_code import MachineCode

        made: Any = getattr(import_module(self.module), self.name)
        return made(self.spec, MachineCode(self.signatures, make), threads)


def record_of(engine: Engine) -> EngineRecord | None:
    """The plain data of an engine of the back end `lanes`; None for others."""
    from implicitdsl.backends.lanes.block_engine import BlockEngine

    if not isinstance(engine, BlockEngine):
        return None
    made = type(engine)
    return EngineRecord(made.__module__, made.__qualname__, engine.spec, dict(engine.code.signatures))


def target() -> str:
    """The processor that machine code is made for here, and where elementary functions come from."""
    from implicitdsl.backends.lanes.link import processor
    from implicitdsl.backends.lanes.sleef import library_name

    return repr((processor("native"), library_name()))


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
        key = engine_key(self._recipe, piece, name, tuple(sorted(call_sizes.items())), target())
        if key not in self._engines:
            self._engines[key] = self._made(key, piece, dtype, call_sizes)
        return self._engines[key]

    def _made(self, key: str, piece: int, dtype: torch.dtype, call_sizes: Mapping[str, int]) -> Engine:
        from implicitdsl.backends.lanes.block_engine import BlockEngine
        from implicitdsl.backends.lanes.cache import find, keep

        def compiled() -> Engine:
            return self._origin().engine(piece, dtype, call_sizes)

        record = find_record(f"{key}.engine")
        if not isinstance(record, EngineRecord):
            fresh = compiled()
            record = record_of(fresh)
            if record is None:
                return fresh
            keep_record(f"{key}.engine", record)

        def make(part: str, shared: tuple[int, ...]) -> bytes:
            place = f"{key_of(key, part, shared)}.part"
            found = find(place)
            if found is None:
                fresh = compiled()
                assert isinstance(fresh, BlockEngine)
                found = fresh.code.object(part, shared)
                keep(place, found)
            return found

        return record.restore(make, self._threads)
