"""`root` and `fixpoint` for a range of blocks of samples.

Arrays hold one block after another: `z_all` the unknowns (`states` elements each), `p_all` and `dot_all` the flat
arguments and directions (`size_p`), `out_all` and `cot_all` the outputs (`size_out`), `bar_all` the gradients
(`size_bar`), `facts_all` what becomes of each sample. `bounds` holds the lower and the upper bounds and, for
`picard`, what is known of the map; `work` what one block needs: what the solvers work in, then, where something of the
arguments is worth keeping, a copy of them with what is kept of them (`size_kept`) and of a point (`size_slope`) behind
(`kept_values.py`).
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.block_implicit import block_adjoint, block_tangent, factor_at
from implicitdsl.solvers.block_newton import block_newton
from implicitdsl.solvers.block_picard import (
    CONTRACTED,
    FEW,
    KNOWN,
    WAITING,
    begin_within,
    block_picard,
    finish_picard,
)
from implicitdsl.solvers.block_series import block_series
from implicitdsl.solvers.block_system import largest_of, work_size
from implicitdsl.solvers.vocabulary import any_, buffer, copy, fill, or_, select, view, vmax

Array = Any

FACTS = 3
"""Of each sample: what becomes of it (see `block_newton`), its steps, and whether it lies at a kink."""

states, size_p, size_out, size_bar, own_bar, size_kinks = (
    model[name] for name in ("states", "size_p", "size_out", "size_bar", "own_bar", "size_kinks")
)
max_steps, rtol = model["max_steps"], model["rtol"]
start, residual_jacobian, residual_along = (model[name] for name in ("start", "residual_jacobian", "residual_along"))
output, kinks, output_jvp = model["output"], model["kinks"], model["output_jvp"]
output_z, output_p, residual_p, residual_p_jvp = (
    model[name] for name in ("output_z", "output_p", "residual_p", "residual_p_jvp")
)
prepare, residual_kept, split_slope = (model[name] for name in ("prepare", "residual_kept", "slope"))
begin = model["begin"]
along_slope, residual_z_slope, residual_p_slope = (
    model[name] for name in ("along_slope", "residual_z_slope", "residual_p_slope")
)
size_kept, size_slope = model["size_kept"], model["size_slope"]
output_jvp_z, output_jvp_p, residual_jvp_z, residual_jvp_p = (
    model[name] for name in ("output_jvp_z", "output_jvp_p", "residual_jvp_z", "residual_jvp_p")
)


def prepared(p: Array, work: Array) -> Array:
    """The arguments, with what is kept of them behind."""
    if size_kept() + size_slope() == 0:
        return p
    room = view(work, max(work_size(states()), size_kinks()), size_p() + size_kept() + size_slope())
    copy(size_p(), p, 0, room, 0)
    prepare(room, view(room, size_p(), size_kept()))
    return room


def slope(z: Array, p: Array) -> None:
    """Keeps behind the arguments what derivatives along and against the unknowns at a point have in common."""
    split_slope(z, p, view(p, size_p() + size_kept(), size_slope()))


def newton(
    first: int, last: int, p_all: Array, z_all: Array, out_all: Array, facts_all: Array, bounds: Array, work: Array
) -> int:  # fmt: skip
    """Roots by Newton's method."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        facts = view(facts_all, block * FACTS, FACTS)
        start(p, z)
        zero = buffer(z, 1)[0]
        facts[1] = zero
        start_size = largest_of(n, z)
        begin_within(n, z, bounds, view(bounds, n, n))
        most = max_steps() if max_steps() < FEW else max_steps() // 2
        facts[0] = block_newton(
            residual_kept, residual_jacobian, residual_along, n, z, prepared(p, work), bounds, view(bounds, n, n),
            rtol(z), zero + most, zero == 0.0, start_size, work, view(facts, 1, 1),
        )  # fmt: skip
        finish(z, p, view(out_all, block * size_out(), size_out()), facts, work)
    return 0


def picard(
    first: int, last: int, p_all: Array, z_all: Array, out_all: Array, facts_all: Array, bounds: Array, work: Array
) -> int:  # fmt: skip
    """Fixed points by Picard iteration; 1 where all samples are CONTRACTED, none at a kink, 2 where some are
    WAITING for `picard_rest`."""
    n = states()
    plain = 1
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        facts = view(facts_all, block * FACTS, FACTS)
        start(p, z)
        facts[0] = block_picard(
            begin, residual_kept, slope, along_slope, n, z, prepared(p, work), bounds, view(bounds, n, n),
            view(bounds, 2 * n, KNOWN), rtol(z), max_steps(), work, view(facts, 1, 1),
        )  # fmt: skip
        finish(z, p, view(out_all, block * size_out(), size_out()), facts, work)
        if any_(facts[0] == WAITING):
            plain = 2
        if plain == 1 and any_(or_(facts[0] != CONTRACTED, facts[2] != 0.0)):
            plain = 0
    return plain


def picard_rest(
    first: int, last: int, p_all: Array, z_all: Array, out_all: Array, facts_all: Array, bounds: Array, work: Array
) -> int:  # fmt: skip
    """Newton's method for what `picard` has left WAITING in the same arrays."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        facts = view(facts_all, block * FACTS, FACTS)
        if any_(facts[0] == WAITING):
            facts[0] = finish_picard(
                residual_kept, residual_jacobian, residual_along, n, z, prepared(p, work), bounds, view(bounds, n, n),
                rtol(z), max_steps(), facts[0], work, view(facts, 1, 1),
            )  # fmt: skip
            finish(z, p, view(out_all, block * size_out(), size_out()), facts, work)
    return 0


def finish(z: Array, p: Array, out: Array, facts: Array, work: Array) -> None:
    """The outputs at the root, and whether it lies at a kink."""
    output(z, p, out)
    zero = buffer(z, 1)[0]
    at_kink = zero != 0.0
    if size_kinks() > 0:
        kinks(z, p, work)
        for i in range(size_kinks()):
            at_kink = or_(at_kink, work[i] == 0.0)
    facts[2] = select(at_kink, zero + 1.0, 0.0)


def adjoint(
    first: int, last: int, p_all: Array, z_all: Array, cot_all: Array, lam_all: Array, facts_all: Array, work: Array
) -> int:  # fmt: skip
    """The multipliers of a pullback; facts[0] is 0 where they are settled."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        spread = factor_at(residual_jacobian, n, z, p, work)
        bar = view(work, 2 * n * n + 7 * n, n)
        fill(n, 0.0, bar, 0)
        output_z(z, p, view(cot_all, block * size_out(), size_out()), bar)
        facts_all[block] = block_adjoint(n, bar, view(lam_all, block * n, n), spread, work)
    return 0


def series(
    first: int, last: int, p_all: Array, z_all: Array, cot_all: Array, facts_all: Array, bar_all: Array, work: Array
) -> int:  # fmt: skip
    """The gradients of fixed points of contractions; where facts[0] is not 0, the sample is not settled and adds
    nothing to them."""
    n, k = states(), size_out()
    for block in range(first, last):
        z, cot = view(z_all, block * n, n), view(cot_all, block * k, k)
        p = prepared(view(p_all, block * size_p(), size_p()), work)
        slope(z, p)
        g, lam, rest = view(work, 0, n), view(work, n, n), view(work, 2 * n, n)
        fill(n, 0.0, g, 0)
        output_z(z, p, cot, g)
        verdict = block_series(residual_z_slope, n, g, z, p, lam, rest)
        facts_all[block] = verdict
        for i in range(k):
            cot[i] = select(verdict == 0.0, cot[i], 0.0)
        bar = view(bar_all, block * size_bar(), size_bar())
        fill(own_bar(), 0.0, bar, 0)
        output_p(z, p, cot, bar)
        residual_p_slope(z, p, lam, bar)
    return 0


def gather(
    first: int, last: int, p_all: Array, z_all: Array, cot_all: Array, lam_all: Array, bar_all: Array
) -> int:  # fmt: skip
    """The gradients, given the multipliers."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        bar = view(bar_all, block * size_bar(), size_bar())
        fill(own_bar(), 0.0, bar, 0)
        output_p(z, p, view(cot_all, block * size_out(), size_out()), bar)
        residual_p(z, p, view(lam_all, block * n, n), bar)
    return 0


def push(
    first: int, last: int, p_all: Array, z_all: Array, dot_all: Array, out_all: Array, facts_all: Array, work: Array
) -> int:  # fmt: skip
    """The tangents of the outputs; facts[0] is 0 where they are settled."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        dot = view(dot_all, block * size_p(), size_p())
        spread = factor_at(residual_jacobian, n, z, p, work)
        moved = view(work, 2 * n * n + 8 * n, n)
        facts_all[block] = tangent_of(n, z, p, dot, moved, spread, work)
        output_jvp(z, p, moved, dot, view(out_all, block * size_out(), size_out()))
    return 0


def tangent_of(n: int, z: Array, p: Array, dot: Array, moved: Array, spread: Any, work: Array) -> Any:
    """moved := the tangent of the root; what `block_tangent` gives."""
    slope = view(work, 2 * n * n + 7 * n, n)
    residual_p_jvp(z, p, dot, slope)
    return block_tangent(n, slope, moved, spread, work)


def second_adjoint(
    first: int, last: int, p_all: Array, z_all: Array, dot_all: Array, cot_all: Array, three_all: Array,
    facts_all: Array, work: Array,
) -> int:  # fmt: skip
    """For each block the tangent of the root and the two multipliers of the pullback's pullback, one after another in
    `three_all`; facts[0] is 0 where they are settled."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        dot, cot = view(dot_all, block * size_p(), size_p()), view(cot_all, block * size_out(), size_out())
        three = view(three_all, block * 3 * n, 3 * n)
        moved, mu = view(three, 0, n), view(three, n, n)
        spread = factor_at(residual_jacobian, n, z, p, work)
        verdict = tangent_of(n, z, p, dot, moved, spread, work)
        bar, moved_bar = view(work, 2 * n * n + 7 * n, n), view(work, 2 * n * n + 8 * n, n)
        fill(2 * n, 0.0, bar, 0)
        output_jvp_z(z, p, moved, dot, cot, bar, moved_bar)
        verdict = vmax(block_adjoint(n, moved_bar, mu, spread, work), verdict)
        residual_jvp_z(z, p, moved, dot, mu, bar)
        facts_all[block] = vmax(block_adjoint(n, bar, view(three, 2 * n, n), spread, work), verdict)
    return 0


def second_gather(
    first: int, last: int, p_all: Array, z_all: Array, dot_all: Array, cot_all: Array, three_all: Array, bar_all: Array
) -> int:  # fmt: skip
    """The gradients of <cot, tangent>, given what `second_adjoint` found."""
    n = states()
    for block in range(first, last):
        p, z = view(p_all, block * size_p(), size_p()), view(z_all, block * n, n)
        dot, cot = view(dot_all, block * size_p(), size_p()), view(cot_all, block * size_out(), size_out())
        three = view(three_all, block * 3 * n, 3 * n)
        bar = view(bar_all, block * size_bar(), size_bar())
        fill(own_bar(), 0.0, bar, 0)
        moved = view(three, 0, n)
        output_jvp_p(z, p, moved, dot, cot, bar)
        residual_jvp_p(z, p, moved, dot, view(three, n, n), bar)
        residual_p(z, p, view(three, 2 * n, n), bar)
    return 0
