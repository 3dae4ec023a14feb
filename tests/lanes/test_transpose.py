"""Machine code that puts samples into lanes and takes them out, against NumPy's indexing."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.backends.lanes import layout, transpose

WIDTH = {"float64": 8, "float32": 16}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch", [1, 9, 253])
@pytest.mark.parametrize("size", [1, 3, 8, 16, 21])
def test_samples_go_into_lanes_and_back(dtype: str, batch: int, size: int) -> None:
    draws, width = np.random.default_rng(batch * size), WIDTH[dtype]
    value = draws.standard_normal((batch, size)).astype(dtype)
    for rows in (slice(0, batch), slice(batch // 3, batch), draws.permutation(batch), draws.permutation(batch)[:5]):
        places = np.arange(batch)[rows]
        blocks = -(-len(places) // width)
        # Places in the lanes that the group does not have stay as they were.
        lanes = np.full((blocks, size + 2, width), 7.0, dtype)
        assert transpose.fits(lanes[:, 1 : size + 1], value)
        for zeros in (False, True):
            transpose.into_lanes(lanes[:, 1 : size + 1], value, rows, zeros=zeros)
            found = lanes.transpose(0, 2, 1).reshape(-1, size + 2)
            assert np.array_equal(found[: len(places), 1:-1], value[places])
            assert np.array_equal(found[len(places) :, 1:-1], np.tile(0 * value[:1] if zeros else value[places[-1:]],
                                                                      (len(found) - len(places), 1)))  # fmt: skip
            assert (found[:, [0, -1]] == 7.0).all()
        # What lanes left over hold goes nowhere.
        lanes[:, 1:-1] = draws.standard_normal((blocks, size, width))
        whole = np.full((batch, size), 5.0, dtype)
        transpose.out_of_lanes(lanes[:, 1:-1], whole, rows)
        wanted = np.full((batch, size), 5.0, dtype)
        wanted[places] = layout.take_lanes(lanes[:, 1:-1], len(places))
        assert np.array_equal(whole, wanted)


def test_what_lies_otherwise_is_left_to_numpy() -> None:
    lanes, rows = np.zeros((40, 8, 8)), np.zeros((320, 8))
    assert transpose.fits(lanes, rows)
    assert not transpose.fits(lanes, rows.astype(np.float32))
    assert not transpose.fits(lanes, rows.T[:8].T[:, ::2])
    assert not transpose.fits(lanes[:, :, ::2], rows)


def test_the_code_is_asked_when_it_has_paid_to_load_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transpose, "_moved", 0)
    lanes, rows = np.zeros((40, 8, 8)), np.zeros((320, 8))
    calls = 0
    while not transpose.moves(lanes, rows):
        calls += 1
    assert calls == -(-transpose.PATIENCE // lanes.size)
    assert not transpose.moves(lanes[:1], rows[:8])
