"""How long the code of a function of a model is, counted before it is compiled: what LLVM takes follows it.

A call of a function that is written out where it is called counts what that holds, one of a library a single
instruction: a sine of our own is some sixty instructions, a tangent of the vector library one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.elementary import emit_expression
from implicitdsl.backends.lanes.lane_code import LaneCode
from implicitdsl.functions.expression import Expr
from implicitdsl.ir.layout import is_padded_sum
from implicitdsl.ir.node import Map, Node, walk
from implicitdsl.ir.operations import work


def length_of(roots: Iterable[Node]) -> int:
    """Instructions that the nodes take when all is written out, for numbers one by one; moves take none."""
    return sum(
        node.size * _instructions(node.expr, len(node.args))
        if isinstance(node, Map) and not is_padded_sum(node)
        else work(node)
        for node in walk(roots)
    )


@functools.lru_cache(maxsize=4096)
def _instructions(expr: Expr, count: int) -> int:
    """Those of an expression of so many arguments, over vectors of eight samples."""
    element = ir.VectorType(ir.DoubleType(), 8)
    function = ir.Function(ir.Module(), ir.FunctionType(element, [element] * count), "expression")
    code = LaneCode(function, "float64", 8)
    code.give(emit_expression(code, expr, function.args))
    return _size(function)


def _size(function: Any) -> int:
    """The instructions of a function and of those that it calls, without the ends of blocks."""
    written = [i for block in function.blocks for i in block.instructions if i is not block.terminator]
    return len(written) + sum(_size(i.callee) - 1 for i in written if isinstance(i, ir.CallInstr) and i.callee.blocks)
