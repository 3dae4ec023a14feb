"""One definition, checked: signature, statements, equations, outputs, unused names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set

from implicitdsl.diagnostics import Fix, Label, Report, Span
from implicitdsl.semantics.equations import check_equations
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.outputs import check_outputs
from implicitdsl.semantics.scope import Block
from implicitdsl.semantics.signature import read_outputs, read_signature
from implicitdsl.semantics.statements import run
from implicitdsl.semantics.symbols import CheckedDefinition, Surroundings
from implicitdsl.syntax import tree

MOST_FINDINGS = 200  # of one definition: who has more mends these first


class _Findings(Report):
    """The findings of one definition, those beyond the limit left out (a finding is compared with all before it)."""

    def add(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        *,
        remark: str = "",
        labels: Iterable[Label] = (),
        help: str = "",
        fix: Fix | None = None,
    ) -> None:
        if len(self.found) < MOST_FINDINGS:
            super().add(code, message, span, remark=remark, labels=labels, help=help, fix=fix)


def check_definition(
    definition: tree.Definition,
    report: Report,
    around: Surroundings,
    *,
    find_layer: Callable[[str | None, str], CheckedDefinition | None],
    known: Set[str],
    broken: Set[str] = frozenset(),
    values: Mapping[str, int] | None = None,
) -> CheckedDefinition:
    """Check a definition whose used layers are checked. `known` are the names of layers, `broken` of those not at hand.

    `values` binds sizes to numbers, for the check at construction.
    """
    inner = _Findings()
    block = Block(
        definition,
        inner,
        around,
        dict(values or {}),
        later=_later(definition),
        known_layers=known,
        broken_layers=broken,
    )
    inference = Inference(block)
    read_signature(inference)
    outputs = read_outputs(block)
    body = run(inference, find_layer)
    structure = check_equations(inference, body)
    check_outputs(inference, body, outputs)
    if not inner.errors and values is None:
        _unused(block)
    for finding in inner.found:
        if finding not in report.found[-MOST_FINDINGS:]:
            report.found.append(finding)
    return CheckedDefinition(
        tree=definition,
        symbols=dict(block.symbols),
        sizes=tuple(s.name for s in block.symbols.values() if s.role == "size"),
        call_sizes=tuple(s.name for s in block.symbols.values() if s.role == "call size"),
        uses=dict(block.uses),
        outputs=outputs,
        around=around,
        structure=structure,
    )


def _later(definition: tree.Definition) -> dict[str, Span]:
    """Where every name of the body is defined, so that one used too early is told from one that is not there."""
    found: dict[str, Span] = {}
    for statement in definition.body:
        match statement:
            case tree.Declare(names=names):
                for item in names:
                    found.setdefault(item.name, item.span)
            case tree.Let(name=name) | tree.Use(name=name):
                found.setdefault(name, statement.span)
            case _:
                pass
    return found


def _unused(block: Block) -> None:
    """W202 for what was surely meant to be used: inputs, params, layers, lets. A leading `_` says that it was not."""
    for symbol in block.symbols.values():
        if (
            symbol.role in ("input", "path", "param", "use", "let")
            and symbol.name not in block.used
            and symbol.name[0] != "_"
        ):
            reason = {"param": "it would never train", "use": "its weights would never train"}.get(symbol.role, "")
            block.report.add(
                "W202",
                f"the {symbol.role} `{symbol.name}` is never used",
                symbol.span,
                remark=reason,
                help=f"use it, or call it `_{symbol.name}`",
            )
