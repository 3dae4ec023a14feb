"""Quadratic programs for a range of blocks of samples, in Numba's subset: code that knows no model, sizes being data.

A program lies in `data_all`, one after another: Q (n*n), q (n), the rows of A and G (count*n), their sides (count).
`held_all` has count numbers a block, `kept_all` what `factor_held` keeps.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.block_held import factor_held, room_of_factors, solve_held
from implicitdsl.solvers.block_program import block_program
from implicitdsl.solvers.vocabulary import select, view

Array = Any


def size_of_data(n: int, count: int) -> int:
    """The numbers of one program."""
    return n * n + n + count * n + count


def program_solve(
    blocks: int, n: int, equations: int, count: int, data_all: Array, w_all: Array, held_all: Array, facts_all: Array,
    room: Array,
) -> int:  # fmt: skip
    """Solves what is clear; scales the data. `facts_all` receives 2 numbers a block, as `block_program` says."""
    size = size_of_data(n, count)
    for block in range(blocks):
        data, w = view(data_all, block * size, size), view(w_all, block * (n + count), n + count)
        block_program(
            n, equations, count, view(data, 0, n * n), view(data, n * n, n), view(data, n * n + n, count * n),
            view(data, n * n + n + count * n, count), room, view(w, 0, n), view(w, n, count),
            view(held_all, block * count, count), view(facts_all, block * 2, 2),
        )  # fmt: skip
    return 0


def program_factor(
    blocks: int, n: int, count: int, data_all: Array, held_all: Array, kept_all: Array, room: Array
) -> int:  # fmt: skip
    """Factors the KKT systems of the rows held; scales the data."""
    size, kept = size_of_data(n, count), room_of_factors(n, count)
    for block in range(blocks):
        data = view(data_all, block * size, size)
        factor_held(
            n, count, view(data, 0, n * n), view(data, n * n, n), view(data, n * n + n, count * n),
            view(data, n * n + n + count * n, count), view(held_all, block * count, count),
            view(kept_all, block * kept, kept), room,
        )  # fmt: skip
    return 0


def program_held(
    blocks: int, n: int, count: int, transposed: int, data_all: Array, held_all: Array, kept_all: Array,
    given_all: Array, found_all: Array, good_all: Array, room: Array,
) -> int:  # fmt: skip
    """found := the solution of K x = -given, or K'x = -given; good := good where it is one, else 0."""
    size, kept, whole = size_of_data(n, count), room_of_factors(n, count), n + count
    for block in range(blocks):
        data = view(data_all, block * size, size)
        good = solve_held(
            n, count, transposed, view(data, 0, n * n), view(data, n * n + n, count * n),
            view(held_all, block * count, count), view(kept_all, block * kept, kept),
            view(given_all, block * whole, whole), view(found_all, block * whole, whole), room,
        )  # fmt: skip
        good_all[block] = select(good, good_all[block], 0.0)
    return 0
