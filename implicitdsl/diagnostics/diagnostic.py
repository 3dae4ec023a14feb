"""What the compiler has to say about a text: code, message, place, reason, help, and a fix where there is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from implicitdsl.diagnostics.span import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Label:
    """A secondary place with its own remark."""

    span: Span
    text: str


@dataclass(frozen=True)
class Fix:
    """A replacement that `fmt` may apply."""

    span: Span
    replacement: str


@dataclass(frozen=True)
class Diagnostic:
    """One finding. `code` is E1xx … E7xx or Wxxx and has a page in the catalogue (`implicitdsl explain CODE`)."""

    code: str
    message: str
    span: Span | None = None
    remark: str = ""
    labels: tuple[Label, ...] = ()
    help: str = ""
    fix: Fix | None = None

    @property
    def severity(self) -> Severity:
        return "warning" if self.code.startswith("W") else "error"


class ImpError(Exception):
    """The model is wrong. `diagnostics` holds every finding, warnings included, in the order of the text."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        from implicitdsl.diagnostics.render import render

        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("\n\n".join(render(d) for d in self.diagnostics))

    def __reduce__(self) -> tuple[object, ...]:
        return (ImpError, (self.diagnostics,))


@dataclass
class Report:
    """Collects findings while a text is read and checked."""

    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

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
        """Record a finding; one that is already there is not repeated."""
        diagnostic = Diagnostic(code, message, span, remark, tuple(labels), help, fix)
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.found if d.severity == "error")

    def in_text_order(self) -> tuple[Diagnostic, ...]:
        return tuple(sorted(self.found, key=lambda d: (d.span.start if d.span else -1, d.code)))

    def raise_errors(self) -> None:
        """Raise ImpError with all findings if any of them is an error."""
        if self.errors:
            raise ImpError(self.in_text_order())
