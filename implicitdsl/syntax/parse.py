"""Words to lark's tree: one syntax error a statement, all of them together.

The state of the parser is kept at the start of every statement. After an error it goes back there, a statement that is
always right takes the place of the wrong one, and reading goes on at the next line or block.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from implicitdsl.diagnostics import Diagnostic, Source
from implicitdsl.syntax.complaint import complain
from implicitdsl.syntax.scanner import Word
from implicitdsl.syntax.tables import parser
from implicitdsl.syntax.words import MOST_FINDINGS

if TYPE_CHECKING:
    from lark import Lark, Token

Start = Literal["file", "expr", "choice"]
Branch = Any
"""A `lark.Tree`; only the builder looks inside."""

INSTEAD: dict[str, str] = {"FN": "fn _ ( ) = 0", "RETURN": "return 0", "STOP": "stop", "FOR": "0 = 0"}
"""A statement that is always right, by a terminal that only its kind of block accepts."""

HEADERS: dict[str, dict[str, str]] = {
    "FN": {"": "net _ ( ) -> _ {"},
    "RETURN": {"subject": "subject to {", "when": "when 0 {"},
    "FOR": {"for": "for _ in 0 : 0 {"},
}
"""A header that is always right, by block and first word, so that what stands in the braces is read all the same."""


@functools.cache
def grammar() -> Lark:
    """The parser, made at the first use."""
    return parser()


@functools.cache
def _terminals() -> dict[str, str]:
    """The grammar's name of every keyword and mark."""
    fixed = {t.pattern.value: t.name for t in grammar().terminals if t.pattern.type == "str"}
    return {**fixed, "\n": "_NL"}


@functools.cache
def _texts() -> dict[str, str]:
    return {name: text for text, name in _terminals().items()}


def _terminal(word: Word) -> str:
    match word.kind:
        case "name" | "number" | "string":
            return word.kind.upper()
        case _:
            return _terminals()[word.text]


def _token(word: Word) -> Token:
    import lark

    return lark.Token(_terminal(word), word.text, word.start, 0, 0, 0, 0, word.end)


@dataclass
class _Place:
    """Where the parser was when a statement began."""

    begin: int
    states: list[Any]
    values: list[Any]


@dataclass
class Parse:
    """A parse under way. `wrong`: the places of findings that the statements around them are already charged with;
    `headless`: the column of a wrong line of the file that opened no block, to which the lines further in belong."""

    source: Source
    words: Sequence[Word]
    wrong: list[int]
    start: Start
    findings: list[Diagnostic] = field(default_factory=list[Diagnostic])
    statement_starts: list[int] = field(default_factory=list[int])
    tree: Branch | None = None
    headless: int | None = None

    def run(self) -> None:
        """Read all words; `tree` is set if there was no error."""
        from lark import UnexpectedToken

        made: Any = grammar()
        self.state: Any = made.parse_interactive(start=self.start).parser_state
        self.places = [self._here(0)]
        i = 0
        while i < len(self.words) and len(self.findings) <= MOST_FINDINGS:
            word = self.words[i]
            # Only names are called; `2(x + 1)` lacks an operator.
            if word.text == "(" and i and self.words[i - 1].kind == "number":
                i = self._recover(i)
                continue
            try:
                self.state.feed_token(_token(word))
            except UnexpectedToken:
                i = self._recover(i)
                continue
            i += 1
            if word.kind == "newline":
                self.places[-1] = self._here(i)
            elif word.text == "{":
                self.headless = None
                self.places.append(self._here(i))
            elif word.text == "}":
                self.places.pop()
        self._finish()

    def _finish(self) -> None:
        import lark

        try:
            result = self.state.feed_token(lark.Token("$END", "", len(self.source.text)), is_end=True)
        except lark.UnexpectedToken:
            if not self.findings:
                self._complain(len(self.words))
            return
        if not self.findings:
            self.tree = result

    def _here(self, begin: int) -> _Place:
        if begin < len(self.words):
            self.statement_starts.append(self.words[begin].start)
        return _Place(begin, self.state.state_stack[:], self.state.value_stack[:])

    def _listed(self, states: list[Any]) -> list[str]:
        accepted: dict[str, Any] = self.state.parse_conf.states[states[-1]]
        return [name for name in accepted if name.isupper() or name == "_NL"]

    def _fits(self, terminal: str) -> bool:
        """Whether a word would be taken; a state also lists words that only a state merged with it takes."""
        conf, stack = self.state.parse_conf, self.state.state_stack
        kept, pushed = len(stack), list[Any]()
        for _ in range(1000):  # a deeper stack is one operator over and over, and tells nothing more
            top = pushed[-1] if pushed else stack[kept - 1]
            if terminal not in conf.states[top]:
                return False
            _, rule = conf.states[top][terminal]
            if not hasattr(rule, "expansion"):
                return True
            size = len(rule.expansion)
            kept -= max(0, size - len(pushed))
            del pushed[len(pushed) - min(size, len(pushed)) :]
            base = pushed[-1] if pushed else stack[kept - 1]
            pushed.append(conf.states[base][rule.origin.name][1])
            if pushed[-1] == conf.end_state:
                return True
        return True

    def _complain(self, i: int) -> None:
        place = self.places[-1]
        until = self.words[i].start if i < len(self.words) else len(self.source.text)
        begin = self.words[place.begin].start if place.begin < len(self.words) else until
        first = bisect_left(self.wrong, begin)
        if first < len(self.wrong) and self.wrong[first] <= until:
            return
        expected = {_texts().get(name, name) for name in self._listed(self.state.state_stack) if self._fits(name)}
        opening = {_texts().get(name, name) for name in self._listed(place.states)}
        self.findings.append(complain(self.source, self.words, i, place.begin, expected, opening))

    def _recover(self, i: int) -> int:
        """Report the word that does not fit; the number of the word to go on with."""
        belongs = self.headless is not None and i < len(self.words) and self._column(i) > self.headless
        if not (belongs and i == self.places[-1].begin):
            self._complain(i)
        if self.start != "file":
            return len(self.words)
        place = self.places[-1]
        self.state.state_stack[:] = place.states
        self.state.value_stack[:] = place.values
        block = next(name for name in INSTEAD if name in self.state.parse_conf.states[place.states[-1]])
        # The first word tells what the header was to be; at the top of a file every block is a definition.
        opening = self.words[place.begin].text if block != "FN" and place.begin < len(self.words) else ""
        header = HEADERS.get(block, {}).get(opening)
        depth = 0
        # A `{` before the wrong word has pushed a place of its own, so no brace lies between the place and that word.
        while i < len(self.words):
            word = self.words[i]
            if depth == 0 and (word.kind == "newline" or word.text == "}"):
                break
            if word.text == "{":
                if depth == 0 and header is not None:
                    self._feed(header)
                    self.headless = None
                    self.places.append(self._here(i + 1))
                    return i + 1
                depth += 1
            depth -= word.text == "}"
            i += 1
        self._feed(INSTEAD[block])
        if block == "FN" and not belongs:
            self.headless = self._column(place.begin)
        return i

    def _column(self, i: int) -> int:
        return self.source.place(self.words[i].start)[1]

    def _feed(self, text: str) -> None:
        import lark

        for piece in text.split():
            kind = "NAME" if piece == "_" else "NUMBER" if piece == "0" else _terminals()[piece]
            self.state.feed_token(lark.Token(kind, piece, 0, 0, 0, 0, 0, 0))
