"""What a package of compiled layers needs of the machine that imports it, and whether this one has it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from implicitdsl.artifacts.keys import source_hash

FORMAT = 1
MANIFEST, DATA, OBJECTS = "manifest.json", "layers.bin", "objects"

LEVELS: dict[str, tuple[str, ...]] = {
    "x86-64-v2": ("cx16", "sahf", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"),
}
LEVELS["x86-64-v3"] = (*LEVELS["x86-64-v2"], "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
LEVELS["x86-64-v4"] = (*LEVELS["x86-64-v3"], "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
"""Features of the levels of the x86-64 psABI, by LLVM's names."""


def features_of(cpu: str) -> tuple[str, ...]:
    """The processor features that code for a processor may use. Raises ValueError for a name that is not known."""
    if cpu == "native":
        return tuple(sorted(name for name, has in llvm.get_host_cpu_features().items() if has))
    if cpu not in LEVELS:
        raise ValueError(f"the processor is one of {', '.join((*LEVELS, 'native'))}, not {cpu}")
    return LEVELS[cpu]


def system() -> str:
    """Operating system and processor family."""
    return f"{sys.platform}-{platform.machine()}"


@cache
def runtime() -> str:
    """A hash of this version of the package: compiled layers fit no other."""
    return source_hash()


def check_manifest(manifest: Mapping[str, Any], folder: Path) -> None:
    """Raises ImportError if code of this manifest cannot run here; the sentence says why and what to do."""
    from implicitdsl.backends.lanes.sleef import sleef_library
    from implicitdsl.version import __version__

    def refuse(why: str, cure: str = "compile the layers again here") -> None:
        raise ImportError(f"the compiled layers in {folder} cannot run here: {why}. {cure[0].upper()}{cure[1:]}.")

    if manifest.get("format") != FORMAT:
        refuse(f"their format is {manifest.get('format')}, this version of implicitdsl reads {FORMAT}")
    if (manifest["implicitdsl"], manifest["runtime"]) != (__version__, runtime()):
        made = manifest["implicitdsl"]
        refuse(f"they were made by {'another build of ' if made == __version__ else ''}implicitdsl {made}")
    if manifest["system"] != system():
        refuse(f"they were made for {manifest['system']}, this is {system()}")
    has = llvm.get_host_cpu_features()
    lacking = [name for name in manifest["features"] if not has.get(name)]
    if lacking:
        refuse(
            f"they were made for a processor {manifest['cpu']}, and this one lacks {', '.join(lacking)}",
            "compile them with --cpu x86-64-v3, or with --cpu native on such a machine",
        )
    sleef_library()  # brings torch's library, where elementary functions come from
    gone = [name for name in manifest["symbols"] if not llvm.address_of_symbol(name)]
    if gone:
        refuse(f"torch {_torch_version()} has no {', '.join(gone[:3])}{' …' if len(gone) > 3 else ''}")


def _torch_version() -> str:
    import torch

    return torch.__version__
