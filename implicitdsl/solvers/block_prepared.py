"""What many programs with the same matrices share: Q and C scaled, C', and whether Q is convex.

A prepared program lies in one array: Q (n*n), C (count*n), C' (n*count), the scales of the variables (n), of the rows (count) and of
the objective (2, as `scale_matrices` says), and 1 where it is sound, else 0.
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import weighted_cholesky
from implicitdsl.solvers.block_scaling import scale_matrices
from implicitdsl.solvers.vocabulary import Array, and_, epsilon, select, view


def size_of_prepared(n: int, count: int) -> int:
    """Elements of a prepared program."""
    return n * n + 2 * n * count + n + count + 3


def prepare(n: int, count: int, prepared: Array, room: Array) -> None:
    """Prepares the program whose Q and C stand at their places; n >= 1, room has n*n + n elements."""
    quadratic, rows, columns = (
        quadratic_of(n, count, prepared),
        rows_of(n, count, prepared),
        columns_of(n, count, prepared),
    )
    weights = weights_of(n, count, prepared)
    sound = scale_matrices(
        n,
        count,
        quadratic,
        rows,
        columns,
        factors_of(n, count, prepared),
        weights,
        objective_of(n, count, prepared),
        room,
    )
    # What is convex by this shift is so by that of `interior_point`, which is larger by the square of what scalings may differ by.
    shift = 8.0 * n * epsilon(prepared)
    sound = and_(sound, weighted_cholesky(n, 0, quadratic, shift, columns, weights, room, view(room, n, n * n)))
    prepared[n * n + 2 * n * count + n + count + 2] = select(sound, 1.0, 0.0)


def quadratic_of(n: int, count: int, prepared: Array) -> Array:
    """Q (n*n)."""
    return view(prepared, 0, n * n)


def rows_of(n: int, count: int, prepared: Array) -> Array:
    """C (count*n)."""
    return view(prepared, n * n, count * n)


def columns_of(n: int, count: int, prepared: Array) -> Array:
    """C' (n*count)."""
    return view(prepared, n * n + count * n, n * count)


def factors_of(n: int, count: int, prepared: Array) -> Array:
    """The scales of the variables (n)."""
    return view(prepared, n * n + 2 * n * count, n)


def weights_of(n: int, count: int, prepared: Array) -> Array:
    """The scales of the rows (count)."""
    return view(prepared, n * n + 2 * n * count + n, count)


def objective_of(n: int, count: int, prepared: Array) -> Array:
    """The scale of the objective, and whether Q is not 0 (2)."""
    return view(prepared, n * n + 2 * n * count + n + count, 2)


def soundness_of(n: int, count: int, prepared: Array) -> Array:
    """1 where it is sound, else 0 (1)."""
    return view(prepared, n * n + 2 * n * count + n + count + 2, 1)
