"""The machine of a run: what it is, how many threads everybody gets, and the peak that floors are divided by."""

from __future__ import annotations

import os
import platform
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers.txt"
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def processors() -> list[int]:
    """The processors that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def hold_to(threads: int) -> None:
    """Gives this process and every library in it `threads` processors: by the pools' environment variables and, where
    the system has it, by affinity, which XLA and Rust libraries follow too. Call it before any of them is imported."""
    for name in POOLS:
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(processors()[-threads:]))


def model_name() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def peers_wanted() -> dict[str, str]:
    """Name and version of every peer in peers.txt."""
    lines = PEERS.read_text(encoding="utf-8").splitlines()
    pins = [line.split()[0] for line in lines if "==" in line and not line.startswith("#")]
    return dict(pin.split("==", 1) for pin in pins)


def versions() -> dict[str, str]:
    """The installed version of ourselves and of every peer; "" for one that is not there."""
    found: dict[str, str] = {}
    for name in ("implicitdsl", "torch", "numpy", "scipy", "llvmlite", *peers_wanted()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def describe() -> dict[str, Any]:
    """Facts for the head of the results."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "processor": model_name(),
        "cores": len(processors()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(load, 1),
        "versions": versions(),
    }


@cache
def peak(dtype: str) -> float:
    """Floating point operations a second of torch's matrix product (n = 384), best of many, on the threads of this
    process: what the machine demonstrably reaches, rather than a figure from a data sheet."""
    import torch

    a = torch.rand(384, 384, dtype=getattr(torch, dtype))
    out = torch.empty_like(a)
    return 2 * 384**3 / _best(lambda: torch.mm(a, a, out=out), 60)


@cache
def bandwidth() -> float:
    """Bytes a second of a copy of 64 MiB, reads and writes counted."""
    import torch

    a = torch.rand(1 << 23, dtype=torch.float64)
    out = torch.empty_like(a)
    return 2 * 8 * a.numel() / _best(lambda: out.copy_(a), 8)


def _best(run: Any, times: int) -> float:
    run()
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def resident() -> float:
    """MiB of memory that this process holds now, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
