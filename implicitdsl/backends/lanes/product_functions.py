"""Products of rows with rows as LLVM functions: the words `add_products` and `subtract_products`.

A tile of the result, of some rows and columns, stays in registers while the rows run past it. Where the result is one
column, or a row is left beside the tiles, the tile is a piece of it: of eight elements, then of four, two and one,
since an element by itself waits for every term before it. Every element is the sum of its own terms in index order,
each added in one rounding, so its bits do not depend on the tile, nor on the width.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

from implicitdsl.backends.lanes.word_functions import Code
from implicitdsl.backends.lanes.word_names import SCALARS, name_of

REGISTER_BYTES = 32
"""A vector register of AVX2; on wider ones the tiles are merely smaller than they could be."""
SIGNS = {"add_products": 1.0, "subtract_products": -1.0}
"""The words, and what they multiply terms by, which rounds nothing."""
COLUMN = "add_column"
"""The function for a result of one column whose elements follow one another. It is given the sign, so that there is one
of it."""


def tile_of(element_bytes: int) -> tuple[int, int, int]:
    """Rows and columns of a tile, and the length of one that is a piece of a column: what sixteen registers hold. The
    last two are powers of 2."""
    return (3, 4, 8) if element_bytes <= REGISTER_BYTES else (2, 2, 4)


def product_functions(dtype: str, width: int, called: Collection[str], *, are_called: bool = False) -> str:
    """The LLVM text of a module with the functions of products that are among those called, which may be none. They
    become part of their callers, or are called."""
    wanted = tuple(word for word in (COLUMN, *SIGNS) if name_of(word, dtype, width) in called)
    return _text(dtype, width, wanted, "noinline" if are_called else "alwaysinline") if wanted else ""


@cache
def _text(dtype: str, width: int, wanted: tuple[str, ...], inlining: str) -> str:
    scalar, short = SCALARS[dtype]
    element, suffix = f"<{width} x {scalar}>", f"v{width}{short}"
    rows, columns, tall = tile_of(width * int(short[1:]) // 8)
    column = name_of(COLUMN, dtype, width)
    code = _Loops(element, suffix, "zeroinitializer")
    code.say(f"declare {element} @llvm.fma.{suffix}({element}, {element}, {element})")
    code.column(column, inlining, tall)
    for word in wanted:
        if word != COLUMN:
            sign = f"<{', '.join([f'{scalar} {SIGNS[word]}'] * width)}>"
            code.products(name_of(word, dtype, width), inlining, rows, columns, sign, column)
    return "\n".join(code.lines) + "\n"


class _Loops(Code):
    """The text of the functions."""

    def column(self, name: str, inlining: str, tall: int) -> None:
        """out_i := out_i + sign a_i'x for m rows of a, `a.step` elements apart, of k elements each."""
        element = self.element
        self._begin(f"{name}(i64 %m, i64 %k, ptr %a, i64 %a.step, ptr %x, ptr %out, {element} %sign) {inlining}")
        self.counting("0", self.value(f"and i64 %m, -{tall}"), tall, lambda i: self._piece(i, tall))
        length = tall // 2
        while length:
            # The binary digits of m: at most one piece of each lesser length.
            there = self.label()
            digit = self.value(f"and i64 %m, {length}")
            is_there = self.value(f"icmp ne i64 {digit}, 0")
            self.say(f"  br i1 {is_there}, label %{there}, label %{there}.past", f"{there}:")
            self._piece(self.value(f"and i64 %m, -{2 * length}"), length)
            self.say(f"  br label %{there}.past", f"{there}.past:")
            length //= 2
        self._end()

    def products(self, name: str, inlining: str, rows: int, columns: int, sign: str, column: str) -> None:
        """out_ij := out_ij + sign a_i'b_j for m rows of a and n of b, of k elements each; `column` is a function."""
        arrays = ", ".join(f"ptr %{array}, i64 %{array}.step" for array in ("a", "b", "out"))
        self._begin(f"{name}(i64 %m, i64 %n, i64 %k, {arrays}) {inlining}")
        high = self.value(f"mul i64 {self.value(f'udiv i64 %m, {rows}')}, {rows}")
        wide = self.value(f"and i64 %n, -{columns}")

        def tile(i: str, j: str) -> None:
            starts = self._rows("out", i, rows)
            places = [[self.place(start, self.value(f"add i64 {j}, {c}")) for c in range(columns)] for start in starts]
            self._tile(self._rows("a", i, rows), self._rows("b", j, columns), places, sign)

        def left(i: str) -> None:
            is_tiled = self.value(f"icmp slt i64 {i}, {high}")
            first = self.value(f"select i1 {is_tiled}, i64 {wide}, i64 0")
            (a,), (b,), (out,) = self._rows("a", i, 1), self._rows("b", first, 1), self._rows("out", i, 1)
            count = self.value(f"sub i64 %n, {first}")
            given = f"i64 {count}, i64 %k, ptr {b}, i64 %b.step, ptr {a}, ptr {self.place(out, first)}"
            self.say(f"  call void @{column}({given}, {self.element} {sign})")

        self.counting("0", wide, columns, lambda j: self.counting("0", high, rows, lambda i: tile(i, j)))
        # What is left of a row of the result is a column of products of the rows of b with that row of a.
        is_wide = self.value(f"icmp eq i64 %n, {wide}")
        self.counting(self.value(f"select i1 {is_wide}, i64 {high}, i64 0"), "%m", 1, left)
        self._end()

    def _begin(self, signature: str) -> None:
        self.say(f"define void @{signature} nounwind {{", "  %any = icmp sgt i64 %k, 0")
        self.say("  br i1 %any, label %some, label %done", "some:")

    def _end(self) -> None:
        self.say("  br label %done", "done:", "  ret void", "}")

    def _rows(self, array: str, i: str, count: int) -> list[str]:
        """Where so many rows of an array begin, from row i on."""
        found = [self.place(f"%{array}", self.value(f"mul i64 {i}, %{array}.step"))]
        while len(found) < count:
            found.append(self.place(found[-1], f"%{array}.step"))
        return found

    def _piece(self, i: str, length: int) -> None:
        first = self.place("%out", i)
        places = [[first], *([self.place(first, str(r))] for r in range(1, length))]
        self._tile(self._rows("a", i, length), ["%x"], places, "%sign")

    def _tile(self, left: Sequence[str], right: Sequence[str], places: Sequence[Sequence[str]], sign: str) -> None:
        """Adds the products of the rows left and right to what lies at the places; k is 1 at least."""
        begun = [[self.value(f"load {self.element}, ptr {place}") for place in row] for row in places]
        name = self.label()
        before, after, t, following = f"{name}.before", f"{name}.after", f"%{name}.t", f"%{name}.next"
        self.say(f"  br label %{before}", f"{before}:", f"  br label %{name}", f"{name}:")
        self.say(f"  {t} = phi i64 [ 0, %{before} ], [ {following}, %{name} ]")
        sums = [[f"%{name}.{r}.{c}" for c in range(len(right))] for r in range(len(left))]
        place = len(self.lines)
        ended = self._round(left, right, t, sums, sign)
        self.lines[place:place] = [
            f"  {sums[r][c]} = phi {self.element} [ {begun[r][c]}, %{before} ], [ {ended[r][c]}, %{name} ]"
            for r in range(len(left))
            for c in range(len(right))
        ]
        self.say(f"  {following} = add nuw nsw i64 {t}, 1", f"  %{name}.more = icmp slt i64 {following}, %k")
        self.say(f"  br i1 %{name}.more, label %{name}, label %{after}", f"{after}:")
        for row, totals in zip(places, ended, strict=True):
            for where, total in zip(row, totals, strict=True):
                self.say(f"  store {self.element} {total}, ptr {where}")

    def _round(
        self, left: Sequence[str], right: Sequence[str], t: str, sums: Sequence[Sequence[str]], sign: str
    ) -> list[list[str]]:
        """The sums with term t. The shorter side is held and the longer one runs past it, one element at a time: so
        twelve sums and what they are made of fit into sixteen registers."""
        is_left_held = len(left) < len(right)
        near, far = (left, right) if is_left_held else (right, left)
        held = [self.two("fmul", self.load(row, t), sign) for row in near]
        found = [list(row) for row in sums]
        for f, row in enumerate(far):
            y = self.load(row, t)
            for h, x in enumerate(held):
                r, c = (h, f) if is_left_held else (f, h)
                found[r][c] = self.fma(x, y, found[r][c])
        return found
