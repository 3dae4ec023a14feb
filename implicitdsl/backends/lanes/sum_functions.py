"""Sums of weighted rows as LLVM functions: the words `sum_rows add_rows step_along add_to_rows`.

A piece of a row stays in registers while the other rows run past it: what is summed is written once, and what is added
to many rows is read once. Every element has its terms in the order of the rows, each added in one rounding, so its bits
depend neither on the piece nor on the width.

Where a call names its size and the number of its rows, all terms are written out, for solvers of few states, whose rows
live in registers. Else the loop over rows stays one: written out for more than eight states, the rows of a step do not
fit into the registers, and what is put aside costs more than what is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise

from implicitdsl.backends.lanes.word_functions import AT_ONCE, LARGEST, LONGEST, Code
from implicitdsl.backends.lanes.word_names import PREFIX, SCALARS, name_of

PIECE = 4
"""Vectors of a row that are seen to at once where its length is unknown; a power of 2."""
LONG_PIECE = 16
"""The most where it is known: half of the registers of a processor with wide ones."""
WIDE = 32
"""The largest size of a model for which pieces of such a length are written."""
MOST = 24
"""The largest number of rows that a call names for which terms are written out."""

_CALL = re.compile(rf'call [^@\n]*@"?({PREFIX}[\w.]+)"?\(i64 (?:[a-z]+ )*(\d+), i64 (?:[a-z]+ )*(\d+),')
"""A call of a word whose size and number of rows are known."""

Vectors = Sequence[tuple[int, int]]
"""Elements as vectors: how far behind the first each begins, and how many elements it has, one but for one lane."""
Cases = tuple[tuple[int, int], ...]
"""Sizes and numbers of rows that calls name."""


def sum_functions(
    dtype: str, width: int, called: Collection[str], *, sizes: Sequence[int] = (), calls: str = "",
    are_called: bool = False,
) -> str:  # fmt: skip
    """The LLVM text of a module with the words for sums that are among those called, which may be none. They are
    called, or become part of their callers: then there is a case for such of the sizes as are small, and one for each
    size and number of rows that stand in the text of `calls`."""
    named = {name_of(word, dtype, width): word for word in WORDS}
    found: dict[str, set[tuple[int, int]]] = {word: set() for name, word in named.items() if name in called}
    for symbol, n, count in _CALL.findall(calls):
        if symbol in named and 0 < int(n) <= LONGEST and int(count) <= MOST:
            found[named[symbol]].add((int(n), int(count)))
    small = () if are_called else tuple(sorted({n for n in sizes if 0 < n <= WIDE}))
    wanted = tuple((word, tuple(sorted(cases))) for word, cases in found.items())
    return _text(dtype, width, wanted, small, "noinline" if are_called else "alwaysinline") if wanted else ""


@cache
def _text(dtype: str, width: int, wanted: tuple[tuple[str, Cases], ...], small: tuple[int, ...], inlining: str) -> str:
    scalar, short = SCALARS[dtype]
    lines = list[str]()
    for lanes in [width] if width > 1 else _LENGTHS:
        kind = f"<{lanes} x {scalar}>"
        lines.append(f"declare {kind} @llvm.fma.v{lanes}{short}({kind}, {kind}, {kind})")
    for word, cases in wanted:
        lines += WORDS[word](scalar, short, width).function(name_of(word, dtype, width), cases, small, inlining)
    return "\n".join([*lines, *_ROLLED]) + "\n"


_LENGTHS = (AT_ONCE, 4, 2, 1)
"""Elements of one lane in a vector."""
_ROLLED = ("!0 = distinct !{!0, !1}", '!1 = !{!"llvm.loop.unroll.disable"}')


class _Rows(Code):
    """The text of a word: n elements of a row, `count` rows x_j, and the row y; or one row x, and rows y_j."""

    parameters: str

    def __init__(self, scalar: str, short: str, width: int) -> None:
        super().__init__(f"<{width} x {scalar}>", f"v{width}{short}", "zeroinitializer")
        self.scalar, self.short, self.width = scalar, short, width

    def function(self, name: str, cases: Cases, small: Sequence[int], inlining: str) -> list[str]:
        """The lines of the function."""
        given = self.parameters.format(element=self.element)
        self.say(f"define void @{name}(i64 %n, i64 %count, {given}) {inlining} nounwind {{", "entry:")
        self.say(f"  %w = getelementptr {self.scalar}, ptr %ws, i64 %w.at")
        for letter in "xyo":
            if f"%{letter}s" in given:
                self.say(f"  %{letter} = getelementptr {self.element}, ptr %{letter}s, i64 %{letter}.at")
        for n, count in cases:
            there = self.where(n=n, count=count)
            self.written_out(self.vectors(n), count)
            self.say("  ret void", f"{there}.past:")
        for n in small:
            there = self.where(n=n)
            parts = -(-n // LONG_PIECE)
            for first, last in pairwise(n * k // parts for k in range(parts + 1)):
                self.piece(str(first), self.vectors(last - first))
            self.say("  ret void", f"{there}.past:")
        self.pieces()
        self.say("  ret void", "}")
        return self.lines

    def where(self, **known: int) -> str:
        """Begins what is done where these arguments have these values; a label, before which it ends."""
        there = self.label()
        tests = [self.value(f"icmp eq i64 %{name}, {value}") for name, value in known.items()]
        both = tests[0] if len(tests) == 1 else self.value(f"and i1 {tests[0]}, {tests[1]}")
        self.say(f"  br i1 {both}, label %{there}, label %{there}.past", f"{there}:")
        return there

    def pieces(self) -> None:
        """Pieces of the full length, then at most one of each lesser length: the binary digits of n."""
        length = PIECE * (1 if self.width > 1 else AT_ONCE)
        whole = self.value(f"and i64 %n, -{length}")
        full = self.vectors(length)
        self.counting("0", whole, length, lambda i: self.piece(i, full))
        while length := length // 2:
            there = self.label()
            digit = self.value(f"and i64 %n, {length}")
            is_there = self.value(f"icmp ne i64 {digit}, 0")
            self.say(f"  br i1 {is_there}, label %{there}, label %{there}.past", f"{there}:")
            self.piece(self.value(f"and i64 %n, -{2 * length}"), self.vectors(length))
            self.say(f"  br label %{there}.past", f"{there}.past:")

    def piece(self, i: str, vectors: Vectors) -> None:
        """What is done with the elements from place i on."""
        raise NotImplementedError

    def written_out(self, vectors: Vectors, count: int) -> None:
        """What is done with all elements, term after term."""
        raise NotImplementedError

    # ------------------------------------------------------------ vectors

    def vectors(self, n: int) -> Vectors:
        """n elements as vectors."""
        # Few elements of one lane were written one by one just before, and are not yet to be had as a vector.
        if self.width > 1 or n < AT_ONCE:
            return [(i, 1) for i in range(n)]
        found: list[tuple[int, int]] = []
        at = 0
        while at < n:
            length = next(length for length in _LENGTHS if at + length <= n)
            found.append((at, length))
            at += length
        return found

    def kind(self, length: int) -> str:
        return f"<{length * self.width} x {self.scalar}>"

    def at(self, array: str, i: str, offset: int) -> str:
        place = self.place(array, i)
        return place if offset == 0 else self.place(place, str(offset))

    def read(self, array: str, i: str, vector: tuple[int, int]) -> str:
        offset, length = vector
        return self.value(f"load {self.kind(length)}, ptr {self.at(array, i, offset)}{self.aligned}")

    def write(self, value: str, array: str, i: str, vector: tuple[int, int]) -> None:
        offset, length = vector
        place = self.at(array, i, offset)
        self.say(f"  store {self.kind(length)} {value}, ptr {place}{self.aligned}")

    @property
    def aligned(self) -> str:
        """How vectors are aligned, where that is less than their own size."""
        return "" if self.width > 1 else f", align {4 if self.scalar == 'float' else 8}"

    def fused(self, a: str, b: str, c: str, length: int) -> str:
        kind = self.kind(length)
        name = f"llvm.fma.v{length * self.width}{self.short}"
        return self.value(f"call {kind} @{name}({kind} {a}, {kind} {b}, {kind} {c})")

    def spread(self, number: str, length: int) -> str:
        """A number in all places of a vector."""
        kind = self.kind(length)
        first = self.value(f"insertelement {kind} poison, {self.scalar} {number}, i64 0")
        places = f"<{length * self.width} x i32> zeroinitializer"
        return self.value(f"shufflevector {kind} {first}, {kind} poison, {places}")

    def everywhere(self, element: str, length: int) -> str:
        """An element in all places of a vector."""
        if length == 1:
            return element
        kind = self.element
        return self.value(f"shufflevector {kind} {element}, {kind} poison, <{length} x i32> zeroinitializer")

    def weight(self, j: str) -> tuple[str, str]:
        """The weight of row j, and whether it is other than 0."""
        place = self.value(f"getelementptr {self.scalar}, ptr %w, i64 {self.value(f'mul i64 {j}, %w.step')}")
        number = self.value(f"load {self.scalar}, ptr {place}")
        return number, self.value(f"fcmp une {self.scalar} {number}, 0.0")

    def row(self, j: str, i: str, step: str) -> str:
        """The place i of row j."""
        return self.value(f"add i64 {self.value(f'mul i64 {j}, {step}')}, {i}")


class _SumRows(_Rows):
    """y := the sum of w_j x_j."""

    parameters = "ptr %ws, i64 %w.at, i64 %w.step, ptr %xs, i64 %x.at, i64 %x.step, ptr %ys, i64 %y.at"
    stays_loop = True
    """Whether the loop over the rows is never written out for more elements than are said to be few."""

    def begun(self, i: str, vector: tuple[int, int]) -> str:
        """The sum before all terms."""
        return self.zero

    def ended(self, total: str, i: str, vector: tuple[int, int]) -> None:
        """What becomes of a sum."""
        self.write(total, "%y", i, vector)

    def piece(self, i: str, vectors: Vectors) -> None:
        name = self.label()
        before, inside, adds, again, after = (
            f"{name}.{part}" for part in ("before", "inside", "adds", "again", "after")
        )
        sums = [f"%{name}.sum{k}" for k in range(len(vectors))]
        following = [f"{total}.next" for total in sums]
        begun = [self.begun(i, vector) for vector in vectors]
        self.say(f"  br label %{before}", f"{before}:", f"  br label %{name}", f"{name}:")
        j = f"%{name}.j"
        self.say(f"  {j} = phi i64 [ 0, %{before} ], [ {j}.next, %{again} ]")
        self.chosen(sums, vectors, (begun, before), (following, again))
        more = self.value(f"icmp slt i64 {j}, %count")
        self.say(f"  br i1 {more}, label %{inside}, label %{after}", f"{inside}:")
        number, counts = self.weight(j)
        self.say(f"  br i1 {counts}, label %{adds}, label %{again}", f"{adds}:")
        added = self.added(i, j, number, sums, vectors)
        self.say(f"  br label %{again}", f"{again}:")
        self.chosen(following, vectors, (sums, inside), (added, adds))
        rolled = ", !llvm.loop !0" if self.stays_loop and len(vectors) > LARGEST else ""
        self.say(f"  {j}.next = add nuw nsw i64 {j}, 1", f"  br label %{name}{rolled}", f"{after}:")
        for total, vector in zip(sums, vectors, strict=True):
            self.ended(total, i, vector)

    def chosen(self, names: Sequence[str], vectors: Vectors, *comes: tuple[Sequence[str], str]) -> None:
        """Vectors of these names that are what they are in the block that came before."""
        for k, (name, (_, length)) in enumerate(zip(names, vectors, strict=True)):
            values = ", ".join(f"[ {found[k]}, %{block} ]" for found, block in comes)
            self.say(f"  {name} = phi {self.kind(length)} {values}")

    def added(self, i: str, j: str, number: str, sums: Sequence[str], vectors: Vectors) -> list[str]:
        """The sums with the term of row j."""
        weights = {length: self.spread(number, length) for length in sorted({length for _, length in vectors})}
        at = self.row(j, i, "%x.step")
        return [
            self.fused(weights[vector[1]], self.read("%x", at, vector), total, vector[1])
            for total, vector in zip(sums, vectors, strict=True)
        ]

    def written_out(self, vectors: Vectors, count: int) -> None:
        sums = [self.begun("0", vector) for vector in vectors]
        for j in range(count):
            number, counts = self.weight(str(j))
            added = self.added("0", str(j), number, sums, vectors)
            for k, (_, length) in enumerate(vectors):
                kind = self.kind(length)
                sums[k] = self.value(f"select i1 {counts}, {kind} {added[k]}, {kind} {sums[k]}")
        for total, vector in zip(sums, vectors, strict=True):
            self.ended(total, "0", vector)


class _AddRows(_SumRows):
    """y := y plus the sum of w_j x_j."""

    stays_loop = False

    def begun(self, i: str, vector: tuple[int, int]) -> str:
        return self.read("%y", i, vector)


class _StepAlong(_SumRows):
    """o := h times the sum of w_j x_j, plus y."""

    parameters = f"{{element}} %e, {_SumRows.parameters}, ptr %os, i64 %o.at"

    def ended(self, total: str, i: str, vector: tuple[int, int]) -> None:
        h = self.everywhere(self.e, vector[1])
        self.write(self.fused(h, total, self.read("%y", i, vector), vector[1]), "%o", i, vector)


class _AddToRows(_Rows):
    """y_j := y_j + (e w_j) x."""

    parameters = "{element} %e, ptr %ws, i64 %w.at, i64 %w.step, ptr %xs, i64 %x.at, ptr %ys, i64 %y.at, i64 %y.step"

    def piece(self, i: str, vectors: Vectors) -> None:
        x = [self.read("%x", i, vector) for vector in vectors]
        self.counting("0", "%count", 1, lambda j: self.add(i, j, x, vectors))

    def add(self, i: str, j: str, x: Sequence[str], vectors: Vectors) -> None:
        number, counts = self.weight(j)
        there = self.label()
        self.say(f"  br i1 {counts}, label %{there}, label %{there}.past", f"{there}:")
        at = self.row(j, i, "%y.step")
        for (_, new), vector in zip(self.added(at, number, x, vectors), vectors, strict=True):
            self.write(new, "%y", at, vector)
        self.say(f"  br label %{there}.past", f"{there}.past:")

    def added(self, at: str, number: str, x: Sequence[str], vectors: Vectors) -> list[tuple[str, str]]:
        """The vectors of a row before and after."""
        factor = self.two("fmul", self.e, self.spread(number, 1))
        weights = {length: self.everywhere(factor, length) for length in sorted({length for _, length in vectors})}
        old = [self.read("%y", at, vector) for vector in vectors]
        return [
            (before, self.fused(weights[length], held, before, length))
            for before, held, (_, length) in zip(old, x, vectors, strict=True)
        ]

    def written_out(self, vectors: Vectors, count: int) -> None:
        x = [self.read("%x", "0", vector) for vector in vectors]
        for j in range(count):
            number, counts = self.weight(str(j))
            at = self.row(str(j), "0", "%y.step")
            for (old, new), vector in zip(self.added(at, number, x, vectors), vectors, strict=True):
                kind = self.kind(vector[1])
                self.write(self.value(f"select i1 {counts}, {kind} {new}, {kind} {old}"), "%y", at, vector)


WORDS: dict[str, type[_Rows]] = {
    "sum_rows": _SumRows, "add_rows": _AddRows, "step_along": _StepAlong, "add_to_rows": _AddToRows,
}  # fmt: skip
"""All words for sums."""
