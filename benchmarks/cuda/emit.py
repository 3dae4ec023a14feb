"""Writes the folder that a GPU's machine is given: kernels, inputs, and what lanes made of them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cuda import elementary
from benchmarks.cuda.plan import HEAD, Array, Case, digests, only_read, rows, write
from benchmarks.cuda.works import WORKS
from benchmarks.machine import model_name
from implicitdsl.backends.cuda.ptx import OLDEST, gpu
from implicitdsl.backends.lanes.target import Device

BUILT_FOR = {"90": "sm_90"}
"""The GPUs that PTX is assembled for here, where `ptxas` is on the path; others leave it to their driver."""
VARIED = {"lv": [".r128", ".ptx"], "robertson": [".r128"], "qp10": [".r128"]}
LONGEST = 1.0
"""Seconds of a call of lanes from which on it is timed once."""


def emit(folder: Path, names: Sequence[str], device: Device | None = None, most: int | None = None) -> None:
    """Writes the works of these names (all if there are none), for at most so many samples. Another device than a GPU
    is for those who test this."""
    folder.mkdir(parents=True, exist_ok=True)
    device = device or gpu(OLDEST)
    cases: list[Case] = []
    for dtype in ("float64", "float32"):
        if not names or f"elementary_{dtype}" in names:
            cases.append(_elementary(folder, dtype, device, most))
    for name, make in WORKS.items():
        if names and name not in names:
            continue
        made = make(device)
        case = made.case
        case.samples = [b for b in case.samples if most is None or b <= most] or [most or 1]
        case.variants = VARIED.get(name, [])
        _write_modules(folder, made.modules, few_registers=".r128" in case.variants)
        np.savez(folder / f"{case.name}_held.npz", **made.held)
        whole = rows(case.buffers["p"], case.samples[-1], case.dtype)
        _write_expected(folder, case, made.expected(whole))
        for b in case.samples:
            case.cpu[str(b)] = _seconds(made.timed(whole[:b]))
        cases.append(case)
        print(f"{name}: lanes {', '.join(f'{b}: {1e3 * case.cpu[str(b)]:.3g} ms' for b in case.samples)}", flush=True)
    write(folder, cases, {"processor": model_name(), "threads": 1})


def _elementary(folder: Path, dtype: str, device: Device, most: int | None) -> Case:
    case, modules = elementary.case(dtype, device)
    case.samples = [min(most or elementary.COUNT, elementary.COUNT)]
    _write_modules(folder, modules)
    _write_expected(folder, case, elementary.expected(dtype, case.samples[0]))
    places = {}
    for name in elementary.FUNCTIONS:
        places[f"{name}_places"], places[f"{name}_exact"] = elementary.exact(name, dtype, case.samples[0])
    np.savez_compressed(folder / f"{case.name}_exact.npz", **places)
    return case


def _write_modules(folder: Path, modules: dict[str, bytes], *, few_registers: bool = False) -> None:
    for name, code in modules.items():
        is_text = code.startswith(b"//")
        place = folder / f"{name}.{'ptx' if is_text else 'o'}"
        place.write_bytes(code)
        assembler = shutil.which("ptxas")
        if not is_text or assembler is None:
            continue
        for capability, processor in BUILT_FOR.items():
            for ending, more in {"": [], ".r128": ["-maxrregcount=128"]}.items() if few_registers else {"": []}.items():
                target = folder / f"{name}.{capability}{ending}.cubin"
                subprocess.run([assembler, f"-arch={processor}", *more, place, "-o", target], check=True)


def _write_expected(folder: Path, case: Case, found: dict[str, Array]) -> None:
    arrays = {}
    for name, value in only_read(case.outputs, found).items():
        value = np.ascontiguousarray(value, case.dtype)
        arrays[f"{name}_head"], arrays[f"{name}_digests"] = value[:HEAD], digests(value)
    np.savez_compressed(folder / f"{case.name}_expected.npz", **arrays)


def _seconds(call: Callable[[], Any]) -> float:
    """The processor's seconds of a call, the best of some: others may work on this machine."""
    best = np.inf
    for _ in range(4):
        begun = time.process_time()
        call()
        best = min(best, time.process_time() - begun)
        if best > LONGEST:
            break
    return best
