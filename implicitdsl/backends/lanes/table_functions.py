"""The functions of a model as solvers of one sample call them: by address, out of the table that stands for `p`.

The table holds the address of the flat arguments, then those of the functions: function k is `f(z, p, out)`, which
writes `out`. So one compiled solver serves every model.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.extending import intrinsic
from numba.np.arrayobj import make_array

from implicitdsl.backends.lanes.element import INDEX

MOST = 3
"""Functions that a solver takes at most."""


def _function(place: int) -> Any:
    @intrinsic
    def call(typing: Any, z: Any, p: Any, out: Any) -> Any:
        return types.void(z, p, out), emit

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        z, table, out = args
        pointer = ir.PointerType()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 3).as_pointer()

        def entry(k: int, wanted: Any) -> Any:
            return builder.inttoptr(builder.load(builder.gep(table, [ir.Constant(INDEX, k)])), wanted)

        z, out = (make_array(sig.args[k])(context, builder, value).data for k, value in ((0, z), (2, out)))
        builder.call(entry(1 + place, kind), [z, entry(0, pointer), out])
        return context.get_dummy_value()

    return call


TABLE_FUNCTIONS = tuple(_function(place) for place in range(MOST))
"""The functions of the table in order."""
