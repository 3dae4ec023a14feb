"""What a model of `argmin` adds to its quadratic program, for a range of blocks of samples.

`p_all` holds the flat arguments with the masks of the active set, `w_all` the answers (unknowns, then multipliers),
`v_all` directions of the arguments, `p_bar_all` their gradients.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.block_prepared import size_of_prepared
from implicitdsl.solvers.vocabulary import fill, select, view

Array = Any
Mask = Any

start, conditions, kinks = model["start"], model["conditions"], model["kinks"]
quadratic_matrices, quadratic_vectors = model["quadratic_matrices"], model["quadratic_vectors"]
residual_p, residual_p_jvp, residual_jvp_z, residual_jvp_p = (
    model[f"residual_{end}"] for end in ("p", "p_jvp", "jvp_z", "jvp_p")
)
output, output_z, output_p = model["output"], model["output_z"], model["output_p"]
output_jvp, output_jvp_z, output_jvp_p = (model[f"output_jvp{end}"] for end in ("", "_z", "_p"))
unknowns, equations, constraints = model["unknowns"], model["equations"], model["constraints"]
size_p, size_bar, own_bar, size_out = (model[name] for name in ("size_p", "size_bar", "own_bar", "size_out"))
size_kinks, size_conditions = model["size_kinks"], model["size_conditions"]


def size_w() -> int:
    """Unknowns and multipliers."""
    return unknowns() + constraints()


def matrices(blocks: int, p_all: Array, prepared_all: Array) -> int:
    """Q and the rows of A and G, at their places in programs to be prepared."""
    n, e, count = unknowns(), equations(), constraints()
    size = size_of_prepared(n, count)
    for block in range(blocks):
        found = view(prepared_all, block * size, size)
        rows = view(found, n * n, count * n)
        quadratic_matrices(view(p_all, block * size_p(), size_p()), view(found, 0, n * n), rows, view(rows, e * n, 0))
    return 0


def vectors(blocks: int, p_all: Array, vectors_all: Array, conditions_all: Array) -> int:
    """q and the sides of the rows, and what convexity hangs on."""
    n, e = unknowns(), equations()
    for block in range(blocks):
        p, found = view(p_all, block * size_p(), size_p()), view(vectors_all, block * size_w(), size_w())
        quadratic_vectors(p, view(found, 0, n), view(found, n, 0), view(found, n + e, 0))
        conditions(p, view(conditions_all, block * size_conditions(), size_conditions()))
    return 0


def begin(blocks: int, p_all: Array, w_all: Array) -> int:
    """The starts of the unknowns, with multipliers 0."""
    for block in range(blocks):
        w = view(w_all, block * size_w(), size_w())
        fill(size_w(), 0.0, w, 0)
        start(view(p_all, block * size_p(), size_p()), w)
    return 0


def outputs(blocks: int, p_all: Array, w_all: Array, out_all: Array) -> int:
    """The outputs, then the distances to their kinks."""
    size = size_out() + size_kinks()
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        output(w, p, view(out_all, block * size, size_out()))
        kinks(w, p, view(out_all, block * size + size_out(), size_kinks()))
    return 0


def seed(blocks: int, p_all: Array, w_all: Array, cot_all: Array, w_bar_all: Array) -> int:
    """The cotangents of the outputs, pulled to the answer."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        w_bar = view(w_bar_all, block * size_w(), size_w())
        fill(size_w(), 0.0, w_bar, 0)
        output_z(w, p, view(cot_all, block * size_out(), size_out()), w_bar)
    return 0


def finish(
    blocks: int, p_all: Array, w_all: Array, cot_all: Array, lam_all: Array, good_all: Array, p_bar_all: Array
) -> int:  # fmt: skip
    """The cotangents of the outputs and the adjoint of the KKT system, pulled to the arguments: those of an own member
    from 0 on, those of a shared one added to where its address says. What is not good gives nothing."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        p_bar = view(p_bar_all, block * size_bar(), size_bar())
        cot, lam = view(cot_all, block * size_out(), size_out()), view(lam_all, block * size_w(), size_w())
        good = good_all[block] > 0.0
        keep(size_out(), good, cot)
        keep(size_w(), good, lam)
        fill(own_bar(), 0.0, p_bar, 0)
        output_p(w, p, cot, p_bar)
        residual_p(w, p, lam, p_bar)
    return 0


def keep(n: int, good: Mask, x: Array) -> None:
    """x := 0 where it is not good."""
    for i in range(n):
        x[i] = select(good, x[i], 0.0)


def push(blocks: int, p_all: Array, w_all: Array, v_all: Array, r_all: Array) -> int:
    """The change of the KKT residual along the directions."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        residual_p_jvp(w, p, view(v_all, block * size_p(), size_p()), view(r_all, block * size_w(), size_w()))
    return 0


def pushed(blocks: int, p_all: Array, w_all: Array, v_all: Array, w_dot_all: Array, out_all: Array) -> int:
    """The tangents of the outputs."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        v, w_dot = view(v_all, block * size_p(), size_p()), view(w_dot_all, block * size_w(), size_w())
        output_jvp(w, p, w_dot, v, view(out_all, block * size_out(), size_out()))
    return 0


def seed_second(
    blocks: int, p_all: Array, w_all: Array, v_all: Array, w_dot_all: Array, cot_all: Array, w_bar_all: Array,
    w_dot_bar_all: Array,
) -> int:  # fmt: skip
    """The cotangents of the tangents of the outputs, pulled to the answer and its tangent."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        v, w_dot = view(v_all, block * size_p(), size_p()), view(w_dot_all, block * size_w(), size_w())
        w_bar, w_dot_bar = view(w_bar_all, block * size_w(), size_w()), view(w_dot_bar_all, block * size_w(), size_w())
        fill(size_w(), 0.0, w_bar, 0)
        fill(size_w(), 0.0, w_dot_bar, 0)
        output_jvp_z(w, p, w_dot, v, view(cot_all, block * size_out(), size_out()), w_bar, w_dot_bar)
    return 0


def bend(
    blocks: int, p_all: Array, w_all: Array, v_all: Array, w_dot_all: Array, mu_all: Array, w_bar_all: Array
) -> int:  # fmt: skip
    """The adjoint of the tangent system, pulled to the answer."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        v, w_dot = view(v_all, block * size_p(), size_p()), view(w_dot_all, block * size_w(), size_w())
        residual_jvp_z(
            w, p, w_dot, v, view(mu_all, block * size_w(), size_w()), view(w_bar_all, block * size_w(), size_w())
        )
    return 0


def finish_second(
    blocks: int, p_all: Array, w_all: Array, v_all: Array, w_dot_all: Array, cot_all: Array, mu_all: Array,
    lam_all: Array, good_all: Array, p_bar_all: Array,
) -> int:  # fmt: skip
    """As `finish`, for the cotangents of the tangents, the adjoint of the tangent system and that of the system."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        v, w_dot = view(v_all, block * size_p(), size_p()), view(w_dot_all, block * size_w(), size_w())
        cot, mu = view(cot_all, block * size_out(), size_out()), view(mu_all, block * size_w(), size_w())
        lam, p_bar = view(lam_all, block * size_w(), size_w()), view(p_bar_all, block * size_bar(), size_bar())
        good = good_all[block] > 0.0
        keep(size_out(), good, cot)
        keep(size_w(), good, mu)
        keep(size_w(), good, lam)
        fill(own_bar(), 0.0, p_bar, 0)
        output_jvp_p(w, p, w_dot, v, cot, p_bar)
        residual_jvp_p(w, p, w_dot, v, mu, p_bar)
        residual_p(w, p, lam, p_bar)
    return 0
