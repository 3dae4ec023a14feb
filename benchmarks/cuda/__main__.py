"""The command: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.cuda.driver import Driver, NoDeviceError
from benchmarks.cuda.run import run

NO_DEVICE = 3
"""The exit code where there is no GPU."""


def main() -> int:
    """Gives the exit code: 1 where a status or a number of steps is not that of lanes, or a case did not run."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    arguments.add_argument("what", choices=("emit", "run", "page"))
    arguments.add_argument("folder", type=Path, nargs="?", default=Path("gpu"), help="`page` needs none")
    arguments.add_argument("cases", nargs="*", help="only these cases")
    arguments.add_argument("--seconds", type=float, default=240.0, help="begin no case after so many seconds")
    arguments.add_argument("--log", type=Path, help="a file for the lines of JSON, which are printed otherwise")
    arguments.add_argument("--most", type=int, help="at most so many samples")
    arguments.add_argument("--threads", type=int, default=64, help="threads of a block")
    given = arguments.parse_args()
    if given.what == "emit":
        # What compiles is imported only here: a GPU's machine need not have it.
        from benchmarks.cuda.emit import emit

        emit(given.folder, given.cases, most=given.most)
        return 0
    if given.what == "page":
        from benchmarks.page import write_ladder

        write_ladder()
        return 0
    try:
        driver = Driver(given.threads)
    except NoDeviceError as error:
        print(f"nothing was run: {error}", file=sys.stderr)
        return NO_DEVICE
    found = run(driver, given.folder, given.cases, given.seconds, given.log, given.most)
    return 0 if all("error" not in f and _is_exact(f["outputs"].get("facts")) for f in found) else 1


def _is_exact(facts: dict[str, Any] | None) -> bool:
    return facts is None or facts["equal_chunks"] == facts["chunks"]


if __name__ == "__main__":
    sys.exit(main())
