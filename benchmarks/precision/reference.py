"""The reference of the diagrams, on the first samples, beside a second opinion: SciPy's Radau at 1e-12 beside CVODES by
CasADi at 1e-12 where the problem is stiff, else SciPy's DOP853 at 1e-13 beside heyoka's Taylor method at 1e-16.

`python -m benchmarks.precision.reference [PROBLEM …]` computes `reference.json` (minutes), or the problems named again;
the difference of the two is kept with it, and no error near it is told of.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.precision.contenders import casadi, heyoka, scipy_functions
from benchmarks.precision.problems import PROBLEMS, Problem
from benchmarks.work import Array, Settings

KEPT = Path(__file__).parent / "reference.json"
CHECKED = 4
TOLERANCE, NOT_STIFF, TAYLOR = 1e-12, 1e-13, 1e-16


def _kept() -> dict[str, Any]:
    return json.loads(KEPT.read_text(encoding="utf-8"))


def reference(problem: Problem) -> Array:
    """The state at the end, [samples, states], of the first samples."""
    return np.array(_kept()[problem.name]["values"])


def doubt(problem: Problem) -> float:
    """The error of the second library held against the first."""
    return float(_kept()[problem.name]["difference"])


def compute(problem: Problem) -> dict[str, Any]:
    """Both, from nothing."""
    from scipy.integrate import solve_ivp

    field, jacobian = scipy_functions(problem)
    method = "Radau" if problem.stiff else "DOP853"
    tolerance = TOLERANCE if problem.stiff else NOT_STIFF
    options: dict[str, Any] = {"rtol": tolerance, "atol": tolerance * problem.small}
    options |= {"jac": jacobian} if problem.stiff else {}
    values = [
        solve_ivp(field, (0, problem.end), problem.start, method, args=(k,), **options).y[:, -1]
        for k in problem.samples(CHECKED)
    ]
    settings = Settings()
    if problem.stiff:
        second = casadi(problem, settings, CHECKED).at(TOLERANCE)
    else:
        second = heyoka(problem, settings, CHECKED).at(TAYLOR)
    other = second.read(second.run())
    return {
        "values": [[float(x) for x in sample] for sample in values],
        "by": f"SciPy's {method}",
        "second": "CVODES" if problem.stiff else "heyoka's Taylor method",
        "difference": problem.error(other, np.array(values)),
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    named = sys.argv[1:]
    found: dict[str, Any] = _kept() if named else {}
    for each in PROBLEMS:
        if named and each.name not in named:
            continue
        found[each.name] = compute(each)
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
