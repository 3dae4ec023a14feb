"""Packages of layers that `implicitdsl compile -o` wrote: opened with torch, NumPy and llvmlite alone.

A package holds `manifest.json`, `layers.bin` (the plain data of layers and engines) and `objects/` (machine code under
the names of its hashes). Whatever it was not built for is an error that says which command builds it.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import json
import pickle
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from implicitdsl.artifacts.engines import Record
from implicitdsl.artifacts.headings import Heading
from implicitdsl.artifacts.keys import VALUES, code_options
from implicitdsl.artifacts.manifest import DATA, MANIFEST, OBJECTS, check_manifest
from implicitdsl.backends.engine import Engine, NotCompiledError
from implicitdsl.layers.blueprint import Blueprint
from implicitdsl.layers.module import Layer
from implicitdsl.layers.options import Options, inherited

Case = tuple[tuple[str, ...], int, str, tuple[tuple[str, int], ...]]
"""An engine of a layer: the uses that lead to it, piece, dtype, call sizes."""
Values = Mapping[str, int | float]
"""Options that machine code is loaded with, where they are others than those of the build."""
PartOf = tuple[str, tuple[int, ...]]


class NotBuiltError(NotCompiledError):
    """A package of compiled layers does not hold what was asked of it; the sentence says which command builds it."""


@dataclass(frozen=True)
class BuiltLayer:
    """A layer with its sizes: for each case an engine, and for each of its parts the name of an object file.

    `usual` names the sizes that have their default values, `builds` the options of the command that built it."""

    blueprint: Blueprint
    options: Options
    usual: frozenset[str]
    engines: Mapping[Case, tuple[Record, Mapping[PartOf, str]]]
    builds: tuple[str, ...]

    def takes(self, values: Values) -> bool:
        """Whether the code of the layer itself reads all of these options."""
        own = [record for (path, *_), (record, _) in self.engines.items() if not path]
        return not values or (bool(own) and all(record.with_values(values) is not None for record in own))

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types it was built for."""
        return tuple(dict.fromkeys(case[2] for case in self.engines))


@dataclass(frozen=True)
class Content:
    """What `layers.bin` holds: each definition with the layers that were built of it."""

    layers: Mapping[str, tuple[Heading, tuple[BuiltLayer, ...]]]


class Package:
    """An opened package."""

    def __init__(self, folder: Path, module: str) -> None:
        """Raises ImportError for a package that cannot run here, or is damaged."""
        self.folder, self.module = folder, module
        try:
            self.manifest: dict[str, Any] = json.loads(self._bytes(MANIFEST))
            check_manifest(self.manifest, folder)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(MANIFEST) from error

    @cached_property
    def content(self) -> Content:
        """The layers."""
        data = self._bytes(DATA)
        if hashlib.sha256(data).hexdigest() != self.manifest.get("data"):
            raise self._damaged(DATA)
        return pickle.loads(data)

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ImportError(f"cannot read {self.folder / name} ({why}): compile the package again") from error

    def _damaged(self, name: str) -> ImportError:
        return ImportError(f"{self.folder / name} is damaged: compile the package again")

    def blueprint(self, name: str, keywords: Mapping[str, Any]) -> Blueprint:
        """The blueprint of a layer that was built. Raises NotBuiltError for another one."""
        heading, layers = self.content.layers[name]
        sizes, options = heading.read(keywords)
        if options.backend not in (None, "lanes"):
            raise NotBuiltError(
                f"{self.folder.name} holds machine code of the back end `lanes`; backend={options.backend!r} needs the "
                f"layer from its text: implicitdsl.load({self.manifest['source']!r})"
            )
        dtype = str(options.dtype or torch.get_default_dtype()).removeprefix("torch.")
        for layer in layers:
            own = layer.blueprint.sizes
            sized = all(own[n] == v for n, v in sizes.items()) and own.keys() - sizes.keys() <= layer.usual
            values = _values(layer.options, _ahead(options))
            if sized and values is not None and dtype in layer.dtypes and layer.takes(values):
                return self._opened(layer, layer.blueprint, (), options, keywords, values)
        raise NotBuiltError(self._sentence(_call(name, {**keywords, "dtype": dtype})))

    def _opened(
        self, layer: BuiltLayer, data: Blueprint, path: tuple[str, ...], options: Options, keywords: Mapping[str, Any],
        values: Values,
    ) -> Blueprint:  # fmt: skip
        taken = options if not path else inherited(data.options, options)
        return replace(
            data,
            options=taken,
            engine=_Engines(self, layer, path, taken.threads, values).engine,
            recipe=(self.module, path, layer.blueprint.name, tuple(keywords.items())),
            rebuild=reopen,
            # A layer that is used has the tolerances of its text.
            uses={n: self._opened(layer, used, (*path, n), options, keywords, {}) for n, used in data.uses.items()},
        )

    def object(self, name: str) -> bytes:
        """An object file. Raises ImportError for a damaged one, which LLVM might not survive."""
        code = self._bytes(f"{OBJECTS}/{name}.o")
        if hashlib.sha256(code).hexdigest() != name:
            raise self._damaged(f"{OBJECTS}/{name}.o")
        return code

    def _sentence(self, wanted: str) -> str:
        every = [build for _, layers in self.content.layers.values() for layer in layers for build in layer.builds]
        options = " ".join(f"--build {shlex.quote(build)}" for build in (*dict.fromkeys(every), wanted))
        source, cpu = self.manifest["source"], self.manifest["cpu"]
        return (
            f"{self.folder.name} was not built for {wanted}; this builds it beside what is there:\n"
            f"  implicitdsl compile {shlex.quote(source)} -o {shlex.quote(str(self.folder))} --cpu {cpu} {options}"
        )

    def without(self, name: str) -> str:
        """The sentence on a layer that is not among those built: what was probably meant, or the command for it."""
        near = difflib.get_close_matches(name, self.content.layers, 1)
        if near:
            return f"{self.folder.name} holds no `{name}`; did you mean `{near[0]}`?"
        return self._sentence(f"{name}()")

    def missing(self, layer: BuiltLayer, dtype: str, call_sizes: Mapping[str, int]) -> NotBuiltError:
        """The error for a type or for call sizes that a layer was not built for."""
        given = {n: v for n, v in layer.blueprint.sizes.items() if n not in layer.usual}
        options = {n: v for n, v in vars(layer.options).items() if v is not None}
        wanted = {**given, **call_sizes, **options, "dtype": dtype}
        return NotBuiltError(self._sentence(_call(layer.blueprint.name, wanted)))


class _Engines:
    """The engines of one layer, or of one that it uses."""

    def __init__(
        self, package: Package, layer: BuiltLayer, path: tuple[str, ...], threads: int | None, values: Values
    ) -> None:
        self._package, self._layer, self._path, self._threads, self._values = package, layer, path, threads, values
        self._engines: dict[Case, Engine] = {}

    def engine(self, piece: int, dtype: torch.dtype, call_sizes: Mapping[str, int]) -> Engine:
        """The engine of a piece. Raises NotBuiltError."""
        name = str(dtype).removeprefix("torch.")
        case: Case = (self._path, piece, name, tuple(sorted(call_sizes.items())))
        if case not in self._engines:
            found = self._layer.engines.get(case)
            if found is None:
                raise self._package.missing(self._layer, name, {} if self._path else call_sizes)
            built, objects = found
            record = built.with_values(self._values)
            assert record is not None  # `takes` has asked

            def make(part: str, shared: tuple[int, ...]) -> bytes:
                if (part, shared) not in objects:
                    raise NotBuiltError(
                        f"{record.layer_name} was compiled for params that all samples share, and for up to three "
                        "matrices among the inputs, shared or not; other calls (`vmap` over params) need the layer "
                        f"from its text: implicitdsl.load({self._package.manifest['source']!r})"
                    )
                return self._package.object(objects[part, shared])

            self._engines[case] = record.restore(make, self._threads)
        return self._engines[case]


_opened: dict[str, Package] = {}


def open_package(module: str, folder: str) -> dict[str, type[Layer]]:
    """The layer classes of a package by name; its `__init__.py` calls this. Raises ImportError for a package that was
    made for another processor, system or version, or is damaged."""
    package = _opened[module] = Package(Path(folder), module)
    return {name: _layer_class(package, heading) for name, (heading, _) in package.content.layers.items()}


def absent(module: str, name: str) -> AttributeError:
    """The error for a layer that a package does not hold; the `__getattr__` of its `__init__.py` raises it."""
    if name.startswith("__"):
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    return AttributeError(_opened[module].without(name))


def reopen(recipe: tuple[Any, ...]) -> Blueprint:
    """The blueprint of a recipe: what a layer of a package pickles as. Its package must be importable."""
    module, path, name, keywords = recipe
    if module not in _opened:
        importlib.import_module(module)
    found = _opened[module].blueprint(name, dict(keywords))
    for use in path:
        found = found.uses[use]
    return found


def _layer_class(package: Package, heading: Heading) -> type[Layer]:
    def __init__(  # noqa: N807 - it becomes the constructor of the class
        self: Layer, *by_place: object, **keywords: Any
    ) -> None:
        heading.refuse_places(by_place)
        Layer.__init__(self, package.blueprint(heading.name, keywords))

    space = {"__init__": __init__, "__doc__": heading.doc or None, "__module__": package.module}
    return type(heading.name, (Layer,), space)


def _ahead(options: Options) -> Options:
    """The options that were fixed when the layer was built."""
    return code_options(replace(options, backend=None if options.backend == "lanes" else options.backend))


def _values(built: Options, asked: Options) -> Values | None:
    """The values to load the code of a build with; None where the options ask for other code, or leave out what the
    build has named."""
    blank = dict.fromkeys(VALUES)
    if replace(built, **blank) != replace(asked, **blank):
        return None
    named = {name: getattr(asked, name) for name in VALUES if getattr(asked, name) is not None}
    left_out = any(getattr(built, name) is not None for name in VALUES if name not in named)
    return None if left_out else {n: v for n, v in named.items() if v != getattr(built, n)}


def _call(name: str, keywords: Mapping[str, Any]) -> str:
    """A layer as `--build` names it."""
    told = {k: v for k, v in keywords.items() if k not in ("on_fail", "seed", "threads", "device", "backend")}
    parts = (f"{k}={str(v).removeprefix('torch.') if k == 'dtype' else repr(v)}" for k, v in told.items())
    return f"{name}({', '.join(parts)})"
