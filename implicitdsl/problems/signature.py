"""What a problem is given: inputs, params and consts, in the order in which flat arguments hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.node import Leaf, Shape

PROBE = "probe."
"""How the names of inputs begin that a call draws itself, as random signs: no name of the language has a dot."""


@dataclass(frozen=True)
class MemberSet:
    """A set of the language with its constant arguments, e.g. `interval(0, 1)`."""

    name: str
    args: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{a:g}' for a in self.args)})" if self.args else self.name


@dataclass(frozen=True)
class Draw:
    """A distribution that start values are drawn from."""

    name: str
    args: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Parameter:
    """A trained param or a const buffer: its leaf, and how its value starts (`start`, else `draw`, else zeros)."""

    leaf: Leaf
    set: MemberSet | None = None
    start: NDArray[np.float64] | None = None
    draw: Draw | None = None

    @property
    def name(self) -> str:
        return self.leaf.name

    @property
    def shape(self) -> Shape:
        return self.leaf.shape


@dataclass(frozen=True)
class Given:
    """An input of the call: its leaf and the set it must lie in."""

    leaf: Leaf
    set: MemberSet | None = None

    @property
    def name(self) -> str:
        return self.leaf.name


@dataclass(frozen=True, eq=False)
class Signature:
    """The arguments of a problem: inputs first, then params, then consts (qualified names such as `f.W` for those of
    used layers)."""

    layer: str
    inputs: tuple[Given, ...] = ()
    params: tuple[Parameter, ...] = ()
    consts: tuple[Parameter, ...] = ()

    @property
    def arguments(self) -> tuple[Leaf, ...]:
        """All leaves in the order of flat arguments."""
        return tuple(item.leaf for group in (self.inputs, self.params, self.consts) for item in group)
