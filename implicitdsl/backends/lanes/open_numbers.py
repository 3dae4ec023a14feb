"""Sizes of a model that its solver need not know when it is made.

No loop within a step runs to them: they say how far the blocks of arguments, outputs and gradients are apart. A solver
that calls the functions of a model reads them from memory, as it does tolerances (`data.py`), and so it is one code for
all models of as many states, and for all choices of arguments that samples share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicitdsl.backends.lanes.data import Value
from implicitdsl.backends.lanes.layout import packing

OPEN = (
    "size_p", "size_q", "size_bar", "own_bar", "size_out", "save_times", "size_kinks", "size_conditions", "size_kept",
    "size_slope",
)  # fmt: skip
"""The names of these numbers."""
Groups = Mapping[str, Sequence[int]]


def layout_numbers(groups: Groups, sizes: Sequence[int], shared: tuple[int, ...]) -> dict[str, int]:
    """The sizes of the flat groups `p` and `q` and of gradients in one layout; `sizes` are those of the arguments."""
    p = packing(tuple(groups["p"]), sizes, shared)
    found = {"size_p": p.size, "size_bar": p.size, "own_bar": p.own_size}
    return found | ({"size_q": packing(tuple(groups["q"]), sizes, shared).size} if "q" in groups else {})


def open_of(numbers: Mapping[str, int]) -> dict[str, Value]:
    """Those of the numbers that are open. Where one is 0, code that knows it leaves out a part of the solver: it is not
    among them."""
    return {name: numbers[name] for name in OPEN if numbers.get(name)}


def open_data(
    numbers: Mapping[str, int], groups: Groups, sizes: Sequence[int], shared: tuple[int, ...]
) -> dict[str, Value]:
    """The open numbers of a model in one layout, of its `numbers` and those of its groups."""
    return open_of({**numbers, **layout_numbers(groups, sizes, shared)})
