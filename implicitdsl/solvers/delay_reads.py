"""Reading the past of a run: the row of the tape that holds a time, the value there, and the transpose of the reading.

A tape row holds what the dense output of its step is made of, n*(degree + 1) numbers: y, then C_1 … C_degree with
y(t + sigma) = y + sigma*sum_k theta^(k-1)*C_k, theta = sigma/h. The grid row begins with t_hi, t_lo, h, and the end of the
step. A time to be read is offset - lag from the start of the step that asks for it; differences of nearby times are taken
first, so that a float32 run reads where it means to. Rows in which this sample made no step end where they begin and are
never read. The stages of a step mostly read one row after another: the last row read is held, for each lag.
"""

from __future__ import annotations

from implicitdsl.solvers.dense_output import fraction
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_to_rows,
    and_,
    any_,
    axpy,
    copy,
    dot,
    epsilon,
    fill,
    fma,
    gather,
    scatter_add,
    select,
    sum_rows,
    vabs,
    vmax,
)

PLACE = 5
"""Numbers of a grid row that a reader asks for: t_hi, t_lo, h, and the end of the step."""
PIECE = 1 + PLACE
"""Where the numbers of the tape lie in a row that is held."""


def blur(like: Array, t: Element, lag: Element) -> Element:
    """The distance below which times near t and a lag before it are not told apart."""
    return 32.0 * epsilon(like) * vmax(vabs(t), vabs(lag))


def turn_to(
    count: int, lags: Array, t0: Element, t_hi: Element, t_lo: Element, direction: Element, oldest: Element, rows: Array
) -> None:  # fmt: skip
    """rows[j] := -1 where the steps from t on read lag j from the history, else the row to search from. The start of the
    run plus a lag is the end of a step, so no step reads on both sides of the start."""
    for j in range(count):
        before = direction * (((t_hi - t0) + t_lo) - lags[j]) < -blur(rows, t_hi, lags[j])
        rows[j] = select(before, -1.0, select(rows[j] < 0.0, oldest, rows[j]))


def hold_size(n: int, degree: int) -> int:
    """Numbers of a row that is held: which it is (-1: none), the `PLACE` numbers of the grid, those of the tape."""
    return PIECE + n * (degree + 1)


def find_row(
    on_tape: Mask, first: Element, newest: Element, n: int, degree: int, width: int, grid: Array, tape: Array,
    t_hi: Element, t_lo: Element, offset: Element, lag: Element, direction: Element, hold: Array,
) -> Element:  # fmt: skip
    """The last row up to `newest` that begins before the time to be read, searched from `first` on; it is in `hold` then.

    Where a row held before lies on the way, the search begins there: it ends in the same row."""
    begun = direction * ((((t_hi - hold[1]) + (t_lo - hold[2])) - lag) + offset) > 0.0
    known = and_(and_(hold[0] > first, hold[0] <= newest), begun)
    row = select(on_tape, select(known, hold[0], first), 0.0)
    if any_(row != hold[0]):
        gather(PLACE, row, width, grid, hold, 1)
    going = and_(on_tape, row < newest)
    going = and_(going, direction * ((((t_hi - hold[4]) + (t_lo - hold[5])) - lag) + offset) > 0.0)
    while any_(going):
        row = select(going, row + 1.0, row)
        gather(PLACE, row, width, grid, hold, 1)
        going = and_(going, row < newest)
        going = and_(going, direction * ((((t_hi - hold[4]) + (t_lo - hold[5])) - lag) + offset) > 0.0)
    if any_(row != hold[0]):
        gather(n * (degree + 1), row, n * (degree + 1), tape, hold, PIECE)
        hold[0] = row
    return select(on_tape, row, first)


def hold_row(
    on_tape: Mask, row: Element, n: int, degree: int, width: int, grid: Array, tape: Array, hold: Array
) -> None:  # fmt: skip
    """Put a row in `hold`, unless it is there; the first row for samples that read the history."""
    wanted = select(on_tape, row, 0.0)
    if any_(wanted != hold[0]):
        gather(PLACE, wanted, width, grid, hold, 1)
        gather(n * (degree + 1), wanted, n * (degree + 1), tape, hold, PIECE)
        hold[0] = wanted


def write_row(n: int, s: int, degree: int, dense: Array, y: Array, k: Array, tape: Array, row: int) -> None:
    """The row of a step that begins at y with the stages k."""
    at = row * n * (degree + 1)
    copy(n, y, 0, tape, at)
    for q in range(degree):
        sum_rows(n, s + 1, dense, q, degree, k, 0, n, tape, at + (q + 1) * n)


def transpose_row(
    n: int, s: int, degree: int, dense: Array, tape_bar: Array, row: int, k_bar: Array, y_bar: Array
) -> None:  # fmt: skip
    """Transpose `write_row`: additions to `k_bar` and `y_bar`."""
    at = row * n * (degree + 1)
    axpy(n, 1.0, tape_bar, at, y_bar, 0)
    for q in range(degree):
        add_to_rows(n, s + 1, 1.0, dense, q, degree, tape_bar, at + (q + 1) * n, k_bar, 0, n)


def value_at(
    on_tape: Mask, n: int, degree: int, sigma: Element, h: Element, piece: Array, out: Array
) -> None:  # fmt: skip
    """out := the value of a row's polynomial sigma after its start, for the samples that read the tape."""
    theta = fraction(sigma, h)
    for i in range(n):
        total = piece[degree * n + i]
        for back in range(1, degree):
            total = fma(total, theta, piece[(degree - back) * n + i])
        out[i] = select(on_tape, fma(sigma, total, piece[i]), out[i])


def transpose_value(
    on_tape: Mask, row: Element, n: int, degree: int, sigma: Element, h: Element, piece: Array, piece_bar: Array,
    value_bar: Array, tape_bar: Array, work: Array, ends_bar: Array,
) -> Element:  # fmt: skip
    """Transpose `value_at`: adds to the row's numbers in `tape_bar` and to its t and h in `ends_bar` (2 a row); returns
    the cotangent of sigma. `piece_bar` and `work` (2) are scratch."""
    theta = fraction(sigma, h)
    sigma_bar = 0.0 * h
    h_bar = 0.0 * h
    weight = sigma
    power = 1.0 + 0.0 * h
    copy(n, value_bar, 0, piece_bar, 0)
    for k in range(1, degree + 1):
        along = dot(n, value_bar, 0, piece, k * n)
        sigma_bar = fma(k * power, along, sigma_bar)
        h_bar = fma((1 - k) * power * theta, along, h_bar)
        fill(n, 0.0, piece_bar, k * n)
        axpy(n, weight, value_bar, 0, piece_bar, k * n)
        weight = weight * theta
        power = power * theta
    scatter_add(on_tape, n * (degree + 1), piece_bar, 0, row, n * (degree + 1), tape_bar)
    work[0] = -sigma_bar
    work[1] = h_bar
    scatter_add(on_tape, 2, work, 0, row, 2, ends_bar)
    return select(on_tape, sigma_bar, 0.0)
