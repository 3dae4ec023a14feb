"""The solvers lie in Numba's subset: compiled as they stand they agree with plain Python."""

from __future__ import annotations

import os
import subprocess
import sys


def test_compiled_solvers_agree() -> None:
    """Unoptimised code in a process of its own: Numba reads its level of optimisation once, at the first use."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.solvers.algebraic.machine_code_check"],
        env={**os.environ, "NUMBA_OPT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        f"{name} agrees" for name in ("picard", "rescue", "newton", "homotopy", "adjoint", "minimise", "interior_point")
    ], done.stdout + done.stderr
