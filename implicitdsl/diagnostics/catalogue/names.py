"""Records of the family E2xx, names."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code


def _net(body: str) -> str:
    """A small explicit layer around some statements."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"net Layer[n](x[n]) -> [n] {{\n{lines}}}\n"


def _ode(body: str, inputs: str = "x0") -> str:
    """A small differential equation around some statements."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"ode Decay({inputs}, ts[T]) -> [T] {{\n{lines}  return x at ts\n}}\n"


_INNER = "net Inner[n, h = 8](x[n]) -> [n] {\n  param W[h, n], V[n, h] ~ glorot()\n  return V @ tanh(W @ x)\n}\n"

CODES: tuple[Code, ...] = (
    Code(
        "E201",
        "A name is not known",
        "Every name is declared in its block, is one of the functions of the language or of the file, or one "
        "of the constants `pi` and `inf`. The help names what may have been meant.",
        bad=_net("param weight[n] = 1\nreturn wieght*x"),
        good=_net("param weight[n] = 1\nreturn weight*x"),
    ),
    Code(
        "E202",
        "A name is defined twice",
        "A block is one scope: sizes, inputs, everything declared and every `let` share their names. So do "
        "the definitions, functions and imports of a file. A loop name is new inside its loop.",
        bad=_net("let y = 2*x\nlet y = y + 1\nreturn y"),
        good=_net("let y = 2*x\nlet z = y + 1\nreturn z"),
    ),
    Code(
        "E203",
        "A name is used above its definition",
        "Statements are read in the order of the text: a name is defined above the place where it is used.",
        bad=_net("let y = a*x\nparam a = 1\nreturn y"),
        good=_net("param a = 1\nlet y = a*x\nreturn y"),
    ),
    Code(
        "E204",
        "A name is reserved",
        "In kinds with time `t` is the time, `dt` its differential, and `d` in front of the name of a state, "
        "noise or path is the differential of that. A size may not bear the name of an option that every "
        "layer has in Python, such as `solver` or `dtype`.",
        bad=_ode("param dx = 1\nstate x = x0\ndx/dt = -dx*x"),
        good=_ode("param rate = 1\nstate x = x0\ndx/dt = -rate*x"),
    ),
    Code(
        "E205",
        "A layer is not known",
        "`use` names a definition of this file, of a file imported without `as`, or `m.Layer` of a file "
        "imported `as m`.",
        bad=_INNER + _net("use f = Iner[n]\nreturn f(x)"),
        good=_INNER + _net("use f = Inner[n]\nreturn f(x)"),
    ),
    Code(
        "E206",
        "A name would hide an attribute of the layer",
        "A param, const or used layer is an attribute of the torch module, which has attributes of its own: "
        "`train`, `to`, `forward`, `last` and others. Inputs, states and `let` may bear these names.",
        bad=_net("param train[n] = 1\nreturn train*x"),
        good=_net("param gain[n] = 1\nreturn gain*x"),
    ),
    Code(
        "E207",
        "A function sees its arguments only",
        "A `fn` is one expression of its arguments and of other functions: it has no access to the sizes, "
        "inputs and params of the block in which it is called. What it needs is passed to it.",
        bad="fn scaled(x) = a*x\n" + _net("param a = 2\nreturn scaled(x) + a"),
        good="fn scaled(x, a) = a*x\n" + _net("param a = 2\nreturn scaled(x, a) + a"),
    ),
    Code(
        "E208",
        "A call does not have the arguments of its form",
        "The message says how many arguments there may be, and the help shows the form.",
        bad=_net("return atan2(x)"),
        good=_net("return atan2(x, 1)"),
    ),
    Code(
        "E209",
        "A definition contains itself",
        "A `fn` is put in where it is called, and a used layer is a part of the layer that uses it. Neither "
        "can contain itself, directly or through others.",
        bad="fn even(x) = odd(x - 1)\nfn odd(x) = even(x - 1)\n" + _net("return even(x)"),
        good="fn even(x) = cos(pi*x)\nfn odd(x) = even(x - 1)\n" + _net("return even(odd(x))"),
    ),
    Code(
        "E210",
        "A file cannot be imported",
        "The path is relative to the file that imports. The file is not there, cannot be read, or has errors "
        "of its own.",
        bad='import "nowhere/missing.imp" as m\n' + _net("return 2*x"),
        good=_net("return 2*x"),
    ),
    Code(
        "E211",
        "Files import each other",
        "Imports may meet (two files importing a third), but not run in a circle. The sample is a file "
        "`sample.imp` that imports itself.",
        bad='import "sample.imp"\n' + _net("return 2*x"),
        good=_net("return 2*x"),
    ),
    Code(
        "E213",
        "A set, a draw or an interpolation is not known",
        "Sets stand behind `in`, draws behind `~`, interpolations of a path behind `by`. The help lists them.",
        bad=_net("param a[n] = 1 in postive\nreturn a*x"),
        good=_net("param a[n] = 1 in positive\nreturn a*x"),
    ),
)
