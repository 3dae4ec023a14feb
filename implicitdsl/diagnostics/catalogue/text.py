"""Records of the family E1xx and W1xx, the text."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

CODES: tuple[Code, ...] = ()
