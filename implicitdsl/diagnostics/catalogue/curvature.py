"""Records of the family E5xx and W5xx, convexity."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code

CODES: tuple[Code, ...] = (
    Code(
        code="E501",
        title="not known to be convex",
        explanation=(
            "An `argmin` is solved to a global minimum, so its objective (for `maximize`, its negative) and every "
            "constraint "
            "`g <= 0` must be convex in the unknowns. The compiler proves it by composition rules: sums, maxima and "
            "positive "
            "multiples of convex functions, convex functions of affine ones, increasing convex functions of convex "
            "ones. No "
            "rule covers this term. Write it in another way (`normsq(x)` for a product of equal factors, `logsumexp`, "
            "`softplus`), or accept a local minimum with `solver local()`."
        ),
        bad="argmin Layer(a) -> x {\n  var x = 1\n  minimize sin(x) + (x - a)^2\n  return x\n}\n",
        good="argmin Layer(a) -> x {\n  var x = 1\n  minimize sin(x) + (x - a)^2\n  solver local()\n  return x\n}\n",
    ),
    Code(
        code="E502",
        title="not convex",
        explanation=(
            "The term named has a direction of negative curvature for every value of the data, so the problem has no "
            "guaranteed global minimum. Often a sign is wrong, or `maximize` was meant. `solver local()` accepts a "
            "local minimum."
        ),
        bad="argmin Layer(a[2]) -> [2] {\n  var x[2]\n  minimize a @ x - normsq(x)\n  return x\n}\n",
        good="argmin Layer(a[2]) -> [2] {\n  var x[2]\n  maximize a @ x - normsq(x)\n  return x\n}\n",
    ),
    Code(
        code="E503",
        title="a curved equality",
        explanation=(
            "The points that satisfy an equality form a convex set only if the equality is affine in the unknowns. "
            "Relax it "
            "to an inequality where the optimum makes it tight anyway, or solve the conditions as a `root`."
        ),
        bad=(
            "argmin Layer(a[2]) -> [2] {\n  var x[2]\n  minimize normsq(x - a)\n  subject to {\n    normsq(x) = 1\n"
            "  }\n"
            "  return x\n}\n"
        ),
        good=(
            "argmin Layer(a[2]) -> [2] {\n  var x[2]\n  minimize normsq(x - a)\n  subject to {\n    sum(x) = 1\n  }\n"
            "  return x\n}\n"
        ),
    ),
    Code(
        code="W501",
        title="convex under a condition",
        explanation=(
            "The problem is convex only if expressions of the data have a certain sign, or matrices of the data are "
            "positive "
            "semidefinite. It is accepted; the condition is tested for each sample at each call, and a sample that "
            "breaks it "
            "fails with the status `nonconvex`. Declare the data in a set (`in nonneg`, `in psd(n)`) to make it proven."
        ),
        bad="argmin Layer(a[2], lam) -> [2] {\n  var x[2]\n  minimize normsq(x - a) + lam*normsq(x)\n  return x\n}\n",
        good="argmin Layer(a[2], lam in nonneg) -> [2] {\n  var x[2]\n  minimize normsq(x - a) + lam*normsq(x)\n"
        "  return x\n}\n",
    ),
)
