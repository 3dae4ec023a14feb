"""What each kind must and must not contain, and how differentials enter."""

from __future__ import annotations

import pytest

import implicitdsl
from tests.semantics.checking import checked, codes


def block(head: str, body: str) -> str:
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"{head} {{\n{lines}}}\n"


def errors(head: str, body: str) -> list[str]:
    return [c for c in codes(block(head, body)) if c[0] == "E"]


TIMED = {
    "ode": ("state x = a\ndx/dt = -x", "E410"),
    "dae": ("state x = a\nvar z\ndx/dt = -z\nz^3 + z = x", "E410"),
    "sde": ("noise W\nstate x = a\ndx = -x*dt + dW", "E410"),
    "bvp": ("state u = t, v = 0\ndu/dt = v\ndv/dt = -u\nu(0) = 0\nu(1) = a\nlet x = u", None),
}


@pytest.mark.parametrize("kind", TIMED)
def test_kinds_in_time_need_an_interval(kind: str) -> None:
    body, code = TIMED[kind]
    assert errors(f"{kind} K(a) -> y", f"{body}\nreturn x") == ([] if code is None else [code])
    assert errors(f"{kind} K(a, b) -> y", f"{body}\nfrom t = 0 to b\nreturn x") == []
    assert errors(f"{kind} K(a, ts[T]) -> [T]", f"{body}\nreturn x at ts") == []
    assert errors(f"{kind} K(a, ts) -> y", f"{body}\nreturn x at ts") == ["E309"]
    assert errors(f"{kind} K(a) -> y", f"{body}\nfrom t = 0 to x\nreturn x") == ["E407"]
    assert errors(f"{kind} K(a) -> y", f"{body}\nfrom s = 0 to 1\nreturn x") == ["E410"]


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("state q = 0", "net fixpoint root argmin"),
        ("var q = 0", "net ode sde bvp"),
        ("noise W", "net ode dae bvp fixpoint root argmin"),
        ("minimize a", "net ode root fixpoint bvp"),
        ("subject to { a <= 1 }", "net ode root fixpoint"),
        ("from t = 0 to 1", "net root fixpoint argmin"),
        ("when a < 0 { stop }", "net root fixpoint argmin bvp"),
        ("solver newton()", "net"),
        ("history a = 0", "net root bvp"),
    ],
)
def test_statements_have_their_kinds(line: str, kinds: str) -> None:
    for kind in kinds.split():
        assert "E401" in codes(block(f"{kind} K(a) -> y", f"{line}\nreturn a")), kind


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("dx/dt = v\ndv/dt = -x", None),
        ("dx/dt = v", "E403"),
        ("dx/dt = v\ndv/dt = -x\ndv/dt = 1", "E404"),
        ("dx/dt = v\ndv/dt + v = -x", "E409"),
        ("dx/dt = v\ndv = -x", "E409"),
        ("dx/dt = v\nv = -x", "E409"),
        ("dx/dt = v\ndw/dt = -x", "E405"),
        ("dx/dt = v\nw = -x", "E405"),
        ("dx/dt = v\ndv/dt = dx/dt", "E408"),
        ("dx/dt = v\ndv/dt = -x*dt", "E408"),
        ("dx/dt = v\ndv/dt = [x, v]", "E302"),
        ("dx/dt = v\ndv/dt = -x(t - 1)", "E415"),
        ("history x = t\ndx/dt = v\ndv/dt = -x(t - 1)", None),
        ("history z = t\ndx/dt = v\ndv/dt = -x", "E415"),
        ("dx/dt = v\ndv/dt = -x\nwhen x < 0 { v := -v }", None),
        ("dx/dt = v\ndv/dt = -x\nwhen x { v := -v }", "E414"),
        ("dx/dt = v\ndv/dt = -x\nwhen x < 0 { a := -v }", "E405"),
        ("dx/dt = v\ndv/dt = -x\nwhen x < 0 { v := [1, 2] }", "E302"),
        ("dx/dt = v\ndv/dt = -x\nwhen dx < 0 { v := 0 }", "E408"),
    ],
)
def test_equations_of_an_ode(body: str, code: str | None) -> None:
    found = errors("ode K(a, ts[T]) -> [T]", f"state x = a, v = 0\n{body}\nreturn x at ts")
    assert found == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("right", "fits"),
    [
        ("-x*dt + dW[0]*x", True), ("f*dt + G @ dW", True), ("dt", True), ("0", True), ("(x + 1)*(dt + 2*dW[1])/3", True), ("-(dt*x)", True),
        ("sum(dW)*x", True), ("if a > 0 then dt else 2*dt", True), ("if a > 0 then dt else 0", True), ("twice(dW[0])", True), ("sum(dW[k] for k in 0:2)", True),
        ("[dt, dW] @ [1, 2, 3]", True), ("n*dt", True), ("let", True),
        ("dW @ dW", False), ("x", False), ("x + dt", False), ("dW[0]^2", False), ("dt/dt", False), ("1/dW[0]", False), ("sin(dW[0])", False),
        ("if dt > 0 then dt else 0", False), ("square(dW[0])", False), ("[dt, 1] @ [1, 2]", False), ("dx", False), ("normsq(dW)", False),
    ],
)  # fmt: skip
def test_differentials_enter_linearly(right: str, fits: bool) -> None:
    functions = "fn twice(u) = 2*u\nfn square(u) = u*u\n"
    right = "m + (drift + dW[1])" if right == "let" else right
    body = "noise W[2]\nstate x = a\nlet f = a*x\nlet G = [a, x]\nlet drift = f*dt\nlet m = 2*dW[0]\n"
    found = errors_of(functions + block("sde K[n](a) -> y", f"{body}dx = {right}\nfrom t = 0 to 1\nreturn x"))
    assert found == ([] if fits else ["E408"])


def errors_of(text: str) -> list[str]:
    return [c for c in codes(text) if c[0] == "E"]


@pytest.mark.parametrize(
    ("right", "code"),
    [
        ("F @ dX", None),
        ("F @ dX + z*dt", None),
        ("F @ X(t)", "E408"),
        ("F @ X*dt", "E402"),
        ("F @ (dX*sum(dX))", "E408"),
    ],
)
def test_a_cde_is_linear_in_its_path(right: str, code: str | None) -> None:
    body = f"param F[n, c] = 0\nstate z[n] = 0\ndz = {right}\nreturn z + sum(X(0))"
    assert errors("cde K[n, c](path X[c]) -> [n]", body) == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("z = sin(z) + a", None),
        ("z = sin(z) + a\nz = a", "E404"),
        ("w = z", "E405"),
        ("2*z = a", "E409"),
        ("let b = a", "E403"),
        ("z = [a, a]", "E302"),
    ],
)
def test_equations_of_a_fixpoint(body: str, code: str | None) -> None:
    assert errors("fixpoint K(a) -> y", f"var z = 0\n{body}\nreturn z") == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("x[0] + y = a\nsum(x) = 1\nx[1:]*y = 0", None),
        ("sum(x) = 1\ny = a", "E406"),
        ("x*y = 1\ny = a\ny^2 = 1", "E406"),
        ("x = a\nsum(x) = 1", "E413"),
        ("x = y\nb = 1", "E405"),
        ("x = y\na = y", "E405"),
        ("x = y\ndy/dt = 1", "E401"),
    ],
)
def test_equations_of_a_root(body: str, code: str | None) -> None:
    found = errors("root K[n](a) -> [n]", f"var x[n], y\n{body}\nreturn x")
    assert found[:1] == ([] if code is None else [code])


def test_what_nothing_determines_is_named() -> None:
    text = block("root K[n](a) -> [n]", "var x[n], y, w\nx = a + w\nsum(x) = 1\nw = 2\nreturn x + y")
    (found,) = checked(text)[1].found
    assert (found.code, found.message) == ("E413", "the equations cannot determine `y`")
    assert [label.span.text for label in found.labels] == ["y"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("minimize normsq(z - x)", None),
        ("minimize z - x", "E309"),
        ("minimize normsq(z)\nmaximize sum(z)", "E411"),
        ("let y = x", "E411"),
        ("minimize normsq(z - x)\nsubject to { z >= 0 }", None),
        ("minimize normsq(z - x)\nsubject to { x >= 0 }", "E405"),
        ("minimize normsq(z - x)\nsubject to { z in simplex(n) }", None),
        ("minimize normsq(z - x)\nsubject to { z in simplex(m) }", "E201"),
        ("minimize normsq(z - x)\nsubject to { z in simplx(n) }", "E213"),
        ("minimize normsq(z - x)\nsubject to { z = [x, 1] }", "E302"),
        ("minimize normsq(z - x)\nsubject to { for k in 0:n { z[k + 1] >= 0 } }", "E306"),
        ("minimize normsq(z - x)\nsum(z) = 1", "E401"),
        ("minimize normsq(z - x)\nw = 1", "E405"),
    ],
)
def test_an_argmin(body: str, code: str | None) -> None:
    assert errors("argmin K[n](x[n]) -> [n]", f"var z[n]\n{body}\nreturn z") == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("conditions", "code"),
    [("u(0) = 0\nu(1) = 1", None), ("u(0) = 0", "E406"), ("u(0) = 0\nu(1) = 1\nv(0) = 2", "E406")],
)
def test_a_bvp_has_as_many_conditions_as_states(conditions: str, code: str | None) -> None:
    body = f"state u = a*t, v = 0\ndu/dt = v\ndv/dt = -u\n{conditions}\nreturn u at ts"
    assert errors("bvp K(a, ts[T]) -> [T]", body) == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ("u(0) = a\nv(a) = u(0)*v(1)", None),
        ("u(0) = a\nv(1) = u", "E418"),
        ("u(0) = a\nv(1) = g", "E418"),
        ("u(0) = a\nv(1) = t", "E418"),
        ("u(0) = a\nv(t) = 0", "E407"),
        ("u(0) = a\nv(u(0)) = 0", "E407"),
        ("u(0) = a\nv([0, 1]) = 0", "E309"),
        ("u(0) = a\nu = v", "E409"),
    ],
)
def test_conditions_are_about_states_at_places(conditions: str, code: str | None) -> None:
    body = f"state u = a*t, v = 0\nlet g = u + a\ndu/dt = v\ndv/dt = -g\n{conditions}\nreturn u"
    assert errors("bvp K(a) -> u", body)[:1] == ([] if code is None else [code])


@pytest.mark.parametrize("where", ["dv/dt = -u(0)\nreturn u", "dv/dt = -u\nreturn u(1)"])
def test_a_place_stands_in_conditions_only(where: str) -> None:
    assert errors("bvp K(a) -> u", f"state u = a*t, v = 0\ndu/dt = v\nu(0) = a\nv(1) = 0\n{where}") == ["E418"]


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("a", None),
        ("p", None),
        ("n", None),
        ("f(a)", None),
        ("t", "E407"),
        ("x", "E203"),
        ("v", "E407"),
        ("[a, a]", "E302"),
    ],
)
def test_starts_see_what_is_given(start: str, code: str | None) -> None:
    net = "net N(u) -> w { return 2*u }\n"
    body = f"use f = N\nparam p = 1\nstate v = p\nlet g = f(a)\nstate x = {start}\ndx/dt = g + v\ndv/dt = x\nfrom t = 0 to 1\nreturn x"
    assert errors_of(net + block("ode K[n](a) -> y", body)) == ([] if code is None else [code])


def test_a_state_is_determined_by_its_own_derivative():
    text = "dae D(ts[T]) -> [T] {\n  state x = 1\n  var y = 0\n  dx/dt = y\n  y = -sin(t)\n  return x at ts\n}\n"
    implicitdsl.loads(text)
