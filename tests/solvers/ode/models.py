"""Model functions of the reference problems, derived by sympy from their right-hand sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import sympy as sp


@dataclass(frozen=True)
class Model:
    """A right-hand side given as text of sympy expressions in t, y[i], p[i], and the model functions that follow from it."""

    n: int
    q: int
    lines: tuple[str, ...]

    def _symbols(self):
        t, t_dot = sp.symbols("t t_dot", real=True)
        y, y_dot = (sp.symbols(f"{name}0:{self.n}", real=True) for name in ("y", "dy"))
        p, p_dot = (sp.symbols(f"{name}0:{self.q}", real=True) for name in ("p", "dp"))
        return t, t_dot, y, y_dot, p, p_dot

    @cached_property
    def _f(self):
        t, _, y, _, p, _ = self._symbols()
        scope = {"t": t, "y": y, "p": p} | {name: getattr(sp, name) for name in ("sin", "cos", "tanh", "exp", "sqrt")}
        return sp.Matrix([sp.sympify(eval(line, scope)) for line in self.lines])

    @cached_property
    def _tangent(self):
        t, t_dot, y, y_dot, p, p_dot = self._symbols()
        f = self._f
        along = f.diff(t) * t_dot
        for symbol, dot in zip((*y, *p), (*y_dot, *p_dot), strict=True):
            along += f.diff(symbol) * dot
        return sp.Matrix([*f, *along])

    def _function(self, name, arguments, reads, outputs, add):
        """Compile a function: `reads` maps symbols to text, `outputs` are (text, expression)."""
        shared, exprs = sp.cse([sp.nsimplify(e) if e.is_Integer else e for _, e in outputs])
        printer = lambda e: sp.pycode(e, fully_qualified_modules=False)  # noqa: E731 (a local abbreviation)
        body = [f"    {symbol} = {text}" for symbol, text in reads.items()]
        body += [f"    {symbol} = {printer(e)}" for symbol, e in shared]
        body += [
            f"    {text} {'+=' if add else '='} {printer(e)}"
            for (text, _), e in zip(outputs, exprs, strict=True)
            if not (add and e == 0)
        ]
        source = f"def {name}({arguments}):\n" + "\n".join(body) + "\n    return\n"
        scope = {word: getattr(math, word) for word in ("sin", "cos", "tanh", "exp", "sqrt")}
        exec(source, scope)
        return scope[name]

    def _point(self):
        _, _, y, _, p, _ = self._symbols()
        return {s: f"y[{i}]" for i, s in enumerate(y)} | {s: f"p[{i}]" for i, s in enumerate(p)}

    def _point2(self):
        _, _, y, y_dot, p, p_dot = self._symbols()
        return {s: f"y[{i}]" for i, s in enumerate((*y, *y_dot))} | {s: f"p[{i}]" for i, s in enumerate((*p, *p_dot))}

    @cached_property
    def rhs(self):
        return self._function(
            "rhs", "t, y, p, out", self._point(), [(f"out[{i}]", e) for i, e in enumerate(self._f)], False
        )

    @cached_property
    def vjp(self):
        t, _, y, _, p, _ = self._symbols()
        lam = sp.symbols(f"lam0:{self.n}", real=True)
        total = (sp.Matrix([lam]) * self._f)[0]
        outputs = [("t_bar[0]", total.diff(t))]
        outputs += [(f"y_bar[{i}]", total.diff(s)) for i, s in enumerate(y)]
        outputs += [(f"p_bar[{i}]", total.diff(s)) for i, s in enumerate(p)]
        reads = self._point() | {s: f"lam[{i}]" for i, s in enumerate(lam)}
        return self._function("vjp", "t, y, p, lam, t_bar, y_bar, p_bar", reads, outputs, True)

    @cached_property
    def tangent(self):
        outputs = [(f"out[{i}]", e) for i, e in enumerate(self._tangent)]
        return self._function("tangent", "t, t_dot, y, p, out", self._point2(), outputs, False)

    @cached_property
    def tangent_vjp(self):
        t, t_dot, y, y_dot, p, p_dot = self._symbols()
        lam = sp.symbols(f"lam0:{2 * self.n}", real=True)
        total = (sp.Matrix([lam]) * self._tangent)[0]
        outputs = [("t_bar[0]", total.diff(t)), ("t_bar[1]", total.diff(t_dot))]
        outputs += [(f"y_bar[{i}]", total.diff(s)) for i, s in enumerate((*y, *y_dot))]
        outputs += [(f"p_bar[{i}]", total.diff(s)) for i, s in enumerate((*p, *p_dot))]
        reads = self._point2() | {s: f"lam[{i}]" for i, s in enumerate(lam)}
        return self._function("tangent_vjp", "t, t_dot, y, p, lam, t_bar, y_bar, p_bar", reads, outputs, True)

    def _linear(self, doubled):
        """f_y by rows and f_t; doubled, their tangents as well, the four in the order of `matrix2`, `drift2`."""
        t, t_dot, y, y_dot, p, p_dot = self._symbols()
        matrix = [e.diff(s) for e in self._f for s in y]
        drift = [e.diff(t) for e in self._f]
        if not doubled:
            return matrix, drift
        pairs = ((t, t_dot), *zip((*y, *p), (*y_dot, *p_dot), strict=True))
        along = [[sum(e.diff(s) * dot for s, dot in pairs) for e in part] for part in (matrix, drift)]
        return [*matrix, *along[0]], [*drift, *along[1]]

    def _linear_vjp(self, name, doubled):
        t, t_dot, y, y_dot, p, p_dot = self._symbols()
        matrix, drift = self._linear(doubled)
        cots = sp.symbols(f"m0:{len(matrix)}", real=True), sp.symbols(f"d0:{len(drift)}", real=True)
        total = sum(c * e for c, e in zip((*cots[0], *cots[1]), (*matrix, *drift), strict=True))
        moving = ((t, t_dot), (*y, *y_dot), (*p, *p_dot)) if doubled else ((t,), y, p)
        names = ("t_bar", "y_bar", "p_bar")
        outputs = [
            (f"{bar}[{i}]", sp.diff(total, s))
            for bar, group in zip(names, moving, strict=True)
            for i, s in enumerate(group)
        ]
        reads = self._point2() if doubled else self._point()
        reads |= {s: f"matrix_cot[{i}]" for i, s in enumerate(cots[0])}
        reads |= {s: f"drift_cot[{i}]" for i, s in enumerate(cots[1])}
        times = "t, t_dot" if doubled else "t"
        return self._function(name, f"{times}, y, p, matrix_cot, drift_cot, t_bar, y_bar, p_bar", reads, outputs, True)

    @cached_property
    def linearise(self):
        matrix, drift = self._linear(False)
        outputs = [(f"matrix[{i}]", e) for i, e in enumerate(matrix)] + [
            (f"drift[{i}]", e) for i, e in enumerate(drift)
        ]
        return self._function("linearise", "t, y, p, matrix, drift", self._point(), outputs, False)

    @cached_property
    def linearise_vjp(self):
        return self._linear_vjp("linearise_vjp", False)

    @cached_property
    def linearise_tangent(self):
        matrix, drift = self._linear(True)
        outputs = [(f"matrix[{i}]", e) for i, e in enumerate(matrix)] + [
            (f"drift[{i}]", e) for i, e in enumerate(drift)
        ]
        return self._function("linearise_tangent", "t, t_dot, y, p, matrix, drift", self._point2(), outputs, False)

    @cached_property
    def linearise_tangent_vjp(self):
        return self._linear_vjp("linearise_tangent_vjp", True)


DECAY = Model(1, 1, ("-p[0]*y[0]",))
LOTKA_VOLTERRA = Model(2, 4, ("p[0]*y[0] - p[1]*y[0]*y[1]", "p[3]*y[0]*y[1] - p[2]*y[1]"))
FORCED = Model(2, 4, ("p[0]*y[0] - p[1]*y[0]*y[1] + sin(p[2]*t)", "p[3]*y[0]*y[1] - p[2]*y[1]*cos(t)"))
"""Depends on time, state and parameters together, so that no derivative of it vanishes."""

KEPLER = Model(4, 0, ("y[2]", "y[3]", "-y[0]/sqrt(y[0]**2 + y[1]**2)**3", "-y[1]/sqrt(y[0]**2 + y[1]**2)**3"))
VAN_DER_POL = Model(2, 1, ("y[1]", "p[0]*(1 - y[0]**2)*y[1] - y[0]"))
LOGISTIC = Model(1, 2, ("p[0]*y[0]*(1 - y[0]/p[1])",))
BESSEL = Model(2, 0, ("y[1]", "-y[1]/(t + 1) - (1 - 0.25/(t + 1)**2)*y[0]"))
LORENZ = Model(3, 3, ("p[0]*(y[1] - y[0])", "y[0]*(p[1] - y[2]) - y[1]", "y[0]*y[1] - p[2]*y[2]"))
SPIRAL = Model(2, 0, ("-0.1*y[0]**3 - 2*y[1]**3", "2*y[0]**3 - 0.1*y[1]**3"))
COMPLEX = Model(2, 0, ("-2*y[1]", "2*y[0]"))
CONSTANT_SOLUTION = Model(1, 2, ("p[0] + (y[0] - (p[0]*t + p[1]))**5",))
SINE = Model(1, 0, ("2*y[0]/t + t**4*sin(2*t) - t**2 + 4*t**3",))
PROTHERO_ROBINSON = Model(1, 1, ("-p[0]*(y[0] - cos(t))",))
ROBERTSON = Model(3, 3, ("-p[0]*y[0] + p[2]*y[1]*y[2]", "p[0]*y[0] - p[1]*y[1]**2 - p[2]*y[1]*y[2]", "p[1]*y[1]**2"))
VAN_DER_POL_SCALED = Model(2, 1, ("y[1]", "((1 - y[0]**2)*y[1] - y[0])/p[0]"))
BLOW_UP = Model(1, 0, ("y[0]**2",))

_HIDDEN = [f"tanh(p[{2 * i}]*y[0] + p[{2 * i + 1}]*y[1] + p[{6 + i}])" for i in range(3)]
NEURAL = Model(
    2, 17, tuple(" + ".join(f"p[{9 + 3 * o + i}]*{_HIDDEN[i]}" for i in range(3)) + f" + p[{15 + o}]" for o in range(2))
)
"""W2 tanh(W1 y + b1) + b2 with p = (W1 by rows, b1, W2 by rows, b2)."""


def pleiades(t, y, p, out):
    """Seven stars in the plane, masses 1..7: y = (x, y, x', y')."""
    for i in range(7):
        out[i] = y[14 + i]
        out[7 + i] = y[21 + i]
        ax = 0.0
        ay = 0.0
        for j in range(7):
            if j != i:
                dx = y[j] - y[i]
                dy = y[7 + j] - y[7 + i]
                square = dx * dx + dy * dy
                weight = (j + 1) / (square * math.sqrt(square))
                ax += weight * dx
                ay += weight * dy
        out[14 + i] = ax
        out[21 + i] = ay
