"""Every code beyond the text: the failing sample earns it when it is loaded, built or called; the mended one runs clean."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import implicitdsl
from implicitdsl.cli.main import app
from implicitdsl.diagnostics.catalogue import CATALOGUE, Code

LATER = [record for code, record in CATALOGUE.items() if code[:2] not in ("E1", "W1")]


def outcome(text: str, build: str | None, folder: Path) -> str:
    """Everything that is said when the text is loaded and its `build` is carried out."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            (folder / "sample.imp").write_text(text)
            models = implicitdsl.load(folder / "sample.imp")
            if build is not None and build.startswith("$ implicitdsl "):
                (folder / "layer.imp").write_text(text)
                words = [str(folder / w) if w in ("layer.imp", "built") else w for w in build.split()[2:]]
                result = CliRunner().invoke(app, words)
                if result.exit_code != 0:
                    said.append(result.output + result.stderr)
            elif build is not None:
                eval(build, {"torch": torch}, {t.definition.name: t for t in models})
        except (implicitdsl.ImpError, implicitdsl.SolveError) as error:
            said.append(str(error))
        said += [str(w.message) for w in caught]
    return "\n".join(said)


@pytest.mark.parametrize("record", LATER, ids=lambda record: record.code)
def test_the_failing_sample_earns_the_code(record: Code, tmp_path: Path) -> None:
    assert f"[{record.code}]" in outcome(record.bad, record.build, tmp_path)


@pytest.mark.parametrize("record", LATER, ids=lambda record: record.code)
def test_the_mended_sample_runs_clean(record: Code, tmp_path: Path) -> None:
    build = None if record.build is not None and record.build.startswith("$") else record.build
    assert outcome(record.good, build, tmp_path) == ""
