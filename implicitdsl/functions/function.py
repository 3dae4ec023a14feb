"""The record of one function of the language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from implicitdsl.functions.record import Curvature, Monotonicity, SignRule
from implicitdsl.functions.shapes import Shape, ShapeRule
from implicitdsl.ir.node import Node

Family = Literal["elementwise", "reduction", "along the last axis", "linear algebra", "making and joining", "calculus"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Function:
    """One function: what the checker, the elaborator, the curvature rules and the manual know of it.

    `arity` is (fewest, most) arguments, most None where there is no limit. `shape(*argument_shapes)` raises
    `SizeMismatch`; `build(*nodes)` gives the IR. A function with `form` is called in its own way, which `form` tells:
    its rule and builder take what is said there. `options` are its named arguments, sizes that rule and builder take by
    keyword. `affine_in[i]`: affine in argument i while the others are held.
    `curvature` is joint, `monotonicity` per argument; for `arity` (1, 2) of max and min both forms agree. `fits` are
    argument shapes with the shape of the result, `misfits` argument shapes that are refused.
    """

    name: str
    family: Family
    arity: tuple[int, int | None]
    signature: str
    doc: str
    example: str
    latex: str
    shape: ShapeRule
    build: Callable[..., Node]
    sign: SignRule
    curvature: Curvature | None = None
    monotonicity: tuple[Monotonicity | None, ...] = ()
    affine_in: tuple[bool, ...] = ()
    kink: bool = False
    scalar: str | None = None
    form: str = ""
    options: tuple[str, ...] = ()
    fits: tuple[tuple[tuple[Shape, ...], Shape], ...] = ()
    misfits: tuple[tuple[Shape, ...], ...] = ()

    @property
    def elementwise(self) -> bool:
        """Whether two or more arguments are matched element by element (max and min with two as well)."""
        return self.family == "elementwise"

    def takes(self, count: int) -> bool:
        """Whether so many arguments may be given."""
        fewest, most = self.arity
        return fewest <= count and (most is None or count <= most)

    def write_latex(self, *arguments: str) -> str:
        """The call in LaTeX, from the arguments in LaTeX."""
        return self.latex.format(*arguments, args=", ".join(arguments))
