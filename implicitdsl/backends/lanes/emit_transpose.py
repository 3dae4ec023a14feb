"""The code of `transpose.py`: rows of samples into lanes and out of them."""

from __future__ import annotations

from typing import Any, Literal

from llvmlite import ir

from implicitdsl.backends.lanes.lane_code import I32, I64, POINTER, Dtype, LaneCode


def code_of(dtype: Dtype, width: int) -> str:
    """The LLVM text of both ways: (number of samples, their rows, blocks, floats from block to block, values, floats
    from row to row, numbers of a sample, whether lanes left over get 0) -> 0."""
    module = ir.Module(name="lanes and rows")
    ways: tuple[Literal["into", "out"], ...] = ("into", "out")
    for name in ways:
        kind = ir.FunctionType(I64, [I64, POINTER, POINTER, I64, POINTER, I64, I64, I64])
        function = ir.Function(module, kind, f"imp_{name}_lanes")
        _emit(LaneCode(function, dtype, width), name)
    return str(module)


def _emit(code: LaneCode, way: Literal["into", "out"]) -> None:
    b, width = code.builder, code.width
    count, places, lanes, block, value, row, size, zeros = code.function.args
    lane_numbers = ir.Constant(ir.VectorType(I64, width), list(range(width)))
    last = b.sub(count, _whole(1))
    is_few = b.icmp_signed("<", size, _whole(width))
    copies = b.icmp_signed("==", zeros, _whole(0))

    def over_blocks(i: Any, _: tuple[Any, ...]) -> tuple[Any, ...]:
        first = b.mul(i, _whole(width))
        rows: list[Any] = []
        for lane in range(width):
            place = b.add(first, _whole(lane))
            place = b.select(b.icmp_signed("<", place, last), place, last)
            at = b.load(code.address(places, place, I64), typ=I64)
            rows.append(code.address(value, b.mul(at, row), code.scalar))
        inside = b.icmp_signed("<", b.add(lane_numbers, _spread(b, first, width)), _spread(b, count, width))
        filled = b.or_(inside, _spread(b, copies, width))
        here = code.address(lanes, b.mul(i, block), code.scalar)

        def square(k: Any, _: tuple[Any, ...]) -> tuple[Any, ...]:
            # The last square begins early enough to be a whole one: what is moved twice is the same.
            early = b.sub(size, _whole(width))
            at = b.select(b.icmp_signed("<", k, early), k, early)
            if way == "into":
                for j, column in enumerate(code.transposed([code.load_floats(r, at, width) for r in rows])):
                    code.store(b.select(filled, column, code.zero), here, b.add(at, _whole(j)))
                return ()
            found = code.transposed([code.load(here, b.add(at, _whole(j))) for j in range(width)])
            # Lanes left over go where the last sample goes, and before it.
            for lane in reversed(range(width)):
                code.store_floats(found[lane], rows[lane], at)
            return ()

        def column(k: Any, _: tuple[Any, ...]) -> tuple[Any, ...]:
            if way == "into":
                found: Any = ir.Constant(code.element, ir.Undefined)
                for lane, r in enumerate(rows):
                    found = b.insert_element(found, code.load_floats(r, k, 1), ir.Constant(I32, lane))
                code.store(b.select(filled, found, code.zero), here, k)
                return ()
            found = code.load(here, k)
            for lane in reversed(range(width)):
                code.store_floats(b.extract_element(found, ir.Constant(I32, lane)), rows[lane], k)
            return ()

        code.loop(0, b.select(is_few, _whole(0), size), square, step=width)
        code.loop(0, b.select(is_few, size, _whole(0)), column)
        return ()

    code.loop(0, b.sdiv(b.add(last, _whole(width)), _whole(width)), over_blocks)
    code.give(_whole(0))


def _whole(number: int) -> ir.Constant:
    return ir.Constant(I64, number)


def _spread(b: ir.IRBuilder, value: Any, width: int) -> Any:
    """A number in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, width), ir.Undefined)
    first = b.insert_element(undefined, value, ir.Constant(I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, width), [0] * width))
