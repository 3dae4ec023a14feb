"""Small layers of every kind whose values and gradients are known in closed form, tried on every back end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

from implicitdsl.cli.calls import silenced_warnings
from implicitdsl.diagnostics import ImpError
from implicitdsl.layers.options import Backend
from implicitdsl.models import Models, loads

MODELS = """
net Curve(x) -> y {
  return tanh(2*x)
}

ode Decay(x0) -> x {
  state x = x0
  dx/dt = -2*x
  from t = 0 to 1
  return x
}

fixpoint Settled(x) -> z {
  var z = 0
  z = z/2 + x
  return z
}

root Square(p) -> x {
  var x = 1
  x^2 = p
  return x
}

argmin Limited(s) -> w {
  var w
  minimize 1/2*(w - s)^2
  subject to { w <= 1 }
  return w
}
"""

#: The layers with their values and derivatives at `AT`, and the relative error allowed.
AT = (0.5, 2.0)
EXPECTED: dict[str, tuple[Callable[[float], float], Callable[[float], float], float]] = {
    "Curve": (lambda x: math.tanh(2 * x), lambda x: 2 / math.cosh(2 * x) ** 2, 1e-12),
    "Decay": (lambda x: x * math.exp(-2), lambda x: math.exp(-2), 1e-4),
    "Settled": (lambda x: 2 * x, lambda x: 2.0, 1e-9),
    "Square": (math.sqrt, lambda x: 0.5 / math.sqrt(x), 1e-9),
    "Limited": (lambda x: min(x, 1.0), lambda x: float(x < 1), 1e-6),
}


@dataclass(frozen=True)
class Trial:
    """A layer on a back end. `seconds` are those of construction and first call with gradient, None where the back end
    does not run the kind; `trouble` says what is wrong, empty if nothing is."""

    name: str
    backend: str
    seconds: float | None
    trouble: str = ""

    def text(self) -> str:
        """As a cell of a table."""
        if self.trouble:
            return "WRONG"
        return "not on this back end yet" if self.seconds is None else f"right, {self.seconds:.2f} s"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def try_layers(tell: Callable[[str], None] = lambda text: None) -> list[Trial]:
    """Every layer on every back end; `tell` hears which is being tried."""
    models = loads(MODELS)
    found: list[Trial] = []
    for backend in get_args(Backend):
        for template in models:
            name = template.definition.name
            tell(f"trying {template.definition.kind} on {backend}")
            found.append(_try(models, name, backend))
    return found


def _try(models: Models, name: str, backend: str) -> Trial:
    label = models[name].definition.kind
    began = time.perf_counter()
    try:
        with silenced_warnings():
            layer = models[name](backend=backend, dtype=torch.float64)
            x = torch.tensor(AT, dtype=torch.float64, requires_grad=True)
            y = layer(x)
            (slope,) = torch.autograd.grad(y.sum(), x)
    except ImpError as error:
        first = error.diagnostics[0]
        # A kind that a back end does not run is no fault of this machine.
        return Trial(label, backend, None, "" if first.code in ("E611", "E613") else first.message)
    except Exception as error:  # whatever it is, the doctor's patient has it
        return Trial(label, backend, None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    seconds = time.perf_counter() - began
    value, derivative, tolerance = EXPECTED[name]
    for what, got, known in (("value", y.detach(), value), ("gradient", slope, derivative)):
        for number, at in zip(got.tolist(), AT, strict=True):
            if not abs(number - known(at)) <= tolerance * max(1.0, abs(known(at))):
                return Trial(label, backend, seconds, f"the {what} at {at} is {number!r}, not {known(at)!r}")
    return Trial(label, backend, seconds)
