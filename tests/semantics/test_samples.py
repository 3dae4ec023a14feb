"""The samples of the language page check without a finding, and the catalogue's samples do what their records say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from implicitdsl.diagnostics.catalogue import CATALOGUE, Code
from tests.semantics.checking import checked, codes

SAMPLES = Path(__file__).with_name("language.imp").read_text(encoding="utf-8")
OWN = [record for code, record in CATALOGUE.items() if code[:2] in ("E2", "E3", "E4", "W2", "W4")]


def test_all_samples_of_the_language_page_check_without_a_finding() -> None:
    file, report = checked(SAMPLES)
    assert report.found == []
    assert len(file.definitions) == 15
    assert list(file.definitions)[:3] == ["LotkaVolterra", "MLP", "NeuralODE"]


@pytest.mark.parametrize("name", re.findall(r"(?m)^\w+ (\w+)", SAMPLES.replace("import", "")))
def test_every_sample_has_its_names_and_outputs(name: str) -> None:
    if not name[0].isupper():
        return
    found = checked(SAMPLES)[0].definitions[name]
    assert all(shape is not None for shape in found.outputs)
    assert all(s.shape is not None for s in found.symbols.values() if s.role != "use")


def test_what_is_known_of_the_neural_ode() -> None:
    found = checked(SAMPLES)[0].definitions["NeuralODE"]
    assert (found.sizes, found.call_sizes, found.states) == (("d", "h"), ("T",), ("z",))
    assert [str(s) for s in found.outputs[0] or ()] == ["T", "d"]
    assert {n: str(s) for n, s in found.uses["f"].sizes.items()} == {"n": "d", "h": "h", "m": "d"}


@pytest.mark.parametrize("record", OWN, ids=lambda record: record.code)
def test_a_bad_sample_has_its_code_alone_and_the_mended_one_none(record: Code) -> None:
    assert set(codes(record.bad)) == {record.code}
    assert codes(record.good) == []


def test_every_code_that_the_check_can_report_has_a_record() -> None:
    import importlib.resources

    used: set[str] = set()
    for file in importlib.resources.files("implicitdsl.semantics").iterdir():
        if file.name.endswith(".py"):
            used |= set(re.findall(r'"([EW][234][0-9]{2})"', file.read_text(encoding="utf-8")))
    assert used <= set(CATALOGUE)
    assert {r.code for r in OWN} <= used


def test_the_error_of_the_language_page() -> None:
    text = """fixpoint DEQ[n, m](x[k]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  param b[n] = 0
  var z[n] = 0
  z = tanh(W @ z + U @ x + b)
  return z
}
"""
    (found,) = checked(text)[1].found
    assert (found.code, found.message) == ("E302", "sizes do not agree in `U @ x`")
    assert found.remark == "U is [n, m], x is [k]"
    assert [(label.span.text, label.text) for label in found.labels] == [("x[k]", "x has size k")]
    assert found.help == "did you mean x[m]?"
    assert found.span is not None
    assert (found.span.line, found.span.column) == (6, 20)
