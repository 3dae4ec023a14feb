"""`argmin` on the back end `python`: interior point for linear and quadratic programs, Newton for smooth ones.

The answer w holds the unknowns, then the multipliers of the equalities and of the inequalities; derivatives are
those of the KKT system with the active set frozen. A weakly active constraint (multiplier 0) counts as active, as
relu'(0) = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.implicit_engine import ImplicitEngine
from implicitdsl.backends.settings import Settings
from implicitdsl.problems.argmin import ArgminProblem, derive, is_quadratic, smooth_data
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.implicit_adjoint import implicit_adjoint, implicit_tangent
from implicitdsl.solvers.interior_point import INACTIVE, interior_point
from implicitdsl.solvers.minimise import minimise


class MinimumEngine(ImplicitEngine):
    """z in argmin f(z, p) subject to constraints."""

    def __init__(self, problem: ArgminProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        self._z_size = sum(u.size for u in problem.unknowns)
        self._eq_size = sum(c.node.size for c in problem.equalities)
        self._ineq_size = sum(c.node.size for c in problem.inequalities)
        size = self._z_size + self._eq_size + self._ineq_size
        self._quadratic = is_quadratic(problem) and settings.solver == "interior_point"
        functions = derive(problem) if self._quadratic else derive(problem) | smooth_data(problem)
        super().__init__(problem.signature, functions, problem.outputs, size, ((self._ineq_size,),), dtype)
        self._settings = settings
        self._requirements = [(node.shape, requirement) for node, requirement in problem.conditions]

    def arguments_of(self, values: Sequence[Array], saved: Sequence[Array]) -> Array:
        return np.concatenate([self.pack(values, self._leaves), saved[2]])

    def find(self, p: Array) -> tuple[Array, int, int, int, list[Array]]:
        mask = np.zeros(self._ineq_size, self._dtype)
        if not self._convex(p):
            w = np.zeros(self._n, self._dtype)
            self._functions["start"](p, w[: self._z_size])
            return w, codes.NONCONVEX, 0, 0, [mask]
        return self._program(p, mask) if self._quadratic else self._smooth(p, mask)

    def _convex(self, p: Array) -> bool:
        """Whether the conditions that convexity hangs on hold for this sample."""
        flat = np.zeros(sum(int(np.prod(shape)) for shape, _ in self._requirements), self._dtype)
        self._functions["conditions"](p, flat)
        start = 0
        for shape, requirement in self._requirements:
            size = int(np.prod(shape))
            value = flat[start : start + size].reshape(shape)
            start += size
            match requirement:
                case "nonneg":
                    good = bool((value >= 0).all())
                case "nonpos":
                    good = bool((value <= 0).all())
                case _:
                    slack = np.finfo(self._dtype).eps * 16 * len(value) * float(np.abs(value).max(initial=0.0))
                    good = bool(np.isfinite(value).all()) and bool(
                        np.linalg.eigvalsh((value + value.T) / 2)[0] >= -slack
                    )
            if not good:
                return False
        return True

    def _program(self, p: Array, mask: Array) -> tuple[Array, int, int, int, list[Array]]:
        n, e, m = self._z_size, self._eq_size, self._ineq_size
        q_matrix, q, a, b, g, h = (np.zeros(k, self._dtype) for k in (n * n, n, e * n, e, m * n, m))
        self._functions["quadratic_data"](p, q_matrix, q, a, b, g, h)
        free = np.full(n, np.inf, self._dtype)
        x, y, z = np.zeros(n, self._dtype), np.zeros(e, self._dtype), np.zeros(m + 2 * n, self._dtype)
        active, notes, steps = np.zeros(m + 2 * n, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64)
        s = self._settings
        status = interior_point(
            n,
            e,
            m,
            q_matrix,
            q,
            a,
            b,
            g,
            h,
            -free,
            free,
            self._dtype.type(s.rtol),
            s.max_steps,
            x,
            y,
            z,
            active,
            notes,
            steps,
        )
        mask[:] = active[:m] != INACTIVE
        return np.concatenate([x, y, z[:m]]), int(status), int(notes[0]), int(steps[0]), [mask]

    def _smooth(self, p: Array, mask: Array) -> tuple[Array, int, int, int, list[Array]]:
        w = np.zeros(self._n, self._dtype)
        self._functions["start"](p, w)
        notes, steps = np.zeros(1, np.int64), np.zeros(1, np.int64)
        f, s = self._functions, self._settings
        status = minimise(
            self._objective,
            f["gradient"],
            f["hessian"],
            self._n,
            w,
            p,
            self._dtype.type(s.rtol),
            s.max_steps,
            notes,
            steps,
        )
        return w, int(status), int(notes[0]), int(steps[0]), [mask]

    def _objective(self, z: Array, p: Array, out: Array) -> None:
        self._functions["objective"](z, p, out)

    # A dependent active row leaves the multipliers open but not the answer: the least-norm adjoint gives its
    # derivative. Without constraints the answer is a root of the gradient like any other.

    def adjoint(self, w: Array, p: Array, notes: int, g: Array) -> tuple[Array, int]:
        if self._n == self._z_size:
            return super().adjoint(w, p, notes, g)
        lam, found, k = np.zeros(self._n, self._dtype), np.zeros(1, np.int64), self.jacobian(w, p)
        status = int(implicit_adjoint(self._n, k, 1, g, lam, found))
        return lam, self._judged(status, int(found[0]), k)

    def tangent(self, w: Array, p: Array, notes: int, r: Array) -> tuple[Array, int]:
        if self._n == self._z_size:
            return super().tangent(w, p, notes, r)
        x, found, k = np.zeros(self._n, self._dtype), np.zeros(1, np.int64), self.jacobian(w, p)
        status = int(implicit_tangent(self._n, k, 1, -r, x, found))
        return x, self._judged(status, int(found[0]), k)

    def _judged(self, status: int, found: int, k: Array) -> int:
        """Least norm is refused where held rows are neither dependent nor clearly independent: it would drop the small
        singular value that the derivative is made of, and give a damped one."""
        if status != codes.SUCCESS or not found & codes.DEPENDENT_ROWS:
            return status
        rows = k.reshape(self._n, self._n)[self._z_size :, : self._z_size]
        lengths = np.linalg.norm(rows, axis=1)
        values = np.linalg.svd(rows[lengths > 0] / lengths[lengths > 0, None], compute_uv=False)
        eps = float(np.finfo(self._dtype).eps)
        unclear = (values > 16 * self._n * eps) & (values < eps**0.5)
        return codes.SINGULAR if unclear.any() else status
