"""Solver and model compiled apart: the solver once for all models, the model in a few hundredths of a second.

Linked into one, solver and model are optimised together, which runs fastest. A dear function of the model is called
either way, and so it is an object file of its own, beside the one of solver and model: what is called by several
kernels is compiled once, and another formula in it leaves the solver's as it was.

Apart altogether, the solver is an object file of its own that asks the model for every number and function as it runs:
it is compiled once a machine, and what is left for a model is its own code. All ways compute the same bits, because no
operation may be reordered or fused by a compiler.

The environment variable `IMPLICITDSL_LINK` chooses: `whole` (what layers do that are told nothing) or `apart`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Literal, cast, get_args

from implicitdsl.backends.lanes.cache import kept_model, kept_object
from implicitdsl.backends.lanes.link import (
    aim,
    compiled,
    compiled_functions,
    is_for_package,
    keep_inside,
    key_of_modules,
    linked,
    make_object,
    stays_function,
)
from implicitdsl.backends.lanes.passes import OWN
from implicitdsl.backends.lanes.pieces import joined, pieces
from implicitdsl.backends.lanes.target import device
from implicitdsl.backends.lanes.word_names import PREFIX

LINK = "IMPLICITDSL_LINK"
"""The environment variable that says how solvers and models are linked."""
Linking = Literal["whole", "apart"]

_DEFINED = re.compile(rf'^define [^@]*@"?({OWN}\w+)"?\(', re.MULTILINE)
_NEVER = "define void @{name}() {{\n  call void @llvm.trap()\n  unreachable\n}}\n"
"""For what a solver names and this model has no use for: its numbers keep the solver from calling it."""


def linking() -> Linking:
    """How solvers and models are linked here: packages, and code for devices, are always made whole. Raises ValueError
    for another word than the two; no word counts as none said."""
    given = os.environ.get(LINK) or "whole"
    if given not in get_args(Linking):
        raise ValueError(f"{LINK} is `whole` or `apart`, not `{given}`")
    return cast(Linking, given) if may_lie_apart() else "whole"


def may_lie_apart() -> bool:
    """Whether other objects may lie beside the one that is made: not in packages, nor for devices."""
    return not is_for_package() and device() is None


def link_model(
    modules: Iterable[str | bytes], entries: Sequence[str], *, model: Iterable[str] = (), inline_all: bool = False,
    is_straight: bool = False, sizes: Iterable[int] = (),
) -> bytes:  # fmt: skip
    """The object file of solvers, which are bitcode and may be none, and of a model, whose modules are texts; all else
    is as in `make_object`."""
    modules, model = list(modules), list(model)
    if linking() == "whole":
        called = list(filter(stays_function, model)) if may_lie_apart() else []
        code = make_object(
            modules, entries, model=[text for text in model if text not in called], inline_all=inline_all,
            is_straight=is_straight, sizes=sizes, calls_others=bool(called),
        )  # fmt: skip
        return joined([code, *map(_functions, called)]) if called else code
    given = [*modules, *model]
    solvers = [module for module in given if isinstance(module, bytes)]
    texts = [module for module in given if isinstance(module, str)]
    if not solvers:
        return joined([_model(texts)])
    code, wanted = _solver(solvers, entries)
    missing = sorted(wanted - {name for text in texts for name in _DEFINED.findall(text)})
    if missing:
        texts.append("".join(_NEVER.format(name=name) for name in missing) + "declare void @llvm.trap()\n")
    return joined([code, _model(texts)])


def _solver(modules: Sequence[bytes], entries: Sequence[str]) -> tuple[bytes, set[str]]:
    """The object file of the solvers of a part, and the names that they ask a model for."""
    cpu = aim()

    def make() -> bytes:
        module = linked(modules)
        keep_inside(module, entries)
        code = compiled(module, cpu, sizes=None, is_apart=True)
        names = (f.name for f in module.functions if f.is_declaration)
        return joined([code, "\n".join(name for name in names if name.startswith(OWN)).encode()])

    code, names = pieces(kept_object(key_of_modules(modules, cpu, "solver", list(entries)), make))
    return code, set(names.decode().splitlines())


def _functions(text: str) -> bytes:
    """The object file of functions of a model that solvers call: kernels that call the same ones share it, as do
    models."""
    cpu = aim()
    # Only elements of one lane are no vectors.
    is_narrow = not ("x double>" in text or "x float>" in text)

    def make() -> bytes:
        return compiled_functions(linked([text]), cpu, is_narrow=is_narrow)

    return kept_model(key_of_modules([text], cpu, "functions"), make)


def _model(texts: Sequence[str]) -> bytes:
    """The object file of a model, all of whose own functions a solver may call."""
    cpu = aim()

    def make() -> bytes:
        module = linked(texts)
        keep_inside(module, {f.name for f in module.functions if not f.name.startswith(PREFIX)})
        return compiled(module, cpu, sizes=None, is_apart=True)

    return kept_model(key_of_modules(texts, cpu, "model"), make)
