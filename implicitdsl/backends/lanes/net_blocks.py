"""`net` for a range of blocks of samples: the explicit function and its derivatives, block by block.

Arrays hold one block after another: `p_all` and `dot_all` the flat arguments and directions (`size_p` elements each),
`out_all` and `cot_all` the outputs (`size_out`), `bar_all` the gradients (`size_bar`, of which the first `own_bar` are
numbers to be added to, the others addresses of sums).
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.vocabulary import fill, view

Array = Any

output, output_vjp, output_jvp = model["output"], model["output_vjp"], model["output_jvp"]
output_jvp_p = model["output_jvp_p"]
size_p, size_out, size_bar, own_bar = (model[name] for name in ("size_p", "size_out", "size_bar", "own_bar"))


def solve(first: int, last: int, p_all: Array, out_all: Array) -> int:
    """The outputs of blocks `first` … `last` - 1."""
    for block in range(first, last):
        output(view(p_all, block * size_p(), size_p()), view(out_all, block * size_out(), size_out()))
    return 0


def pull(first: int, last: int, p_all: Array, cot_all: Array, bar_all: Array) -> int:
    """The gradients of <cot, output>."""
    for block in range(first, last):
        bar = view(bar_all, block * size_bar(), size_bar())
        fill(own_bar(), 0.0, bar, 0)
        output_vjp(
            view(p_all, block * size_p(), size_p()), view(cot_all, block * size_out(), size_out()), bar
        )  # fmt: skip
    return 0


def push(first: int, last: int, p_all: Array, dot_all: Array, out_all: Array) -> int:
    """The tangents of the outputs."""
    for block in range(first, last):
        output_jvp(
            view(p_all, block * size_p(), size_p()), view(dot_all, block * size_p(), size_p()),
            view(out_all, block * size_out(), size_out()),
        )  # fmt: skip
    return 0


def second(first: int, last: int, p_all: Array, dot_all: Array, cot_all: Array, bar_all: Array) -> int:
    """The gradients of <cot, tangent of the output>."""
    for block in range(first, last):
        bar = view(bar_all, block * size_bar(), size_bar())
        fill(own_bar(), 0.0, bar, 0)
        output_jvp_p(
            view(p_all, block * size_p(), size_p()), view(dot_all, block * size_p(), size_p()),
            view(cot_all, block * size_out(), size_out()), bar,
        )  # fmt: skip
    return 0
