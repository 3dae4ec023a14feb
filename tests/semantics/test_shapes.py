"""Shapes of expressions for all sizes: what fits gives the declared output, what does not is said."""

from __future__ import annotations

import pytest

from implicitdsl.diagnostics import Report
from implicitdsl.semantics.check import check_sizes
from tests.semantics.checking import checked, codes

HEAD = "[n, m](x[n], y[m], A[n, m], s, B[n, n])"


def shape_code(expression: str, output: str) -> list[str]:
    """The errors of a net that returns the expression."""
    return [f for f in codes(f"net _N{HEAD} -> {output} {{ return {expression} }}") if f[0] == "E"]


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ("x @ x", "[]"), ("A @ y", "[n]"), ("x @ A", "[m]"), ("A.T @ x", "[m]"), ("A @ A.T", "[n, n]"), ("x*s", "[n]"), ("A + y", "[n, m]"),
        ("A*reshape(x, [n, 1])", "[n, m]"), ("x[0]", "[]"), ("A[0]", "[m]"), ("A[0, -1]", "[]"), ("A[0:2]", "[2, m]"), ("x[1:]", "[n - 1]"),
        ("x[:-1]", "[n - 1]"), ("A[:, 0]", "[n]"), ("x[1:n]", "[n - 1]"), ("[x, y]", "[n + m]"), ("[x, s, 1]", "[n + 2]"), ("[[1, 2], [3, 4]]", "[2, 2]"),
        ("[[s], [s]]", "[2, 1]"), ("[x[0:2], [1, 2][0]]", "[3]"), ("stack(x, x, x)", "[3, n]"), ("concat(A, A)", "[2*n, m]"), ("outer(x, y)", "[n, m]"),
        ("sum(A)", "[]"), ("sum(A[k] for k in 0:n)", "[m]"), ("stack(x[k]*y for k in 0:n)", "[n, m]"), ("concat(x for k in 0:m)", "[m*n]"),
        ("max(x)", "[]"), ("max(x, 0)", "[n]"), ("max(x[k] for k in 0:n)", "[]"), ("softmax(A)", "[n, m]"), ("logsumexp(A)", "[n]"), ("diag(x)", "[n, n]"),
        ("diag(B)", "[n]"), ("solve(B, A)", "[n, m]"), ("inv(B) @ x", "[n]"), ("eye(n) - B", "[n, n]"), ("zeros(n, 2*m)", "[n, m*2]"), ("ones(n)", "[n]"),
        ("reshape(A, [m*n])", "[n*m]"), ("reshape(A, m*n)", "[n*m]"), ("grad(sum(A @ y), y)", "[m]"), ("div(2*x, x)", "[]"), ("jacobian(A @ y, y)", "[n, m]"),
        ("jacobian(A, s)", "[n, m]"), ("if s > 0 then x else 0", "[n]"), ("if x > 0 and s < 1 then x else -x", "[n]"), ("clip(x, 0, 1)", "[n]"),
        ("cumsum(x)", "[n]"), ("atan2(x, s)", "[n]"), ("conv1d(reshape(A, [1, n*m]), ones(2, 1, 3))", "[2, n*m - 2]"), ("n*s", "[]"),
    ],
)  # fmt: skip
def test_shapes_that_fit(expression: str, output: str) -> None:
    wanted = "r" if output == "[]" else output
    assert shape_code(expression, wanted) == []
    # The same expression does not pass for another shape: the check is of this very shape.
    assert shape_code(expression, "[n + 17]") == ["E308"]


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("A @ x", "E302"), ("x @ y", "E302"), ("x + y", "E302"), ("x*A", "E302"), ("s @ x", "E302"), ("x.T", "E302"), ("s.T", "E302"), ("A.T + A", "E302"),
        ("x[n]", "E306"), ("x[-n - 1]", "E306"), ("x[0, 0]", "E306"), ("s[0]", "E306"), ("x[2:1]", "E306"), ("x[0:n + 1]", "E306"), ("x[0.5]", "E304"),
        ("x[s]", "E304"), ("x[q]", "E201"), ("sum(x[k + 1] for k in 0:n)", "E306"), ("sum(x[k - 1] for k in 0:5)", "E306"), ("sum(x[0:k] for k in 0:3)", "E302"),
        ("sum(x for k in 3:1)", "E306"), ("[x, A]", "E302"), ("[[1, 2], [3]]", "E302"), ("[[1], 2]", "E303"), ("stack(x, y)", "E302"), ("concat(A, B)", "E302"),
        ("outer(A, x)", "E302"), ("diag(A)", "E302"), ("trace(A)", "E302"), ("solve(B, y)", "E302"), ("inv(A)", "E302"), ("softmax(s)", "E302"),
        ("dot(x, y)", "E302"), ("reshape(x, [n, n])", "E302"), ("reshape(x, [s])", "E304"), ("zeros(n/2)", "E304"), ("zeros(-1)", "E304"),
        ("grad(x, x)", "E302"), ("div(x, y)", "E302"), ("x + (s > 0)", "E414"), ("if s then 1 else 2", "E414"), ("s in positive", "E402"),
        ("if s > 0 then x else y", "E302"), ("x.y", "E402"), ("max(x, y)", "E302"), ("conv1d(x, y)", "E302"), ("x(1)", "E402"), ("[x, y](0)", "E402"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(expression: str, code: str) -> None:
    assert shape_code(expression, "[n]") == [code]


def test_one_mistake_is_said_once() -> None:
    text = "net N[n, m](x[n], y[m]) -> [n] {\n let a = x + y\n let b = a*2\n return b + sin(a) @ x\n}"
    assert codes(text) == ["E302"]


def test_an_error_inside_a_function_shows_the_call() -> None:
    (found,) = checked("fn f(a, b) = a @ b\nnet N[n, m](x[n], y[m]) -> r { return f(x, y) }")[1].found
    assert found.span is not None
    assert (found.code, found.span.text) == ("E302", "a @ b")
    assert [(label.span.text, label.text) for label in found.labels] == [("f(x, y)", "in this call")]


LAYERS = """net Inner[a, b](u[a], ts[T]) -> (v[T, b], w) {
  param W[b, a] ~ glorot()
  return outer(ts, W @ u), sum(u)
}
net Plain[a](u[a]) -> [a + 1] { return [u, 1] }
"""


@pytest.mark.parametrize(
    ("body", "output", "code"),
    [
        ("use f = Plain[n]\nreturn f(x)", "[n + 1]", None),
        ("use f = Plain[a = n]\nuse g = Plain[n + 1]\nreturn g(f(x))", "[n + 2]", None),
        ("use f = Plain[n]\nreturn f(f(x))", "[n + 2]", "E302"),
        ("use f = Inner[n, 3]\nreturn f(x, y)", "([m, 3], [])", None),
        ("use f = Inner[n, 3]\nreturn f(x, x)", "([n, 3], [])", None),
        ("use f = Inner[n, 3]\nlet z = f(x, y)\nreturn z", "[n]", "E402"),
        ("use f = Inner[n, 3]\nreturn f(x)", "([m, 3], [])", "E208"),
        ("use f = Inner[n]\nreturn f(x, y)", "[n]", "E307"),
        ("use f = Inner[n, 3, 4]\nreturn f(x, y)", "[n]", "E307"),
        ("use f = Inner[n, c = 4]\nreturn f(x, y)", "[n]", "E307"),
        ("use f = Inner[n, a = 4]\nreturn f(x, y)", "[n]", "E307"),
        ("use f = Plain[m]\nreturn f(y)", "[m + 1]", "E301"),
    ],
)
def test_used_layers_bind_their_sizes(body: str, output: str, code: str | None) -> None:
    output = output.replace("[]", "r")
    head = "net _N[n](x[n], y[m])"
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    found = [c for c in codes(f"{LAYERS}{head} -> {output} {{\n{lines}}}") if c[0] == "E"]
    assert found == ([] if code is None else [code])


def test_numbers_decide_what_names_leave_open() -> None:
    file, report = checked("net N[n](x[n]) -> [2] { return x[1:3] + x[0:n - 2] }")
    assert [f.code for f in report.found] == ["E302"]  # 2 is not n - 2 for all sizes
    file, report = checked("net N[n](x[n]) -> [n - 2] { return x[2:] + x[4] }")
    assert report.found == []
    for n, wanted in ((5, []), (4, ["E306"]), (1, ["E306", "E306"])):
        again = Report()
        check_sizes(file.definitions["N"], {"n": n}, again)
        assert [f.code for f in again.found if f.code == "E306"] == wanted[: len(again.found)]
        assert bool(again.errors) == bool(wanted)
