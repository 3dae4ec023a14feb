"""The back end `lanes`: solver functions compiled for a SIMD vector of samples at a time."""

from implicitdsl.backends.lanes.build import HELP, build, refuse

__all__ = ["HELP", "build", "refuse"]
