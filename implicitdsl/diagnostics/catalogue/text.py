"""Records of the family E1xx and W1xx, the text."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code


def _net(body: str) -> str:
    """A small explicit layer around some statements."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"net Layer[n](x[n]) -> [n] {{\n{lines}}}\n"


def _ball(body: str) -> str:
    """A small differential equation with an event."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    head = "ode Ball(h0, ts[T]) -> [T] {\n  state h = h0, v = 0\n  dh/dt = v\n  dv/dt = -9.81\n"
    return f"{head}{lines}  return h at ts\n}}\n"


GOOD = _net("return 2*x")

CODES: tuple[Code, ...] = (
    Code(
        "E101",
        "The text does not follow the grammar here",
        "What stands at this place fits none of the forms of the language. The message names what was found, "
        "the help what "
        "would fit. At most one such error is told for a statement; the statements around it are read all the same.",
        bad=_net("let y x + 1\nreturn y"),
        good=_net("let y = x + 1\nreturn y"),
    ),
    Code(
        "E102",
        "A character is not part of the language",
        "Outside of comments a text consists of Latin and Greek letters, digits, `_`, blanks and the marks of "
        "the language.",
        bad=_net("return 2*x $"),
        good=GOOD,
    ),
    Code(
        "E103",
        "A string is not closed",
        'Strings name the files of `import`. They begin and end with `"` on one line.',
        bad='import "rates.imp\n' + GOOD,
        good=GOOD,
    ),
    Code(
        "E104",
        "A bracket has no partner",
        "Every `(`, `[` and `{` is closed by its own kind, in the reverse order of opening. A bracket that is "
        "never closed "
        "counts as closed at the end of its line, so that the errors below it are found too.",
        bad=_net("let y = tanh(x\nreturn y"),
        good=_net("let y = tanh(x)\nreturn y"),
    ),
    Code(
        "E105",
        "A keyword is used as a name",
        "The words that open statements, and those inside expressions such as `if` and `in`, never name anything.",
        bad=_net("let state = 2*x\nreturn state"),
        good=_net("let state_ = 2*x\nreturn state_"),
    ),
    Code(
        "E106",
        "`**` is written `^`",
        "A power has one spelling, `x^2`. `fmt` mends this.",
        bad=_net("return x**2"),
        good=_net("return x^2"),
    ),
    Code(
        "E107",
        "`==` is written `=`",
        "An equation states that two sides are equal; it is written with one `=`. Conditions compare with `<`, "
        "`<=`, `>` "
        "and `>=`, because two real numbers are hardly ever equal. `fmt` mends an equation.",
        bad="root Half(x) -> z {\n  var z\n  2*z == x\n  return z\n}\n",
        good="root Half(x) -> z {\n  var z\n  2*z = x\n  return z\n}\n",
    ),
    Code(
        "E108",
        "A prime is written `dx/dt` or `.T`",
        "The derivative of a state by time is `dx/dt`, the transpose of a matrix `A.T`. `fmt` mends both.",
        bad="ode Decay(x0, ts[T]) -> [T] {\n  state x = x0\n  x' = -x\n  return x at ts\n}\n",
        good="ode Decay(x0, ts[T]) -> [T] {\n  state x = x0\n  dx/dt = -x\n  return x at ts\n}\n",
    ),
    Code(
        "E109",
        "The text is nested too deep",
        "Brackets, blocks and operators may stand 200 deep inside one another; a sum of n terms is n - 1 deep. "
        "Name parts "
        "of a longer expression with `let`.",
        bad=_net(f"return {'(' * 201}x{')' * 201}"),
        good=_net(f"return {'(' * 200}x{')' * 200}"),
    ),
    Code(
        "E110",
        "The text is too long",
        "A file has at most 20,000 characters, so that reading it never takes long. Share a longer text among files "
        "and bring them together with `import`.",
        bad=f"# {'x' * 20_000}\n{GOOD}",
        good=f"# {'x' * 1000}\n{GOOD}",
    ),
    Code(
        "E111",
        "A number is out of range",
        "A literal beyond the largest double-precision number would be read as infinity, one nearer to 0 than "
        "the smallest "
        "as 0; neither is what it says. `inf` is infinity.",
        bad=_net("return 1e999*x"),
        good=_net("return 1e99*x"),
    ),
    Code(
        "E112",
        "An expression is missing",
        "The statement ends, or a bracket closes, where a value must stand.",
        bad=_net("return"),
        good=GOOD,
    ),
    Code(
        "E113",
        "The version of the language is not known",
        "The first line of a file may tell the version of the language that it is written in, `imp 1`. This "
        "reader knows "
        "version 1.",
        bad=f"imp 2\n{GOOD}",
        good=f"imp 1\n{GOOD}",
    ),
    Code(
        "E114",
        "An operator or a new line is missing",
        "Two values stand side by side, or two statements share a line. A product is written with `*`; each statement "
        "stands on a line of its own.",
        bad=_net("return 2x"),
        good=GOOD,
    ),
    Code(
        "E115",
        "A spelling of another language",
        "Some operators have another spelling here: `and`, `or`, `not`, `<=`, `>=`. Statements end with their line, "
        "comments begin with `#`. `fmt` mends what has one meaning. So with words and turns: `param k = 3` for "
        "`parameter k = 3`, `if c then a else b` for `c ? a : b`, `for k in 0:n` for `for k in range(n)`.",
        bad=_ball("when h < 0 && v < 0 { v := -v }"),
        good=_ball("when h < 0 and v < 0 { v := -v }"),
    ),
    Code(
        "E116",
        "A definition is expected",
        "A file is a list of definitions, `kind Name[sizes](inputs) -> outputs { statements }`, of `fn` lines and of "
        "`import` lines. Statements stand inside a definition.",
        bad=f"layer Other(x) -> y {{ return x }}\n{GOOD}",
        good=f"net Other(x) -> y {{ return x }}\n{GOOD}",
    ),
    Code(
        "E117",
        "A block is empty",
        "A block holds at least one statement.",
        bad=_ball("when h < 0 { }"),
        good=_ball("when h < 0 { v := -v }"),
    ),
    Code(
        "E118",
        "There are too many errors",
        "After 100 errors the rest of the text is not listed.",
        bad="let a = 1\n" * 101 + GOOD,
        good=GOOD,
    ),
    Code(
        "W101",
        "A line that opens with `-` is a statement of its own",
        "A line that opens with `+ * / @ ^ = < >` or `in` continues the one above; a line that opens with `-` "
        "does not, "
        "because an equation or inequality may begin with a sign. Indented deeper than the statement above, "
        "such a line "
        "looks like a continuation: end the line above with `-`, or put the expression in brackets.",
        bad="root Pair(x) -> (y, z) {\n  var y, z\n  y = x\n    -z = x\n  return y, z\n}\n",
        good="root Pair(x) -> (y, z) {\n  var y, z\n  y = x\n  -z = x\n  return y, z\n}\n",
    ),
)
