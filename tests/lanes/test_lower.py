"""What Numba makes of solvers, and what a process keeps of it."""

from __future__ import annotations

import gc

from implicitdsl.backends.lanes import ode_solver
from implicitdsl.backends.lanes.pipeline import TextLibrary


def test_of_what_was_lowered_a_process_keeps_bitcode_and_no_module() -> None:
    def lowered(part: str) -> str:
        return ode_solver._make(part, "heun", "float64", 4, written_out=True, far=False, events=False)

    def kept() -> list[TextLibrary]:
        return [found for found in gc.get_objects() if type(found) is TextLibrary]

    # Other tests may hold modules on purpose.
    earlier = kept()
    text = lowered("solve")
    again = lowered("pull")
    # The second calls functions that the first has compiled.
    assert all("define" in t and f"@imp_{name}(" in t for name, t in (("solve", text), ("pull", again)))
    libraries = [library for library in kept() if not any(library is other for other in earlier)]
    called = [library for library in libraries if library._own is not None]
    assert called
    assert all(library._final_module is None for library in libraries)
