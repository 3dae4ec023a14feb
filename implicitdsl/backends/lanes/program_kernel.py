"""Quadratic programs for a range of blocks of samples: code that knows no model, sizes being data.

`prepared_all` holds prepared programs (see `block_prepared.py`), one every `step` elements, so that 0 is one for all
blocks; `vectors_all` q (n) and the sides of the rows (count) of each block. `held_all` has count numbers a block,
`kept_all` what `factor_held` keeps.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.block_held import factor_held, room_of_factors, solve_held
from implicitdsl.solvers.block_prepared import prepare, size_of_prepared
from implicitdsl.solvers.block_program import block_program
from implicitdsl.solvers.vocabulary import select, view

Array = Any


def any_prepare(blocks: int, n: int, equations: int, count: int, prepared_all: Array, room: Array) -> int:
    """Prepares programs whose matrices stand at their places."""
    size = size_of_prepared(n, count)
    for block in range(blocks):
        prepare(n, equations, count, view(prepared_all, block * size, size), room)
    return 0


def any_solve(
    blocks: int, n: int, equations: int, count: int, prepared_all: Array, step: int, vectors_all: Array, w_all: Array,
    held_all: Array, facts_all: Array, room: Array, kept_all: Array, keeping: int,
) -> int:  # fmt: skip
    """Solves what is clear; scales the vectors. `facts_all` receives 2 numbers a block, as `block_program` says, and
    `kept_all`, if keeping = 1, what `any_factor` would find."""
    size, kept = size_of_prepared(n, count), room_of_factors(n, count) * keeping
    for block in range(blocks):
        vectors, w = view(vectors_all, block * (n + count), n + count), view(w_all, block * (n + count), n + count)
        block_program(
            n, equations, count, view(prepared_all, block * step, size), view(vectors, 0, n), view(vectors, n, count),
            room, view(w, 0, n), view(w, n, count), view(held_all, block * count, count), view(facts_all, block * 2, 2),
            view(kept_all, block * kept, kept), keeping,
        )  # fmt: skip
    return 0


def any_factor(
    blocks: int, n: int, count: int, prepared_all: Array, step: int, held_all: Array, kept_all: Array, room: Array
) -> int:  # fmt: skip
    """Factors the KKT systems of the rows held."""
    size, kept = size_of_prepared(n, count), room_of_factors(n, count)
    for block in range(blocks):
        factor_held(
            n, count, view(prepared_all, block * step, size), view(held_all, block * count, count),
            view(kept_all, block * kept, kept), room,
        )  # fmt: skip
    return 0


def any_held(
    blocks: int, n: int, count: int, transposed: int, prepared_all: Array, step: int, held_all: Array, kept_all: Array,
    given_all: Array, found_all: Array, good_all: Array, room: Array,
) -> int:  # fmt: skip
    """found := the solution of K x = -given, or K'x = -given; good := good where it is one, else 0."""
    size, kept, whole = size_of_prepared(n, count), room_of_factors(n, count), n + count
    for block in range(blocks):
        good = solve_held(
            n, count, transposed, view(prepared_all, block * step, size), view(held_all, block * count, count),
            view(kept_all, block * kept, kept), view(given_all, block * whole, whole),
            view(found_all, block * whole, whole), room,
        )  # fmt: skip
        good_all[block] = select(good, good_all[block], 0.0)
    return 0
