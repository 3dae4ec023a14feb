"""`implicitdsl compile FILE`: read, check and construct layers, and report what was derived for each."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from implicitdsl.cli.data import UsageError, Value, read_build, read_target
from implicitdsl.cli.output import Format, FormatOption, count, print_diagnostics, print_json, reporting
from implicitdsl.cli.progress import working
from implicitdsl.diagnostics import ImpError
from implicitdsl.diagnostics.render import as_dict

DTYPES = ("float32", "float64")
PORTABLE = "x86-64-v3"


@dataclass(frozen=True)
class Job:
    """A layer to construct in one dtype."""

    layer: str
    keywords: dict[str, Value]
    dtype: str


@dataclass(frozen=True)
class BuildChoice:
    """A package to write: from which file, where, for which processor; `named`: the layers are named by --build."""

    source: Path
    folder: Path
    cpu: str
    named: bool


def compile(
    file: Annotated[str, typer.Argument(help="The .imp file.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the layers as machine code: a folder that Python imports."),
    ] = None,
    build: Annotated[
        list[str] | None, typer.Option(help="A layer with its sizes and options: 'DEQ(n=64, m=784, dtype=float32)'.")
    ] = None,
    cpu: Annotated[
        str | None, typer.Option(help="The processor that -o is for: x86-64-v3 (the default), another level, native.")
    ] = None,
    format: FormatOption = Format.text,
) -> None:
    """Read, check and construct layers: those named by --build, else all whose sizes have defaults, in both dtypes.
    With -o, compile them into a package that needs neither the text nor the compiler."""
    with reporting(format):
        target = read_target(file)
        if output is None and cpu is not None:
            raise UsageError("--cpu is for packages: name one with -o")
        from implicitdsl.cli.files import check_file, raise_if_wrong
        from implicitdsl.cli.layers import open_models

        checked = check_file(target.file)
        raise_if_wrong(checked)
        models = open_models(target.file)
        named = [read_build(text) for text in build or []]
        jobs, left = _jobs(models, [(b.layer, dict(b.keywords)) for b in named], target.layer)
        with working("compiling", format) as tell:
            if output is None:
                built, refused = _construct(models, jobs, strict=bool(named), tell=tell)
            else:
                from implicitdsl.cli.packages import build_package

                choice = BuildChoice(target.file, output, cpu or PORTABLE, named=bool(named))
                built, refused, more = build_package(models, jobs, choice, tell)
                left += more
        if format is Format.json:
            findings = [as_dict(d) for d in checked.diagnostics]
            report = {"ok": True, "file": str(target.file), "built": built, "left": left, "refused": refused}
            print_json(report | {"diagnostics": findings})
        else:
            print_diagnostics(checked.diagnostics)
            _show(str(target.file), built, left, refused)
            if output is not None and built:
                typer.echo(f"wrote {output}: import it from a program that has torch, numpy, llvmlite and implicitdsl")


def _jobs(
    models: Any, named: list[tuple[str, dict[str, Value]]], layer: str | None
) -> tuple[list[Job], list[dict[str, str]]]:
    """What to construct, and the layers left out with the option that builds them."""
    templates = {t.heading.name: t for t in models if layer in (None, t.heading.name)}
    if layer is not None and not templates:
        raise UsageError(f"the file defines no {layer}")
    named, left = list(named), list[dict[str, str]]()
    if not named:
        for name, template in templates.items():
            missing = [s.name for s in template.definition.sizes if s.default is None]
            if missing:
                left.append({"layer": name, "build": f"{name}({', '.join(f'{m}=…' for m in missing)})"})
            else:
                named.append((name, {}))
    jobs: list[Job] = []
    for name, keywords in named:
        if name not in templates:
            raise UsageError(f"the file defines {', '.join(templates)}, no {name}")
        for dtype in [keywords.pop("dtype")] if "dtype" in keywords else DTYPES:
            jobs.append(Job(name, dict(keywords), str(dtype)))
    return jobs, left


def _construct(
    models: Any, jobs: list[Job], *, strict: bool, tell: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """What was constructed, and what cannot be executed yet. Any other diagnostic, or any if strict, is raised."""
    from implicitdsl import compiler
    from implicitdsl.cli.layers import make_blueprint

    built: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    for number, job in enumerate(jobs, 1):
        tell(f"compiling {job.layer}, {job.dtype} ({number} of {len(jobs)})")
        try:
            blueprint = make_blueprint(models[job.layer], {**job.keywords, "dtype": job.dtype})
        except ImpError as error:
            errors = [d for d in error.diagnostics if d.severity == "error"]
            if strict or not all(d.code.startswith("E6") for d in errors):
                raise
            entry = {"layer": job.layer, "code": errors[0].code, "why": errors[0].message}
            if entry not in refused:
                refused.append(entry)
            continue
        derived = compiler.derived_functions(blueprint, job.dtype)
        built.append(
            {
                "layer": job.layer,
                "kind": blueprint.kind,
                "sizes": dict(blueprint.sizes),
                "dtype": job.dtype,
                "back_end": compiler.back_end_of(blueprint),
                "derived": derived,
            }
        )
    return built, refused


def _show(file: str, built: list[dict[str, Any]], left: list[dict[str, str]], refused: list[dict[str, str]]) -> None:
    for entry in built:
        sizes = ", ".join(f"{n}={v}" for n, v in entry["sizes"].items())
        if "objects" in entry:
            calls = "".join(f", {n}={v}" for n, v in entry["call_sizes"].items())
            objects = count(entry["objects"], "object file")
            typer.echo(f"built  {entry['layer']}({sizes}){calls} {entry['dtype']}, kind {entry['kind']}, {objects}")
            continue
        typer.echo(
            f"built  {entry['layer']}({sizes}) {entry['dtype']}, kind {entry['kind']}, back end {entry['back_end']}"
        )
        parts = ", ".join(f"{name}:{nodes}" for name, nodes in entry["derived"].items())
        head = f"{count(len(entry['derived']), 'derived function')}, {count(sum(entry['derived'].values()), 'node')}: "
        typer.echo(textwrap.fill(head + parts, width=110, initial_indent="       ", subsequent_indent="         "))
    for entry in refused:
        typer.echo(f"not executable yet: {entry['layer']}: {entry['why']} [{entry['code']}]")
    for entry in left:
        typer.echo(f"left   {entry['layer']}: name its sizes with --build '{entry['build']}'")
    typer.echo(f"{file}: {len(built)} built, {len(refused)} not executable yet, {len(left)} left")
