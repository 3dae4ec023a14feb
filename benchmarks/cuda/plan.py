"""What is run on the GPU, in plain data: kernels, their arrays, and what is to come out.

A case draws its samples from a seed, so that a million of them need no file: row i of an array of inputs is
`base + spread * u_i`, u_i uniform in [-1, 1), the same for every number of samples. What lanes made of them is kept
whole for the first `HEAD` rows; of every `CHUNK` rows there is a digest beside.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEAD = 2048
CHUNK = 256
PLAN = "plan.json"
VARIANTS = {".r128": "at most 128 registers a thread", ".ptx": "PTX assembled by the driver"}
"""What is run besides, for the most samples of a case that names it."""


@dataclass
class Buffer:
    """An array on the device: `size` numbers a sample, or in all where it is `shared`. `held` names what it holds."""

    size: int
    kind: str = "room"
    """`rows`: drawn inputs; `held`: numbers that all samples share; `points`: arguments of elementary functions;
    `ones`; `room`: nothing yet."""
    shared: bool = False
    base: list[float] = field(default_factory=list[float])
    spread: list[float] = field(default_factory=list[float])
    held: str = ""
    addresses: dict[str, str] = field(default_factory=dict[str, str])
    """By place in a row: the shared array whose address stands there."""


@dataclass
class Launch:
    """A kernel for all samples, or for one (`once`: it makes what all samples share); an argument is a whole number or
    the name of an array."""

    module: str
    kernel: str
    arguments: list[int | str]
    once: bool = False


@dataclass
class Output:
    """`size` numbers from `first` on of every row of an array."""

    buffer: str
    first: int
    size: int
    exact: bool = False
    """Whether a difference is an error whatever its size: statuses and steps."""
    read_where: str = ""
    """The output whose first number is 1 in the rows that anybody reads; what lies in the others is not compared."""


@dataclass
class Case:
    """One work. `data` are the numbers that a module reads from places of its own, by module and name."""

    name: str
    title: str
    dtype: str
    samples: list[int]
    buffers: dict[str, Buffer]
    launches: list[Launch]
    outputs: dict[str, Output]
    data: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    cpu: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds of one thread of lanes, by the number of samples."""
    variants: list[str] = field(default_factory=list[str])


def write(folder: Path, cases: list[Case], about: dict[str, Any]) -> None:
    """Writes the plan."""
    whole = {"about": about, "cases": [asdict(case) for case in cases]}
    (folder / PLAN).write_text(json.dumps(whole, indent=1))


def read(folder: Path) -> tuple[list[Case], dict[str, Any]]:
    """The plan of a folder."""
    whole = json.loads((folder / PLAN).read_text())
    found = []
    for given in whole["cases"]:
        parts = {
            "buffers": {name: Buffer(**b) for name, b in given["buffers"].items()},
            "launches": [Launch(**each) for each in given["launches"]],
            "outputs": {name: Output(**o) for name, o in given["outputs"].items()},
        }
        found.append(Case(**{**given, **parts}))
    return found, whole["about"]


def rows(buffer: Buffer, samples: int, dtype: str) -> Array:
    """The drawn rows of an array of inputs; places of addresses hold 0."""
    draws = np.random.Generator(np.random.PCG64(7)).random((samples, len(buffer.base)))
    found = np.zeros((samples, buffer.size), dtype)
    found[:, : len(buffer.base)] = np.array(buffer.base) + np.array(buffer.spread) * (2.0 * draws - 1.0)
    return found


def points(name: str, count: int, dtype: str) -> Array:
    """Arguments of an elementary function: a half drawn from all floats, a half where it matters most."""
    generator = np.random.Generator(np.random.PCG64(11))
    kind = {"float64": np.uint64, "float32": np.uint32}[dtype]
    bits = np.frombuffer(generator.bytes(count // 2 * np.dtype(dtype).itemsize), kind).view(dtype)
    near = (40.0 * generator.random(count - count // 2) - 20.0).astype(dtype)
    found = np.concatenate([bits, near])
    found[~np.isfinite(found)] = 0.5
    if name.startswith("log"):
        found = np.abs(found)
    if name in ("sin", "cos"):
        # From 1e6 on the C library is asked, which no GPU has.
        found[np.abs(found) >= 1e6] = 3.0
    return found[np.argsort(np.arange(count) % 7, kind="stable")].reshape(count, 1)


def same_bits(array: Array) -> Array:
    """An array in which every NaN has the same bits: which one an operation gives is left to the processor."""
    found = np.ascontiguousarray(array)
    if np.isnan(found).any():
        found = found.copy()
        found[np.isnan(found)] = np.nan
    return found


def only_read(outputs: dict[str, Output], found: dict[str, Array]) -> dict[str, Array]:
    """The arrays of the outputs with 0 in the rows that nobody reads."""
    return {
        name: np.where(found[output.read_where][:, :1] == 1, found[name], 0) if output.read_where else found[name]
        for name, output in outputs.items()
    }


def digests(array: Array) -> NDArray[np.uint64]:
    """One number for every `CHUNK` rows."""
    whole = same_bits(array)
    found = [
        int.from_bytes(hashlib.blake2b(whole[k : k + CHUNK].tobytes(), digest_size=8).digest(), "little")
        for k in range(0, len(whole), CHUNK)
    ]
    return np.array(found, np.uint64)
