"""Blueprints out of the cache: the plain data that the compiler found, with engines that are found or made at need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from implicitdsl.artifacts.engines import KeptEngines
from implicitdsl.artifacts.keys import Recipe, find_record, keep_record, layer_key
from implicitdsl.artifacts.texts import Text
from implicitdsl.layers.blueprint import Blueprint, no_engine
from implicitdsl.layers.options import Options, named_by_environment


def construct(text: Text, name: str, sizes: Mapping[str, int], options: Options) -> Blueprint:
    """The blueprint of a definition, as `compiler.construct` gives it and with its errors, which are never kept."""

    def compiled() -> Blueprint:
        from implicitdsl import compiler

        return compiler.construct(text.unit, name, sizes, options)

    return _found((text.sources, text.name, name, tuple(sorted(sizes.items())), options), compiled)


def rebuild(recipe: Recipe) -> Blueprint:
    """The blueprint of a recipe: what a layer pickles as."""

    def compiled() -> Blueprint:
        from implicitdsl import compiler

        return compiler.rebuild(recipe)

    return _found(recipe, compiled)


def _found(asked: Recipe, compiled: Callable[[], Blueprint]) -> Blueprint:
    if (asked[-1].backend or named_by_environment()) == "python":
        return replace(compiled(), rebuild=rebuild)
    data = find_record(_place(asked))
    if isinstance(data, Blueprint):
        return _with_engines(data, None)
    fresh = compiled()
    # A recipe names every size, a caller those that differ from their defaults.
    for recipe in (asked, fresh.recipe):
        keep_record(_place(recipe), plain(fresh))
    return _with_engines(fresh, fresh)


def _place(recipe: Recipe | None) -> str:
    assert recipe is not None
    return f"{layer_key(recipe)}.layer"


def plain(blueprint: Blueprint) -> Blueprint:
    """The blueprint without what belongs to this process."""
    uses = {name: plain(used) for name, used in blueprint.uses.items()}
    return replace(blueprint, engine=no_engine, rebuild=None, origin=None, uses=uses)


def _with_engines(data: Blueprint, fresh: Blueprint | None) -> Blueprint:
    """The blueprint with engines of its own; `fresh` is it as compiled, if it is at hand."""
    recipe = data.recipe
    assert recipe is not None
    origin = _Origin(recipe, fresh)
    uses = {name: _with_engines(used, None if fresh is None else fresh.uses[name]) for name, used in data.uses.items()}
    engines = KeptEngines(recipe, origin, data.options.threads)
    return replace(data, engine=engines.engine, rebuild=rebuild, origin=origin, uses=uses)


class _Origin:
    """The blueprint as compiled from its text, at the first call."""

    def __init__(self, recipe: Recipe, fresh: Blueprint | None) -> None:
        self._recipe, self._fresh = recipe, fresh

    def __call__(self) -> Blueprint:
        if self._fresh is None:
            from implicitdsl import compiler

            self._fresh = compiler.rebuild(self._recipe)
        return self._fresh
