"""What to say about a word that does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.diagnostics import Diagnostic, Label, Source, Span
from implicitdsl.syntax.habits import habit, meant_at_the_top
from implicitdsl.syntax.scanner import Word
from implicitdsl.syntax.words import ITEM_WORDS, STATEMENT_WORDS

OPERATORS = frozenset(("+", "-", "*", "/", "@", "^", "<", "<=", ">", ">=", "in", "and", "or"))
ARITHMETIC = OPERATORS - {"in", "and", "or"}
ENDS = frozenset(("}", ")", "]", ",", "then", "else", "and", "or", "in", "for", "to", "at"))
CLOSER = {"(": ")", "[": "]"}
INSIDE = frozenset(("if", "not"))
HINTS: dict[str, str] = {
    ":=": "`x := e` stands in a `when` block; `let x = e` names an expression, `x = e` is an equation",
    "<": "inequalities stand in `subject to { … }`",
    "<=": "inequalities stand in `subject to { … }`",
    ">": "inequalities stand in `subject to { … }`",
    ">=": "inequalities stand in `subject to { … }`",
    "{": "the `{` of a block stands on the line of its header",
    "if": "`if c then a else b` is the loosest expression: put it in brackets",
    "not": "`not` is looser than comparisons and operators: put it in brackets",
    "=": "`=` makes an equation or a definition; conditions compare with `<`, `<=`, `>`, `>=`",
    ":": "`a:b` stands in an index or behind `for k in`; a label stands in `subject to { … }`",
    "for": "`for k in a:b` stands in a call such as `sum(x[k] for k in 0:n)`, or opens a block in `subject to { … }`",
    "stop": "`stop` stands in a `when` block",
}


def complain(
    source: Source, words: Sequence[Word], i: int, begin: int, expected: set[str], opening: set[str]
) -> Diagnostic:
    """The finding for word `i`, which is none of `expected`, in the statement that began at word `begin`.

    `opening` is what may open a statement at `begin`; it tells which block this is.
    """
    last = words[i - 1] if i > 0 else None
    if i == len(words):
        end = len(source.text.rstrip())
        advice = f"expected {_list(expected)}"
        return Diagnostic("E101", "the text ends in the middle of a statement", Span(source, end, end), help=advice)
    word = words[i]
    here = Span(source, word.start, max(word.end, word.start + (word.text == "\n")))
    shown = "the end of the line" if word.kind == "newline" else f"`{word.text}`"
    wants_operand = "NUMBER" in expected
    behind = Span(source, last.start, last.end) if last is not None else here
    new_line = last is not None and "\n" in source.text[last.end : word.start]

    turn = habit(words, i, begin, expected, opening)
    if turn is not None:
        place = Span(source, words[turn.first].start, max(words[turn.last].end, words[turn.last].start))
        return Diagnostic("E115", turn.message, place, help=turn.help)
    if i == begin and "fn" in opening:
        return _no_definition(word, here)
    if i == begin and word.text == "}":
        label = (Label(behind, "the block begins here"),)
        return Diagnostic("E117", "a block is empty", here, labels=label, help="write its statements, or remove it")
    if wants_operand and last is not None and i > begin and (new_line or word.kind == "newline" or word.text in ENDS):
        message = f"an expression is missing behind `{last.text}`"
        return Diagnostic("E112", message, behind, help=f"found {shown} instead")
    if (
        word.kind == "keyword"
        and not (wants_operand and word.text in INSIDE)
        and "NAME" in expected
        and ((last is not None and i > begin) or "STOP" in expected)
    ):
        advice = f"choose another name, such as `{word.text}_`"
        return Diagnostic("E105", f"`{word.text}` is a keyword and names nothing", here, help=advice)
    if last is not None and last.text == "}" and i > begin:
        message, advice = f"{shown} stands on the line of a `}}`", "a new statement begins on a new line"
        return Diagnostic("E114", message, here, help=advice)
    if last is not None and i > begin and _ends_operand(last) and _opens_operand(word) and expected & ARITHMETIC:
        message = f"an operator is missing between `{last.text}` and `{word.text}`"
        factor = word.text if word.kind in ("name", "number") else f"{word.text}…{CLOSER[word.text]}"
        return Diagnostic("E114", message, behind.to(here), help=f"a product is written `{last.text}*{factor}`")
    if i > begin and word.text in (*STATEMENT_WORDS, *ITEM_WORDS) and ("\n" in expected or "}" in expected):
        message, advice = f"{shown} stands on the line of another statement", "one statement a line"
        return Diagnostic("E114", message, here, help=advice)
    if (word.kind == "newline" or word.text == "}") and "=" in expected and expected & OPERATORS:
        statement = Span(source, words[begin].start, behind.end)
        advice = "an equation is written `left = right`; a value is given with `return`"
        return Diagnostic("E101", "an expression alone is no statement", statement, help=advice)
    if i == begin:
        return _no_statement(word, here, shown, opening)
    hint = HINTS.get(word.text, "")
    advice = f"expected {_list(expected)}" + (f"; {hint}" if hint else "")
    return Diagnostic("E101", f"{shown} does not fit here", here, help=advice)


def _no_definition(word: Word, here: Span) -> Diagnostic:
    if word.text in STATEMENT_WORDS:
        message = f"`{word.text}` stands outside of any definition"
        advice = "statements stand in the braces of a definition, `kind Name(…) -> … { … }`"
        return Diagnostic("E116", message, here, help=advice)
    message = "a definition, `fn` or `import` is expected here"
    return Diagnostic("E116", message, here, help=meant_at_the_top(word.text))


def _no_statement(word: Word, here: Span, shown: str, opening: set[str]) -> Diagnostic:
    if "return" in opening:
        hint = HINTS.get(word.text, "")
    elif "stop" in opening:
        hint = "a `when` block holds `x := e` and `stop`"
    else:
        hint = "`subject to` holds equations, inequalities, `z in set` and `for k in a:b { … }`"
    return Diagnostic("E101", f"{shown} opens no statement of this block", here, help=hint)


def _ends_operand(word: Word) -> bool:
    return word.kind in ("name", "number", "string") or word.text in (")", "]")


def _opens_operand(word: Word) -> bool:
    return word.kind in ("name", "number") or word.text in CLOSER


def _list(expected: set[str]) -> str:
    """The expected words in groups that a reader knows."""
    rest = set(expected)
    groups: list[str] = []
    if "NUMBER" in rest:
        groups.append("an expression")
        rest -= {"NUMBER", "NAME", "(", "[", "-", "if", "not"}
    if "NAME" in rest:
        groups.append("a name")
    if rest & {"+", "*"}:
        groups.append("an operator")
        rest -= OPERATORS | {".", "(", "["}
    if "return" in rest:
        groups.append("a statement")
        rest -= {*STATEMENT_WORDS}
    plain = sorted(f"`{text}`" for text in rest if not text.isupper() and text not in ("\n", "$END"))
    ends = ["the end of the line"] if "\n" in rest else []
    groups += [*plain[:6], *ends]
    if len(groups) < 2:
        return groups[0] if groups else "nothing more"
    return f"{', '.join(groups[:-1])} or {groups[-1]}"
