"""What many programs with the same matrices share: Q and C scaled, C', whether Q is convex, and the factors that a start takes.

A prepared program lies in one array: Q (n*n), C (count*n), C' (n*count), the scales of the variables (n), of the rows (count) and of
the objective (2, as `scale_matrices` says), 1 where it is sound, else 0, and the factor of Q + delta I + C'W C (n*n) with W = 1 for
inequalities and 1/delta for equations.
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import weighted_cholesky
from implicitdsl.solvers.block_scaling import scale_matrices
from implicitdsl.solvers.vocabulary import Array, Element, and_, epsilon, select, view


def size_of_prepared(n: int, count: int) -> int:
    """Elements of a prepared program."""
    return 2 * n * n + 2 * n * count + n + count + 3


def room_of_prepare(n: int, count: int) -> int:
    """Elements of room that `prepare` needs."""
    return max(n * n + n, n * count + count)


def proximal(like: Array) -> Element:
    """delta, a power of 2, so that a quotient by it rounds nothing."""
    if epsilon(like) < 1e-12:
        return 2.0**-26
    return 2.0**-14


def prepare(n: int, equations: int, count: int, prepared: Array, room: Array) -> None:
    """Prepares the program whose Q and C stand at their places, the equations first; n >= 1, room as `room_of_prepare` says."""
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
    delta, press = proximal(prepared), view(room, n * count, count)
    for i in range(count):
        press[i] = prepared[0] * 0.0 + (1.0 / delta if i < equations else 1.0)
    weighted_cholesky(n, count, quadratic, delta, columns, press, room, start_of(n, count, prepared))


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


def start_of(n: int, count: int, prepared: Array) -> Array:
    """The factor that a start takes (n*n)."""
    return view(prepared, n * n + 2 * n * count + n + count + 3, n * n)
