"""Which newlines end a statement, and which brackets belong together.

A newline is none inside `( )` and `[ ]`, behind an operator or a comma, in front of an operator other than a minus,
behind `{` and in front of `}`. A bracket that is never closed counts as closed at the end of its line, so that the
statements below it are read all the same.
"""

from __future__ import annotations

from implicitdsl.diagnostics import Diagnostic, Label, Source, Span
from implicitdsl.syntax.scanner import Scan, Word
from implicitdsl.syntax.words import CONTINUES_AFTER, CONTINUES_BEFORE, DEEPEST, ITEM_WORDS, STATEMENT_WORDS

CLOSER = {"(": ")", "[": "]", "{": "}"}
LINE_OPENERS = frozenset((*ITEM_WORDS, *STATEMENT_WORDS))


def lay_out(scan: Scan) -> list[Word]:
    """The words with only those newlines that end a statement, all brackets matched; findings are added to the scan."""
    words, matched = _match_brackets(scan)
    kept: list[Word] = []
    depth, newline = 0, None
    statement_start: Word | None = None
    for word in words:
        if word.kind == "newline":
            newline = newline or word
            continue
        if newline is not None and depth == 0 and kept and _ends(kept[-1], word):
            if word.text == "-" and statement_start is not None:
                _warn_of_minus(scan, word, statement_start)
            kept.append(newline)
        if not kept or kept[-1].kind == "newline" or kept[-1].text in "{}":
            statement_start = word
        newline = None
        kept.append(word)
        if word.kind == "mark" and word.start in matched:
            depth += (word.text in "([") - (word.text in ")]")
    return kept


def _ends(last: Word, word: Word) -> bool:
    if last.text == "{" or word.text == "}":
        return False
    if word.kind == "keyword" and word.text in LINE_OPENERS:
        return True
    return last.text not in CONTINUES_AFTER and word.text not in CONTINUES_BEFORE


def _match_brackets(scan: Scan) -> tuple[list[Word], set[int]]:
    """The words without stray closing brackets and with missing braces; the places of `( ) [ ]` that are paired."""
    kept: list[Word] = []
    opened: list[Word] = []
    matched: set[int] = set()
    too_deep = False
    for i, word in enumerate(scan.words):
        first = word.kind != "newline" and (not i or scan.words[i - 1].kind == "newline")
        if first and word.kind == "keyword" and _opens_line(scan.words, i):
            _give_up(scan, opened, "([")
            if word.text in ITEM_WORDS and not _inside(scan, opened, word):
                kept += _close(scan, opened, word.start)
        if word.kind == "mark" and word.text in "([{":
            if word.text == "{":
                _give_up(scan, opened, "([")
            opened.append(word)
            # The braces of the definition itself do not count.
            if len(opened) - (opened[0].text == "{") > DEEPEST and not too_deep:
                too_deep = True
                scan.findings.append(_too_deep(scan.source, word))
        elif word.kind == "mark" and word.text in ")]}":
            if word.text == "}":
                _give_up(scan, opened, "([")
            if not _pair(scan, opened, matched, word):
                continue
        kept.append(word)
    _give_up(scan, opened, "([")
    return kept + _close(scan, opened, len(scan.source.text)), matched


def _opens_line(words: list[Word], i: int) -> bool:
    """True where a keyword at the start of a line opens a statement, even if a bracket above it is still open."""
    following = words[i + 1] if i + 1 < len(words) else None
    return words[i].text in LINE_OPENERS and (following is None or following.text not in ("=", ",", ")", "]"))


def _inside(scan: Scan, opened: list[Word], word: Word) -> bool:
    """Whether a line stands further in than the line of the outermost open brace: it belongs to that block."""
    return bool(opened) and _indent(scan, word) > _indent(scan, opened[0])


def _indent(scan: Scan, of: Word) -> int:
    """How far in the line of a word begins."""
    line_start = scan.source.text.rfind("\n", 0, of.start) + 1
    line = scan.source.text[line_start : of.start].expandtabs()
    return len(line) - len(line.lstrip())


def _pair(scan: Scan, opened: list[Word], matched: set[int], closer: Word) -> bool:
    """Pair a closing bracket with the last open one; False if it is a stray and must be left out."""
    top = opened[-1] if opened else None
    if top is None or (top.text == "{") != (closer.text == "}"):
        span = Span(scan.source, closer.start, closer.end)
        scan.findings.append(Diagnostic("E104", f"`{closer.text}` closes nothing", span, help="remove it"))
        return False
    opened.pop()
    matched |= {top.start, closer.start}
    if CLOSER[top.text] != closer.text:
        span = Span(scan.source, closer.start, closer.end)
        label = Label(Span(scan.source, top.start, top.end), "opened here")
        message, advice = f"`{top.text}` is closed by `{closer.text}`", f"write `{CLOSER[top.text]}`"
        scan.findings.append(Diagnostic("E104", message, span, labels=(label,), help=advice))
    return True


def _give_up(scan: Scan, opened: list[Word], which: str) -> None:
    """Report the innermost open brackets of these kinds as never closed."""
    while opened and opened[-1].text in which:
        word = opened.pop()
        span = Span(scan.source, word.start, word.end)
        message, advice = f"`{word.text}` is never closed", f"`{CLOSER[word.text]}` is missing"
        scan.findings.append(Diagnostic("E104", message, span, help=advice))


def _close(scan: Scan, opened: list[Word], at: int) -> list[Word]:
    """Closing braces for all open ones, each reported, and the newline behind them, in front of `at`."""
    missing = len(opened)
    _give_up(scan, opened, "{")
    return [Word("mark", "}", at, at)] * missing + [Word("newline", "\n", at, at)] * bool(missing)


def _too_deep(source: Source, word: Word) -> Diagnostic:
    message = f"the text is nested deeper than {DEEPEST}"
    return Diagnostic("E109", message, Span(source, word.start, word.end), help="name the inner parts with `let`")


def _warn_of_minus(scan: Scan, word: Word, above: Word) -> None:
    if _indent(scan, word) > _indent(scan, above):
        scan.findings.append(
            Diagnostic(
                "W101",
                "a line that opens with `-` does not continue the line above",
                Span(scan.source, word.start, word.end),
                labels=(Label(Span(scan.source, above.start, above.end), "this statement ends on its own line"),),
                help="end the line above with `-`, or put the expression in brackets",
            )
        )
