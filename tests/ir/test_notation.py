"""How graphs are printed. The expected texts are the mathematics written by hand."""

from __future__ import annotations

import pytest

from implicitdsl.ir import build as b
from implicitdsl.ir import derive
from implicitdsl.ir.latex import name_latex, to_latex
from implicitdsl.ir.text import equation_text, to_text

W = b.leaf("param", "W", (3, 3))
U = b.leaf("param", "U", (3, 2))
c = b.leaf("param", "b", (3,))
x = b.leaf("input", "x", (2,))
z = b.leaf("unknown", "z", (3,))
alpha = b.leaf("param", "alpha")
LAYER = b.apply("tanh", b.add(b.add(b.matmul(W, z), b.matmul(U, x)), c))

CASES = [
    (lambda: LAYER, "tanh(W @ z + U @ x + b)", r"\tanh\left(W z + U x + b\right)"),
    (lambda: b.mul(0.5, b.norm_sq(b.matmul(b.transpose(W), z))), "0.5*normsq(W.T @ z)", r"0.5 \cdot \left\lVert W^\top z \right\rVert^2"),
    (lambda: b.matmul(z, c), "z @ b", r"z^\top b"),
    (lambda: b.matmul(z, W), "W.T @ z", r"W^\top z"),
    (lambda: b.matmul(W, U), "W @ U", "W U"),
    (lambda: b.contract("ij,kj->ik", W, W), "W @ W.T", r"W W^\top"),
    (lambda: b.matmul(W, b.add(z, c)), "W @ (z + b)", r"W \left(z + b\right)"),
    (lambda: b.solve(W, z), "solve(W, z)", r"W^{-1} z"),
    (lambda: b.solve(W, z, transposed=True), "solve(W.T, z)", r"W^{-\top} z"),
    (lambda: b.inv(W), "solve(W, eye(3))", r"W^{-1}"),
    (lambda: b.log_det(W), "logdet(W)", r"\log\left|\det\left(W\right)\right|"),
    (lambda: b.cholesky(W), "cholesky(0.5*(W + W.T))", r"\operatorname{cholesky}\left(0.5 \cdot \left(W + W^\top\right)\right)"),
    (lambda: b.outer(z, x), "outer(z, x)", r"z x^\top"),
    (lambda: b.total(z), "sum(z)", r"\sum z"),
    (lambda: b.index(W, (0, 1)), "W[0, 1]", r"{W}_{0,1}"),
    (lambda: b.index(W, 2), "W[2]", r"{W}_{2,:}"),
    (lambda: b.pick(z, ((0, 2),)), "z[0:2]", r"{z}_{0:2}"),
    (lambda: b.concat([z, b.stack([alpha])]), "[z, alpha]", r"\begin{bmatrix} z \\ \alpha \end{bmatrix}"),
    (lambda: b.concat([U, W], axis=1), "concat(U, W, axis=1)", r"\begin{bmatrix} U & W \end{bmatrix}"),
    (lambda: b.sub(1.0, b.sub(alpha, b.mul(alpha, 2.0))), "1 - (alpha - alpha*2)", r"1 - \left(\alpha - \alpha \cdot 2\right)"),
    (lambda: b.power(b.add(alpha, 1.0), 2.0), "(alpha + 1)^2", r"\left(\alpha + 1\right)^{2}"),
    (lambda: b.div(alpha, b.add(alpha, 1e-8)), "alpha/(alpha + 1e-08)", r"\frac{\alpha}{\alpha + 10^{-8}}"),
    (lambda: b.reduce("max", W), "max(W)", r"\max\left(W\right)"),
    (lambda: b.diag(z), "diag(z)", r"\operatorname{diag}\left(z\right)"),
    (lambda: b.mul(alpha, W), "alpha*W", r"\alpha \cdot W"),
    (lambda: b.contract("ij,ik,i->jk", W, W, z), 'einsum("ab,ac,a->bc", W, W, z)', r"\left[\sum_{i} W_{ij} W_{ik} z_{i}\right]_{jk}"),
    (lambda: b.constant([1.0, 2.5, -3.0]), "[1, 2.5, -3]", r"\begin{bmatrix} 1 \\ 2.5 \\ -3 \end{bmatrix}"),
    (lambda: b.delta(3), "eye(3)", "I_{3}"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "text", "latex"), CASES)
def test_formulas(node, text, latex):
    assert equation_text(node()) == text
    assert to_latex(node()) == latex


def test_one_line_a_node():
    g = b.leaf("cotangent", "out", (3,))
    back = derive.pullback((b.matmul(W, b.mul(z, z)),), (g,), (W,))
    assert to_text((LAYER, back[0]), {LAYER: "f"}) == "\n".join(
        [
            "  v0 [3]    = W @ z",
            "  v1 [3]    = U @ x",
            "  v2 [3]    = v0 + v1",
            "  v3 [3]    = v2 + b",
            " > f [3]    = tanh(v3)",
            "  v5 [3]    = z*z",
            "> v6 [3, 3] = outer(out_bar, v5)",
        ]
    )


def test_what_is_long_and_used_twice_gets_a_name():
    inner = b.apply("tanh", b.add(b.add(b.matmul(W, z), b.matmul(U, x)), b.add(c, 1.0)))
    node = b.mul(inner, b.apply("sin", inner))
    assert equation_text(node) == "v1*sin(v1)\nwhere v1 = tanh(W @ z + U @ x + b + 1)"
    assert to_latex(node).endswith(r"\text{where } v_{1} = \tanh\left(W z + U x + b + 1\right)")


def test_the_text_of_a_doubling_chain_stays_short():
    node = alpha
    for _ in range(60):
        node = b.add(b.apply("sin", node), node)
    assert len(equation_text(node)) < 5000
    assert len(to_latex(node)) < 10000


def test_names_are_given_or_read_as_mathematics():
    assert equation_text(LAYER, {W: "weights"}) == "tanh(weights @ z + U @ x + b)"
    assert [name_latex(n) for n in ("x", "x1", "x_1", "beta", "beta_0", "rate", "max_rate")] == [
        "x", "x_{1}", "x_{1}", r"\beta", r"\beta_{0}", r"\mathrm{rate}", r"\mathrm{max}_{\mathrm{rate}}",
    ]  # fmt: skip
    assert to_latex(b.leaf("tangent", "input.x", (2,))) == r"\dot{x}"
    assert to_latex(b.leaf("cotangent", "z", (2,))) == r"\bar{z}"
