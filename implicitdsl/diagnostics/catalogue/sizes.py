"""Records of the family E3xx, sizes."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code


def _net(body: str, head: str = "Layer[n](x[n]) -> [n]") -> str:
    """A small explicit layer around some statements."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"net {head} {{\n{lines}}}\n"


_INNER = "net Inner[n, h](x[n]) -> [n] {\n  param W[h, n], V[n, h] ~ glorot()\n  return V @ tanh(W @ x)\n}\n"

CODES: tuple[Code, ...] = (
    Code(
        "E301",
        "A size that a call binds cannot size a param",
        "Sizes in `[ ]` behind the name of the layer are fixed when it is constructed. Other names in the "
        "shapes of inputs are bound at each call, when params, consts and used layers are there already.",
        bad=_net("param W[k, k] ~ normal()\nreturn W @ x", "Layer(x[k]) -> [k]"),
        good=_net("param W[k, k] ~ normal()\nreturn W @ x", "Layer[k](x[k]) -> [k]"),
    ),
    Code(
        "E302",
        "Sizes do not agree",
        "Sizes are compared as polynomials in the names of sizes: `n` is not `m`, however they are chosen "
        "later, and `n + 1` is `1 + n`. Elementwise operations match axes from the last and stretch only a "
        "missing leading axis or a literal 1; `@` sums over the last axis of its left and the first axis of "
        "its right operand.",
        bad=_net("param U[n, m] ~ glorot()\nreturn U @ x", "Layer[n, m](x[k]) -> [n]"),
        good=_net("param U[n, m] ~ glorot()\nreturn U @ x", "Layer[n, m](x[m]) -> [n]"),
    ),
    Code(
        "E303",
        "A bracket mixes rows and values",
        "A bracket whose items are all brackets is a matrix by rows; any other bracket joins its items along "
        "the first axis. For a mixture `stack` or `concat` says which is meant.",
        bad=_net("return [x, [1, 2]]", "Layer[n](x[n]) -> [n + 2]"),
        good=_net("return concat(x, 1, 2)", "Layer[n](x[n]) -> [n + 2]"),
    ),
    Code(
        "E304",
        "This is not a size",
        "Sizes, indices and the ends of loops are made of integers, names of sizes and loop names with `+ - "
        "*` and constant powers, and a size is 0 or more. `/` is real division.",
        bad=_net("return x[0:n/2]", "Layer[n](x[n]) -> [n]"),
        good=_net("return x[0:n]", "Layer[n](x[2*n]) -> [n]"),
    ),
    Code(
        "E305",
        "Beyond the budget",
        "A tensor of more than 10^8 scalars, loops of more than 10^5 rounds together and functions nested "
        "without end are refused before they fill the memory.",
        bad=_net("return sum(x*k for k in 0:10^9)"),
        good=_net("return sum(x*k for k in 0:10)"),
    ),
    Code(
        "E306",
        "An index is outside its axis",
        "Indices count from 0, negative ones from the end, and a slice `a:b` ends before `b`. A tensor has "
        "only as many indices as axes. What depends on the values of sizes is tested when the layer is "
        "constructed.",
        bad=_net("return x - x[n]"),
        good=_net("return x - x[n - 1]"),
    ),
    Code(
        "E307",
        "A layer is given sizes that it does not have",
        "`use f = Layer[…]` gives sizes in their order or by name; those without a default must be given.",
        bad=_INNER + _net("use f = Inner[n]\nreturn f(x)"),
        good=_INNER + _net("use f = Inner[n, h = 16]\nreturn f(x)"),
    ),
    Code(
        "E308",
        "What is returned has not the declared shape",
        "The signature declares the shape of every output. With `return … at ts` every output has the axis of"
        " the times in front.",
        bad=_net("return sum(x)"),
        good=_net("return sum(x)", "Layer[n](x[n]) -> y"),
    ),
    Code(
        "E309",
        "A scalar or a vector is wanted here",
        "An objective, a time, an end of an interval set and the condition of an event are scalars; the times"
        " behind `at` are a vector.",
        bad="argmin Nearest[n](x[n]) -> [n] {\n  var z[n]\n  minimize (z - x)^2\n  return z\n}\n",
        good="argmin Nearest[n](x[n]) -> [n] {\n  var z[n]\n  minimize normsq(z - x)\n  return z\n}\n",
    ),
)
