"""Records of the family E6xx, what cannot be executed as asked."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

CODES: tuple[Code, ...] = ()
