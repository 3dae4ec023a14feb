"""Inputs of a layer from the words of a command: named ones are read, the others drawn inside their sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from implicitdsl.cli.data import Array, UsageError, read_array, read_value
from implicitdsl.layers.blueprint import Blueprint, InputSpec, SetSpec
from implicitdsl.syntax import tree

#: The length of a call size (`T` in `ts[T]`) that nothing names.
CALL_SIZE = 4


def read_inputs(
    blueprint: Blueprint,
    definition: tree.Definition,
    given: Mapping[str, str],
    archive: Mapping[str, NDArray[np.float64]],
    seed: int,
) -> dict[str, Array]:
    """One array for each input, in order, leading batch axes allowed. `given` are the words of the command by name.

    Raises UsageError for a shape that does not fit."""
    generator = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for spec in blueprint.inputs:
        if spec.name in given:
            found[spec.name] = read_array(given[spec.name], generator)
        elif spec.name in archive:
            found[spec.name] = np.asarray(archive[spec.name], dtype=np.float64)
    sizes = call_sizes(blueprint, found, given)
    times = times_input(definition)
    for spec in blueprint.inputs:
        shape = tuple(sizes[d] if isinstance(d, str) else d for d in spec.shape)
        if spec.name not in found:
            found[spec.name] = (
                np.linspace(0.0, 1.0, shape[0]) if spec.name == times else draw(shape, spec.set, generator)
            )
        elif found[spec.name].shape[found[spec.name].ndim - len(shape) :] != shape:
            raise UsageError(f"the input {spec.name} is {list(shape)}; {list(found[spec.name].shape)} given")
    return {spec.name: found[spec.name] for spec in blueprint.inputs}


def call_sizes(blueprint: Blueprint, found: Mapping[str, Array], given: Mapping[str, str]) -> dict[str, int]:
    """Sizes that bind at the call: named, or those of the inputs given, or a small number."""
    sizes: dict[str, int] = {}
    for name in blueprint.call_sizes:
        if name in given:
            value = read_value(given[name])
            if not isinstance(value, int) or value < 0:
                raise UsageError(f"the size {name} is a whole number, not {given[name]}")
            sizes[name] = value
    for spec in blueprint.inputs:
        if spec.name in found:
            _bind(spec, found[spec.name], sizes)
    return {name: sizes.get(name, CALL_SIZE) for name in blueprint.call_sizes}


def _bind(spec: InputSpec, value: Array, sizes: dict[str, int]) -> None:
    if value.ndim < len(spec.shape):
        wanted, given = ", ".join(map(str, spec.shape)), list(value.shape) if value.ndim else "a number"
        raise UsageError(f"the input {spec.name} is [{wanted}]; {given} given")
    for extent, size in zip(value.shape[value.ndim - len(spec.shape) :], spec.shape, strict=True):
        if isinstance(size, str):
            sizes.setdefault(size, extent)


def times_input(definition: tree.Definition) -> str | None:
    """The input that holds the times of `return … at`, if it is one."""
    for statement in definition.body:
        if isinstance(statement, tree.Return) and isinstance(statement.at, tree.Name):
            return statement.at.id
    return None


def draw(shape: tuple[int, ...], set_: SetSpec | None, generator: np.random.Generator) -> Array:
    """A value well inside a set; without one, between 1/4 and 1, where most formulas are smooth."""
    uniform = generator.uniform(0.25, 1.0, shape)
    match set_:
        case SetSpec(name="interval", args=(low, high)):
            return low + (high - low) * (0.25 + 0.5 * (uniform - 0.25) / 0.75)
        case SetSpec(name="simplex"):
            return uniform / uniform.sum(axis=-1, keepdims=True)
        case SetSpec(name="spd" | "psd"):
            return uniform @ np.swapaxes(uniform, -1, -2) + np.eye(shape[-1])
        case SetSpec(name="ordered"):
            return np.cumsum(uniform, axis=-1)
        case SetSpec(name="soc"):
            length = np.linalg.norm(uniform[..., 1:], axis=-1, keepdims=True)
            return np.concatenate([length + 1.0, uniform[..., 1:]], axis=-1)
        case SetSpec(name="orthogonal"):
            return np.linalg.qr(uniform)[0]
        case _:
            return uniform
