"""Every code of the catalogue does what its record says."""

from __future__ import annotations

import re

import pytest

from implicitdsl.diagnostics import Report
from implicitdsl.diagnostics.catalogue import CATALOGUE, Code
from implicitdsl.syntax.reader import read_with_report

TEXT_CODES = [record for code, record in CATALOGUE.items() if code[:2] in ("E1", "W1")]


def codes_of(text: str) -> list[str]:
    report = Report()
    read_with_report(text, "sample.imp", report)
    return [finding.code for finding in report.found]


@pytest.mark.parametrize("record", TEXT_CODES, ids=lambda record: record.code)
def test_a_bad_text_has_its_code_and_the_mended_text_has_none(record: Code) -> None:
    assert record.code in codes_of(record.bad)
    assert codes_of(record.good) == []


@pytest.mark.parametrize("record", TEXT_CODES, ids=lambda record: record.code)
def test_a_bad_text_has_no_other_code(record: Code) -> None:
    # E118 stands behind a hundred other errors by its nature.
    others = {"E116"} if record.code == "E118" else set[str]()
    assert set(codes_of(record.bad)) <= {record.code} | others


@pytest.mark.parametrize("record", CATALOGUE.values(), ids=lambda record: record.code)
def test_a_record_is_complete(record: Code) -> None:
    assert re.fullmatch("[EW][1-9][0-9]{2}", record.code)
    assert record.title
    assert not record.title.endswith(".")
    assert len(record.explanation) > 20
    assert record.bad != record.good or record.build is not None


def test_every_code_that_the_reader_can_report_has_a_record() -> None:
    import importlib.resources

    used: set[str] = set()
    for file in importlib.resources.files("implicitdsl.syntax").iterdir():
        if file.name.endswith(".py"):
            used |= set(re.findall(r'"([EW]1[0-9]{2})"', file.read_text(encoding="utf-8")))
    assert used == {record.code for record in TEXT_CODES}
