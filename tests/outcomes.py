"""What a test's layers gave on one back end is held against what they gave on the other, wherever a test runs on both.

Every solve is kept with what it was asked: the layer with its text, sizes and options, and the bits of its arguments. When
the same test asks the same of the other back end, statuses have to be equal, and the outputs of samples that were solved
close: to 12 of 16 digits where steps are fixed or an equation is solved to the last digits, else as the tolerance allows.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from implicitdsl.layers import bodies, entries
from implicitdsl.solvers.status import NEAR_SINGULAR, SUCCESS

LARGE = 1 << 20
"""Bytes of arguments beyond which a solve is not kept."""
DIGITS = 4500.0
"""1e-12 in units of the last digit of float64, and 5e-4 in those of float32."""
ROOM = 100.0
"""Times its rtol, what the answers of two runs whose steps are their own may differ by."""
EXACT = ("net", "root", "argmin")
"""Kinds whose answers do not depend on a tolerance."""


@dataclasses.dataclass
class Outcome:
    """What a solve gave, and how far from it another may be."""

    status: NDArray[Any]
    outputs: list[NDArray[Any]]
    room: float

    def differs(self, other: Outcome) -> str | None:
        """What the other is not equal in, or None."""
        if not np.array_equal(self.status, other.status):
            return f"statuses {self.status.tolist()} and {other.status.tolist()}"
        solved = self.status == SUCCESS
        pairs = [(a[solved], b[solved]) for a, b in zip(self.outputs, other.outputs, strict=True)]
        sizes = [np.abs(a[np.isfinite(a)]).max(initial=0.0) for a, _ in pairs]
        scale = max(sizes, default=0.0)
        # Beside 1 what is nothing but rounding.
        room = max(self.room, other.room) * (scale if scale > 1e-9 else 1.0)
        for number, (a, b) in enumerate(pairs):
            if not np.allclose(a, b, rtol=0.0, atol=room, equal_nan=True):
                return f"output {number} by {np.nanmax(np.abs(a - b)):.1e}, where {room:.1e} is allowed"
        return None


class Outcomes:
    """Keeps the outcomes on one back end until the other has been asked."""

    def __init__(self) -> None:
        self._file, self._test, self._backend = "", "", ""
        self._layers: dict[str, tuple[Any, ...]] = {}
        self._kept: dict[tuple[Any, ...], dict[str, Outcome]] = {}
        self._asked: dict[tuple[Any, ...], int] = defaultdict(int)
        self._differences: list[str] = []
        self._compared = 0
        self._watch()

    def _watch(self) -> None:
        make, solve = entries.BlueprintEntries.entry, bodies.solve

        def entry(maker: Any, key: str, piece: int, dtype: Any, sizes: Any) -> Any:
            made, blueprint = make(maker, key, piece, dtype, sizes), maker._blueprint
            options = dataclasses.replace(blueprint.options, backend=None, threads=None, on_fail="raise")
            text = hash(blueprint.recipe[0]) if blueprint.recipe else 0
            about = (text, tuple(blueprint.sizes.items()), options, piece, tuple(sizes.items()))
            self._layers[made.key] = (blueprint.kind, blueprint.name, *about)
            return made

        def watched(entry: Any, args: Any, shape: Any, on_fail: Any, *run: Any, **named: Any) -> Any:
            answers = solve(entry, args, shape, on_fail, *run, **named)
            if self._backend and entry.key in self._layers and sum(a.nbytes for a in args) <= LARGE:
                self._keep(entry, args, (shape, run), answers)
            return answers

        entries.BlueprintEntries.entry, bodies.solve = entry, watched

    def _keep(self, entry: Any, args: Sequence[NDArray[Any]], run: Any, answers: Any) -> None:
        outputs, status, notes, *_ = answers
        layer = self._layers[entry.key]
        bits = hashlib.blake2b(digest_size=16)
        for a in args:
            bits.update(repr((a.shape, a.dtype.str)).encode() + np.ascontiguousarray(a).tobytes())
        asked = (self._test, *layer, run, bits.digest())
        self._asked[asked] += 1
        key = (*asked, self._asked[asked])
        found = Outcome(np.array(status), [np.array(o) for o in outputs], _room(entry.engine, layer[0], notes))
        pair = self._kept.setdefault(key, {})
        pair[self._backend] = found
        if len(pair) == 2:
            self._compared += 1
            said = pair["lanes"].differs(pair["python"])
            if said is not None:
                self._differences.append(f"{layer[1]}: lanes and python differ in {said}")
            del self._kept[key]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        file = item.nodeid.partition("::")[0]
        if file != self._file:
            self._file = file
            self._kept.clear()
        self._asked.clear()
        self._differences.clear()
        parts = item.callspec.id.split("-") if hasattr(item, "callspec") else []
        self._backend = next((part for part in parts if part in ("lanes", "python")), "")
        if self._backend:
            parts.remove(self._backend)
        self._test = f"{getattr(item, 'originalname', item.name)} {parts}"
        try:
            found = yield
        finally:
            self._backend = ""
        assert not self._differences, "\n".join(self._differences[:5])
        return found

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["compared"] = self._compared

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._compared += getattr(node, "workeroutput", {}).get("compared", 0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.line(f"solves compared between the back ends: {self._compared}")


def _room(engine: Any, kind: str, notes: NDArray[Any]) -> float:
    """The difference between answers that is allowed, in units of their size."""
    eps = float(np.finfo(engine.dtype).eps)
    if (np.asarray(notes) & NEAR_SINGULAR).any():
        # The last digit of a residual is half the digits of an answer where two of them meet.
        return DIGITS * eps**0.5
    settings = getattr(engine, "_settings", None) or getattr(engine, "spec", None)
    tolerance = 0.0 if kind in EXACT or getattr(settings, "dt", None) else getattr(settings, "rtol", 0.0)
    return max(DIGITS * eps, ROOM * tolerance)
