"""One work in a process of its own: `python -m benchmarks.one WORK --threads N …` prints its rows as JSON lines.

A process for each (work, threads), because affinity, thread pools and jax's float64 switch hold for a whole process.
"""

from __future__ import annotations

import argparse
import sys
import warnings

from benchmarks.machine import hold_to
from benchmarks.row import write_row
from benchmarks.work import Comparison, Settings


def main() -> None:
    """Runs the work that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one", description=__doc__)
    parser.add_argument("work")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--backend", default="")
    parser.add_argument("--peers")
    parser.add_argument("--only")
    given = parser.parse_args()
    # Before torch, jax and the others are imported: their pools take the number of processors that they find.
    hold_to(given.threads)
    warnings.filterwarnings("ignore")
    import torch

    from benchmarks.compare import compare
    from benchmarks.works import work

    torch.set_num_threads(given.threads)
    peers, only = (
        None if each is None else tuple(n for n in each.split(",") if n) for each in (given.peers, given.only)
    )
    settings = Settings(given.threads, given.seconds, given.backend, peers, only)
    chosen = work(given.work)
    rows = compare(chosen, settings) if isinstance(chosen, Comparison) else chosen.rows(settings)
    for row in rows:
        sys.stdout.write(write_row(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
