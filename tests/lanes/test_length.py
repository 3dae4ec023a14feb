"""The length of a model's code, counted before it is compiled, against the code that is written."""

from __future__ import annotations

import re

from implicitdsl.backends.lanes.emit import emit_functions
from implicitdsl.backends.lanes.length import length_of
from implicitdsl.ir import build as b
from implicitdsl.ir.contraction import contract
from implicitdsl.problems.derived import Derived, group

X, Y = (b.leaf("input", name, (3,)) for name in "xy")


def test_each_number_of_an_array_takes_its_instructions() -> None:
    assert length_of([b.add(X, Y)]) == length_of([b.mul(X, Y)])
    one = length_of([b.add(b.pick(X, ((0, 1),)), b.pick(Y, ((0, 1),)))])
    assert length_of([b.add(X, Y)]) == 3 * one
    both = [b.add(X, Y), b.mul(X, Y)]
    assert length_of(both) == 2 * length_of(both[:1])
    # A node of two outputs is written once.
    assert length_of([both[0], both[0]]) == length_of(both[:1])


def test_a_sine_counts_what_it_is_written_out_with_and_a_function_of_the_library_is_a_call() -> None:
    functions = [Derived(n, (group("p", (X,)),), (group("out", (b.apply(n, X),)),)) for n in ("sin", "tan")]
    text = str(emit_functions(functions, "float64", 8))
    body = re.search(r"define internal [^{]*imp_sin_v8f64[^{]*{(.*?)^}", text, re.S | re.M)
    assert body is not None
    values = [line for line in body[1].splitlines() if re.match(r"\s+%.* = ", line)]
    assert len(values) > 30
    sine, tangent = (length_of(f.nodes) for f in functions)
    assert sine == 3 * len(values)
    assert 0 < tangent < sine / 5


def test_a_product_counts_its_terms_and_a_move_nothing() -> None:
    A = b.leaf("input", "A", (4, 3))
    assert length_of([contract("ij,j->i", A, X)]) == 12
    assert length_of([contract("ij->ji", A)]) == 0
    assert length_of([X]) == 0
