"""A call of a layer as the command line names it: `FILE[:Layer] size=… option=… input=… param=… --data f.npz`."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import typer

from implicitdsl.cli.data import Array, UsageError, Value, read_archive, read_array, read_assignments, read_target
from implicitdsl.cli.inputs import read_inputs
from implicitdsl.cli.layers import find_template, keywords_of, make_blueprint, open_models, refuse_leftovers
from implicitdsl.cli.output import WRONG_MODEL, Format, print_json
from implicitdsl.layers.errors import SolveError
from implicitdsl.layers.module import Layer
from implicitdsl.layers.options import OPTION_NAMES
from implicitdsl.models import Template


@dataclass(frozen=True, eq=False)
class Call:
    """A layer and the arrays to call it on, by input and in order. `given` are the words of the command line by name,
    `drawn` the inputs that it did not name."""

    template: Template
    layer: Layer
    inputs: Mapping[str, Array]
    given: Mapping[str, str]
    drawn: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.template.definition.name

    @property
    def dtype(self) -> torch.dtype:
        return self.layer.blueprint.options.dtype or torch.float64

    def tensors(self) -> list[torch.Tensor]:
        """The inputs in the layer's type."""
        return [torch.tensor(value, dtype=self.dtype) for value in self.inputs.values()]


def make_call(
    target: str,
    words: Sequence[str],
    *,
    data: Path | None = None,
    state: Path | None = None,
    seed: int = 0,
    defaults: Mapping[str, Value] | None = None,
    of_time: Mapping[str, Value] | None = None,
) -> Call:
    """The call that a command line names, in float64 unless it says otherwise. Its words beat `defaults`, options of
    every kind, and `of_time`, options of an `ode`, `dae` or `bvp`.

    Raises UsageError for names and shapes that do not fit, ImpError for a layer that cannot be made."""
    place = read_target(target)
    template = find_template(open_models(place.file), place)
    given = read_assignments(words)
    archive = {} if data is None else read_archive(data)
    timed = of_time or {} if template.definition.kind in ("ode", "dae", "bvp") else {}
    keywords = {"dtype": "float64", **(defaults or {}), **timed, **keywords_of(template, given)}
    torch.manual_seed(seed)
    with silenced_warnings():
        blueprint = make_blueprint(template, keywords)
    if blueprint.noisy and blueprint.options.seed is None:
        blueprint = replace(blueprint, options=replace(blueprint.options, seed=seed))
    layer = Layer(blueprint)
    inputs = {spec.name for spec in blueprint.inputs}
    held = {spec.name for spec in (*blueprint.params, *blueprint.consts)} - inputs
    refuse_leftovers(given, {*OPTION_NAMES, *template.sizes, *blueprint.call_sizes, *inputs, *held}, template)
    if state is not None:
        load_state(layer, state)
    generator = np.random.default_rng(seed)
    values = {name: value for name, value in archive.items() if name not in inputs}
    values |= {name: read_array(given[name], generator) for name in given if name in held}
    set_values(layer, values)
    arrays = read_inputs(blueprint, template.definition, given, archive, seed)
    drawn = tuple(name for name in arrays if name not in given and name not in archive)
    return Call(template, layer, arrays, given, drawn)


def set_values(layer: Layer, values: Mapping[str, Array]) -> None:
    """Give params and consts values by their (qualified) names; a name that the layer lacks is left out, because an
    archive may hold more than one layer needs."""
    for name, value in values.items():
        *path, last = name.split(".")
        owner: Any = layer
        for part in path:
            owner = getattr(owner, part, None)
        if not isinstance(owner, Layer):
            continue
        blueprint = owner.blueprint
        spec = next((s for s in (*blueprint.params, *blueprint.consts) if s.name == last), None)
        if spec is None:
            continue
        if value.shape not in (spec.shape, ()):
            raise UsageError(f"{name} is {list(spec.shape)}; {list(value.shape)} given")
        tensor = torch.tensor(value).expand(spec.shape)
        try:
            with torch.no_grad():
                if spec.set is not None:
                    setattr(owner, last, tensor)
                else:
                    cast(torch.Tensor, getattr(owner, last)).copy_(tensor)
        except (ValueError, RuntimeError) as error:
            raise UsageError(str(error)) from error


def load_state(layer: Layer, path: Path) -> None:
    """The params of a `state_dict` that torch.save wrote."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        layer.load_state_dict(torch.load(path, weights_only=True))
    except (RuntimeError, TypeError, AttributeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"{path} holds no state_dict of this layer: {' '.join(lines[:3])}") from error


@contextmanager
def failing(format: Format) -> Iterator[None]:
    """A SolveError ends the command with its message and exit code 1."""
    try:
        yield
    except SolveError as error:
        if format is Format.json:
            print_json({"ok": False, "failure": str(error)})
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_MODEL) from error


@contextmanager
def silenced_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Warnings are collected instead of printed: a command prints them in its own way, or `check` does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
