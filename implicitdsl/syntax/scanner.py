"""Characters to words. Never fails: what is no word of the language becomes a finding, and is mended or left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from implicitdsl.diagnostics import Diagnostic, Fix, Source, Span
from implicitdsl.syntax.tree import Comment
from implicitdsl.syntax.words import KEYWORDS, SOFT_KEYWORDS

WordKind = Literal["name", "number", "string", "keyword", "mark", "newline"]


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text and its place."""

    kind: WordKind
    text: str
    start: int
    end: int


@dataclass
class Scan:
    """The words of a text, its comments, and what is wrong with its characters."""

    source: Source
    words: list[Word] = field(default_factory=list[Word])
    comments: list[Comment] = field(default_factory=list[Comment])
    findings: list[Diagnostic] = field(default_factory=list[Diagnostic])
    depth: int = 0
    brackets: int = 0  # open `( )` and `[ ]`
    until: int = 0  # the text before this offset is read


@dataclass(frozen=True)
class Refusal:
    """A spelling that other languages have; `meant` is the word that stands for it while the rest is read."""

    meant: str | None
    help: str


FOREIGN_COMMENTS = ("//", "%", "/*")
"""Marks that begin a comment elsewhere: at the start of a line they are taken for one."""


NAME = r"[A-Za-zα-ωΑ-Ω_][A-Za-zα-ωΑ-Ω_0-9]*"
NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
STRING = r'"[^"\n]*"'
MARKS = (":=", "->", "<=", ">=", *"+-*/@^=<>~:.,()[]{}")

REFUSED: dict[str, Refusal] = {
    "!=": Refusal(None, "nothing tests for inequality; write `a < b or a > b`"),
    "≠": Refusal(None, "nothing tests for inequality; write `a < b or a > b`"),
    "&&": Refusal("and", "write `and`"),
    "&": Refusal("and", "write `and`"),
    "||": Refusal("or", "conditions are joined by `or`; a norm is `norm(x)`"),
    "|": Refusal("or", "conditions are joined by `or`; an absolute value is `abs(x)`"),
    "!": Refusal("not", "write `not`"),
    "=>": Refusal(">=", "write `>=`"),
    "=<": Refusal("<=", "write `<=`"),
    "≤": Refusal("<=", "write `<=`"),
    "≥": Refusal(">=", "write `>=`"),
    "−": Refusal("-", "write `-`"),
    "–": Refusal("-", "write `-`"),
    "×": Refusal("*", "write `*`"),
    "·": Refusal("*", "write `*`"),
    "⋅": Refusal("*", "write `*`"),
    "÷": Refusal("/", "write `/`"),
    "→": Refusal("->", "write `->`"),
    "∈": Refusal("in", "write `in`"),
    "∞": Refusal("inf", "write `inf`"),
    "√": Refusal(None, "write `sqrt(x)`"),
    "∑": Refusal(None, "write `sum(x)`, or `sum(e for k in a:b)`"),
    "∏": Refusal(None, "write `prod(x)`, or `prod(e for k in a:b)`"),
    "∂": Refusal(None, "a derivative by time is written `dx/dt`, one by `x` is `grad(e, x)`"),
    "∇": Refusal(None, "write `grad(e, x)`, `div(v, x)` or `jacobian(v, x)`"),
    "ᵀ": Refusal(None, "write `.T`"),
    "“": Refusal(None, 'strings stand in `"`'),
    "”": Refusal(None, 'strings stand in `"`'),
    "?": Refusal(None, "a choice is written `if c then a else b`"),
    "\\": Refusal(None, "`A \\ b` is written `solve(A, b)`; a line that ends with an operator goes on"),
    ".*": Refusal("*", "operators are elementwise: write `*`"),
    "./": Refusal("/", "operators are elementwise: write `/`"),
    ".^": Refusal("^", "operators are elementwise: write `^`"),
    ".'": Refusal(None, "a transpose is written `.T`"),
    "...": Refusal(None, "indices count axes from the first; a line that ends with an operator goes on"),
    "::": Refusal(None, "a slice has two ends, `a:b`, and no step"),
    "/*": Refusal(None, "comments begin with `#`"),
    "//": Refusal(None, "comments begin with `#`, division is `/`"),
    "%": Refusal(None, "comments begin with `#`; there is no remainder"),
    ";": Refusal(None, "one statement a line, without a mark at its end"),
}


def _any_of(texts: tuple[str, ...]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


PATTERN = re.compile(
    rf"""(?P<blank>[ \t\r\f\v]+)|(?P<newline>\n)|(?P<comment>\#[^\n]*)
    |(?P<name>{NAME})|(?P<number>{NUMBER})|(?P<string>{STRING})|(?P<open_string>"[^"\n]*)
    |(?P<power>\*\*)|(?P<equals>===?)|(?P<primes>'+)
    |(?P<refused>{_any_of(tuple(REFUSED))})|(?P<mark>{_any_of(MARKS)})|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
AN_EQUATION = re.compile(r"[ \t]*=(?!=)")


def scan(source: Source) -> Scan:
    """All words of a text. Every finding has its fix where there is one."""
    found = Scan(source)
    # A byte order mark is an accident of editors, not a character of the text.
    position = 1 if source.text.startswith("\ufeff") else 0
    while position < len(source.text):
        match = PATTERN.match(source.text, position)
        assert match is not None  # the last alternative takes any character
        HANDLERS[match.lastgroup or "other"](found, match[0], position)
        position = max(match.end(), found.until)
    return found


def _refuse(scan: Scan, code: str, message: str, start: int, end: int, help: str, fix: Fix | None = None) -> None:
    scan.findings.append(Diagnostic(code, message, Span(scan.source, start, end), "", (), help, fix))


def _add(scan: Scan, kind: WordKind, text: str, start: int, length: int) -> None:
    scan.words.append(Word(kind, text, start, start + length))


def _blank(_: Scan, __: str, ___: int) -> None:
    pass


def _newline(scan: Scan, text: str, at: int) -> None:
    _add(scan, "newline", text, at, 1)


def _comment(scan: Scan, text: str, at: int) -> None:
    line_start = scan.source.text.rfind("\n", 0, at) + 1
    own_line = not scan.source.text[line_start:at].strip(" \t\r\f\v\ufeff")
    span = Span(scan.source, at, at + len(text))
    scan.comments.append(Comment(text.rstrip(), own_line, span=span))


def _name(scan: Scan, text: str, at: int) -> None:
    keyword = text in KEYWORDS or (text in SOFT_KEYWORDS and _is_keyword_here(scan, text, at))
    _add(scan, "keyword" if keyword else "name", text, at, len(text))


def _is_keyword_here(scan: Scan, text: str, at: int) -> bool:
    last = scan.words[-1] if scan.words else None
    if text == "imp":
        first = all(word.kind == "newline" for word in scan.words)
        return first and re.compile(r"imp[ \t]+[0-9]").match(scan.source.text, at) is not None
    if scan.depth:  # a newline inside brackets is a blank
        last = next((word for word in reversed(scan.words) if word.kind != "newline"), None)
    return last is not None and (last.kind in ("name", "string") or last.text in ("]", ")"))


def _number(scan: Scan, text: str, at: int) -> None:
    value, end = float(text), at + len(text)
    if value == float("inf"):
        _refuse(scan, "E111", f"`{_short(text)}` is beyond the largest number", at, end, "write `inf` for infinity")
    elif value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
        _refuse(scan, "E111", f"`{_short(text)}` is nearer to 0 than the smallest number", at, end, "write `0`")
    _add(scan, "number", text, at, len(text))


def _string(scan: Scan, text: str, at: int) -> None:
    _add(scan, "string", text, at, len(text))


def _open_string(scan: Scan, text: str, at: int) -> None:
    text = text.rstrip()
    end = at + len(text)
    _refuse(scan, "E103", "a string is not closed on its line", at, end, 'a string stands in `"`, on one line')
    _add(scan, "string", text + '"', at, len(text))


def _power(scan: Scan, _: str, at: int) -> None:
    fix = Fix(Span(scan.source, at, at + 2), "^")
    _refuse(scan, "E106", "`**` is no operator", at, at + 2, "a power is written `x^2`", fix)
    _add(scan, "mark", "^", at, 2)


def _equals(scan: Scan, text: str, at: int) -> None:
    fix = Fix(Span(scan.source, at, at + len(text)), "=")
    help_ = "an equation is written with `=`, a condition with `<`, `<=`, `>` or `>=`"
    _refuse(scan, "E107", f"`{text}` is no operator", at, at + len(text), help_, fix)
    _add(scan, "mark", "=", at, len(text))


def _primes(scan: Scan, text: str, at: int) -> None:
    last, end = (scan.words[-1] if scan.words else None), at + len(text)
    if last is None or last.end != at or not (last.kind == "name" or last.text in (")", "]")):
        _refuse(scan, "E102", "`'` is not part of the language", at, end, 'strings stand in `"`')
        return
    opens = last.kind == "name" and (len(scan.words) == 1 or scan.words[-2].text in ("\n", "{"))
    what = scan.source.text[last.start : end] if last.kind == "name" else text
    if len(text) > 1:
        advice, fix = "a second derivative is two states, `dx/dt = v` and `dv/dt = …`", None
    elif opens and AN_EQUATION.match(scan.source.text, end):
        advice, fix = f"write `d{last.text}/dt`", Fix(Span(scan.source, last.start, end), f"d{last.text}/dt")
    else:
        advice, fix = "a transpose is written `.T`, a derivative `dx/dt`", Fix(Span(scan.source, at, end), ".T")
    _refuse(scan, "E108", f"`{what}` has no meaning", last.start if last.kind == "name" else at, end, advice, fix)


def _refused(scan: Scan, text: str, at: int) -> None:
    refusal, end = REFUSED[text], at + len(text)
    word, help_ = refusal.meant, refusal.help
    fix = None
    if word is not None:
        spaced = f" {word} " if word in KEYWORDS else word
        fix = Fix(Span(scan.source, at, end), spaced)
        kind = "keyword" if word in KEYWORDS else "name" if word.isalpha() else "mark"
        _add(scan, kind, word, at, len(text))
    elif text == "ᵀ":
        fix = Fix(Span(scan.source, at, end), ".T")
    elif text == ";" and scan.brackets:
        help_ = "rows stand in brackets of their own: `[[1, 2], [3, 4]]`"
    elif text in FOREIGN_COMMENTS and (
        not scan.words or scan.words[-1].kind == "newline" or scan.words[-1].text == "{"
    ):
        help_, fix = "comments begin with `#`", Fix(Span(scan.source, at, end), "#")
        line_end = scan.source.text.find("\n", end)
        scan.until = line_end if line_end >= 0 else len(scan.source.text)
    _refuse(scan, "E115", f"`{text}` is not part of the language", at, end, help_, fix)


def _mark(scan: Scan, text: str, at: int) -> None:
    scan.brackets = max(0, scan.brackets + (text in "([") - (text in ")]")) if text not in "{}" else 0
    scan.depth = 0 if text in "{}" else max(0, scan.depth + (text in "([") - (text in ")]"))
    _add(scan, "mark", text, at, len(text))


def _other(scan: Scan, text: str, at: int) -> None:
    span = Span(scan.source, at, at + 1)
    called = f"U+{ord(text):04X} {unicodedata.name(text, '')}".strip()
    if text.isspace():
        message = f"the blank {called} is not part of the language"
        _refuse(scan, "E102", message, at, at + 1, "write a space", Fix(span, " "))
        return
    form, *digits = unicodedata.decomposition(text).split() or [""]
    base = chr(int(digits[0], 16)) if len(digits) == 1 else ""
    if form in ("<super>", "<sub>") and base.isdigit():
        mended = f"^{base}" if form == "<super>" else base
        _refuse(
            scan, "E102", f"`{text}` is not part of the language", at, at + 1, f"write `{mended}`", Fix(span, mended)
        )
        return
    if text in "\u0307\u0308" or (len(digits) == 1 and digits[0] in ("0307", "0308")):
        help_ = "a derivative by time is written `dx/dt`, a second one is two states"
        _refuse(scan, "E102", f"`{text}` is not part of the language", at, at + 1, help_)
        return
    shown = f"`{text}` ({called})" if text.isprintable() else called
    advice = "names are made of Latin or Greek letters, digits and `_`" if text.isalnum() else ""
    _refuse(scan, "E102", f"{shown} is not part of the language", at, at + 1, advice)


def _short(text: str) -> str:
    return text if len(text) <= 20 else text[:17] + "…"


HANDLERS: dict[str, Callable[[Scan, str, int], None]] = {
    "blank": _blank,
    "newline": _newline,
    "comment": _comment,
    "name": _name,
    "number": _number,
    "string": _string,
    "open_string": _open_string,
    "power": _power,
    "equals": _equals,
    "primes": _primes,
    "refused": _refused,
    "mark": _mark,
    "other": _other,
}
