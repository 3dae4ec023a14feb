"""What the continuous adjoints of x' = f(t, x, p) ask for beside f: lambda' f_y and lambda' f_p, each alone.

The costate obeys d lambda/dt = -f_y' lambda and dL/dp is the integral of lambda' f_p: again an ode and its quadrature.
"""

from __future__ import annotations

from dataclasses import replace

from implicitdsl.problems.derived import Derived, transpose


def costate_functions(rhs: Derived) -> dict[str, Derived]:
    """`rhs_costate` (t, y, p, lam) adds lam' f_y to y_bar, `rhs_gradient` adds lam' f_p to p_bar."""
    parts = {"rhs_costate": "y", "rhs_gradient": "p"}
    return {name: replace(transpose(rhs, (part,)), name=name) for name, part in parts.items()}
