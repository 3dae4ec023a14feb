"""The back end `python`: the solvers as they are written, on NumPy floats, one sample at a time. Slow, right, and for
ever
the oracle of the tests."""

from implicitdsl.backends.python.build import build, refuse

__all__ = ["build", "refuse"]
