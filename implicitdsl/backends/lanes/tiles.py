"""Products of rows with rows on lanes: the words `add_products` and `subtract_products`.

They are functions, which `product_functions.py` writes; a result that is one column has one of its own.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import INT, VOID, Kind
from implicitdsl.backends.lanes.instructions import declared
from implicitdsl.backends.lanes.product_functions import COLUMN, SIGNS
from implicitdsl.backends.lanes.word_names import name_of
from implicitdsl.backends.lanes.words import is_array, register
from implicitdsl.solvers import vocabulary


def _typing(args: tuple[Kind, ...]) -> Any:
    if len(args) != 12 or not is_array(args[9]) or any(args[i] != args[9] for i in (3, 6)):
        return None
    return VOID, tuple(args[9] if i in (3, 6, 9) else INT for i in range(12))


def _is_one(value: Any) -> bool:
    return isinstance(value, ir.Constant) and value.constant == 1


def _lowering(word: str) -> Any:
    def emit(builder: Any, result: Kind, kinds: Any, args: Any) -> None:
        lanes = kinds[9].dtype
        m, n, k = args[:3]
        a, b, out = (builder.gep(args[i], [args[i + 1]]) for i in (3, 6, 9))
        a_step, b_step, out_step = args[5], args[8], args[11]
        if _is_one(n) and _is_one(out_step):
            sign = ir.Constant(lanes.llvm, [SIGNS[word]] * lanes.width)
            name, given = COLUMN, [m, k, a, a_step, b, out, sign]
        else:
            name, given = word, [m, n, k, a, a_step, b, b_step, out, out_step]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(declared(builder, kind, name_of(name, str(lanes.dtype), lanes.width)), given)

    return emit


register(vocabulary.add_products, _typing, _lowering("add_products"))
register(vocabulary.subtract_products, _typing, _lowering("subtract_products"))
