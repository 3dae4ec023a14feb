"""`implicitdsl compile -o`: layers into a package of machine code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from implicitdsl.artifacts.manifest import features_of
from implicitdsl.artifacts.package import Draft
from implicitdsl.cli.compile import BuildChoice, Job
from implicitdsl.cli.data import UsageError
from implicitdsl.cli.layers import make_blueprint
from implicitdsl.diagnostics import ImpError
from implicitdsl.layers.options import OPTION_NAMES
from implicitdsl.models import Models

Entries = list[dict[str, Any]]


def build_package(
    models: Models, jobs: Sequence[Job], choice: BuildChoice, tell: Callable[[str], None]
) -> tuple[Entries, Entries, Entries]:
    """Compiles the layers and writes the package, unless there is nothing to write. Gives what was built, what cannot
    be compiled, and what was left out because its call sizes are not named; where layers are named, either is an
    error."""
    try:
        features_of(choice.cpu)
    except ValueError as error:
        raise UsageError(str(error)) from error
    draft = Draft(choice.source.name, choice.cpu)
    built: Entries = []
    refused: Entries = []
    left: Entries = []
    for number, job in enumerate(jobs, 1):
        tell(f"compiling {job.layer}, {job.dtype} ({number} of {len(jobs)})")
        try:
            entry, objects = _add(draft, models, job, strict=choice.named)
        except ImpError as error:
            errors = [d for d in error.diagnostics if d.severity == "error"]
            if choice.named or not all(d.code.startswith("E6") for d in errors):
                raise
            _once(refused, {"layer": job.layer, "code": errors[0].code, "why": errors[0].message})
            continue
        if objects:
            built.append({**entry, "objects": objects})
        else:
            _once(left, {"layer": job.layer, "build": entry["build"]})
    if built:
        try:
            draft.write(choice.folder)
        except ValueError as error:
            raise UsageError(str(error)) from error
    return built, refused, left


def _once(entries: Entries, entry: dict[str, Any]) -> None:
    if entry not in entries:
        entries.append(entry)


def _add(draft: Draft, models: Models, job: Job, *, strict: bool) -> tuple[dict[str, Any], int]:
    """Compiles one layer: what it is, and the number of its object files, 0 where its call sizes are not named."""
    template = models[job.layer]
    known = (*template.sizes, *OPTION_NAMES)
    own = {name: value for name, value in job.keywords.items() if name in known}
    call_sizes = {name: value for name, value in job.keywords.items() if name not in known}
    blueprint = make_blueprint(template, {**own, "dtype": job.dtype})
    wanted = blueprint.call_sizes
    if set(call_sizes) != set(wanted):
        words = [f"{n}={v}" for n, v in own.items()]
        build = f"{job.layer}({', '.join((*words, *(f'{name}=…' for name in wanted)))})"
        if strict:
            needs = f"the sizes of its calls {', '.join(wanted)}" if wanted else "no sizes of calls"
            raise UsageError(f"{job.layer} takes {needs}: --build '{build}'")
        return {"build": build}, 0
    counts = {n: v for n, v in call_sizes.items() if isinstance(v, int) and not isinstance(v, bool) and v >= 0}
    if len(counts) < len(call_sizes):
        raise UsageError(f"the call sizes of {job.layer} are whole numbers")
    words = [f"{n}={v!r}" for n, v in {**own, **call_sizes}.items()] + [f"dtype={job.dtype}"]
    build = f"{job.layer}({', '.join(words)})"
    objects = draft.add(template.heading, blueprint, template.usual_sizes(blueprint.sizes), counts, build)
    entry = {
        "layer": job.layer, "kind": blueprint.kind, "sizes": dict(blueprint.sizes), "dtype": job.dtype,
        "call_sizes": call_sizes,
    }  # fmt: skip
    return entry, objects
