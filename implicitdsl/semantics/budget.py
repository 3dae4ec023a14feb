"""How large a model may be before it is refused: a text must never hang the checker or fill the memory."""

from __future__ import annotations

from implicitdsl.semantics.sizes import Shape, Size, SizeBudgetError, count

SCALARS = 100_000_000  # of one tensor
ROUNDS = 100_000  # of nested loops together
EXPANSIONS = 20_000  # of functions, told apart by the shapes of their arguments
FUNCTION_DEPTH = 64  # of functions that call functions


def too_large(shape: Shape) -> str:
    """Why a tensor of this shape is beyond the budget, or an empty text; names of sizes count as 1."""
    try:
        known = 1
        for size in shape:
            known *= max(size.constant or 0, 0) if size.constant is not None else 1
        if known > SCALARS:
            return f"{known} scalars are beyond the budget of {SCALARS}"
        count(shape)
    except SizeBudgetError:
        return "its number of scalars is too large a polynomial"
    return ""


def rounds(start: Size, stop: Size) -> int:
    """How often a loop runs, 1 where that depends on names of sizes."""
    extent = (stop - start).constant
    return 1 if extent is None else max(extent, 0)
