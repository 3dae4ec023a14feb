"""Records of the family E7xx, run time."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

CODES: tuple[Code, ...] = ()
