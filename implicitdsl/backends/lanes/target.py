"""For whom machine code is made: this processor's lanes, or a device whose back end makes its own of the same modules.

A device asks for another number of samples in an element, and takes what would have been linked into an object file:
the bitcode of the solvers and the text of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


class Make(Protocol):
    """Makes code that defines `entries` of some modules; `sizes` are those that words are written out for."""

    def __call__(self, modules: Sequence[str | bytes], entries: Sequence[str], sizes: Sequence[int], /) -> bytes: ...


@dataclass(frozen=True)
class Device:
    """What is no processor of ours: the samples in an element there, and what makes its code."""

    width: int
    make: Make


_device: ContextVar[Device | None] = ContextVar("the device that code is made for", default=None)


@contextmanager
def made_for(device: Device) -> Iterator[None]:
    """Engines built inside are for the device: their code is made by it and cannot be run here."""
    token = _device.set(device)
    try:
        yield
    finally:
        _device.reset(token)


def device() -> Device | None:
    """The device that code is made for, None where it is this processor."""
    return _device.get()


def width_of(dtype: str, lanes: Mapping[str, int]) -> int:
    """The samples in an element: those of the device, else `lanes[dtype]`."""
    found = _device.get()
    return lanes[dtype] if found is None else found.width
