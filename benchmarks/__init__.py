"""Our layers and their peers, timed on the same work in one run: `python -m benchmarks`, `make bench`."""
