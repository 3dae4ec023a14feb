"""Reading the past of a run: the row of the tape that holds a time, the value there, and the transpose of the reading.

A tape row holds what the dense output of its step is made of, n*(degree + 1) numbers: y, then C_1 … C_degree with
y(t + sigma) = y + sigma*sum_k theta^(k-1)*C_k, theta = sigma/h. The grid row begins with t_hi, t_lo, h. A time to be read
is offset - lag from the start of the step that asks for it; differences of nearby times are taken first, so that a
float32 run reads where it means to. Rows in which this sample made no step are never read.
"""

from __future__ import annotations

from implicitdsl.solvers.dense_output import fraction
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
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
    vabs,
    vmax,
)


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


def find_row(
    on_tape: Mask, row: Element, newest: Element, width: int, grid: Array, t_hi: Element, t_lo: Element, offset: Element,
    lag: Element, direction: Element, place: Array,
) -> Element:  # fmt: skip
    """The last row up to `newest` that begins before the time to be read, searched from `row` on; `place` is room for 2."""
    going = and_(on_tape, row < newest)
    while any_(going):
        gather(2, select(going, row + 1.0, 0.0), width, grid, place, 0)
        ahead = direction * ((((t_hi - place[0]) + (t_lo - place[1])) - lag) + offset)
        going = and_(going, ahead > 0.0)
        row = select(going, row + 1.0, row)
        going = and_(going, row < newest)
    return row


def read_row(
    on_tape: Mask, row: Element, n: int, degree: int, width: int, grid: Array, tape: Array, place: Array, piece: Array
) -> None:  # fmt: skip
    """`place` := t_hi, t_lo, h of a row, `piece` := its numbers; of the first row for samples that read the history."""
    held = select(on_tape, row, 0.0)
    gather(3, held, width, grid, place, 0)
    gather(n * (degree + 1), held, n * (degree + 1), tape, piece, 0)


def write_row(n: int, s: int, degree: int, dense: Array, y: Array, k: Array, tape: Array, row: int) -> None:
    """The row of a step that begins at y with the stages k."""
    at = row * n * (degree + 1)
    copy(n, y, 0, tape, at)
    for q in range(degree):
        fill(n, 0.0, tape, at + (q + 1) * n)
        for i in range(s + 1):
            if dense[i * degree + q] != 0.0:
                axpy(n, dense[i * degree + q], k, i * n, tape, at + (q + 1) * n)


def transpose_row(
    n: int, s: int, degree: int, dense: Array, tape_bar: Array, row: int, k_bar: Array, y_bar: Array
) -> None:  # fmt: skip
    """Transpose `write_row`: additions to `k_bar` and `y_bar`."""
    at = row * n * (degree + 1)
    axpy(n, 1.0, tape_bar, at, y_bar, 0)
    for q in range(degree):
        for i in range(s + 1):
            if dense[i * degree + q] != 0.0:
                axpy(n, dense[i * degree + q], tape_bar, at + (q + 1) * n, k_bar, i * n)


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
    value_bar: Array, tape_bar: Array, place: Array, ends_bar: Array,
) -> Element:  # fmt: skip
    """Transpose `value_at`: adds to the row's numbers in `tape_bar` and to its t and h in `ends_bar` (2 a row); returns
    the cotangent of sigma. `piece_bar` and `place` are scratch."""
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
    place[0] = -sigma_bar
    place[1] = h_bar
    scatter_add(on_tape, 2, place, 0, row, 2, ends_bar)
    return select(on_tape, sigma_bar, 0.0)
