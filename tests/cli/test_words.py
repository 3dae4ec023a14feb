"""Definitions told in words."""

from __future__ import annotations

import pytest

from implicitdsl.semantics.words import quote, words
from implicitdsl.syntax import reader, tree


def told(text: str) -> str:
    (definition,) = (item for item in reader.read(text).items if isinstance(item, tree.Definition))
    return words(definition)


def test_a_fixpoint_is_found() -> None:
    text = """
# The point where z stops changing.
fixpoint DEQ[n, m = 2](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param b[n] = 0
  var z[n] = 0
  z = tanh(W @ z   # one layer
    + b)
  return z
}
"""
    assert (
        told(text)
        == """\
DEQ: a fixpoint layer
  The point where z stops changing.
  given      x, a vector of m
  with sizes n, to be named when the layer is made
             m, 2 if nothing is said
  learn      W, a matrix of n by n, drawn from normal(0, 0.1)
             b, a vector of n, starting at 0
  find       z, a vector of n, searched from 0
  such that  z = tanh(W @ z + b)
  return     z, a vector of n"""
    )


def test_an_event_is_told_after_the_motion() -> None:
    text = """
ode Ball(h0, ts[T]) -> [T] {
  param g = 9.81 in positive
  param e = 0.8 in interval(0, 1)
  state h = h0, v = 0
  dh/dt = v
  dv/dt = -g
  when h < 0 {
    h := 0
    v := -e*v
  }
  when v < -100 { stop }
  return h at ts
}
"""
    assert (
        told(text)
        == """\
Ball: an ode layer
  given      h0, a number
             ts, a vector of T
  learn      g, a number above 0, starting at 9.81
             e, a number between 0 and 1, starting at 0.8
  find the functions of time
             h, a number, which starts at h0
             v, a number, which starts at 0
  such that  dh/dt = v
             dv/dt = -g
  when       h < 0: h becomes 0, v becomes -e*v
             v < -100: the run stops
  return     h, a vector of T, at the times ts"""
    )


def test_a_program_has_an_objective_and_constraints() -> None:
    text = """
argmin P[n, H = 3](mu[n], S[n, n] in psd(n)) -> (w[n], price) {
  const cap = 1
  var w[n] in nonneg
  maximize mu @ w - w @ S @ w
  subject to {
    budget: sum(w) = 1
    w <= cap
    w in simplex(n)
    for k in 0:H { w[k] <= 1 }
  }
  solver local(tries = 2)
  return w, dual(budget)
}
"""
    assert (
        told(text)
        == """\
P: an argmin layer
  given      mu, a vector of n
             S, a matrix of n by n in psd(n)
  with sizes n, to be named when the layer is made
             H, 3 if nothing is said
  keep fixed cap, a number, equal to 1
  find       w, a vector of n of at least 0
  such that  mu @ w - w @ S @ w is maximized
  subject to budget: sum(w) = 1
             w <= cap
             w in simplex(n)
             for every k in 0:H: w[k] <= 1
  return     w, a vector of n
             dual(budget), a number
  by         the solver local(tries = 2)"""
    )


def test_a_random_motion_is_driven() -> None:
    text = """
sde S[d](x[d], path X[d] by linear) -> z[d] {
  use f = m.Net[d, d]
  noise W[d] stratonovich
  state z[d] = x
  history z = 0
  let a = f(z)
  dz = a*dt + dW
  from t = 0 to 1
  return z
}
"""
    assert (
        told(text)
        == """\
S: an sde layer
  given      x, a vector of d
             X, a path of d channels, interpolated by linear
  with sizes d, to be named when the layer is made
  using      f, a layer m.Net[d, d] of its own
  driven by  W, Brownian motion, a vector of d, in the sense of Stratonovich
  let        a = f(z)
  find the random functions of time
             z, a vector of d, which starts at x
  such that  dz = a*dt + dW
  before     z was 0
  from       t = 0 to 1
  return     z, a vector of d"""
    )


@pytest.mark.parametrize(
    ("kind", "unknown", "condition", "line"),
    [
        ("root", "var z = 1", "z^2 = x", "z, a number, searched from 1"),
        (
            "bvp",
            "state u = 0, v = 0",
            "du/dt = v\n dv/dt = -u\n u(0) = x\n u(1) = 0\n from t = 0 to 1",
            "u, a number, guessed as 0",
        ),
        ("dae", "state u = x\n var z = 0", "du/dt = z\n z = u", "z, a number, searched from 0"),
    ],
)
def test_every_kind_names_its_unknowns(kind: str, unknown: str, condition: str, line: str) -> None:
    variable = "z" if "z" in unknown else "u"
    assert line in told(f"{kind} A(x) -> y {{\n {unknown}\n {condition}\n return {variable}\n}}")


def test_quotes_stand_on_one_line_without_comments() -> None:
    source = "a +   # first\n   b"
    assert quote(reader.read_expression(source)) == "a + b"
