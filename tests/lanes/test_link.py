"""Machine code comes and goes: engines in cycles of objects, and forks while a thread is inside LLVM."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys

from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded

TEXT = "define i64 @imp_number() {\n  ret i64 21\n}\n"
"""A model without a solver, as `test_apart.py` has it: the object is found where that was first."""


def test_engines_in_cycles_are_collected_in_any_order() -> None:
    code = make_object([TEXT], ["imp_number"])
    for _ in range(50):
        loaded = Loaded(code)
        cycle: list[object] = [loaded.function("imp_number", ctypes.c_int64), loaded]
        cycle.append(cycle)
        loaded.__dict__["cycle"] = cycle
        assert cycle[0]() == 21  # type: ignore[operator] - the function put there above
        del loaded, cycle
        gc.collect()


FORKS = """
import os, sys, threading
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
import ctypes
text = {text!r}
code = make_object([text], ["imp_number"])
stop = False
def work():
    while not stop:
        Loaded(code)
thread = threading.Thread(target=work)
thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        found = Loaded(code).function("imp_number", ctypes.c_int64)()
        os._exit(0 if found == 21 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
thread.join()
print("done")
"""


def test_a_fork_while_a_thread_is_inside_llvm_leaves_a_child_that_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS.format(text=TEXT)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "done\n", done.stderr
