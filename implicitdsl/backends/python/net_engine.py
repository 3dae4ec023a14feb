"""`net` on the back end `python`: the explicit function and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.sample_engine import Answer, SampleEngine, split
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.net import NetProblem, derive
from implicitdsl.solvers import status as codes


class NetEngine(SampleEngine):
    """o = g(p)."""

    def __init__(self, problem: NetProblem, dtype: np.dtype[Any]) -> None:
        super().__init__(problem.signature, tuple(o.shape for o in problem.outputs), (), dtype)
        functions = {name: flat_function(simplified(f)) for name, f in derive(problem).items()}
        self._value, self._vjp = functions["output"], functions["output_vjp"]
        self._jvp, self._jvp_vjp = functions["output_jvp"], functions["output_jvp_vjp"]
        self._size = sum(o.size for o in problem.outputs)
        self._p_size = sum(leaf.size for leaf in self._leaves)

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        out = np.zeros(self._size, self._dtype)
        self._value(self.pack(values, self._leaves), out)
        return Answer(split(out, self._outputs))

    def pull_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array
    ) -> tuple[list[Array | None], int]:
        p_bar = np.zeros(self._p_size, self._dtype)
        self._vjp(self.pack(values, self._leaves), cotangent, p_bar)
        return self.unpack(p_bar, self._leaves), codes.SUCCESS

    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Array, list[Array | None], int]:
        p, v = self.pack(values, self._leaves), self.pack(directions, self._leaves)
        out = np.zeros(self._size, self._dtype)
        self._jvp(p, v, out)
        p_bar, v_bar = np.zeros(self._p_size, self._dtype), np.zeros(self._p_size, self._dtype)
        self._jvp_vjp(p, v, cotangent, p_bar, v_bar)
        return out, self.unpack(p_bar, self._leaves), codes.SUCCESS

    def push_sample(
        self, values: Sequence[Array], saved: Sequence[Array], tangents: Sequence[Array]
    ) -> tuple[Array, int]:
        out = np.zeros(self._size, self._dtype)
        self._jvp(self.pack(values, self._leaves), self.pack(tangents, self._leaves), out)
        return out, codes.SUCCESS
