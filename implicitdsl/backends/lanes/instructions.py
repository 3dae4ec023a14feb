"""Sequences of LLVM instructions that words and solvers are written with: places, loops, declarations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import INDEX


def declared(builder: Any, kind: ir.FunctionType, name: str) -> Any:
    """The function of a name in the module that is being written."""
    found = builder.module.globals.get(name)
    return ir.Function(builder.module, kind, name) if found is None else found


def place(builder: Any, kind: Any, name: str = "") -> Any:
    """A place on the stack of the function, 0 at first."""
    with builder.goto_entry_block():
        found = builder.alloca(kind, name=name)
        builder.store(ir.Constant(kind, None), found)
    return found


def place_of(builder: Any, value: Any) -> Any:
    """A place that holds a value."""
    found = place(builder, value.type)
    builder.store(value, found)
    return found


def write_zeros(builder: Any, array: Any, size: Any) -> None:
    """Sets so many bytes to 0. It is no loop: what follows stays in the first block of its function."""
    byte = ir.IntType(8)
    at = builder.bitcast(array, byte.as_pointer())
    function = builder.module.declare_intrinsic("llvm.memset", (at.type, size.type))
    builder.call(function, [at, ir.Constant(byte, 0), size, ir.Constant(ir.IntType(1), 0)])


@contextmanager
def counting(builder: Any, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
    """A loop over start, start + step, … below stop; gives the number."""
    test, body, done = (builder.append_basic_block(f"count.{name}") for name in ("test", "body", "done"))
    before = builder.block
    builder.branch(test)
    builder.position_at_end(test)
    number = builder.phi(INDEX)
    builder.cbranch(builder.icmp_signed("<", number, stop), body, done)
    builder.position_at_end(body)
    yield number
    following = builder.add(number, ir.Constant(INDEX, step), flags=["nsw"])
    number.add_incoming(start, before)
    number.add_incoming(following, builder.block)
    builder.branch(test)
    builder.position_at_end(done)


def up_to(builder: Any, stop: Any) -> Any:
    """A loop over 0, 1, … below stop."""
    return counting(builder, ir.Constant(INDEX, 0), stop)
