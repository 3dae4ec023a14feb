"""The words and marks of the language, and the limits of a text, in one place."""

from __future__ import annotations

from typing import get_args

from implicitdsl.syntax.tree import Kind

KINDS: tuple[str, ...] = get_args(Kind)

ITEM_WORDS = (*KINDS, "fn", "import")
"""Words that open a line of the file itself."""

STATEMENT_WORDS = (
    *("param", "const", "state", "var", "noise", "history", "use", "let", "from", "when"),
    *("minimize", "maximize", "subject", "solver", "adjoint", "return"),
)
"""Words that open a statement of a definition."""

OPERATOR_WORDS = ("and", "or", "not", "in", "if", "then", "else")
"""Words inside expressions; a line that ends with one goes on."""

KEYWORDS = frozenset((*ITEM_WORDS, *STATEMENT_WORDS, *OPERATOR_WORDS, "path", "to", "at", "for", "stop"))
"""Words that never name anything."""

SOFT_KEYWORDS = frozenset(("imp", "as", "by", "stratonovich"))
"""Words that are keywords only where no name can stand: behind a name or a closing bracket, `imp` on the first line."""

OPERATORS = ("+", "*", "/", "@", "^", "=", "<", "<=", ">", ">=")

CONTINUES_AFTER = frozenset((*OPERATORS, "-", ":=", "~", "->", ":", ".", ",", *OPERATOR_WORDS))
"""A newline behind one of these is no end of a statement."""

CONTINUES_BEFORE = frozenset((*OPERATORS, "in"))
"""A newline in front of one of these is no end of a statement; a minus may open a statement and is not among them."""

LANGUAGE_VERSION = 1
DEEPEST = 200
LONGEST = 20_000
MOST_FINDINGS = 100
