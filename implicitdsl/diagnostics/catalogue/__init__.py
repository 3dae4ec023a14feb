"""Every diagnostic code of the language, one record each; `explain CODE` prints them and the tests run them."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue import curvature, equations, execution, names, runtime, sizes, text, warnings
from implicitdsl.diagnostics.catalogue.record import Code

__all__ = ["CATALOGUE", "Code"]

FAMILIES = (text, names, sizes, equations, curvature, execution, runtime, warnings)


def _gather() -> dict[str, Code]:
    catalogue: dict[str, Code] = {}
    for family in FAMILIES:
        for record in family.CODES:
            if record.code in catalogue:
                raise ValueError(f"the code {record.code} has two records")
            catalogue[record.code] = record
    return catalogue


CATALOGUE: dict[str, Code] = _gather()
