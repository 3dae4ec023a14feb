"""Curvature, monotonicity and sign of the elementwise records by sampling, and their notation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy

from implicitdsl.functions.expression import Arg
from implicitdsl.functions.notation import to_latex, to_sympy, to_text
from implicitdsl.functions.scalar import SCALAR, derivative, evaluate
from tests.functions.function_samples import constants, expression

RECORDS = pytest.mark.parametrize("record", SCALAR.values(), ids=SCALAR.keys())
COUNT = 4000


def sample(record, fixed, rng):
    """Random points in the natural domain, a box around 0; every second coordinate a multiple of 1/2, to meet kinks."""
    rows = []
    for i, (low, high) in enumerate(record.domain):
        row = rng.uniform(max(low, -5.0), min(high, 5.0), COUNT)
        coarse = np.clip(np.round(row * 2) / 2, low, high)
        rows.append(np.full(COUNT, fixed[i]) if i in fixed else np.where(rng.random(COUNT) < 0.3, coarse, row))
    return rows


@RECORDS
def test_curvature_by_midpoints(record):
    rng = np.random.default_rng(1)
    for fixed in constants(record):
        expr = expression(record, fixed)
        a, b = sample(record, fixed, rng), sample(record, fixed, rng)
        middle = evaluate(expr, *[(p + q) / 2 for p, q in zip(a, b, strict=True)])
        ends = (evaluate(expr, *a) + evaluate(expr, *b)) / 2
        keep = np.isfinite(ends) & np.isfinite(middle)
        assert keep.sum() > COUNT / 10
        gap = ends[keep] - middle[keep]
        slack = 1e-9 * (1 + np.abs(ends[keep]))
        above, below = np.any(gap > slack), np.any(gap < -slack)
        if record.curvature is None:
            assert record.internal or (above and below), "the record could say more"
        else:
            assert (above, below) == {"affine": (False, False), "convex": (True, False), "concave": (False, True)}[
                record.curvature
            ]


@RECORDS
def test_monotonicity_by_sampling(record):
    assert len(record.monotonicity) == record.arity
    rng = np.random.default_rng(2)
    for fixed in constants(record):
        expr = expression(record, fixed)
        for i, claim in enumerate(record.monotonicity):
            if i in fixed:
                continue
            low = sample(record, fixed, rng)
            high = [row.copy() for row in low]
            other = sample(record, fixed, rng)[i]
            low[i], high[i] = np.minimum(low[i], other), np.maximum(high[i], other)
            upper, lower = evaluate(expr, *high), evaluate(expr, *low)
            known = np.isfinite(upper) & np.isfinite(lower)
            change = upper[known] - lower[known]
            rises, falls = change > 1e-12, change < -1e-12
            positive, negative = low[i][known] >= 0, high[i][known] <= 0
            match claim:
                case "increasing":
                    assert not falls.any()
                    assert rises.any()
                case "decreasing":
                    assert not rises.any()
                    assert falls.any()
                case "by_sign":
                    assert not (falls & positive).any()
                    assert not (rises & negative).any()
                    assert (falls & negative).any()
                    assert (rises & positive).any()
                case None:
                    assert record.internal or (rises.any() and falls.any()), "the record could say more"


@RECORDS
def test_sign_rule_by_sampling(record):
    rng = np.random.default_rng(3)
    for fixed in constants(record):
        expr = expression(record, fixed)
        for signs in itertools.product(("zero", "nonneg", "nonpos", "unknown"), repeat=record.arity):
            rows = sample(record, fixed, rng)
            for i, sign in enumerate(signs):
                if i not in fixed:
                    rows[i] = {
                        "zero": rows[i] * 0,
                        "nonneg": abs(rows[i]),
                        "nonpos": -abs(rows[i]),
                        "unknown": rows[i],
                    }[sign]
            values = evaluate(expr, *rows)
            values = values[np.isfinite(values)]
            claimed = record.sign(*signs)
            assert claimed in ("zero", "nonneg", "nonpos", "unknown")
            if claimed in ("zero", "nonneg"):
                assert (values >= 0).all(), signs
            if claimed in ("zero", "nonpos"):
                assert (values <= 0).all(), signs


@RECORDS
def test_notation(record):
    names = ["x", "y_1", r"\beta"]
    for fixed in constants(record):
        expr = expression(record, fixed)
        for e in (expr, *(derivative(expr, i) for i in range(record.arity) if i not in fixed)):
            if e is None:
                continue
            for text in (to_latex(e, names), to_text(e, names)):
                depth = 0
                for character in text:
                    depth += (character in "{(") - (character in "})")
                    assert depth >= 0
                assert depth == 0
                assert text.strip()
            latex = to_latex(e, names)
            assert latex.count(r"\left") == latex.count(r"\right")
        for i in range(record.arity):
            if i not in fixed:
                assert names[i] in to_latex(expr, names)
                assert names[i] in to_text(expr, names)
    assert record.doc.endswith((".", ","))


@RECORDS
def test_sympy_agrees_with_the_evaluator(record):
    symbols = sympy.symbols(f"x0:{record.arity}", real=True)
    for fixed in constants(record):
        expr = expression(record, fixed)
        point = [fixed.get(i, 0.25 + 0.5 * i) for i in range(record.arity)]
        formula = to_sympy(expr, symbols, sympy=sympy)
        found = float(formula.subs(dict(zip(symbols, map(sympy.Rational, point), strict=True))))
        assert found == pytest.approx(float(evaluate(expr, *map(np.float64, point))), rel=1e-14)


@pytest.mark.parametrize(
    ("build", "text", "latex"),
    [
        (lambda x, y: x - (y - x), "x - (y - x)", r"x - \left(y - x\right)"),
        (lambda x, y: x / (y * x), "x/(y*x)", r"\frac{x}{y \cdot x}"),
        (lambda x, y: -(x**2), "-x^2", "-x^{2}"),
        (lambda x, y: (-x) ** 2, "(-x)^2", r"\left(-x\right)^{2}"),
        (lambda x, y: x ** (y + 1.0), "x^(y + 1)", "x^{y + 1}"),
        (lambda x, y: (x**y) ** 2, "(x^y)^2", r"\left(x^{y}\right)^{2}"),
        (lambda x, y: (x + y) * -2.5, "(x + y)*(-2.5)", r"\left(x + y\right) \cdot \left(-2.5\right)"),
        (lambda x, y: x + 1e-20, "x + 1e-20", r"x + 1 \cdot 10^{-20}"),
    ],
)
def test_brackets_stand_where_they_are_needed(build, text, latex):
    expr = build(Arg(0), Arg(1))
    assert to_text(expr, ["x", "y"]) == text
    assert to_latex(expr, ["x", "y"]) == latex


def test_a_deep_and_shared_expression_is_written_shortly():
    expr = Arg(0)
    for _ in range(3000):
        expr = expr * expr + 1.0
    text = to_text(expr, ["x"])
    assert text.startswith("s_")
    assert "s_0 = x*x + 1" in text
    assert len(text) < 200_000
