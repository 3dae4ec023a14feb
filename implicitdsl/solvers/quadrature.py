"""Quadrature rules on [0, 1] as data: nodes, then weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def gauss_rule(nodes: int, dtype: DTypeLike) -> NDArray[Any]:
    """The rule of Gauss and Legendre: exact for polynomials of degree 2*nodes - 1."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return np.concatenate([(places + 1) / 2, weights / 2]).astype(dtype)


def lobatto_rule(dtype: DTypeLike) -> NDArray[Any]:
    """The rule of Lobatto with four nodes, both ends among them: exact for polynomials of degree 5."""
    inner = (1 - 5**-0.5) / 2
    return np.array([0, inner, 1 - inner, 1, 1 / 12, 5 / 12, 5 / 12, 1 / 12], dtype)


def nodes_for(order: int) -> int:
    """As many nodes of Gauss as lose nothing of a method of that order."""
    return (order + 2) // 2
