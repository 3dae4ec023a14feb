"""The map: the whole way from text to layer, each stage a named line.

    read       text -> tree                                   syntax/
    check      tree -> findings for all sizes                 semantics/unit.py
    elaborate  tree, sizes -> problem in the IR               semantics/elaborate.py
    derive     problem -> the functions that solvers call     problems/
    simplify   functions -> the same functions, fewer nodes   ir/simplify.py
    schedule   functions -> order and operation counts        backends/
    emit       functions -> code                              kernels/, backends/
    bind       code, solver, options -> engine -> layer       backends/, layers/

`inspect FILE:Layer --after STAGE` prints the value of a stage (`stages`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch

from implicitdsl.backends import python as python_backend
from implicitdsl.backends.adjoint_choice import decided
from implicitdsl.backends.auto import in_use
from implicitdsl.backends.engine import Engine
from implicitdsl.backends.report import Reasons, bind_text
from implicitdsl.backends.settings import Settings, resolve
from implicitdsl.diagnostics import Diagnostic, ImpError, render
from implicitdsl.ir.node import walk
from implicitdsl.kernels.flat import flat_function
from implicitdsl.layers.blueprint import Blueprint, CallPiece, EnginePiece, InputSpec, ParamSpec, Piece
from implicitdsl.layers.options import Options, inherited, named_by_environment, read_options
from implicitdsl.problems.derived import Derived, simplified
from implicitdsl.problems.kinds import Problem, derive
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.semantics.choices import file_choice, option_values, parse_choice
from implicitdsl.semantics.cut import CallCut, ExplicitCut, cut
from implicitdsl.semantics.declarations import bind_sizes, call_size_names, declare, read_set, read_use
from implicitdsl.semantics.elaborate import Elaborated, elaborate
from implicitdsl.semantics.expressions import Scope
from implicitdsl.semantics.library import Library
from implicitdsl.semantics.program import UsedLayer
from implicitdsl.semantics.stage_text import function_text, problem_text, schedule_text
from implicitdsl.semantics.system_text import system_text
from implicitdsl.semantics.unit import Texts, Unit, read_unit
from implicitdsl.syntax import tree
from implicitdsl.syntax.printer import print_tree

# ---------------------------------------------------------------- construct


def construct(unit: Unit, name: str, sizes: Mapping[str, int], options: Options | None = None) -> Blueprint:
    """The blueprint of a definition with its sizes bound; what is to be warned of stands in it. Raises ImpError:
    concrete E3xx, and E6xx for what cannot run."""
    found = unit.library.find(None, name)
    if found is None:
        raise ImpError([Diagnostic("E205", f"{unit.name} defines no `{name}`")])
    return _construct(*found, dict(sizes), options or Options(), unit)


def rebuild(recipe: tuple[Any, ...]) -> Blueprint:
    """The blueprint of a recipe (texts, main name, definition, sizes, options): what a layer pickles as."""
    texts, main, name, sizes, options = recipe
    fixed = dict(texts)
    unit = read_unit(fixed[main], main, texts=Texts(fixed))
    return construct(unit, name, dict(sizes), options)


def _construct(
    definition: tree.Definition, library: Library, given: dict[str, int], options: Options, unit: Unit
) -> Blueprint:
    sizes = bind_sizes(definition, given, library)
    scope = Scope(library, sizes)
    params: list[ParamSpec] = []
    consts: list[ParamSpec] = []
    uses: dict[str, Blueprint] = {}
    for statement in definition.body:
        match statement:
            case tree.Declare(role="param" | "const"):
                for item, parameter in zip(statement.names, declare(statement, scope, ""), strict=True):
                    spec = ParamSpec(item.name, parameter.shape, parameter.set, parameter.start, parameter.draw)
                    (params if statement.role == "param" else consts).append(spec)
            case tree.Use():
                used = read_use(statement, scope, "")
                inner = inherited(_use_options(used, scope), options)
                uses[statement.name] = _construct(used.definition, used.library, used.sizes, inner, unit)
            case _:
                pass
    builder = _Builder(definition, library, sizes, options)
    builder.trial()
    free = call_size_names(definition)
    inputs = tuple(
        InputSpec(i.name, _open_shape(i.shape, sizes, free, library), read_set(i.set, scope), i.path)
        for i in definition.inputs
    )
    return Blueprint(
        kind=definition.kind,
        name=definition.name,
        sizes=sizes,
        doc=definition.doc,
        inputs=inputs,
        params=tuple(params),
        consts=tuple(consts),
        uses=uses,
        outputs=tuple(_open_shape(o.shape, sizes, free, library) for o in definition.outputs),
        results=builder.results,
        tuple_output=len(definition.outputs) > 1,
        options=options,
        program=builder.program,
        engine=builder.engine,
        recipe=(tuple(unit.sources.items()), library.file.source.name, definition.name, tuple(sizes.items()), options),
        rebuild=rebuild,
        noisy=builder.noisy or any(used.noisy for used in uses.values()),
        warnings=builder.warnings,
    )


def _use_options(used: UsedLayer, scope: Scope) -> Options:
    """The options of a `use` line, by the rules of the Python keywords."""
    try:
        return read_options(**option_values(used.options, scope))
    except (TypeError, ValueError) as error:
        raise ImpError([Diagnostic("E610", str(error), used.span)]) from None


def _open_shape(shape: tuple[tree.Expression, ...], sizes: dict[str, int], free: tuple[str, ...], library: Library):
    """A shape with the names of call sizes left open; an expression of them stands as its text."""
    return tuple(
        e.id
        if isinstance(e, tree.Name) and e.id in free
        else e.span.text
        if _mentions(e, free)
        else Scope(library, sizes).size(e)
        for e in shape
    )


def _mentions(expression: tree.Expression, names: tuple[str, ...]) -> bool:
    match expression:
        case tree.Name(id=name):
            return name in names
        case tree.Binary(left=left, right=right):
            return _mentions(left, names) or _mentions(right, names)
        case tree.Negate(operand=operand):
            return _mentions(operand, names)
        case _:
            return False


def _back_end(name: str) -> Any:
    if name == "lanes":
        # Imported when asked for: it loads LLVM.
        from implicitdsl.backends.lanes import build

        return build
    return python_backend


class _Builder:
    """Makes the engines of one definition, for each dtype and call sizes once."""

    def __init__(self, definition: tree.Definition, library: Library, sizes: dict[str, int], options: Options) -> None:
        self.definition, self.library, self.sizes, self.options = definition, library, sizes, options
        self.program: tuple[Piece, ...] = ()
        self.results: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.noisy = False
        self._engines: dict[tuple[Any, ...], Engine] = {}
        self.back_end, self.reason = "python", ""

    def trial(self) -> None:
        """Elaborate once with small call sizes, so that what cannot run is said at construction."""
        free = call_size_names(self.definition)
        elaborated = self.elaborated({name: 3 + i for i, name in enumerate(free)})
        self.noisy = bool(elaborated.program.probes)
        self.warnings = tuple(render(warning) for warning in elaborated.program.warnings)
        reason = python_backend.refuse(elaborated.problem, self.settings("float64"))
        if reason is not None:
            raise ImpError([Diagnostic("E613", reason, self.definition.name_span)])
        self.back_end, self.reason = self._choose(elaborated.problem)
        if isinstance(elaborated.problem, NetProblem) and elaborated.program.calls:
            pieces, self.results = cut(elaborated.problem, elaborated.program)
            self.program = tuple(
                EnginePiece(p.slots) if isinstance(p, ExplicitCut) else CallPiece(p.path, p.inputs, p.slots)
                for p in pieces
            )
        else:
            self.results = tuple(f"result.{i}" for i in range(len(self.definition.outputs)))
            self.program = (EnginePiece(self.results),)

    def _choose(self, problem: Problem) -> tuple[str, str]:
        """The back end and why: the one named, else `lanes` where it runs the problem, else `python`."""
        named = self.options.backend or named_by_environment()
        if named == "python":
            return named, "as asked for"
        lanes = _back_end("lanes")
        reason = lanes.refuse(problem, self.settings("float64"))
        if reason is None:
            return "lanes", "as asked for" if named else "the default"
        if self.options.backend is None:
            return "python", reason
        raise ImpError([Diagnostic("E611", reason, self.definition.name_span, help=lanes.HELP)])

    def elaborated(self, call_sizes: Mapping[str, int]) -> Elaborated:
        name, options = parse_choice(self.options.solver) or self.in_file("solver") or ("", {})
        sizes = {**self.sizes, **call_sizes}
        return elaborate(
            self.definition, self.library, sizes, local=name == "local", kinks=str(options.get("kinks", ""))
        )

    def in_file(self, what: str):
        """The choice that the definition's own line makes."""
        return file_choice(self.definition, what, Scope(self.library, self.sizes))

    def whose(self, what: Literal["solver", "adjoint"]) -> str:
        """Who chose the solver or adjoint: Python beats the file, the file beats the default."""
        if getattr(self.options, what) is not None:
            return "an option of the layer"
        return "named in the text" if self.in_file(what) is not None else f"the default of `{self.definition.kind}`"

    def settings(self, dtype: str) -> Settings:
        o = self.options
        return resolve(
            kind=self.definition.kind,
            dtype=dtype,
            file_solver=self.in_file("solver"),
            file_adjoint=self.in_file("adjoint"),
            python_solver=parse_choice(o.solver),
            python_adjoint=parse_choice(o.adjoint),
            given={"rtol": o.rtol, "atol": o.atol, "dt": o.dt, "max_steps": o.max_steps},
            where=self.definition.name_span,
        )

    def engine(self, piece: int, dtype: torch.dtype, call_sizes: Mapping[str, int]) -> Engine:
        name = str(dtype).removeprefix("torch.")
        key = (piece, name, tuple(sorted(call_sizes.items())))
        if key not in self._engines:
            elaborated = self.elaborated(call_sizes)
            problem = elaborated.problem
            if isinstance(problem, NetProblem) and elaborated.program.calls:
                explicit = cut(problem, elaborated.program)[0][piece]
                assert not isinstance(explicit, CallCut)
                problem = explicit.problem
            build = _back_end(self.back_end).build
            settings, _ = decided(problem, self.settings(name))
            self._engines[key] = build(problem, settings, np.dtype(name), self.options.threads)
        return self._engines[key]


# ---------------------------------------------------------------- what the stages say


def _builder(blueprint: Blueprint) -> _Builder:
    if blueprint.origin is not None:
        blueprint = blueprint.origin()
    builder = getattr(blueprint.engine, "__self__", None)
    if not isinstance(builder, _Builder):
        raise TypeError(f"the blueprint of {blueprint.name} was not made by this compiler")
    return builder


def _small(blueprint: Blueprint, call_sizes: Mapping[str, int] | None) -> dict[str, int]:
    return {name: 3 + i for i, name in enumerate(blueprint.call_sizes)} | dict(call_sizes or {})


def explain_text(blueprint: Blueprint) -> str:
    """The derived adjoint or KKT system of a layer, in formulas."""
    return system_text(_builder(blueprint).elaborated(_small(blueprint, None)).problem)


def back_end_of(blueprint: Blueprint) -> str:
    """The back end that a layer got: lanes or python."""
    return _builder(blueprint).back_end


def derived_functions(blueprint: Blueprint, dtype: str = "float64") -> dict[str, int]:
    """The functions derived for a layer's solver, each with its number of IR nodes. Makes the layer's engines for the
    dtype."""
    builder = _builder(blueprint)
    sizes = _small(blueprint, None)
    for number, piece in enumerate(blueprint.program):
        if isinstance(piece, EnginePiece):
            builder.engine(number, getattr(torch, dtype), sizes)
    return {name: len(list(walk(f.nodes))) for name, f in _functions(builder.elaborated(sizes)).items()}


def _functions(elaborated: Elaborated) -> dict[str, Derived]:
    """The functions derived for a layer; those of the pieces of a `net` that calls implicit layers bear the piece's
    number."""
    problem = elaborated.problem
    if not (isinstance(problem, NetProblem) and elaborated.program.calls):
        return dict(derive(problem))
    pieces = enumerate(cut(problem, elaborated.program)[0])
    explicit = {number: derive(piece.problem) for number, piece in pieces if isinstance(piece, ExplicitCut)}
    named = {f"piece{n}_{name}": f for n, functions in explicit.items() for name, f in functions.items()}
    return {name: dataclasses.replace(f, name=name) for name, f in named.items()}


def stages(blueprint: Blueprint, call_sizes: Mapping[str, int] | None = None) -> dict[str, str]:
    """The value of every stage as text, by the name of the stage."""
    builder = _builder(blueprint)
    sizes = _small(blueprint, call_sizes)
    elaborated = builder.elaborated(sizes)
    functions = _functions(elaborated)
    simple = {name: simplified(f) for name, f in functions.items()}
    return {
        "read": print_tree(tree.File(builder.library.file.source, (builder.definition,), span=builder.definition.span)),
        "elaborate": problem_text(elaborated.problem),
        "derive": "\n\n".join(function_text(f) for f in functions.values()),
        "simplify": "\n\n".join(function_text(f) for f in simple.values()),
        "schedule": "\n".join(schedule_text(f) for f in simple.values()),
        "emit": "\n".join(f"# {name}\n{flat_function(f).source}" for name, f in simple.items()),
        "bind": _bind_text(blueprint, sizes, simple),
    }


def _bind_text(blueprint: Blueprint, sizes: Mapping[str, int], functions: Mapping[str, Derived]) -> str:
    builder = _builder(blueprint)
    pieces = [number for number, piece in enumerate(blueprint.program) if isinstance(piece, EnginePiece)]
    engines = {number: builder.engine(number, torch.float64, sizes) for number in pieces}
    settings, who = builder.settings("float64"), builder.whose("solver")
    problem = builder.elaborated(sizes).problem
    if isinstance(problem, OdeProblem):
        named, refuse = settings.solver, _back_end(builder.back_end).refuse
        settings, why = in_use(problem, settings, refuse)
        who = f"{named}, {who}: {why}" if settings.solver != named else who
    settings, counted = decided(problem, settings)
    reasons = Reasons(builder.reason, who, counted or builder.whose("adjoint"))
    return bind_text(builder.back_end, settings, reasons, engines, functions)
