"""Writes a package of compiled layers: `implicitdsl compile FILE -o DIR`."""

from __future__ import annotations

import hashlib
import json
import pickle
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from pathlib import Path
from typing import Any

import torch

from implicitdsl.artifacts.construct import plain
from implicitdsl.artifacts.elf import undefined_symbols
from implicitdsl.artifacts.engines import entries_ahead, record_of
from implicitdsl.artifacts.headings import Heading
from implicitdsl.artifacts.keys import code_options
from implicitdsl.artifacts.manifest import DATA, FORMAT, MANIFEST, OBJECTS, features_of, runtime, system
from implicitdsl.artifacts.shipped import BuiltLayer, Case, Content
from implicitdsl.backends.engine import Engine
from implicitdsl.backends.lanes.cache import installed
from implicitdsl.diagnostics import Diagnostic, ImpError
from implicitdsl.layers.batching import bind_sizes
from implicitdsl.layers.blueprint import Blueprint, EnginePiece

Shape = tuple[int, ...]
OWN = "imp_"
"""How the names begin that this package gives itself to compiled code."""


@dataclass
class Draft:
    """What goes into a package, layer by layer."""

    source: str
    cpu: str
    layers: dict[str, tuple[Heading, list[BuiltLayer]]] = field(default_factory=dict[str, Any])
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    listed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(
        self, heading: Heading, blueprint: Blueprint, usual: frozenset[str], call_sizes: Mapping[str, int], build: str
    ) -> int:
        """Compiles a layer for its dtype and for the call sizes, and gives the number of object files; `build` is how
        the command names it. Raises ImpError E614 for a layer that is not on the back end `lanes`."""
        from implicitdsl.backends.lanes.link import aiming_at

        if heading.name.startswith("__") and heading.name.endswith("__"):
            raise ImpError([_not_compiled(heading.name, *MODULES_OWN)])
        dtype = blueprint.options.dtype or torch.get_default_dtype()
        made: dict[Case, Any] = {}
        count = 0
        with aiming_at(self.cpu):
            for case, engine in _engines(blueprint, call_sizes, dtype):
                if case in made:
                    continue
                record = record_of(engine)
                if record is None:
                    raise ImpError([_not_compiled(blueprint.name, *NO_MACHINE_CODE)])
                parts: dict[tuple[str, tuple[int, ...]], str] = {}
                for entry, make in entries_ahead(engine):
                    code = make()
                    name = hashlib.sha256(code).hexdigest()
                    self.objects[name] = code
                    parts[entry] = name
                count += len(parts)
                made[case] = (record, parts)
        options = code_options(replace(blueprint.options, backend=None))
        layer = BuiltLayer(_bare(blueprint), options, usual, made, (build,))
        self._join(heading, layer)
        told = {k: v for k, v in vars(options).items() if v is not None and k not in ("on_fail", "device")}
        self.listed.append(
            {
                "layer": blueprint.name, "sizes": dict(blueprint.sizes), "options": told,
                "dtype": str(dtype).removeprefix("torch."), "call_sizes": dict(call_sizes), "build": build,
                "objects": count,
            }
        )  # fmt: skip
        return count

    def _join(self, heading: Heading, layer: BuiltLayer) -> None:
        _, held = self.layers.setdefault(heading.name, (heading, []))
        for k, other in enumerate(held):
            if (other.blueprint.sizes, other.options) == (layer.blueprint.sizes, layer.options):
                builds = (*other.builds, *layer.builds)
                held[k] = replace(other, engines={**other.engines, **layer.engines}, builds=builds)
                return
        held.append(layer)

    def write(self, folder: Path) -> None:
        """The package, in the place of one that was there before. Raises OSError, and ValueError for a folder that
        holds something else."""
        folder = folder.resolve()
        if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} is there and holds no compiled layers: name another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            self._fill(made)
            made.chmod(0o755)
            if folder.exists():
                # Aside first, so that an interruption leaves a whole package, the old one or the new.
                old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
                folder.replace(old)
                made.rename(folder)
                shutil.rmtree(old)
            else:
                made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _fill(self, folder: Path) -> None:
        (folder / OBJECTS).mkdir()
        for name, code in self.objects.items():
            (folder / OBJECTS / f"{name}.o").write_bytes(code)
        data = pickle.dumps(Content({n: (heading, tuple(held)) for n, (heading, held) in self.layers.items()}))
        (folder / DATA).write_bytes(data)
        manifest = self._manifest(hashlib.sha256(data).hexdigest())
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        (folder / "__init__.py").write_text(_module(self.source, list(self.layers)), encoding="utf-8")

    def _manifest(self, data: str) -> dict[str, Any]:
        from implicitdsl.backends.lanes.sleef import library_name
        from implicitdsl.syntax.words import LANGUAGE_VERSION
        from implicitdsl.version import __version__

        taken = set[str]().union(*map(undefined_symbols, self.objects.values()))
        symbols = sorted(name for name in taken if not name.startswith(OWN))
        return {
            "format": FORMAT,
            "language": LANGUAGE_VERSION,
            "implicitdsl": __version__,
            "runtime": runtime(),
            "made_with": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                **{name: installed(name) for name in ("numpy", "llvmlite")},
            },
            "system": system(),
            "cpu": self.cpu,
            "features": list(features_of(self.cpu)),
            "elementary_functions": "SLEEF out of torch's CPU library" if library_name() != "libm" else "libm",
            "symbols": symbols,
            "source": self.source,
            "layers": self.listed,
            "data": data,
        }


def _bare(blueprint: Blueprint) -> Blueprint:
    """The plain data without the text, which stays at home."""
    uses = {name: _bare(used) for name, used in blueprint.uses.items()}
    return replace(plain(blueprint), recipe=None, warnings=(), uses=uses)


def _engines(blueprint: Blueprint, sizes: Mapping[str, int], dtype: torch.dtype) -> Iterator[tuple[Case, Any]]:
    """Every engine that a call with these sizes runs, those of used layers included, as the compiler makes them."""
    origin = blueprint if blueprint.origin is None else blueprint.origin()
    shapes = [tuple(sizes[d] if isinstance(d, str) else d for d in spec.shape) for spec in blueprint.inputs]
    found: list[tuple[Case, Engine]] = []
    _follow(origin, (), shapes, dict(sizes), dtype, found)
    yield from found


def _follow(
    blueprint: Blueprint, path: tuple[str, ...], shapes: Iterable[Shape], sizes: Mapping[str, int],
    dtype: torch.dtype, found: list[tuple[Case, Engine]],
) -> list[Shape]:  # fmt: skip
    """Goes through the pieces with the shapes of their slots, and gives those of the results."""
    slots = {spec.name: shape for spec, shape in zip(blueprint.inputs, shapes, strict=True)}
    for number, piece in enumerate(blueprint.program):
        if isinstance(piece, EnginePiece):
            engine = blueprint.engine(number, dtype, sizes)
            name = str(dtype).removeprefix("torch.")
            found.append(((path, number, name, tuple(sorted(sizes.items()))), engine))
            outputs = list(engine.outputs)
        else:
            used = blueprint.uses[piece.use]
            given = [slots[name] for name in piece.inputs]
            inner = bind_sizes(used.name, used.inputs, given)
            outputs = _follow(used, (*path, piece.use), given, inner, dtype, found)
        slots.update(zip(piece.outputs, outputs, strict=True))
    return [slots[name] for name in blueprint.results]


NO_MACHINE_CODE = (
    "it runs on the back end `python`",
    "`implicitdsl inspect` says why it is not on the back end `lanes`; in a program implicitdsl.load makes it",
)
MODULES_OWN = ("Python keeps names of this form for itself in every module", "give the layer another name")


def _not_compiled(name: str, why: str, cure: str) -> Diagnostic:
    return Diagnostic("E614", f"{name} cannot be compiled ahead: {why}", help=cure)


def _module(source: str, names: list[str]) -> str:
    # A layer may bear a keyword of Python and the file any name that the disk allows; none is called as `__open__` is.
    places = {name: f"globals()[{name!r}]" if iskeyword(name) else name for name in names}
    lines = [f"{place} = __layers__[{name!r}]" for name, place in places.items()]
    title = f"Layers of {source}, compiled by implicitdsl; `manifest.json` says for what."
    return (
        f"{title!r}\n\n"
        "from implicitdsl.artifacts.shipped import absent as __absent__\n"
        "from implicitdsl.artifacts.shipped import open_package as __open__\n\n"
        "__layers__ = __open__(__name__, __path__[0])\n" + "\n".join(lines) + "\n"
        f"__all__ = {names!r}\n\n\n"
        "def __getattr__(name):\n"
        "    raise __absent__(__name__, name)\n"
    )
