"""Write what the program says into the pages: `make docs`. A test runs the same and finds no difference.

- In a block ```console, every line `$ implicitdsl …` is followed by what it prints. ```console example is run but its
  output is left alone, because it differs from machine to machine in its last digits.
- A block ```imp file=NAME is a file of that name for the commands and the Python of its page.
- Between <!-- statuses --> and <!-- end --> stands the table of statuses; `notes` likewise.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.cli.main import app
from implicitdsl.solvers.status import NOTES, STATUSES

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.M | re.S)
MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: `language`, the words behind it, and its text."""

    language: str
    words: tuple[str, ...]
    body: str


def pages() -> tuple[Path, ...]:
    """The pages that are kept up to date and whose blocks are run."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for match in BLOCK.finditer(text):
        language, *words = match["info"].split() or [""]
        yield Block(language, tuple(words), match["body"])


def file_of(block: Block) -> str | None:
    """The file name that a block bears."""
    return next((w.removeprefix("file=") for w in block.words if w.startswith("file=")), None)


@contextmanager
def workplace(text: str) -> Iterator[Path]:
    """A folder with the files of a page and the examples, as the current one."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks(text):
            if (name := file_of(block)) is not None:
                (Path(folder) / name).write_text(block.body, encoding="utf-8")
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


@contextmanager
def usual_linking() -> Iterator[None]:
    """Models are linked as users have them linked, whatever the tests are told."""
    told = os.environ.pop(LINK, None)
    try:
        yield
    finally:
        if told is not None:
            os.environ[LINK] = told


def run(line: str) -> tuple[int, str]:
    """Exit code and output of a line `implicitdsl …`."""
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def commands(body: str) -> list[str]:
    """The commands of a console block that the program itself runs."""
    return [line[2:] for line in body.splitlines() if line.startswith("$ implicitdsl ")]


def rerun(block: Block) -> str:
    """A console block with its output as it is now; lines of other programs stay."""
    written: list[str] = []
    ours = False
    for line in block.body.splitlines():
        if line.startswith("$ "):
            written.append(line)
            ours = line.startswith("$ implicitdsl ")
            if ours:
                output = run(line[2:])[1].rstrip()
                written += [text.rstrip() for text in output.splitlines()]
        elif not ours:
            written.append(line)
    return "".join(f"{line}\n" for line in written)


def status_table() -> str:
    rows = [f"| {s.number} | `{s.name}` | {s.meaning} | {s.advice} |" for s in STATUSES]
    return "\n".join(["| number | name | meaning | what to try |", "|---|---|---|---|", *rows])


def note_table() -> str:
    rows = [f"| {bit} | `{name}` | {meaning} |" for bit, name, meaning in NOTES]
    return "\n".join(["| bit | name | meaning |", "|---|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {"statuses": status_table, "notes": note_table}


def refresh(text: str) -> str:
    """The page with every output and table as it is now."""

    def block_now(match: re.Match[str]) -> str:
        language, *words = match["info"].split() or [""]
        if language != "console" or words:
            return match[0]
        return f"```{match['info']}\n{rerun(Block(language, (), match['body']))}```"

    def table_now(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]]()}\n{match[3]}"

    with workplace(text), usual_linking():
        return MARKED.sub(table_now, BLOCK.sub(block_now, text))


def main() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        now = refresh(text)
        if now != text:
            page.write_text(now, encoding="utf-8")
            print(f"changed {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
