"""From an `argmin` problem to its engine on lanes: sizes, derived functions, and how its machine code is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.lanes.block_code import BlockCode, arguments_of
from implicitdsl.backends.lanes.block_engine import APART, Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.minimum_engine import MinimumEngine
from implicitdsl.backends.lanes.program_sizes import parts_of, program_object, signatures_of
from implicitdsl.backends.lanes.root_build import implicit_parts
from implicitdsl.backends.lanes.target import width_of
from implicitdsl.backends.settings import Settings
from implicitdsl.ir.node import Leaf, walk
from implicitdsl.problems.argmin import ArgminProblem, derive, is_quadratic
from implicitdsl.problems.derived import Derived, group

WIDTH = {"float64": 4, "float32": 8}
"""Lanes of dense factorisations: a tile of 3 × 4 elements fills the registers of AVX2."""
CALLS: dict[str, tuple[str, ...]] = {
    "matrices": ("quadratic_matrices",), "vectors": ("quadratic_vectors", "conditions"), "begin": ("start",),
    "outputs": ("output", "kinks"),
    "seed": ("output_z",), "finish": ("output_p", "residual_p"), "push": ("residual_p_jvp",),
    "pushed": ("output_jvp",), "seed_second": ("output_jvp_z",), "bend": ("residual_jvp_z",),
    "finish_second": ("output_jvp_p", "residual_jvp_p", "residual_p"),
}  # fmt: skip
"""The functions of the model that each entry calls."""
PARTS = {
    "solve": ("matrices", "vectors", "begin", "outputs"),
    "pull": ("seed", "finish"),
    "second": ("push", "pushed", "seed_second", "bend", "finish_second"),
}
"""The entries that know the model, by what calls them."""
SIGNATURES = {
    "matrices": "naa", "vectors": "naaa", "begin": "naa", "outputs": "naaa", "seed": "naaaa", "finish": "naaaaaa",
    "push": "naaaa",
    "pushed": "naaaaa", "seed_second": "naaaaaaa", "bend": "naaaaaa", "finish_second": "naaaaaaaaa",
}  # fmt: skip
"""The parameters of each entry: n a whole number, a an array of elements."""


def build_minimum(
    problem: ArgminProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None
) -> MinimumEngine:
    """The engine of a linear or quadratic program."""
    n = sum(u.size for u in problem.unknowns)
    equations = sum(c.node.size for c in problem.equalities)
    masks = sum(c.node.size for c in problem.inequalities)
    whole = n + equations + masks
    functions = _with_masks(problem, implicit_parts(derive(problem)))
    arguments = arguments_of(problem.signature)
    spec = Spec(
        layer_name=problem.signature.layer,
        dtype=dtype.name,
        width=width_of(dtype.name, WIDTH),
        arguments=arguments,
        outputs=tuple(o.shape for o in problem.outputs),
        saved=(((whole,), dtype.name), ((), "int64"), ((masks,), dtype.name)),
        groups={"p": tuple(range(len(arguments) + 1))},
        numbers={
            "unknowns": n, "equations": equations, "constraints": equations + masks,
            "size_out": sum(o.size for o in problem.outputs), "size_kinks": functions["kinks"].outputs[0].size,
            "size_conditions": functions["conditions"].outputs[0].size,
        },
        data={"rtol": settings.rtol, "max_steps": settings.max_steps},
        more={
            "matrix_arguments": _arguments_of_matrices(functions["quadratic_matrices"], problem.signature.arguments),
            "conditions": tuple((node.shape, requirement) for node, requirement in problem.conditions),
        },
    )  # fmt: skip
    maker = _Code(spec, problem.signature.arguments, functions, masks)
    signatures, parts = {**SIGNATURES, **signatures_of(spec.numbers)}, {**PARTS, **parts_of(spec.numbers)}
    return MinimumEngine(spec, MachineCode(signatures, maker.make, parts, data=spec.data), threads)


def too_general(problem: ArgminProblem, settings: Settings) -> str | None:
    """Why lanes cannot solve the problem, or None."""
    if not any(u.size for u in problem.unknowns):
        return "there is nothing to solve for"
    if is_program(problem, settings) or not (problem.equalities or problem.inequalities):
        return None
    return "`argmin` with constraints is for linear and quadratic programs on the back end `lanes`"


def is_program(problem: ArgminProblem, settings: Settings) -> bool:
    """Whether the problem is solved as a linear or quadratic program."""
    return is_quadratic(problem) and settings.solver == "interior_point"


def _with_masks(problem: ArgminProblem, functions: dict[str, Derived]) -> dict[str, Derived]:
    """The functions with one layout of the arguments: the masks of the active set stand in all, one leaf for all rows
    of a constraint, after the arguments of the layer."""
    whole = group("p", (*problem.signature.arguments, *problem.masks))
    leaves = set(whole.leaves)
    assert len(leaves) == len(whole.members)
    found: dict[str, Derived] = {}
    by_name = {g.name: g for g in functions["quadratic_data"].outputs}
    parts = {"quadratic_matrices": ("Q", "A", "G"), "quadratic_vectors": ("q", "b", "h")}
    split = {
        name: Derived(name, functions["quadratic_data"].inputs, tuple(by_name[g] for g in groups))
        for name, groups in parts.items()
    }
    for name, f in {**functions, **split}.items():
        inputs = tuple(whole if g.name == "p" and len(g.members) < len(whole.members) else g for g in f.inputs)
        found[name] = Derived(f.name, inputs, f.outputs, f.adds)
    return found


def _arguments_of_matrices(matrices: Derived, leaves: tuple[Leaf, ...]) -> tuple[int, ...]:
    """The arguments that the matrices depend on: where samples share those, they share the matrices."""
    used = set(walk(matrices.nodes))
    return tuple(i for i, leaf in enumerate(leaves) if leaf in used)


class _Code(BlockCode):
    """Machine code of the model, part by part, and of the programs, which know no model."""

    def __init__(self, spec: Spec, leaves: tuple[Leaf, ...], functions: dict[str, Derived], masks: int) -> None:
        super().__init__(
            spec, leaves, functions, blocks="program_blocks", signatures=SIGNATURES, calls=CALLS,
            parts={**PARTS, **parts_of(spec.numbers)}, modules=("solvers/block_prepared",),
        )  # fmt: skip
        self._masks = masks

    def make(self, part: str, shared: tuple[int, ...]) -> bytes:
        if not part.startswith(APART):
            return super().make(part, shared)
        return program_object(self.entries(part), self.spec.numbers, self.spec.dtype, self.spec.width)

    def flat_sizes(self) -> list[int]:
        """See `BlockCode`: the masks of the active set are an argument more."""
        return [*super().flat_sizes(), self._masks]
