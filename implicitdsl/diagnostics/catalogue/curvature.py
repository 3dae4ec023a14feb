"""Records of the family E5xx, curvature."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

CODES: tuple[Code, ...] = ()
