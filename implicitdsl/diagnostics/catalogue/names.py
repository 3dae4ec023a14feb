"""Records of the family E2xx, names."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

CODES: tuple[Code, ...] = ()
