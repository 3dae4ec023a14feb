"""Text to tree."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from typing import Any, cast

from implicitdsl.diagnostics import Diagnostic, Fix, Report, Source, Span
from implicitdsl.syntax import tree
from implicitdsl.syntax.builder import build, depth_limit_passed
from implicitdsl.syntax.layout import lay_out
from implicitdsl.syntax.parse import Parse, Start
from implicitdsl.syntax.scanner import Scan, scan
from implicitdsl.syntax.words import DEEPEST, LANGUAGE_VERSION, LONGEST, MOST_FINDINGS


def read(text: str, name: str = "<text>") -> tree.File:
    """The tree of a whole `.imp` text.

    `name` is what diagnostics call the text. Raises ImpError with every error of the text, at most one a statement.
    """
    report = Report()
    file = read_with_report(text, name, report)
    report.raise_errors()
    assert file is not None  # without an error there is a tree
    return file


def read_with_report(text: str, name: str, report: Report) -> tree.File | None:
    """The tree of a whole text, or None if it has an error; errors and warnings are added to the report."""
    source = Source(name, text)
    parts, scanned = _read(source, "file", report)
    if parts is None:
        return None
    version, items = (parts[0], parts[1:]) if parts and isinstance(parts[0], tree.Number) else (None, parts)
    if version is not None and version.text != str(LANGUAGE_VERSION):
        message = f"version {version.text} of the language is not known"
        report.add("E113", message, version.span, help=f"this reader knows version {LANGUAGE_VERSION}")
        return None
    return tree.File(
        source,
        tuple(_with_doc(item, scanned) for item in cast("tuple[tree.Item, ...]", items)),
        LANGUAGE_VERSION,
        version is not None,
        tuple(scanned.comments),
        span=Span(source, 0, len(text)),
    )


def read_expression(text: str, name: str = "<expression>") -> tree.Expression:
    """The tree of one expression, such as an input given on the command line. Raises ImpError."""
    return _read_piece(Source(name, text), "expr")


def read_choice(what: str, text: str, name: str = "<option>") -> tree.Choice:
    """The tree of `solver TEXT` or `adjoint TEXT`, as options in Python give it: `anderson(m = 5)`. Raises ImpError."""
    return _read_piece(Source(name, f"{what} {text}"), "choice")


def _read_piece(source: Source, start: Start) -> Any:
    report = Report()
    piece, _ = _read(source, start, report)
    report.raise_errors()
    return piece


def text_fixes(text: str) -> tuple[Fix, ...]:
    """The replacements that make a refused spelling the one that is meant, all of them, in the order of the text."""
    if len(text) > LONGEST:
        return ()
    return tuple(finding.fix for finding in scan(Source("<text>", text)).findings if finding.fix is not None)


def _read(source: Source, start: Start, report: Report) -> tuple[Any | None, Scan]:
    scanned = Scan(source)
    if len(source.text) > LONGEST:
        message = f"the text has {len(source.text):,} characters, the limit is {LONGEST:,}"
        report.add("E110", message, Span(source, 0, 0), help="share it among several files with `import`")
        return None, scanned
    scanned = scan(source)
    words = lay_out(scanned)
    warnings = [finding for finding in scanned.findings if finding.severity == "warning"]
    errors = sorted((f for f in scanned.findings if f.severity == "error"), key=_place)
    if any(error.code == "E109" for error in errors):
        _report(report, [*errors, *warnings], [])
        return None, scanned
    parse = Parse(source, words, [_place(error) for error in errors], start)
    parse.run()
    findings = [*errors, *parse.findings]
    if parse.tree is not None and not errors:
        deep = depth_limit_passed(parse.tree, DEEPEST)
        if deep is None:
            _report(report, warnings, [])
            return build(source, parse.tree), scanned
        message = f"an expression is nested deeper than {DEEPEST}"
        span = Span(source, deep.meta.start_pos, deep.meta.end_pos)
        findings.append(Diagnostic("E109", message, span, help="name parts of it with `let`"))
    _report(report, [*findings, *warnings], parse.statement_starts)
    return None, scanned


def _place(finding: Diagnostic) -> int:
    return finding.span.start if finding.span is not None else 0


def _report(report: Report, findings: list[Diagnostic], statement_starts: list[int]) -> None:
    """Add the findings in the order of the text, one error a statement and not endlessly many."""
    charged: set[int] = set()
    starts = sorted(statement_starts)
    told = 0
    for finding in sorted(findings, key=_place):
        statement = bisect_right(starts, _place(finding))
        if finding.severity == "error":
            if statement in charged and starts:
                continue
            charged.add(statement)
        told += 1
        if told > MOST_FINDINGS:
            message = f"the text has more than {MOST_FINDINGS} errors"
            report.add("E118", message, finding.span, help="the rest is not listed")
            return
        d = finding
        report.add(d.code, d.message, d.span, remark=d.remark, labels=d.labels, help=d.help, fix=d.fix)


def _with_doc(item: tree.Item, scanned: Scan) -> tree.Item:
    """A definition with the comments right above it as its documentation."""
    if not isinstance(item, tree.Definition):
        return item
    line = item.span.line
    own = {comment.span.line: comment.text for comment in scanned.comments if comment.own_line}
    lines: list[str] = []
    while (line := line - 1) in own:
        lines.append(own[line].removeprefix("#").removeprefix(" "))
    return dataclasses.replace(item, doc="\n".join(reversed(lines))) if lines else item
