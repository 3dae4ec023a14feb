"""Records of the family W2xx and W4xx, warnings about names and equations."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code


def _net(body: str) -> str:
    """A small explicit layer around some statements."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"net Layer[n](x[n]) -> [n] {{\n{lines}}}\n"


def _pendulum(unknown: str, constraint: str) -> str:
    """A weight on a rod, in Cartesian coordinates."""
    return (
        "dae Pendulum(ts[T]) -> [T, 2] {\n"
        "  state x = 1, y = 0, u = 0, v = 0\n"
        f"  var {unknown} = 0\n"
        "  dx/dt = u\n"
        "  dy/dt = v\n"
        f"  du/dt = -{unknown}*x\n"
        f"  dv/dt = -{unknown}*y - 9.81\n"
        f"  {constraint}\n"
        "  return [x, y] at ts\n"
        "}\n"
    )


CODES: tuple[Code, ...] = (
    Code(
        "W201",
        "A name hides a function or constant",
        "Names of a block may be those of functions and constants, which are then out of reach in that block.",
        bad=_net("let exp = 2*x\nreturn exp"),
        good=_net("let double = 2*x\nreturn double"),
    ),
    Code(
        "W202",
        "A name is never used",
        "An input, param, layer or `let` without a use is most often a slip of the pen; a param without a use"
        " never trains. A name that begins with `_` says that it is meant.",
        bad=_net("param a = 1, b = 1\nreturn a*x"),
        good=_net("param a = 1, b = 1\nreturn a*x + b"),
    ),
    Code(
        "W401",
        "The algebraic equations determine a var only through their derivatives",
        "A dae of structural index 1 can be solved for its vars where it stands. One of a higher index is "
        "right as a model, but solvers need the constraint differentiated: write the derivative in its place,"
        " with starts that satisfy both.",
        bad=_pendulum("tension", "x^2 + y^2 = 1"),
        good=_pendulum("tension", "u^2 + v^2 - 9.81*y = tension*(x^2 + y^2)"),
    ),
)
