"""Records of the family E6xx, what cannot be executed as asked. All are raised at construction."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

_DECAY = "ode Layer(x0, ts[T]) -> [T] {\n  state x = x0\n  dx/dt = -x\n  return x at ts\n}\n"


def _solver(line: str) -> str:
    return _DECAY.replace("  return", f"  solver {line}\n  return")


CODES: tuple[Code, ...] = (
    Code(
        code="E601",
        title="a kind without a solver",
        explanation=(
            "Layers of this kind are read, checked, formatted and explained, but no solver for them is built in yet. "
            "Other "
            "definitions of the same file are not affected."
        ),
        bad=("sde Layer(x0, ts[T]) -> [T] {\n  noise W\n  state x = x0\n  dx = -x*dt + dW\n  return x at ts\n}\n"),
        good=_DECAY,
        build="Layer()",
    ),
    Code(
        code="E603",
        title="delays that no solver runs",
        explanation=(
            "A delayed state `x(t - tau)` runs on the right-hand side of an `ode`, with a lag that is an expression of "
            "inputs, params and consts. A lag that changes with time or with a state, a past read in an event, an "
            "output or a `dae`, and events beside a past are read and checked, but no solver runs them."
        ),
        bad=("ode Layer(ts[T]) -> [T] {\n  state x = 1\n  history x = 1\n  dx/dt = -x(t/2)\n  return x at ts\n}\n"),
        good=(
            "ode Layer(tau in positive, ts[T]) -> [T] {\n  state x = 1\n  history x = 1\n  dx/dt = -x(t - tau)\n"
            "  return x at ts\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="E604",
        title="cones",
        explanation=(
            "The second-order, semidefinite and exponential cones are read and judged, but the interior point method "
            "solves "
            "linear and quadratic programs only. A polyhedral set (`nonneg`, `interval(a, b)`, `simplex(n)`, "
            "`ordered`) is "
            "executable."
        ),
        bad=(
            "argmin Layer(t[3]) -> [3] {\n  var x[3]\n  minimize 1/2*normsq(x - t)\n  subject to {\n    x in soc(3)\n"
            "  }\n"
            "  return x\n}\n"
        ),
        good=(
            "argmin Layer(t[3]) -> [3] {\n  var x[3]\n  minimize 1/2*normsq(x - t)\n  subject to {\n"
            "    x in simplex(3)\n"
            "  }\n  return x\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="E605",
        title="an unknown in a curved set",
        explanation=(
            "The iterates of a `root` or `fixpoint` are kept inside elementwise bounds only: `positive`, `nonneg`, "
            "`interval(a, b)`. For another set, change variables so that the set holds by itself, as with "
            "`softmax(u)` for "
            "the simplex."
        ),
        bad="root Layer(a[2]) -> [2] {\n  var z[2] in simplex(2)\n  z*z = a\n  return z\n}\n",
        good="root Layer(a[2]) -> [2] {\n  var z[2] = 1 in positive\n  z*z = a\n  return z\n}\n",
        build="Layer()",
    ),
    Code(
        code="E606",
        title="constraints beyond a quadratic program",
        explanation=(
            "Problems with constraints run when the objective has degree 2 at most in the unknowns and every "
            "constraint is "
            "affine, where `abs`, `max`, `min` and `relu` of affine values count as affine. "
            "A smooth problem without constraints runs whatever its objective. Put a penalty or barrier into "
            "the "
            "objective, eliminate the constraint, or write the optimality conditions as a `root`."
        ),
        bad=(
            "argmin Layer(c[3]) -> [3] {\n  var x[3] = 1\n  minimize c @ x + sum(exp(x))\n  subject to {\n"
            "    sum(x) = 1\n"
            "  }\n  return x\n}\n"
        ),
        good=(
            "argmin Layer(c[3]) -> [3] {\n  var x[3] = 1\n  minimize c @ x + normsq(x)\n  subject to {\n"
            "    sum(x) = 1\n  }\n"
            "  return x\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="E607",
        title="an implicit layer inside a condition",
        explanation=(
            "A condition may use nets. An implicit layer inside the condition of another is not executable yet; a "
            "`net` may "
            "use any layer. Call the inner layer in a `net` and pass its result on, or write its unknowns and "
            "equations "
            "into the outer definition."
        ),
        bad=(
            "root Inner(a in positive) -> z {\n  var z = 1\n  z*z = a\n  return z\n}\n\n"
            "root Layer(a in positive) -> z {\n  use inner = Inner\n  var z = 1\n  z*z = inner(a)\n  return z\n}\n"
        ),
        good=(
            "root Inner(a in positive) -> z {\n  var z = 1\n  z*z = a\n  return z\n}\n\n"
            "net Layer(a in positive) -> z {\n  use inner = Inner\n  use second = Inner\n  return second(inner(a))\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="E610",
        title="an unknown method or option",
        explanation=(
            "`solver` and `adjoint` name a method, with its options as in the file: `tsit5(rtol = 1e-8)`. The help "
            "line lists "
            "the methods of the kind and the options of the method."
        ),
        bad=_solver("tsitouras()"),
        good=_solver("tsit5(rtol = 1e-8)"),
        build="Layer()",
    ),
    Code(
        code="E611",
        title="a method that is not built in yet",
        explanation=(
            "The language knows this method, but it is not executable yet. A solver changes no answer beyond "
            "tolerance, so "
            "any other one of the kind will do: leave the line out, or name it from Python with `solver=…`, which "
            "beats the file."
        ),
        bad="""
root Layer(a) -> x {
  var x = 1
  x^2 = a
  solver brent
  return x
}
""",
        good="""
root Layer(a) -> x {
  var x = 1
  x^2 = a
  solver newton
  return x
}
""",
        build="Layer()",
    ),
    Code(
        code="E612",
        title="a fixed-step method without a step",
        explanation="A method without an error estimate takes steps of the size that you give: `dt`, in the file or "
        "from Python.",
        bad=_solver("rk4()"),
        good=_solver("rk4(dt = 0.01)"),
        build="Layer()",
    ),
    Code(
        code="E613",
        title="a method that does not fit the problem",
        explanation=(
            "`newton` and `local` minimise smooth objectives without constraints; `interior_point` solves linear and "
            "quadratic programs; `leapfrog` and `yoshida4` need states that fall into positions and velocities, with "
            "rates that contain states of the other part only; `adjoint backsolve` runs the solution backwards, which "
            "events, algebraic equations and what is stiff forbid. Leave the line out, and the method that fits is "
            "chosen."
        ),
        bad=(
            "argmin Layer(q[2]) -> [2] {\n  var x[2]\n  minimize normsq(x) + q @ x\n  subject to {\n    sum(x) = 1\n"
            "  }\n"
            "  solver newton()\n  return x\n}\n"
        ),
        good=(
            "argmin Layer(q[2]) -> [2] {\n  var x[2]\n  minimize normsq(x) + q @ x\n  subject to {\n    sum(x) = 1\n"
            "  }\n"
            "  return x\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="E616",
        title="a dae of higher index",
        explanation=(
            "The algebraic equations of a `dae` must determine every `var` where they stand, each `var` by an equation "
            "of its own (index 1). Here one cannot: it follows only from the derivative of an equation. Differentiate "
            "that equation by hand, put in the right-hand sides of the states, and write the result in its place; the "
            "start must then obey the equation itself."
        ),
        bad=("dae Layer(ts[T]) -> [T] {\n  state x = 1\n  var y = 0\n  dx/dt = y\n  x = cos(t)\n  return y at ts\n}\n"),
        good=(
            "dae Layer(ts[T]) -> [T] {\n  state x = 1\n  var y = 0\n  dx/dt = y\n  y = -sin(t)\n  return y at ts\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="E614",
        title="a layer that cannot be compiled ahead",
        explanation=(
            "`compile -o` writes machine code, which only the back end `lanes` makes. A layer that runs on the back "
            "end `python`, because it was asked for or because `lanes` cannot run it yet (`inspect` says why), is made "
            "from its text, by `implicitdsl.load`. So is a `bvp`, several engines in one, which a package does not "
            "hold yet."
        ),
        bad=_DECAY,
        good=_DECAY,
        build="$ implicitdsl compile layer.imp -o built --build Layer(backend=python,T=2)",
    ),
    Code(
        code="E615",
        title="a derivative through an implicit layer",
        explanation=(
            "`grad`, `div` and `jacobian` differentiate formulas. The result of an implicit layer that a `net` calls "
            "is no formula of the net's, so a derivative through it inside the text is not executable yet. Take it in "
            "Python: `torch.func.grad` of the layer."
        ),
        bad=(
            "fixpoint Inner(x) -> z {\n  var z = 0\n  z = cos(z)/2 + x\n  return z\n}\n\n"
            "net Layer(x) -> g {\n  use inner = Inner\n  return grad(inner(x)^2, x)\n}\n"
        ),
        good=(
            "fixpoint Inner(x) -> z {\n  var z = 0\n  z = cos(z)/2 + x\n  return z\n}\n\n"
            "net Layer(x) -> y {\n  use inner = Inner\n  return inner(x)^2\n}\n"
        ),
        build="Layer()",
    ),
    Code(
        code="W601",
        title="a jump that is not located",
        explanation=(
            "`kinks = none` integrates across a jump of the right-hand side as if it were smooth: the solution loses "
            "accuracy "
            "where it happens, and the gradient lacks the term of the jump. A smooth switch keeps both."
        ),
        bad=(
            "ode Layer(te) -> y {\n  state y = 0\n  dy/dt = if t < te then 1 else 0\n  from t = 0 to 2\n"
            "  solver tsit5(kinks = none)\n  return y\n}\n"
        ),
        good=(
            "ode Layer(te) -> y {\n  state y = 0\n  dy/dt = sigmoid((te - t)/0.01)\n  from t = 0 to 2\n  return y\n}\n"
        ),
        build="Layer()",
    ),
)
