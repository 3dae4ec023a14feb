"""What a model of `argmin` adds to its quadratic program, for a range of blocks of samples, in Numba's subset.

`p_all` holds the flat arguments with the masks of the active set, `w_all` the answers (unknowns, then multipliers),
`v_all` directions of the arguments. Names ending in `bar` are added to.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.vocabulary import buffer, fill, select, view

Array = Any

start, quadratic_data, conditions, kinks = model["start"], model["quadratic_data"], model["conditions"], model["kinks"]
residual_vjp, residual_jvp, residual_jvp_vjp = (model[f"residual_{end}"] for end in ("vjp", "jvp", "jvp_vjp"))
output, output_vjp, output_jvp = model["output"], model["output_vjp"], model["output_jvp"]
output_jvp_vjp = model["output_jvp_vjp"]
unknowns, equations, constraints = model["unknowns"], model["equations"], model["constraints"]
size_p, size_bar, size_out = model["size_p"], model["size_bar"], model["size_out"]
size_kinks, size_conditions = model["size_kinks"], model["size_conditions"]


def size_w() -> int:
    """Unknowns and multipliers."""
    return unknowns() + constraints()


def data(blocks: int, p_all: Array, data_all: Array, conditions_all: Array) -> int:
    """The programs, and what their convexity hangs on."""
    n, e, count = unknowns(), equations(), constraints()
    size = n * n + n + count * n + count
    for block in range(blocks):
        p, found = view(p_all, block * size_p(), size_p()), view(data_all, block * size, size)
        rows, sides = view(found, n * n + n, count * n), view(found, n * n + n + count * n, count)
        quadratic_data(
            p, view(found, 0, n * n), view(found, n * n, n), rows, sides, view(rows, e * n, 0), view(sides, e, 0)
        )
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


def seed(blocks: int, p_all: Array, w_all: Array, cot_all: Array, w_bar_all: Array, p_bar_all: Array) -> int:
    """The cotangents of the outputs, pulled to the answer and the arguments, which begin at 0."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        w_bar, p_bar = view(w_bar_all, block * size_w(), size_w()), view(p_bar_all, block * size_bar(), size_bar())
        fill(size_w(), 0.0, w_bar, 0)
        fill(size_bar(), 0.0, p_bar, 0)
        output_vjp(w, p, view(cot_all, block * size_out(), size_out()), w_bar, p_bar)
    return 0


def finish(blocks: int, p_all: Array, w_all: Array, lam_all: Array, good_all: Array, p_bar_all: Array) -> int:
    """The adjoint of the KKT system, pulled to the arguments; what is not good becomes 0."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        lam, p_bar = view(lam_all, block * size_w(), size_w()), view(p_bar_all, block * size_bar(), size_bar())
        w_bar = buffer(p_all, size_w())
        residual_vjp(w, p, lam, w_bar, p_bar)
        for i in range(size_bar()):
            p_bar[i] = select(good_all[block] > 0.0, p_bar[i], 0.0)
    return 0


def push(blocks: int, p_all: Array, w_all: Array, v_all: Array, r_all: Array) -> int:
    """The change of the KKT residual along the directions."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        still = buffer(p_all, size_w())
        residual_jvp(w, p, still, view(v_all, block * size_p(), size_p()), view(r_all, block * size_w(), size_w()))
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
    w_dot_bar_all: Array, p_bar_all: Array, waste: Array,
) -> int:  # fmt: skip
    """The cotangents of the tangents of the outputs, pulled to the answer, its tangent and the arguments: from 0 on."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        v, w_dot = view(v_all, block * size_p(), size_p()), view(w_dot_all, block * size_w(), size_w())
        w_bar, p_bar = view(w_bar_all, block * size_w(), size_w()), view(p_bar_all, block * size_bar(), size_bar())
        w_dot_bar = view(w_dot_bar_all, block * size_w(), size_w())
        fill(size_w(), 0.0, w_bar, 0)
        fill(size_w(), 0.0, w_dot_bar, 0)
        fill(size_bar(), 0.0, p_bar, 0)
        output_jvp_vjp(
            w, p, w_dot, v, view(cot_all, block * size_out(), size_out()), w_bar, p_bar, w_dot_bar, waste
        )  # fmt: skip
    return 0


def bend(
    blocks: int, p_all: Array, w_all: Array, v_all: Array, w_dot_all: Array, mu_all: Array, w_bar_all: Array,
    p_bar_all: Array, waste: Array,
) -> int:  # fmt: skip
    """The adjoint of the tangent system, pulled to the answer and the arguments."""
    for block in range(blocks):
        p, w = view(p_all, block * size_p(), size_p()), view(w_all, block * size_w(), size_w())
        v, w_dot = view(v_all, block * size_p(), size_p()), view(w_dot_all, block * size_w(), size_w())
        w_bar, p_bar = view(w_bar_all, block * size_w(), size_w()), view(p_bar_all, block * size_bar(), size_bar())
        still = buffer(p_all, size_w())
        residual_jvp_vjp(w, p, w_dot, v, view(mu_all, block * size_w(), size_w()), w_bar, p_bar, still, waste)
    return 0
