"""`python -m implicitdsl` is the program `implicitdsl`."""

from __future__ import annotations

from implicitdsl.cli.main import run

if __name__ == "__main__":
    run()
