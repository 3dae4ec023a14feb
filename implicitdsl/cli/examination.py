"""What `doctor` finds out about versions, processor and cache, with advice where something is wrong."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

PACKAGES = ("implicitdsl", "torch", "numpy", "llvmlite", "lark", "sympy", "matplotlib", "pygls")
OPTIONAL = ("matplotlib", "pygls")
FEATURES = ("avx2", "fma", "avx512f", "neon", "sve")


@dataclass(frozen=True)
class Findings:
    """Facts in groups, and a sentence of advice for each that is wrong."""

    facts: Mapping[str, Mapping[str, Any]]
    advice: tuple[str, ...]

    def sections(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """The groups as they are printed."""
        for group, facts in self.facts.items():
            yield group, [(name.replace("_", " "), _text(value)) for name, value in facts.items()]


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case Path():
            home = Path.home()
            return str(Path("~") / value.relative_to(home)) if value.is_relative_to(home) else str(value)
        case list():
            return " ".join(map(str, value)) or "none"
        case _:
            return str(value)


def examine() -> Findings:
    """Looks at this machine."""
    versions, unfit = examine_versions()
    cache, lost = examine_cache()
    return Findings({"versions": versions, "processor": examine_processor(), "cache": cache}, (*unfit, *lost))


def examine_versions() -> tuple[dict[str, str | None], list[str]]:
    """Versions of what takes part, and advice for a missing or unfit one."""
    found: dict[str, str | None] = {"python": platform.python_version(), "system": platform.platform()}
    advice: list[str] = []
    pins = _pins()
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
            if name not in OPTIONAL:
                advice.append(f"{name} is not installed: pip install {name}")
            continue
        pin = pins.get(name)
        if pin is not None and not f"{found[name]}.".startswith(f"{pin}."):
            advice.append(f"{name} is {found[name]}, and this version needs {pin}: pip install '{name}=={pin}.*'")
    return found, advice


def _pins() -> dict[str, str]:
    """The packages of which one minor version is needed."""
    try:
        wanted = requires("implicitdsl") or []
    except PackageNotFoundError:
        return {}
    matches = (re.match(r"([\w-]+)==([\d.]+)\.\*", line) for line in wanted)
    return {m[1]: m[2] for m in matches if m is not None}


def examine_processor() -> dict[str, Any]:
    """The processor as the compiler sees it, threads, and where elementary functions come from."""
    import llvmlite.binding as llvm
    import torch

    from implicitdsl.backends.lanes.sleef import library_name

    # What the process may use, which in a container or on a cluster is less than the machine has.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    features = llvm.get_host_cpu_features()
    library = library_name()
    return {
        "name": llvm.get_host_cpu_name(),
        "features": [name for name in FEATURES if features.get(name)],
        "cores": usable,
        "torch_threads": torch.get_num_threads(),
        "vector_math": library if library != "libm" else "libm, lane by lane: right, but slower than SLEEF with AVX2",
    }


def examine_cache() -> tuple[dict[str, Any], list[str]]:
    """The cache folder, and advice where compiled code cannot be kept in it."""
    from implicitdsl.backends.lanes.cache import FOLDER, cache_folder
    from implicitdsl.cli.cache import entries_of
    from implicitdsl.cli.tables import size_text

    folder = cache_folder()
    named = os.environ.get(FOLDER)
    cure = (
        f"name a folder of your own in the environment variable {FOLDER} (compiled code is made anew in every process)"
    )
    if folder is None:
        facts = {"folder": None, "named_by": FOLDER if named else "the system's default"}
        return facts, [f"compiled code cannot be kept: the cache folder is not yours alone, or cannot be made; {cure}"]
    entries = entries_of(folder)
    writable = _writable(folder)
    facts = {
        "folder": folder,
        "named_by": FOLDER if named else "the system's default",
        "rights": f"{folder.stat().st_mode & 0o777:o}",
        "writable": writable,
        "entries": len(entries),
        "size": size_text(sum(entry.bytes for entry in entries)),
    }
    return facts, [] if writable else [f"compiled code cannot be kept: {folder} cannot be written to; {cure}"]


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError:
        return False
    return True
