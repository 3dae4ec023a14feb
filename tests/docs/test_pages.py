"""The pages say what is so: their Python runs, their models check, their output is what the program prints."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from implicitdsl.diagnostics import Report
from implicitdsl.semantics.check import check
from implicitdsl.syntax import reader

ROOT = Path(__file__).parents[2]


def _load_generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = _load_generator()
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in generate.pages()}


def with_blocks(language: str, word: str | None = None) -> list[str]:
    return [
        name
        for name, text in PAGES.items()
        if any(b.language == language and (word is None or word in b.words) for b in generate.blocks(text))
    ]


@pytest.mark.parametrize("page", with_blocks("python"))
def test_the_python_of_a_page_runs(page: str) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    with generate.workplace(PAGES[page]):
        for block in generate.blocks(PAGES[page]):
            if block.language == "python":
                exec(compile(block.body, page, "exec"), namespace)


@pytest.mark.parametrize("page", with_blocks("imp"))
def test_the_models_of_a_page_are_what_it_says_they_are(page: str) -> None:
    for block in generate.blocks(PAGES[page]):
        if block.language != "imp":
            continue
        report = Report()
        file = reader.read_with_report(block.body, page, report)
        if file is not None:
            check(file, report, imports=lambda path: reader.read(path))
        assert bool(report.errors) == ("error" in block.words), [d.message for d in report.found]


@pytest.mark.parametrize("page", list(PAGES))
def test_what_a_page_quotes_is_what_the_program_says_now(page: str) -> None:
    assert generate.refresh(PAGES[page]) == PAGES[page], "run `make docs`"


@pytest.mark.parametrize("page", with_blocks("console", "example"))
def test_the_example_commands_of_a_page_succeed(page: str) -> None:
    with generate.workplace(PAGES[page]):
        for block in generate.blocks(PAGES[page]):
            if block.language == "console" and "example" in block.words:
                for command in generate.commands(block.body):
                    code, output = generate.run(command)
                    assert code == 0, output


@pytest.mark.parametrize("page", list(PAGES))
def test_links_lead_to_files(page: str) -> None:
    folder = (ROOT / page).parent
    prose = re.sub(r"^```.*?^```$|^    .*?$|`[^`]*`", "", PAGES[page], flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (folder / target).exists(), target
