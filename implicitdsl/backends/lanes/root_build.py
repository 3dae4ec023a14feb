"""From a `root` or `fixpoint` problem to its engine on lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from implicitdsl.backends.lanes import one_root
from implicitdsl.backends.lanes.apart import link_model, may_lie_apart
from implicitdsl.backends.lanes.block_code import BlockCode, arguments_of
from implicitdsl.backends.lanes.block_engine import WIDTH, Spec
from implicitdsl.backends.lanes.emit import emit_apart
from implicitdsl.backends.lanes.kept_values import dear_values
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.one_sample import one_sample_object
from implicitdsl.backends.lanes.root_engine import SIGNATURES, RootEngine
from implicitdsl.backends.lanes.slopes import slopes_of
from implicitdsl.backends.lanes.target import width_of
from implicitdsl.backends.settings import Settings
from implicitdsl.ir import build
from implicitdsl.ir.contraction import is_layout, uniform
from implicitdsl.ir.node import Contract, Leaf, Node, walk
from implicitdsl.ir.rebuild import with_args
from implicitdsl.problems import fixpoint, root
from implicitdsl.problems.derived import Derived, Group, group, tangent, transpose
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.root import RootProblem
from implicitdsl.solvers.block_series import FEWEST

CALLS = {
    "newton": ("start", "prepare", "residual_kept", "residual_jacobian", "residual_along", "output", "kinks"),
    "picard": ("start", "prepare", "residual_kept", "begin", "slope", "along_slope", "output", "kinks"),
    "picard_rest": ("prepare", "residual_kept", "residual_jacobian", "residual_along", "output", "kinks"),
    "series": ("prepare", "slope", "output_z", "residual_z_slope", "output_p", "residual_p_slope"),
    "adjoint": ("residual_jacobian", "output_z"),
    "gather": ("output_p", "residual_p"),
    "push": ("residual_jacobian", "residual_p_jvp", "output_jvp"),
    "second_adjoint": ("residual_jacobian", "residual_p_jvp", "output_jvp_z", "residual_jvp_z"),
    "second_gather": ("output_jvp_p", "residual_jvp_p", "residual_p"),
    "one": tuple(one_root.MODEL),
}
PARTS = {"pull": ("adjoint", "gather"), "second": ("second_adjoint", "second_gather")}
"""The entries that are called together."""
SOLVERS = (
    "block_implicit", "block_judge", "block_newton", "block_picard", "block_series", "block_system", "pivoted_lu",
)  # fmt: skip


def build_root(
    problem: RootProblem | FixpointProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None
) -> RootEngine:
    """The engine of a `root` or `fixpoint` problem."""
    derived = root.derive(problem) if isinstance(problem, RootProblem) else fixpoint.derive(problem)
    functions, kept, slope = with_kept(implicit_parts(derived))
    functions["begin"], from_zero = first_residual(functions["residual_kept"], problem.unknowns, problem.start)
    leaves = problem.signature.arguments
    n = sum(u.size for u in problem.unknowns)
    slopes = () if isinstance(problem, RootProblem) else slopes_of(problem.map, problem.unknowns, leaves)
    spec = Spec(
        layer_name=problem.signature.layer,
        dtype=dtype.name,
        width=width_of(dtype.name, WIDTH),
        arguments=arguments_of(problem.signature),
        outputs=tuple(o.shape for o in problem.outputs),
        saved=(((n,), dtype.name), ((), "int64")),
        groups={"p": tuple(range(len(leaves)))},
        numbers={
            "states": n, "size_out": sum(o.size for o in problem.outputs),
            "size_kinks": functions["kinks"].outputs[0].size, "by_picard": int(settings.solver == "picard"),
            "size_kept": kept, "size_slope": slope,
        },
        data={"rtol": settings.rtol, "max_steps": settings.max_steps},
        more={
            "lower": tuple(problem.lower.tolist()), "upper": tuple(problem.upper.tolist()),
            "slopes": slopes, "gives_roots": problem.outputs == problem.unknowns,
            "from_zero": from_zero and bool(np.isinf(problem.lower).all() and np.isinf(problem.upper).all()),
        },
    )  # fmt: skip
    maker = RootCode(
        spec, leaves, functions, blocks="root_blocks", signatures=SIGNATURES, calls=CALLS, parts=PARTS,
        modules=tuple(f"solvers/{name}" for name in SOLVERS),
    )  # fmt: skip
    unused = {"newton"} if settings.solver == "picard" else {"picard", "picard_rest", "series"}
    unused |= {"series"} if n < FEWEST else set()
    parts = {part: signature for part, signature in SIGNATURES.items() if part not in unused}
    return RootEngine(spec, MachineCode(parts, maker.make, PARTS, data=spec.data), threads)


class RootCode(BlockCode):
    """The code for blocks, the model for one sample, and the solvers of one sample."""

    solvers: Mapping[str, tuple[str, str]] = one_root.SOLVERS
    model: Mapping[str, int] = one_root.MODEL

    def make(self, part: str, shared: tuple[int, ...]) -> bytes:
        if part in self.solvers:
            return one_sample_object(*self.solvers[part], self.spec.dtype, f"imp_{part}")
        if part == "one":
            called = may_lie_apart()
            # Each is an object: written for one lane, they are long.
            model = [
                text
                for function in self.chosen(part)
                for text in emit_apart([function], self.spec.dtype, 1, are_called=called)  # type: ignore[arg-type] - one of two names
            ]
            return link_model([table_of(self.model)], ["imp_one"], model=model)
        return super().make(part, shared)


def table_of(model: Mapping[str, int]) -> str:
    """The part `one`: LLVM text of a function that tells where the functions of the model are."""
    return (
        "".join(f"declare void @imp_{name}({', '.join(['ptr'] * groups)})\n" for name, groups in model.items())
        + "define i64 @imp_one(ptr %table) {\n"
        + "".join(
            f"  %p{k} = getelementptr i64, ptr %table, i64 {k}\n  store ptr @imp_{name}, ptr %p{k}\n"
            for k, name in enumerate(model)
        )
        + "  ret i64 0\n}\n"
    )


def implicit_parts(functions: dict[str, Derived]) -> dict[str, Derived]:
    """The functions of an implicit problem with what lanes call: derivatives along, and pulled back to, unknowns or
    arguments alone."""
    residual, output = functions["residual"], functions["output"]
    residual_jvp, output_jvp = functions["residual_jvp"], functions["output_jvp"]
    made = {
        "residual_along": tangent(residual, ("z",)),
        "residual_p_jvp": tangent(residual, ("p",)),
        "residual_z": transpose(residual, ("z",)),
        "residual_p": transpose(residual, ("p",)),
        "residual_jvp_z": transpose(residual_jvp, ("z",)),
        "residual_jvp_p": transpose(residual_jvp, ("p",)),
        "output_z": transpose(output, ("z",)),
        "output_p": transpose(output, ("p",)),
        "output_jvp_z": transpose(output_jvp, ("z", "z_dot")),
        "output_jvp_p": transpose(output_jvp, ("p",)),
    }
    return {**functions, **{name: replace(f, name=name) for name, f in made.items()}}


def first_residual(residual: Derived, unknowns: Sequence[Leaf], start: Sequence[Node]) -> tuple[Derived, bool]:
    """The residual at the start, where products of finite matrices with unknowns that start at 0 are 0, and whether
    there are such products; where not, it gives nothing."""
    new: dict[Node, Node] = {z: build.zeros(z.shape) for z, s in zip(unknowns, start, strict=True) if uniform(s) == 0.0}
    spared = 0
    for node in walk(residual.nodes):
        if node in new:
            continue
        args = [new[a] for a in node.args]
        if isinstance(node, Contract) and not is_layout(node) and any(uniform(a) == 0.0 for a in args):
            new[node] = build.zeros(node.shape)
            spared += 1
        else:
            same = all(a is b for a, b in zip(args, node.args, strict=True))
            new[node] = node if same else with_args(node, args)
    groups = (
        Group(g.name, tuple(None if m is None or not spared else new[m] for m in g.members), g.sizes)
        for g in residual.outputs
    )
    return Derived("begin", residual.inputs, tuple(groups)), bool(spared)


def with_kept(functions: dict[str, Derived]) -> tuple[dict[str, Derived], int, int]:
    """The functions, with those that read what is kept of the arguments, and of the point too; the sizes of both."""
    residual, along = functions["residual"], functions["residual_along"]
    pulls = functions["residual_z"], functions["residual_p"]
    kept = dear_values((residual, along, *pulls), ("p",), "argument")
    along, *pulls = (kept.reading(f, f.name, "p") for f in (along, *pulls))
    slope = dear_values((along, *pulls), ("z", "p"), "slope")
    made = [
        Derived("prepare", residual.inputs[1:], (group("kept", kept.nodes),)),
        Derived("slope", along.inputs[:2], (group("kept", slope.nodes),)),
        kept.reading(residual, "residual_kept", "p"),
        slope.reading(along, "along_slope", "p"),
        *(slope.reading(f, f"{f.name}_slope", "p") for f in pulls),
    ]
    return functions | {f.name: f for f in made}, kept.size, slope.size
