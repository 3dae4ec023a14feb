"""Turns of other languages where a word does not fit, and how they are written in this one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from implicitdsl.syntax.scanner import Word
from implicitdsl.syntax.words import ITEM_WORDS, KINDS, STATEMENT_WORDS

NO_TYPES = "names are declared by what they are, `param const state var let`, with a shape: `param W[n, m]`"
NO_LOOP = "a condition holds for whole vectors, `dx/dt = …`; elements are added by `sum(x[k] for k in 0:n)`"
FUNCTION = "a function is one line above the definition: `fn f(v) = v^2`"
OPTIMISE = "an `argmin` says `minimize e` or `maximize e`"
DECLARATIONS = ("param", "const", "state", "var")
UNDER = "constraints stand in `subject to { … }`, one a line"
CHOICE = "a value is chosen by `if c then a else b`; in time `when c { x := … }` is an event"
COMMENT = "comments begin with `#`"

STATEMENTS: dict[str, str] = {
    **dict.fromkeys(("real", "float", "double", "int", "integer", "number", "scalar", "vector", "matrix"), NO_TYPES),
    **dict.fromkeys(("tensor", "array", "simplex", "auto", "mutable", "local"), NO_TYPES),
    **dict.fromkeys(("def", "function", "func", "fun"), FUNCTION),
    **dict.fromkeys(("minimise", "min", "argmin"), "write `minimize e`"),
    **dict.fromkeys(("maximise", "max", "argmax"), "write `maximize e`"),
    **dict.fromkeys(("constraint", "constraints", "such", "st", "subjectto", "subject_to"), UNDER),
    **dict.fromkeys(("parameter", "parameters", "weight"), "write `param`"),
    **dict.fromkeys(
        ("variable", "variables", "unknown", "unknowns"), "write `var`, or `state` for what evolves in time"
    ),
    **dict.fromkeys(("init", "initial"), "a start stands at its name: `state x = x0`"),
    **dict.fromkeys(("while", "repeat", "loop"), NO_LOOP),
    **dict.fromkeys(("switch", "elif", "elseif"), CHOICE),
    "constant": "write `const`",
    "event": "write `when c { x := … }`",
    "output": "outputs stand behind `->`, their values behind `return`",
    "input": "inputs stand in the `( )` of the header",
    "using": "a layer is used by `use f = Layer[sizes]`, a file by `import` at its top",
    "print": "nothing is printed: `return` the value",
    "end": "a block ends with `}`",
}
"""What was meant by a word that begins a statement of a definition."""

KEYWORD_STATEMENTS: dict[str, str] = {
    "for": NO_LOOP,
    "if": CHOICE,
    "else": CHOICE,
    "then": CHOICE,
    "fn": FUNCTION,
    "import": "`import` stands at the top of the file",
    **dict.fromkeys(KINDS, "definitions stand side by side; `use f = Layer[sizes]` takes one into another"),
}

ITEMS: dict[str, str] = {
    **dict.fromkeys(
        ("def", "function", "func", "fun", "class", "module", "layer", "model", "struct"),
        "a layer is `net Name(x) -> y { … }`, or of another kind; a function is one line: `fn f(v) = v^2`",
    ),
    **dict.fromkeys(
        ("data", "parameters", "transformed", "functions", "variables", "equations"),
        "a definition holds them all: inputs in its header, then `param`, `state` and equations in its braces",
    ),
    **dict.fromkeys(("using", "include", "require", "open"), 'write `import "other.imp"`'),
    **dict.fromkeys(("minimise", "minimize", "maximise", "maximize"), OPTIMISE),
    **dict.fromkeys(("end", "endfunction"), "a block ends with `}`"),
    "pde": "space is an axis: `ode Heat[n](…)` with `state u[n]` and its differences",
    "sdae": "there is `sde`, and `dae` without noise",
    "dde": "a delay equation is an `ode` with `x(t - tau)` and `history x = …`",
}
"""What was meant by a word that begins a line of the file."""


@dataclass(frozen=True)
class Habit:
    """What to say instead of the words that would fit. `first` and `last` are the words meant."""

    message: str
    first: int
    last: int
    help: str


def habit(words: Sequence[Word], i: int, begin: int, expected: set[str], opening: set[str]) -> Habit | None:
    """The turn of another language that brought about the error at word `i`, or None."""
    if i >= len(words) or "fn" in opening:
        return _of_a_header(words, i, begin) if i < len(words) and i > begin else None
    return (
        _opener(words, i, begin, opening)
        or _bounds(words, i, begin)
        or _choice(words, i, begin, expected)
        or _inside(words, i, begin, expected, opening)
    )


def meant_at_the_top(word: str) -> str:
    """The help for a word that opens a line of the file and is no kind."""
    if word.lower() in ITEMS:
        return ITEMS[word.lower()]
    close = difflib.get_close_matches(word[:40].lower(), (*ITEM_WORDS, *KINDS), 1)
    return f"did you mean `{close[0]}`?" if close else f"a definition begins with one of {' '.join(KINDS)}"


def _opener(words: Sequence[Word], i: int, begin: int, opening: set[str]) -> Habit | None:
    """A first word that opens no statement."""
    first = words[begin]
    if "return" not in opening or first.kind not in ("name", "keyword"):
        return None
    message = f"`{first.text}` opens no statement"
    if first.kind == "keyword":
        told = KEYWORD_STATEMENTS.get(first.text) if i == begin else None
        return None if told is None else Habit(f"{message} of a definition", begin, begin, told)
    if i != begin + 1 or words[i].kind not in ("name", "number", "mark") or words[i].text in "*/@^)]},.:":
        return None
    told = STATEMENTS.get(first.text.lower(), "")
    if not told:
        close = difflib.get_close_matches(first.text[:40].lower(), STATEMENT_WORDS, 1, 0.7)
        told = f"did you mean `{close[0]}`?" if close else ""
    return Habit(message, begin, begin, told) if told else None


def _bounds(words: Sequence[Word], i: int, begin: int) -> Habit | None:
    """`for k in` without the two ends that a range has."""
    start = next((j for j in range(i - 1, begin, -1) if words[j].text == "for"), None)
    if start is None or i < start + 4 or words[start + 2].text != "in":
        return None
    index, ends = words[start + 1].text, [w.text for w in words[start + 3 : i] if w.kind != "newline"]
    if ":" in ends:
        return None
    message = f"`for {index} in` takes two ends, `a:b`"
    match ends:
        case ["range" | "arange" | "seq", "(", *inner]:
            inner = inner[:-1] if inner[-1:] == [")"] else inner
            low, comma, high = _split(inner)
            told = f"{low}:{high}" if comma else f"0:{low}"
        case [low, ".", *high] if high:
            told = f"{low.rstrip('.')}:{''.join(high).lstrip('.')}"
        case _:
            told = f"0:n`, elements are `x[{index}]"
    return Habit(message, start + 3, i - 1, f"write `for {index} in {told}`; the last end is left out")


def _split(words: list[str]) -> tuple[str, bool, str]:
    depth = 0
    for k, word in enumerate(words):
        depth += (word in "([") - (word in ")]")
        if word == "," and depth == 0:
            return "".join(words[:k]), True, "".join(words[k + 1 :])
    return "".join(words), False, ""


def _choice(words: Sequence[Word], i: int, begin: int, expected: set[str]) -> Habit | None:
    """`x if c else y`, and an `if` that lacks its `then` or `else`."""
    word, last = words[i], words[i - 1]
    if word.text == "if" and i > begin and (last.kind in ("name", "number") or last.text in ")]"):
        return Habit("the condition of an `if` comes first", i, i, "write `if c then a else b`")
    form = "a choice has all its parts: `if c then a else b`"
    if word.text == "then" or ("then" in expected and words[begin].text != "when"):
        if word.text == "then" and words[begin].text == "when":
            return Habit("a `when` has no `then`", i, i, "write `when c { x := … }`")
        return Habit("a `then` is missing", i, i, form) if "then" in expected else None
    if "else" in expected:
        told = "write `else if c then a else b`" if word.text in ("elif", "elseif", "elsif") else form
        return Habit("an `else` is missing", i, i, told)
    return None


def _inside(words: Sequence[Word], i: int, begin: int, expected: set[str], opening: set[str]) -> Habit | None:
    """Turns inside a statement."""
    word, last, first = words[i], words[i - 1] if i > begin else None, words[begin].text
    match last.text if last is not None else "", word.text:
        case "lambda", _:
            return Habit("there is no `lambda`", i - 1, i - 1, FUNCTION)
        case "+" | "-" | "*" | "/" as operator, "=":
            return Habit(f"there is no `{operator}=`", i - 1, i, "an equation gives the whole right-hand side once")
        case "subject" | "to", _ if expected == {"{"}:
            return Habit("`subject to` opens a block", begin, i - 1, "write `subject to { … }`, one constraint a line")
        case "from", _ if first == "from" and i == begin + 1:
            return Habit("`from` names the time", i, i, "write `from t = 0 to 1`")
        case _, "for" if "]" in expected:
            told = "`x^2` is elementwise; `stack(e for k in a:b)` and `concat(e for k in a:b)` gather values"
            return Habit("a bracket has no `for`", i, i, told)
        case _, "," if "return" not in opening and "stop" not in opening:
            return Habit("constraints stand on lines of their own", i, i, "a `,` parts none: begin a new line")
        case _, "," if _set_in_brackets(words, i, begin):
            return Habit("a set has a name", i - 2, i, "write `in interval(a, b)`, `in positive` or `in nonneg`")
        case _, "," if _in_parentheses(words, i, begin):
            told = "return `x, y`, or `[x, y]` as a vector" if first == "return" else "a vector is `[x, y]`"
            return Habit("`( )` holds one value", i, i, told)
        case _, "," if first in ("let", "use"):
            return Habit(f"a `{first}` names one thing", i, i, f"begin a new line with `{first}`")
        case _, "=" if first == "let" and i > begin + 2:
            return Habit("a `let` names one value", i, i, "name each on a line of its own")
        case "let", "[" if i == begin + 1:
            return Habit("a `let` names one value", i, i, "elements are named one by one: `let a = x[0]`")
        case _, "[" | "(" if first == "let" and i == begin + 2:
            return Habit("a `let` has the shape of its value", i, i, "write `let y = …`; a function is `fn f(v) = …`")
        case _, "(" if _declares(words, i, begin):
            return Habit("a shape stands in `[ ]`", i, i, f"write `{words[i - 1].text}[n, m]`")
        case "]", "[" if first in DECLARATIONS:
            return Habit("a shape is one bracket", i, i, "write `W[n, m]`")
        case "(" | ",", _ if first in ("solver", "adjoint") and word.kind == "number":
            return Habit("options have names", i, i, f"write `{words[begin + 1].text}(name = {word.text})`")
        case _, _ if first == "when" and "{" in expected and word.kind in ("name", "keyword") and _ends(last):
            return Habit("what happens stands in braces", i, i, "write `when c { x := … }` or `when c { stop }`")
        case _, ":" if first == "return" and "[" not in [w.text for w in words[begin:i]]:
            return Habit("times are no range", i, i, "they are an input `ts[T]`, or a bracket: `at [0, 0.5, 1]`")
        case _, "for" if "for" in opening:
            return Habit("a `for` stands around constraints", i, i, "write `for k in a:b { … }`")
        case ">", ">":
            return Habit("there is no `>>`", i - 1, i, "a matrix is positive semidefinite by `Z in psd(n)`")
        case _, "," if first in ("minimize", "maximize"):
            return Habit("there is one objective", i, i, "weigh and add them in one")
        case _, "=" if first in ("solver", "adjoint"):
            return Habit(f"`{first}` is no setting", i, i, f"write `{first} name(options)`")
        case "(", _ if first == "use" and word.kind in ("name", "number"):
            return Habit("sizes stand in `[ ]`", i, i, "write `use f = Layer[sizes]`; options stand in `( )`")
        case _, "<" | "<=" | ">" | ">=" if first in DECLARATIONS:
            return Habit(
                "a declaration compares nothing", i, i, "a set holds bounds: `in positive`, `in interval(a, b)`"
            )
        case _, "=" if first == "return" and i > begin + 1:
            return Habit("`return` gives values, not equations", i, i, "name the value above: `let y = …`, `return y`")
        case _, "=" if ":=" in expected:
            return Habit("an event sets with `:=`", i, i, "write `x := …`")
        case _, "," if "stop" in opening:
            return Habit("actions stand on lines of their own", i, i, "a `,` parts none: begin a new line")
        case _ if word.kind == "string":
            return Habit("there are no texts in expressions", i, i, f"strings name files of `import`; {COMMENT}")
        case _:
            pass
    if first == "d" and [w.text for w in words[begin + 1 : i]] == ["^", "2"]:
        return Habit("a second derivative is two states", begin, i, "write `dx/dt = v` and `dv/dt = …`")
    if last is not None and last.kind == "number" and last.end == word.start and word.kind == "name":
        if word.text[0] == "_" and word.text[1:].replace("_", "").isdigit():
            return Habit("a number has no `_`", i - 1, i, f"write `{last.text}{word.text.replace('_', '')}`")
        if word.text in ("j", "i", "im"):
            return Habit("numbers are real", i - 1, i, "a complex unknown is two real ones; a product is written `2*j`")
    if last is not None and "]" in expected and "," in expected and _operand(last) and _operand(word):
        return Habit(
            "a `,` is missing", i - 1, i, "values in a bracket are parted by commas, rows are `[[1, 2], [3, 4]]`"
        )
    return None


def _set_in_brackets(words: Sequence[Word], i: int, begin: int) -> bool:
    return i - 3 > begin and words[i - 3].text == "in" and words[i - 2].text == "("


def _in_parentheses(words: Sequence[Word], i: int, begin: int) -> bool:
    texts = [w.text for w in words[begin:i]]
    return texts.count("(") > texts.count(")") and texts.count("[") == texts.count("]")


def _declares(words: Sequence[Word], i: int, begin: int) -> bool:
    before, name = words[i - 2].text, words[i - 1]
    return words[begin].text in DECLARATIONS and name.kind == "name" and before in (*DECLARATIONS, ",")


def _ends(word: Word | None) -> bool:
    return word is not None and (_operand(word) or word.text in ")]")


def _operand(word: Word) -> bool:
    return word.kind in ("name", "number")


def _of_a_header(words: Sequence[Word], i: int, begin: int) -> Habit | None:
    """What a line at the top of the file lacks."""
    first, word, last = words[begin].text, words[i], words[i - 1]
    line = [w.text for w in words[begin:i]]
    if first == "import":
        return Habit("`import` names a file", i, i, 'write `import "other.imp"`, or `import "other.imp" as m`')
    if first == "fn" and word.text == "=" and line.count("(") > line.count(")"):
        return Habit("an argument has no default", i, i, "pass every argument: `fn f(x, a) = a*x`, `f(x, 2)`")
    if first == "fn":
        told = "write `fn f(v) = e`: one expression, without `return` or braces"
        return Habit("a `fn` is one line", i, i, told) if "(" in line and "=" not in line and word.text != "=" else None
    if first not in KINDS or i < begin + 2:
        return None
    if "->" in line:
        if word.text in (":", "\n") and last.text != ",":
            return Habit("the statements stand in braces", i - 1, i - 1, "write `-> … { … }`")
        if word.text == "," and "(" not in line[line.index("->") :]:
            return Habit("several outputs stand in `( )`", i, i, "write `-> (y, z[n]) { … }`")
        return None
    if word.text == "->" and "(" not in line:
        return Habit(
            "the inputs are missing", i, i, f"write `{first} {words[begin + 1].text}() -> …` if there are none"
        )
    if last.text == ")" and line.count("(") == line.count(")"):
        return Habit("the outputs are missing", i - 1, i - 1, "write `-> y {` or `-> [n] {` behind the inputs")
    if "(" in line:
        if word.text == "=":
            return Habit(
                "an input has no default", i, i, "a `param` or `const` has a value; sizes have defaults: `[n = 3]`"
            )
        if word.text == ":" or (_operand(word) and last.kind == "name" and "path" not in line[-2:]):
            return Habit(
                "inputs have no types", i, i, "an input is a name with its shape: `x`, `x[n]`, `k in positive`"
            )
    return None
