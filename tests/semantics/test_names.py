"""Scopes, reserved names, misspellings, imports, functions."""

from __future__ import annotations

import pytest
import torch

from implicitdsl.layers.module import Layer
from implicitdsl.semantics.names import CONSTANTS, is_module_attribute, nearest
from tests.semantics.checking import checked, codes


def test_no_attribute_of_a_torch_module_or_of_a_layer_is_free() -> None:
    # torch's compiler adds names with three underscores to modules that it has seen.
    public = {n for n in (*dir(torch.nn.Module()), *vars(Layer), *Layer.__annotations__) if not n.startswith("___")}
    assert {n for n in public if not is_module_attribute(n)} - {"_bind"} <= {
        n for n in vars(Layer) if n.startswith("_")
    }
    assert not is_module_attribute("weight")


def test_the_constants_are_those_of_the_table() -> None:
    from implicitdsl.functions.table import CONSTANTS as TABLE

    assert set(TABLE) == CONSTANTS


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("alhpa", "alpha"), ("Alpha", "alpha"), ("alph", "alpha"), ("b", None), ("gamma", None), ("x" * 1000, None)],
)
def test_the_nearest_name(name: str, wanted: str | None) -> None:
    assert nearest(name, ["alpha", "delta", "x"]) == wanted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("let x = 1\nreturn x", "E202"),
        ("let y = sum(x[n] for n in 0:2)\nreturn x*y", "E202"),
        ("let y = sum(sum(x[k] for k in 0:2) for k in 0:2)\nreturn x*y", "E202"),
        ("param a = 1, a = 2\nreturn a*x", "E202"),
        ("const half = 1\nreturn half*x", "E206"),
        ("use f = Other[n]\nreturn f(x)", "E205"),
        ("use f = m.Other[n]\nreturn f(x)", "E205"),
        ("return sin*x", "E402"),
        ("return Layer(x)", "E201"),
        ("return t*x", "E201"),
        ("return sin(x, x)", "E208"),
        ("return reshape(x)", "E208"),
        ("return sin(a = x)", "E208"),
        ("return norm(x[k] for k in 0:2)*x", "E208"),
        ("return grad(sum(x), 2*x)", "E402"),
        ("let e = 1\nreturn e*x", None),
        ("let inf = 1\nreturn inf*x", "W201"),
        ("let _y = 1\nreturn x", None),
        ("let y = 1\nreturn x", "W202"),
        ("return pi*x", None),
        ("return x*n", None),
        ("param a = 1 ~ nrmal()\nreturn a*x", "E213"),
        ("param a[n] ~ normal(1)\nreturn a*x", None),
        ("param a[n] ~ glorot()\nreturn a*x", "E302"),
    ],
)
def test_names_of_a_net(body: str, code: str | None) -> None:
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    assert codes(f"net Layer[n](x[n]) -> [n] {{\n{lines}}}") == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("np.exp(x)", "functions stand without a dot: `exp(…)`"),
        ("x.sum()", "functions stand without a dot: `sum(…)`"),
        ("ln(x)", "it is written `log(x)`"),
        ("maximum(x, 0)", "it is written `max(x, y)`"),
        ("softplux(x)", "did you mean `softplus`?"),
    ],
)
def test_functions_under_the_names_of_other_languages(value: str, told: str) -> None:
    _, report = checked(f"net Layer(x) -> y {{ return {value} }}")
    assert [(found.code, found.help) for found in report.found] == [("E201", told)]


def test_an_input_is_told_with_its_article() -> None:
    _, report = checked("net Layer(x[3], i) -> y { return x[i] }")
    assert [found.remark for found in report.found] == ["`i` is an input, not a size"]


@pytest.mark.parametrize("name", ["rtol", "dtype", "seed", "on_fail", "threads"])
def test_a_size_is_no_option(name: str) -> None:
    assert "E204" in codes(f"net Layer[{name}](x[{name}]) -> [{name}] {{ return x }}")


@pytest.mark.parametrize("line", ["param t = 1", "param dx = 1", "const dt = 1", "let dW = 1", "state t = 0"])
def test_time_and_differentials_are_reserved(line: str) -> None:
    text = f"sde S(x0) -> y {{\n noise W\n state x = x0\n {line}\n dx = dW\n from t = 0 to 1\n return x\n}}"
    assert "E204" in codes(text)


def test_a_name_that_is_not_taken_by_a_differential_is_free_elsewhere() -> None:
    assert codes("net N(x) -> y {\n param dx = 1, t = 2, dt = 3\n return dx*t*dt*x\n}") == []


def test_imports_bring_definitions_and_functions() -> None:
    files = {
        "lib/a.imp": 'import "b.imp"\nfn twice(x) = 2*half(4*x)\nnet A[n](x[n]) -> [n] { return twice(x) }',
        "lib/b.imp": "fn half(x) = x/2",
    }
    text = 'import "lib/a.imp" as m\nnet N[n](x[n]) -> [n] {\n use f = m.A[n]\n return m.twice(f(x))\n}'
    file, report = checked(text, files)
    assert report.found == []
    assert set(file.modules["m"].functions) == {"half", "twice"}
    plain = 'import "lib/a.imp"\nnet N[n](x[n]) -> [n] {\n use f = A[n]\n return half(f(x))\n}'
    assert codes(plain, files) == []
    assert codes(plain + "\nfn twice(x) = x", files) == ["E202"]


def test_import_circles_and_broken_files() -> None:
    circle = {"a.imp": 'import "b.imp"\nfn f(x) = x', "b.imp": 'import "a.imp"\nfn g(x) = x'}
    net = "\nnet N(x) -> y { return x }"
    assert codes('import "a.imp"' + net, circle) == ["E211"]
    assert set(codes('import "a.imp"' + net, {"a.imp": "net ("})) >= {"E210"}
    assert codes('import "a.imp"' + net, {"a.imp": 'import "sample.imp"', "sample.imp": net}) == ["E211"]
    meeting = {"a.imp": 'import "c.imp"', "b.imp": 'import "c.imp"', "c.imp": "fn f(x) = x"}
    assert codes('import "a.imp"\nimport "b.imp"\nnet N(x) -> y { return f(x) }', meeting) == []


def test_layers_are_found_in_any_order_and_not_in_themselves() -> None:
    outer = "net A(x) -> y {\n use f = B\n return f(x)\n}\n"
    assert codes(outer + "net B(x) -> y { return x }") == []
    assert codes(outer + "net B(x) -> y {\n use f = A\n return f(x)\n}") == ["E209"]
    assert codes("net A(x) -> y {\n use f = A\n return f(x)\n}") == ["E209"]


@pytest.mark.parametrize(
    ("equation", "code", "said"),
    [
        ("dx/dt = log10(x)", "E201", "it is written `log(x)/log(10)`"),
        ("dx/dt = tanhh(x)", "E201", "did you mean `tanh`?"),
        ("dx/dt = x\nddx/dt = -x", "E405", "second order is two states: `dx/dt = v`, `dv/dt = …`"),
        ("dx/dt = -x\nparam p = k", "E407", "`k` is an input: the start of a param cannot depend on it"),
    ],
)
def test_what_other_languages_write_is_answered_with_what_is_written_here(equation: str, code: str, said: str) -> None:
    _, report = checked(f"ode A(k) -> x {{\nstate x = k\n{equation}\nfrom t = 0 to 1\nreturn x\n}}")
    (found,) = [finding for finding in report.in_text_order() if finding.code == code]
    assert said in (found.help, found.message)


def test_what_is_missing_with_its_file_is_told_once() -> None:
    text = 'import "gone.imp" as m\nnet N(x) -> y {\n  use f = m.B\n  use g = k.B\n  return f(x) + g(x)\n}\n'
    assert codes(text) == ["E210", "E205"]
