"""`python -m benchmarks [WORK …]`: runs works, prints and writes their rows, and the page made of them."""

from __future__ import annotations

from benchmarks.cli import main

if __name__ == "__main__":
    main()
