"""How solvers of one sample take arrays out of the room of a call, and give them back: calls of `memory.py`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import INDEX
from implicitdsl.backends.lanes.instructions import declared

ROOM = ir.LiteralStructType([INDEX] * 4)
"""The room of a call: addresses of the last chunk, of its first free byte, and of its end; why the call ends, or 0."""
_CHUNK, _TOP, _END, BROKEN_AT = (
    [ir.Constant(ir.IntType(32), 0), ir.Constant(ir.IntType(32), field)] for field in range(4)
)


def mark(builder: Any, room: Any) -> tuple[Any, Any]:
    """How far a room is filled."""
    return builder.load(builder.gep(room, _CHUNK)), builder.load(builder.gep(room, _TOP))


def take(builder: Any, room: Any, size: Any) -> Any:
    """The address of so many bytes more, 0 where there is no memory."""
    kind = ir.FunctionType(ir.IntType(8).as_pointer(), [ROOM.as_pointer(), INDEX])
    return builder.call(declared(builder, kind, "imp_take"), [room, size])


def give_back(builder: Any, room: Any, held: tuple[Any, Any]) -> None:
    """Takes back what lies beyond a mark."""
    kind = ir.FunctionType(ir.VoidType(), [ROOM.as_pointer(), INDEX, INDEX])
    builder.call(declared(builder, kind, "imp_give_back"), [room, *held])
