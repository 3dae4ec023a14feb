"""Models that the commands are tried on, and how they are called."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner, Result

from implicitdsl.cli.main import app

KEPLER = """\
# Kepler's equation.
root Kepler(M, e in interval(0, 1)) -> E {
  var E = M
  E - e*sin(E) = M
  return E
}
"""
DECAY = """\
ode Decay(y0[2], ts[T]) -> [T, 2] {
  param rate = 2 in positive
  state x = y0[0], y = y0[1]
  dx/dt = -rate*x
  dy/dt = -y
  return [x, y] at ts
}
"""
NETS = """\
net Affine[n, m](x[m]) -> (y[n], total) {
  param W[n, m] ~ normal()
  const c[n] = 1
  let y = W @ x + c
  return y, sum(y)
}

fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  var z[n] = 0
  z = tanh(W @ z + U @ x)
  return z
}

net Head[n = 3, m = 2](x[m]) -> [n] {
  use features = DEQ[n, m]
  return 2*features(x)
}
"""


def call(*words: str | Path) -> Result:
    """The command in this process; what it raises beside an exit is raised here."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def squeezed(text: str) -> str:
    """A text with every run of blanks as one, for what stands in tables."""
    return re.sub(r"\s+", " ", text)
