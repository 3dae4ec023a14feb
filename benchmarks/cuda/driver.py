"""CUDA's driver by ctypes: as much of it as runs a kernel and times it.

Written after NVIDIA's CUDA Driver API reference; every return code is checked.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LIBRARIES = ("libcuda.so.1", "libcuda.so", "/usr/local/nvidia/lib64/libcuda.so.1")
_REGISTERS, _LOCAL, _MAJOR, _MINOR, _PROCESSORS = 4, 3, 75, 76, 16


class NoDeviceError(RuntimeError):
    """There is no GPU, or no driver."""


class Driver:
    """The first GPU; memory is given back by `clear`. `threads` are those of a block: kernels of many registers leave
    room for few."""

    def __init__(self, threads: int = 64) -> None:
        self._threads = threads
        self._library = _library()
        self._held: list[Any] = []
        if self._library.cuInit(0) != 0:
            raise NoDeviceError("the driver finds no GPU")
        self._device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(self._device), 0)
        self._open()

    def _open(self) -> None:
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        self._call("cuCtxSetCurrent", context)
        self._events = [self._event(), self._event()]

    def begin_again(self) -> None:
        """After an error: everything of this process on the device goes, modules too; a kernel that read where nothing
        is leaves a context in which nothing runs."""
        self._held.clear()
        self._call("cuDevicePrimaryCtxReset_v2", self._device)
        self._open()

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            raise RuntimeError(f"{name}: {code} {(text.value or b'?').decode()}")

    def _event(self) -> Any:
        found = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(found), 0)
        return found

    def _attribute(self, number: int) -> int:
        found = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(found), number, self._device)
        return found.value

    @property
    def about(self) -> dict[str, Any]:
        """Name, capability and number of multiprocessors, and the version of the driver."""
        name, version = ctypes.create_string_buffer(100), ctypes.c_int()
        self._call("cuDeviceGetName", name, 100, self._device)
        self._call("cuDriverGetVersion", ctypes.byref(version))
        return {
            "name": name.value.decode(), "capability": f"{self._attribute(_MAJOR)}.{self._attribute(_MINOR)}",
            "multiprocessors": self._attribute(_PROCESSORS), "driver": version.value,
        }  # fmt: skip

    # ------------------------------------------------------------ memory

    def room(self, size: int) -> int:
        """So many bytes on the device."""
        found = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(found), ctypes.c_size_t(max(size, 16)))
        self._held.append(found)
        return found.value

    def free_bytes(self) -> int:
        """Bytes that nobody holds."""
        free, whole = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(whole))
        return free.value

    def put(self, address: int, array: Array) -> None:
        """Copies an array to the device."""
        held = np.ascontiguousarray(array)
        given = ctypes.c_void_p(held.__array_interface__["data"][0])
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), given, ctypes.c_size_t(held.nbytes))

    def poison(self, address: int, size: int) -> None:
        """Sets bytes so that nothing left over looks like a result."""
        self._call("cuMemsetD8_v2", ctypes.c_uint64(address), ctypes.c_ubyte(0xFF), ctypes.c_size_t(size))

    def take(self, address: int, shape: tuple[int, ...], dtype: Any) -> Array:
        """A copy of an array on the device."""
        found = np.empty(shape, dtype)
        into = ctypes.c_void_p(found.__array_interface__["data"][0])
        self._call("cuMemcpyDtoH_v2", into, ctypes.c_uint64(address), ctypes.c_size_t(found.nbytes))
        return found

    def clear(self) -> None:
        """Gives all memory back."""
        for each in self._held:
            self._call("cuMemFree_v2", each)
        self._held.clear()

    # ------------------------------------------------------------ kernels

    def load(self, folder: Path, name: str, variant: str = "") -> Any:
        """A module: machine code of a variant for this GPU if it is there, else PTX, which the driver assembles."""
        module = ctypes.c_void_p()
        place = folder / f"{name}.{self._attribute(_MAJOR)}{self._attribute(_MINOR)}{variant}.cubin"
        code = place.read_bytes() if place.exists() else (folder / f"{name}.ptx").read_bytes() + b"\0"
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(code))
        return module

    def write_global(self, module: Any, name: str, array: Array) -> None:
        """Writes numbers into a place of a module. Raises RuntimeError where there is none, or one of another size."""
        address, size = ctypes.c_uint64(), ctypes.c_size_t()
        self._call("cuModuleGetGlobal_v2", ctypes.byref(address), ctypes.byref(size), module, name.encode())
        if size.value != array.nbytes:
            raise RuntimeError(f"`{name}` has {size.value} bytes, not {array.nbytes}")
        self.put(address.value, array)

    def kernel(self, module: Any, name: str) -> Any:
        """A kernel of a module."""
        found = ctypes.c_void_p()
        self._call("cuModuleGetFunction", ctypes.byref(found), module, name.encode())
        return found

    def costs(self, kernel: Any) -> dict[str, int]:
        """Registers of a thread, and bytes of its own memory."""
        found = {}
        for name, number in (("registers", _REGISTERS), ("local", _LOCAL)):
            value = ctypes.c_int()
            self._call("cuFuncGetAttribute", ctypes.byref(value), number, kernel)
            found[name] = value.value
        return found

    def launch(self, kernel: Any, samples: int, arguments: Sequence[int]) -> None:
        """Starts a kernel for so many samples, their number first; every further argument is a whole number of 64 bits,
        or an address."""
        values = [ctypes.c_uint64(value) for value in (samples, *arguments)]
        given = (ctypes.c_void_p * len(values))(*[ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in values])
        blocks = -(-samples // self._threads)
        self._call("cuLaunchKernel", kernel, blocks, 1, 1, self._threads, 1, 1, 0, None, given, None)

    def begin(self) -> None:
        """Notes the time on the device."""
        self._call("cuEventRecord", self._events[0], None)

    def seconds(self) -> float:
        """Waits; gives what passed on the device since `begin`."""
        found = ctypes.c_float()
        self._call("cuEventRecord", self._events[1], None)
        self._call("cuEventSynchronize", self._events[1])
        self._call("cuEventElapsedTime", ctypes.byref(found), *self._events)
        return found.value / 1e3


def _library() -> Any:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise NoDeviceError("there is no CUDA driver (libcuda.so.1) on this machine")
