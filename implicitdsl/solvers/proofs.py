"""What proves that a convex program has no solution, and how a near proof is made an exact one.

Farkas: multipliers v of the rows C x (=, <=) s with C'v = 0, v_i >= 0 for the inequalities and s'v < 0 leave no point that meets them. A ray
d with Q d = 0, C d = 0 (equations) or <= 0 and q'd < 0 leaves no least value. Iterates of an interior point tend to both directions, at
first fast and then, with proximal terms and rounding, slowly: a few decades are cheap, the last ones cost most of the steps. So a
near proof is projected on the subspace that an exact one lies in: multipliers measured each by its own size, as in the affine scaling of
Dikin (Soviet Math. Dokl. 8 (1967)), which leaves those that vanish near 0; directions on the null space of Q and of the rows that
they run along.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.linear_algebra import epsilon_of, largest, matvec, matvec_transposed, rounding
from implicitdsl.solvers.rank_revealing import qr_factor, rank_of, reflect
from implicitdsl.solvers.row_terms import share_of_terms
from implicitdsl.solvers.vocabulary import Array, Element, buffer, dot, vabs

NEAR = 0.1
"""What a direction may miss, relative to what it gains, to be worth a projection."""
FEW = 4.0
"""Last bits of its terms that an entry of C'v may be off by where v cannot be told from an exact proof."""
ROUNDS = 4
"""Projections in which rows that a direction leaves through are added to those that it runs along."""


def farkas_miss(n: int, count: int, rows: Array, sides: Array, multipliers: Array) -> Element:
    """max |C' multipliers| relative to -sides' multipliers, infinite where that is not clearly positive."""
    if count == 0:
        return np.inf + 0.0 * epsilon_of(rows)
    value = -dot(count, sides, 0, multipliers, 0)
    if not (value > 1e-7 * largest(count, multipliers)):
        return np.inf + 0.0 * epsilon_of(rows)
    pull = buffer(rows, n)
    matvec_transposed(count, n, rows, multipliers, pull)
    return largest(n, pull) / value


def ray_miss(n: int, equations: int, count: int, hessian: Array, cost: Array, rows: Array, x: Array) -> Element:
    """The largest of Q x, of the equations' C x and of the positive part of the others', relative to -q'x; infinite where that is not
    positive."""
    gain = -dot(n, cost, 0, x, 0)
    if not (gain > 0.0):
        return np.inf + 0.0 * epsilon_of(rows)
    curve = buffer(x, n)
    image = buffer(x, count)
    matvec(n, n, hessian, x, curve)
    matvec(count, n, rows, x, image)
    miss = largest(n, curve)
    for i in range(count):
        miss = max(miss, vabs(image[i]) if i < equations else image[i])
    return miss / gain


def close_enough(rows: Array) -> Element:
    """What a proof may miss: 1e-9, or a twentieth of the root of eps if that is more."""
    return max(1e-9, 0.05 * epsilon_of(rows) ** 0.5)


def proves_infeasible(n: int, count: int, rows: Array, sides: Array, multipliers: Array) -> bool:
    """Whether the multipliers, not negative where they must not be, are a Farkas certificate."""
    return farkas_miss(n, count, rows, sides, multipliers) <= close_enough(rows)


def proves_unbounded(n: int, equations: int, count: int, hessian: Array, cost: Array, rows: Array, x: Array) -> bool:
    """Whether x is a ray."""
    return ray_miss(n, equations, count, hessian, cost, rows, x) <= close_enough(rows)


def project_farkas(
    n: int, equations: int, count: int, rows: Array, sides: Array, multipliers: Array, proof: Array
) -> bool:
    """proof (count) := the certificate nearest to the multipliers, in units of themselves; whether it is one beyond rounding."""
    eps = epsilon_of(rows)
    top = largest(count, multipliers)
    if count == 0 or not (top > 0.0 and top < np.inf):
        return False
    units = buffer(rows, count)
    scaled = buffer(rows, count * n)
    for i in range(count):
        units[i] = 1.0 if i < equations else max(multipliers[i], 0.0) / top
        scaled[i * n : i * n + n] = units[i] * rows[i * n : i * n + n]
        proof[i] = multipliers[i] / top if i < equations else (1.0 if units[i] > 0.0 else 0.0)
    project_out(count, n, scaled, proof)
    size = 0.0 * eps
    for i in range(count):
        if i >= equations and not (proof[i] >= 0.0):
            return False
        proof[i] *= units[i]
        size += vabs(proof[i] * sides[i])
    # A set that is empty by the rounding of its sides alone is not empty.
    if not (-dot(count, sides, 0, proof, 0) > share_of_terms(eps, n, count) * size):
        return False
    return pulls_by_rounding(n, count, rows, proof) or proves_infeasible(n, count, rows, sides, proof)


def pulls_by_rounding(n: int, count: int, rows: Array, multipliers: Array) -> bool:
    """Whether every entry of C' multipliers is a few last bits of its own terms, which is what rows rounded elsewhere may leave."""
    pull = buffer(rows, n)
    terms = buffer(rows, n)
    matvec_transposed(count, n, rows, multipliers, pull)
    matvec_transposed(count, n, np.abs(rows[: count * n]), np.abs(multipliers[:count]), terms)
    for k in range(n):
        if not (vabs(pull[k]) <= FEW * epsilon_of(rows) * terms[k]):
            return False
    return True


def project_ray(
    n: int, equations: int, count: int, hessian: Array, cost: Array, rows: Array, guess: Array, x: Array, ray: Array
) -> bool:
    """ray (n) := the direction nearest to x that runs along the rows of guess = 1, to which the rows are added that it leaves through;
    whether it is a ray beyond rounding."""
    eps = epsilon_of(rows)
    top = largest(n, x)
    if not (top > 0.0 and top < np.inf):
        return False
    image = buffer(x, count)
    for _ in range(ROUNDS):
        held = 0
        for i in range(count):
            held += guess[i]
        width = n + held
        columns = buffer(x, n * width)
        table = columns[: n * width].reshape((n, width))
        for k in range(n):
            table[:, k] = hessian[k * n : k * n + n]
        place = n
        for i in range(count):
            if guess[i] == 1:
                table[:, place] = rows[i * n : i * n + n]
                place += 1
        ray[:n] = x[:n] / top
        project_out(n, width, columns, ray)
        size = 0.0 * eps
        for k in range(n):
            size += vabs(cost[k] * ray[k])
        gain = -dot(n, cost, 0, ray, 0)
        if not (gain > share_of_terms(eps, n, count) * size):
            return False
        matvec(count, n, rows, ray, image)
        changed = 0
        for i in range(count):
            if guess[i] == 0 and image[i] > close_enough(rows) * gain:
                guess[i] = 1
                changed += 1
        if changed == 0:
            return proves_unbounded(n, equations, count, hessian, cost, rows, ray)
    return False


def project_out(m: int, n: int, columns: Array, x: Array) -> None:
    """x (m) := what is orthogonal to the n columns of a matrix, which is overwritten."""
    tau = buffer(x, min(m, n))
    order = np.zeros(n, np.int64)
    qr_factor(m, n, columns, tau, order, 1)
    rank = rank_of(m, n, columns, rounding(epsilon_of(x), 1e2 * n))
    reflect(m, n, min(m, n), columns, tau, 1, x)
    x[:rank] = 0.0
    reflect(m, n, min(m, n), columns, tau, 0, x)
