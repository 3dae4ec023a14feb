"""What a contraction counts: its terms, and nothing where it only moves."""

from __future__ import annotations

import pytest

from implicitdsl.ir import build as b
from implicitdsl.ir.contraction import contract
from implicitdsl.ir.operations import operations

A, X, S = (b.leaf("input", name, shape) for name, shape in (("A", (3, 4)), ("x", (4,)), ("s", ())))


@pytest.mark.parametrize(
    ("spec", "operands", "sizes", "terms"),
    [
        ("ij,j->i", (A, X), {}, 12),
        ("ij->i", (A,), {}, 12),
        ("ij->", (A,), {}, 12),
        # A sum that is broadcast again is a sum, though it has as many letters as its argument.
        ("ij->ik", (A,), {"k": 7}, 12),
        ("i,j->ij", (X, X), {}, 16),
        # Moves.
        ("ij->ji", (A,), {}, 0),
        ("->i", (S,), {"i": 7}, 0),
        ("i->ij", (X,), {"j": 7}, 0),
    ],
)
def test_the_terms_of_a_contraction(spec: str, operands: tuple, sizes: dict[str, int], terms: int) -> None:
    scalar, found = operations([contract(spec, *operands, sizes=sizes)])
    assert found == terms
    assert not scalar
