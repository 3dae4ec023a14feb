"""The machine code of kinds whose solvers take no method: blocks, solvers and model, linked part by part.

`BLOCKS` names the module of each kind's entries, which are lowered once for each (entry, dtype, width); models are
linked in after that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module

from implicitdsl.backends.engine import Argument
from implicitdsl.backends.lanes.apart import link_model, may_lie_apart
from implicitdsl.backends.lanes.block_engine import Spec
from implicitdsl.backends.lanes.cache import LOWERING, fingerprint, kept
from implicitdsl.backends.lanes.emit import emit_apart
from implicitdsl.backends.lanes.model_constants import constants_text, sizes_of
from implicitdsl.backends.lanes.open_numbers import layout_numbers, open_of
from implicitdsl.backends.lanes.shared_groups import arranged, bars_arranged
from implicitdsl.backends.lanes.simplified_once import SimplifiedOnce
from implicitdsl.ir.node import Leaf
from implicitdsl.problems.derived import Derived
from implicitdsl.problems.signature import Signature


def arguments_of(signature: Signature) -> tuple[Argument, ...]:
    """The arguments of an engine: inputs, params, consts."""
    roles = (("input", signature.inputs), ("param", signature.params), ("const", signature.consts))
    return tuple(Argument(item.name, item.leaf.shape, role) for role, items in roles for item in items)


@cache
def block_solver(entry: str, signature: str, dtype: str, width: int, modules: tuple[str, ...]) -> bytes:
    """Bitcode that defines `imp_PART` for `entry`, `module.PART` of this package.

    The signature has one letter a parameter: n a whole number, a an array of elements. `modules` are all solvers that
    the entry calls, paths inside the package `implicitdsl` without ending."""
    blocks, part = entry.split(".")
    sources = (
        "solvers/vocabulary.py",
        *(f"{m}.py" for m in modules),
        *(f"backends/lanes/{m}.py" for m in (*LOWERING, "block_code", blocks)),
    )
    key = (fingerprint(sources), part, signature, dtype, width)
    return kept(key, lambda: _lowered(blocks, part, signature, dtype, width, modules))


def _lowered(blocks: str, part: str, signature: str, dtype: str, width: int, modules: tuple[str, ...]) -> str:
    # What compiles solvers is imported only here: a solver found on disk needs none of it.
    from implicitdsl.backends.lanes.element import INT, element, pointer
    from implicitdsl.backends.lanes.lower import lower

    entries = import_module(f"implicitdsl.backends.lanes.{blocks}")
    kinds = {"n": INT, "a": pointer(element(dtype, width))}
    arguments = tuple(kinds[letter] for letter in signature)
    sources = (entries.__name__, *(f"implicitdsl.{m.replace('/', '.')}" for m in modules))
    return lower(vars(entries)[part], arguments, INT, f"imp_{part}", modules=sources)


class BlockCode:
    """Makes the object files of an engine: one for each part and layout of its arguments."""

    def __init__(
        self,
        spec: Spec,
        leaves: Sequence[Leaf],
        functions: Mapping[str, Derived],
        *,
        blocks: str,
        signatures: Mapping[str, str],
        calls: Mapping[str, Sequence[str]],
        parts: Mapping[str, tuple[str, ...]] | None = None,
        modules: tuple[str, ...] = (),
        in_one_piece: bool = False,
    ) -> None:
        """`calls` names the functions of the model that each entry calls, `parts` is that of `MachineCode`;
        `in_one_piece` if they are to be parts of the entries, which do nothing else."""
        self.spec, self._leaves, self._functions = spec, leaves, functions
        self._blocks, self._signatures, self._calls = blocks, signatures, calls
        self._parts, self._modules = dict(parts or {}), modules
        self._in_one_piece = in_one_piece
        self._simple = SimplifiedOnce()

    def chosen(self, part: str) -> list[Derived]:
        """The functions that a part calls."""
        names = dict.fromkeys(name for entry in self.entries(part) for name in self._calls[entry])
        return self._simple.of(self._functions, names)

    def entries(self, part: str) -> tuple[str, ...]:
        """The entries of a part."""
        return self._parts.get(part, (part,))

    def solver_of(self, entry: str) -> bytes:
        """The bitcode of an entry, which knows no model."""
        spec = self.spec
        return block_solver(f"{self._blocks}.{entry}", self._signatures[entry], spec.dtype, spec.width, self._modules)

    def make(self, part: str, shared: tuple[int, ...]) -> bytes:
        """The object file that defines `imp_ENTRY` for the entries of a part, the arguments `shared` being arrays that
        all samples share."""
        spec, entries = self.spec, self.entries(part)
        code = [self.solver_of(entry) for entry in entries]
        common, chosen = {self._leaves[i] for i in shared}, self.chosen(part)
        given, every = arranged(chosen, common)
        made = [bars_arranged(f, like) for f, like in zip(given, chosen, strict=True)]
        called = may_lie_apart() and not self._in_one_piece
        model = emit_apart(made, spec.dtype, spec.width, shared=every, summed=common, are_called=called)  # type: ignore[arg-type] - one of two names
        modules = [self._constants([*code, *model], shared, is_open=called), *code]
        sizes = sizes_of(spec.numbers, is_open=called)
        return link_model(modules, [f"imp_{e}" for e in entries], model=model, sizes=sizes)

    def flat_sizes(self) -> list[int]:
        """Numbers in each argument of the flat groups."""
        return [math.prod(argument.shape) for argument in self.spec.arguments]

    def _constants(self, modules: Sequence[str | bytes], shared: tuple[int, ...], *, is_open: bool) -> str:
        spec = self.spec
        numbers = {**spec.numbers, **layout_numbers(spec.groups, self.flat_sizes(), shared)}
        data = {**spec.data, **(open_of(numbers) if is_open else {})}
        return constants_text(spec.dtype, read_by=modules, numbers=numbers, data=data)
