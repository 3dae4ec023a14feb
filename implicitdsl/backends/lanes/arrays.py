"""The arrays of solvers of one sample: what `lower_arrays.py` knows of them.

A view says where elements lie: its value is a tuple of the place, the lengths, and the steps that are not 1. `Elements`
are what an expression of arrays gives, such as `a * x[:n]`: nothing is stored before somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from implicitdsl.backends.lanes.element import INT, Kind, Pointer, Real, Several, Truth, Whole


@dataclass(frozen=True)
class View(Several):
    """Elements of `dtype` in memory. One of `rank` 1 has (place, length) if `is_dense`, else (place, length, step); a
    matrix has (place, rows, columns, step from row to row), the elements of a row lying side by side."""

    dtype: Kind
    rank: int
    is_dense: bool

    def __str__(self) -> str:
        return "matrix" if self.rank == 2 else "vector" if self.is_dense else "column"


def vector(dtype: Kind) -> View:
    """Elements side by side."""
    return View((Pointer(dtype), INT), dtype, 1, is_dense=True)


def column(dtype: Kind) -> View:
    """Elements at equal distances."""
    return View((Pointer(dtype), INT, INT), dtype, 1, is_dense=False)


def matrix(dtype: Kind) -> View:
    """Rows at equal distances."""
    return View((Pointer(dtype), INT, INT, INT), dtype, 2, is_dense=False)


@dataclass(frozen=True)
class Elements(Kind):
    """Elements of `dtype` that an expression gives, in one or two dimensions; the value is a `Lazy`."""

    dtype: Kind
    rank: int


@dataclass(frozen=True)
class Lazy:
    """The elements of an expression. `at(i)`, or `at(i, j)`, writes the instructions that compute one."""

    lengths: tuple[Any, ...]
    at: Callable[..., Any]


def elements_of(kind: Kind) -> Elements | None:
    """What an array holds; None for what is none."""
    match kind:
        case View(dtype=dtype, rank=rank):
            return Elements(dtype, rank)
        case Elements():
            return kind
        case _:
            return None


def stored(kind: Kind) -> Kind:
    """The kind of a value that has a name: elements are stored side by side."""
    if isinstance(kind, Elements):
        if kind.rank != 1:
            raise TypeError("a matrix of its own")
        return vector(kind.dtype)
    return kind


def fits(kind: Kind, held: Kind) -> bool:
    """Whether an array of `held` may receive such a number: a float is rounded, but is never cut to a whole number."""
    return isinstance(kind, Whole | Real) if isinstance(held, Real) else isinstance(kind, Whole | Truth)
