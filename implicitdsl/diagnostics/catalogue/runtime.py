"""Records of the family E7xx, run time: code E7nn is the failure with status number nn.

`build` makes the layer and calls it; the failing and the mended sample differ in the text or in the data.
"""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code
from implicitdsl.solvers.status import STATUSES

_BLOW_UP = "ode Layer(y0) -> y {\n  state y = y0\n  dy/dt = y^2\n  from t = 0 to 2\n  return y\n}\n"
_DECAY = "ode Layer(y0) -> y {\n  state y = y0\n  dy/dt = -y^2\n  from t = 0 to 2\n  return y\n}\n"
_ROOT = "root Layer(a) -> z {{\n  var z = {start}\n  {left} = a\n  return z\n}}\n"
_CALL = "Layer()(torch.tensor(1.0, dtype=torch.float64))"
_PAIR = "Layer()(torch.tensor([1.0, 2.0], dtype=torch.float64))"


def _argmin(constraints: str, objective: str = "1/2*normsq(x - a)") -> str:
    inside = f"  subject to {{\n    {constraints}\n  }}\n" if constraints else ""
    return f"argmin Layer(a[2]) -> [2] {{\n  var x[2]\n  minimize {objective}\n{inside}  return x\n}}\n"


def _times(times: str) -> str:
    return f"ode Layer(y0) -> [3] {{\n  state y = y0\n  dy/dt = -y\n  return y at [{times}]\n}}\n"


_SAMPLES: dict[str, tuple[str, str, str]] = {
    "max_steps": (
        _DECAY.replace("  return", "  solver tsit5(max_steps = 2)\n  return"),
        _DECAY.replace("  return", "  solver tsit5(max_steps = 1000)\n  return"),
        _CALL,
    ),
    "dt_underflow": (_BLOW_UP, _DECAY, _CALL),
    "nonfinite": (
        _ROOT.format(start="-1", left="log(z)"),
        _ROOT.format(start="1", left="log(z)"),
        _CALL,
    ),
    "diverged": (
        _ROOT.format(start="0", left="sqrt(z^2 + 1) - z + 1"),
        _ROOT.format(start="0", left="sqrt(z^2 + 4) - z"),
        _CALL,
    ),
    "stalled": (
        _ROOT.format(start="1", left="z^3 + 1e8*(z - 1) + sin(z)").replace(
            "  return", "  solver newton(rtol = 1e-30)\n  return"
        ),
        _ROOT.format(start="1", left="z^3 + 1e8*(z - 1) + sin(z)"),
        _CALL,
    ),
    "no_root": (_ROOT.format(start="1", left="z^2 + 2"), _ROOT.format(start="1", left="z^2 + z"), _CALL),
    "singular": (
        "root Layer(a) -> [2] {\n  var z[2]\n  z[0] + z[1] = a\n  2*z[0] + 2*z[1] = 2*a\n  return z\n}\n",
        "root Layer(a) -> [2] {\n  var z[2]\n  z[0] + z[1] = a\n  2*z[0] - 2*z[1] = 2*a\n  return z\n}\n",
        _CALL,
    ),
    "infeasible": (_argmin("sum(x) = 1\n    x >= 2"), _argmin("sum(x) = 5\n    x >= 2"), _PAIR),
    "unbounded": (_argmin("x >= 0", "-(a @ x)"), _argmin("0 <= x <= 1", "-(a @ x)"), _PAIR),
    "nonconvex": (
        "argmin Layer(a[2]) -> [2] {\n  param c = -1\n  var x[2]\n  minimize c*normsq(x - a)\n  return x\n}\n",
        "argmin Layer(a[2]) -> [2] {\n  param c = 1 in positive\n  var x[2]\n  minimize c*normsq(x - a)\n  return x\n"
        "}\n",
        _PAIR,
    ),
    "bad_input": (
        _ROOT.format(start="1", left="z^2").replace("(a)", "(a in interval(2, 3))"),
        _ROOT.format(start="1", left="z^2").replace("(a)", "(a in interval(0, 3))"),
        _CALL,
    ),
    "bad_times": (_times("0, 2, 1"), _times("0, 1, 2"), _CALL),
}


def _code(number: int, name: str, meaning: str, advice: str) -> Code:
    bad, good, build = _SAMPLES[name]
    about = f"{meaning[0].upper()}{meaning[1:]}. Try: {advice}."
    more = (
        " This is the status of one sample: by default the call raises SolveError, which names the samples; with "
        '`on_fail="nan"` their outputs are NaN, with `"warn"` the best values found. Other samples are not affected.'
    )
    return Code(f"E7{number:02d}", f"status {name}", about + more, bad, good, build)


CODES: tuple[Code, ...] = tuple(_code(s.number, s.name, s.meaning, s.advice) for s in STATUSES if s.name in _SAMPLES)
