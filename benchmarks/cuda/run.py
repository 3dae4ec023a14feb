"""Runs the kernels of a folder, compares what comes out with what lanes made, and times them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cuda.plan import CHUNK, Array, Buffer, Case, digests, only_read, points, read, rows, same_bits

REPEATS = 5
WARP = 32


class Runner:
    """One driver and one folder."""

    def __init__(self, driver: Any, folder: Path, variant: str = "") -> None:
        self.driver, self.folder, self.variant = driver, folder, variant
        self._modules: dict[str, Any] = {}
        self.loading = 0.0

    def _module(self, case: Case, name: str) -> Any:
        if name not in self._modules:
            begun = time.perf_counter()
            self._modules[name] = self.driver.load(self.folder, name, self.variant)
            self.loading += time.perf_counter() - begun
        module = self._modules[name]
        # Cases may share a module and have numbers of their own.
        for place, value in case.data.get(name, {}).items():
            dtype = np.int64 if isinstance(value, int) else case.dtype
            self.driver.write_global(module, f"imp_datum_{place}", np.array(value, dtype).reshape(-1))
        return module

    # ------------------------------------------------------------ arrays

    def _place(self, case: Case, samples: int) -> dict[str, int]:
        """Where each array lies on the device."""
        item = np.dtype(case.dtype).itemsize
        held = {} if not any(b.kind == "held" for b in case.buffers.values()) else self._held(case)
        found: dict[str, int] = {}
        for name, b in case.buffers.items():
            size = b.size * (1 if b.shared else samples) * item
            found[name] = self.driver.room(size)
            self.driver.poison(found[name], size)
        for name, b in case.buffers.items():
            if b.kind != "room":
                self.driver.put(found[name], self._content(case, b, samples, held, found))
        return found

    def _held(self, case: Case) -> dict[str, Array]:
        with np.load(self.folder / f"{case.name}_held.npz") as file:
            return dict(file)

    @staticmethod
    def _content(case: Case, b: Buffer, samples: int, held: dict[str, Array], places: dict[str, int]) -> Array:
        match b.kind:
            case "held":
                return held[b.held]
            case "points":
                return points(b.held, samples, case.dtype)
            case "ones":
                return np.ones((samples, b.size), case.dtype)
            case _:
                found = rows(b, samples, case.dtype)
                for place, name in b.addresses.items():
                    found.view(np.int64)[:, int(place)] = places[name]
                return found

    # ------------------------------------------------------------ one case

    def run(self, case: Case, samples: int) -> dict[str, Any]:
        """The facts of one case for so many samples."""
        begun = time.perf_counter()
        places = self._place(case, samples)
        told = self.driver.room(8 * samples)
        item = np.dtype(case.dtype).itemsize
        calls = []
        costs = {"registers": 0, "local": 0}
        for launch in case.launches:
            kernel = self.driver.kernel(self._module(case, launch.module), launch.kernel)
            given = [1 if launch.once else samples, told]
            for a in launch.arguments:
                if isinstance(a, int):
                    given.append(a)
                else:
                    b = case.buffers[a]
                    given += [places[a], 0 if b.shared else b.size * item]
            calls.append((kernel, given))
            costs = {k: max(v, costs[k]) for k, v in self.driver.costs(kernel).items()}
        seconds = self._timed(calls)
        stopped = int(np.count_nonzero(self.driver.take(told, (samples,), np.int64)))
        found = {
            "case": case.name + self.variant, "samples": samples,
            "ms": 1e3 * min(seconds), "first_ms": 1e3 * seconds[0],
            "lanes_ms": 1e3 * case.cpu[str(samples)] if str(samples) in case.cpu else None, "told": stopped,
            **costs, "outputs": self._compare(case, samples, places), **self._in_order(case, samples, places, calls),
        }  # fmt: skip
        self.driver.clear()
        found["whole_s"] = time.perf_counter() - begun
        return found

    def _timed(self, calls: Sequence[tuple[Any, list[int]]]) -> list[float]:
        seconds: list[float] = []
        for _ in range(REPEATS):
            self.driver.begin()
            for kernel, given in calls:
                self.driver.launch(kernel, given[0], given[1:])
            seconds.append(self.driver.seconds())
            if sum(seconds) > 3.0:
                break
        return seconds

    def _in_order(
        self, case: Case, samples: int, places: dict[str, int], calls: Sequence[tuple[Any, list[int]]]
    ) -> dict[str, float]:
        """How much longer the threads of a warp run together than they have work, by steps, and the time where samples
        lie in the order of their steps."""
        facts = case.outputs.get("facts")
        if facts is None or facts.size != 3 or samples % WARP:
            return {}
        size = case.buffers["facts"].size
        steps = self.driver.take(places["facts"], (samples, size), case.dtype)[:, 1:3].sum(axis=1)
        order = np.argsort(steps, kind="stable")
        given = self._content(case, case.buffers["p"], samples, {}, places)
        self.driver.put(places["p"], given[order])
        return {
            "steps": float(steps.mean()), "waiting": float(steps.reshape(-1, WARP).max(axis=1).mean() / steps.mean()),
            "ordered_ms": 1e3 * min(self._timed(calls)),
        }  # fmt: skip

    def _compare(self, case: Case, samples: int, places: dict[str, int]) -> dict[str, Any]:
        with np.load(self.folder / f"{case.name}_expected.npz") as file:
            expected = dict(file)
        facts, found = {}, {}
        for name, output in case.outputs.items():
            size = case.buffers[output.buffer].size
            whole = self.driver.take(places[output.buffer], (samples, size), case.dtype)
            found[name] = np.ascontiguousarray(whole[:, output.first : output.first + output.size])
        for name, value in only_read(case.outputs, found).items():
            facts[name] = self._difference(value, expected[f"{name}_head"], expected[f"{name}_digests"])
            if where := case.outputs[name].read_where:
                facts[name]["unread"] = int(np.count_nonzero(found[where][:, 0] != 1))
        if case.name.startswith("elementary"):
            with np.load(self.folder / f"{case.name}_exact.npz") as file:
                for name, output in case.outputs.items():
                    value = self.driver.take(places[output.buffer], (samples,), case.dtype)
                    facts[name]["ulp"] = _ulp(value[file[f"{name}_places"]], file[f"{name}_exact"])
        return facts

    @staticmethod
    def _difference(value: Array, head: Array, known: Array) -> dict[str, Any]:
        """How many chunks of rows have the same bits and, of the rows that are kept, how many numbers, and how far the
        others lie apart, relative to the largest number of their column."""
        whole = len(value) // CHUNK
        equal = int(np.count_nonzero(digests(value)[:whole] == known[:whole]))
        count = min(len(head), len(value))
        a, b = same_bits(value[:count]), same_bits(head[:count])
        kind = {8: np.uint64, 4: np.uint32}[a.dtype.itemsize]
        same = a.view(kind) == b.view(kind)
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.nan_to_num(np.abs(b), nan=0.0, posinf=0.0).max(axis=0) + np.finfo(a.dtype).tiny
            apart = np.where(same, 0.0, np.abs(a.astype(float) - b.astype(float)) / size)
        return {
            "chunks": whole, "equal_chunks": equal, "numbers": int(same.size), "equal_numbers": int(same.sum()),
            "apart": float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)),
        }  # fmt: skip


def _ulp(found: Array, exact: Array) -> float:
    """The largest error in units in the last place of the exact value; infinite where one is finite and one is not."""
    near, rest = exact[:, 0], exact[:, 1]
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = near.astype(found.dtype)
        finite = np.isfinite(rounded) & np.isfinite(found)
        if not np.array_equal(np.isnan(found), np.isnan(rounded)) or not np.array_equal(
            found[~finite & ~np.isnan(found)], rounded[~finite & ~np.isnan(found)]
        ):
            return float("inf")
        units = np.spacing(np.abs(rounded[finite])).astype(float)
        return float((np.abs((found[finite].astype(float) - near[finite]) - rest[finite]) / units).max(initial=0.0))


def table(facts: Sequence[dict[str, Any]]) -> str:
    """The facts as lines to be read."""
    head = f"{'case':22} {'samples':>8} {'GPU ms':>10} {'lanes ms':>10} {'ratio':>7} {'regs':>5} {'local B':>8}"
    lines = [f"{head}  bits equal to lanes"]
    for f in facts:
        if "error" in f:
            lines.append(f"{f['case']:22} {f['samples']:8d}  {f['error']}")
            continue
        lanes = f["lanes_ms"]
        said = "; ".join(
            f"{name} {o['equal_chunks']}/{o['chunks']} chunks, {o['equal_numbers']}/{o['numbers']} numbers"
            + (f", apart {o['apart']:.1e}" if o["apart"] else "")
            + (f", {o['ulp']:.2f} ulp" if "ulp" in o else "")
            + (f", {o['unread']} samples not read" if o.get("unread") else "")
            for name, o in f["outputs"].items()
        )
        if "steps" in f:
            said += f"; {f['steps']:.0f} steps, warps wait {f['waiting']:.2f}, in order {f['ordered_ms']:.3f} ms"
        if f["told"]:
            said += f"; {f['told']} returned no 0"
        times = f"{lanes:10.3f} {lanes / f['ms']:7.1f}" if lanes else f"{'':18}"
        costs = f"{f['registers']:5d} {f['local']:8d}"
        lines.append(f"{f['case']:22} {f['samples']:8d} {f['ms']:10.3f} {times} {costs}  {said}")
    return "\n".join(lines)


def run(
    driver: Any,
    folder: Path,
    names: Sequence[str],
    seconds: float,
    log: Path | None = None,
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Runs the cases of a folder (all without names), for at most so many samples, and begins none after so many
    seconds; a line of JSON for each goes to the log, or is printed. The table comes last."""
    cases, about = read(folder)
    runners, found, begun = {"": Runner(driver, folder)}, [], time.perf_counter()
    said = {"about": {**about, "device": driver.about}}
    print(json.dumps(said), flush=True)
    # The small ones of all cases first: time may run out.
    chosen = [case for case in cases if not names or case.name in names]
    todo = sorted(((b, "", case) for case in chosen for b in case.samples), key=lambda each: each[0])
    todo += [(case.samples[-1], variant, case) for case in chosen for variant in case.variants]
    for samples, variant, case in todo:
        if most is not None and samples > most:
            continue
        facts: dict[str, Any] = {"case": case.name + variant, "samples": samples, "error": "no time was left"}
        if time.perf_counter() - begun < seconds:
            try:
                facts = runners.setdefault(variant, Runner(driver, folder, variant)).run(case, samples)
            except RuntimeError as error:
                facts["error"] = str(error)
                driver.begin_again()
                runners.clear()
        found.append(facts)
        if log is None:
            print(json.dumps(facts), flush=True)
        else:
            log.write_text("\n".join(json.dumps(f) for f in [said, *found]) + "\n")
    found.sort(key=lambda f: (f["case"], f["samples"]))
    print(table(found))
    loading = ", ".join(f"{name or 'machine code'} {r.loading:.2f} s" for name, r in runners.items())
    print(f"loading {loading}; all in {time.perf_counter() - begun:.1f} s")
    return found
