"""Code and constants are put wherever the process has room: more than 2 GiB apart must do, in a process full of mappings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A process of its own, because LLVM ends the one in which it fails. Every hole in its address space is filled; then one
# of a few pages is left above 3 GiB of reserved room, so that what no longer fits into it comes to lie far below.
SCRIPT = """
import ctypes
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PRIVATE_ANONYMOUS_NORESERVE = 0x4022

def reserve(size):
    return libc.mmap(None, size, 0, PRIVATE_ANONYMOUS_NORESERVE, -1, 0)

def fill():
    last, run = None, 0
    while run < 2000:
        place = reserve(4096)
        run = run + 1 if last is not None and place == last - 4096 else 0
        last = place

code = make_object(['''
@table = internal constant [4 x double] [double 1.0, double 2.0, double 3.0, double 4.0]
declare double @pow(double, double)
define double @f(double %x, i64 %i) {
  %place = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %entry = load double, ptr %place
  %power = call double @pow(double %x, double %entry)
  ret double %power
}
'''], ["f"])
kept = []
for pages in range(1, 30):
    fill()
    hole = reserve(4096 * pages)
    reserve(3 << 30)
    fill()
    libc.munmap(hole, 4096 * pages)
    kept.append(Loaded(code).function("f", ctypes.c_double, ctypes.c_double, ctypes.c_int64))
    assert kept[-1](2.0, 2) == 8.0
print("loaded", len(kept))
"""


def test_code_far_from_its_constants_runs() -> None:
    if sys.platform != "linux":
        return
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "loaded 29", done.stderr[-500:]
