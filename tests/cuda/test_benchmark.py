"""What is sent to a GPU's machine, run here: every kernel, its arguments and the comparison, one sample at a time."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cuda import __main__, driver
from benchmarks.cuda.emit import emit
from benchmarks.cuda.plan import Output, digests, only_read
from benchmarks.cuda.run import run
from benchmarks.cuda.works import WORKS
from implicitdsl.backends.lanes.target import Device
from tests.cuda.host import HOST, HostDriver


@pytest.mark.parametrize("name", ["lv_gradient", "deq"])
def test_a_sample_alone_has_the_bits_that_it_has_in_lanes(name: str, tmp_path: Path) -> None:
    emit(tmp_path, [name], HOST, most=256)
    (facts,) = run(HostDriver(), tmp_path, [], np.inf)
    assert "error" not in facts
    for found in facts["outputs"].values():
        assert found["equal_numbers"] == found["numbers"]
        assert found["equal_chunks"] == found["chunks"] == 1


@pytest.mark.parametrize("name", WORKS)
def test_kernels_are_given_what_they_take(name: str) -> None:
    def make(modules: Any, entries: Any, sizes: Any, /) -> bytes:
        return b""

    case = WORKS[name](Device(1, make)).case
    assert case.launches and case.outputs


def test_what_nobody_reads_is_not_compared() -> None:
    outputs = {"values": Output("w", 0, 2, read_where="facts"), "facts": Output("facts", 0, 2, exact=True)}
    facts = np.array([[1.0, 7.0], [0.0, 30.0]])
    one, other = (only_read(outputs, {"values": np.array([[1.0, 2.0], [x, x]]), "facts": facts}) for x in (3.0, np.nan))
    np.testing.assert_array_equal(one["values"], [[1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_array_equal(digests(one["values"]), digests(other["values"]))
    np.testing.assert_array_equal(one["facts"], facts)


def test_without_a_driver_nothing_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(driver, "LIBRARIES", ("libcuda.so.none",))
    monkeypatch.setattr(sys, "argv", ["cuda", "run", str(tmp_path)])
    assert __main__.main() == __main__.NO_DEVICE
    assert "no CUDA driver" in capsys.readouterr().err


def test_a_launch_passes_the_number_of_samples_first() -> None:
    seen: list[Any] = []

    class Library:
        def cuLaunchKernel(self, *given: Any) -> int:
            places = given[9]
            seen.append((given[1], given[4], [ctypes.c_uint64.from_address(p).value for p in places]))
            return 0

    made = object.__new__(driver.Driver)
    made._library, made._threads = Library(), 64
    made.launch(None, 130, [1 << 40, 0, 7])
    assert seen == [(3, 64, [130, 1 << 40, 0, 7])]
