"""What groups of derived functions are to a caller on flat arrays."""

from __future__ import annotations

SCALAR_GROUPS = ("t", "t_dot")
"""Scalars; all others are arrays of one axis."""
CACHED_GROUPS = ("p", "p2")
"""What a solver passes many times and never writes into: its values are unpacked once."""
