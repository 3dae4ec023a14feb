"""The loops of the vocabulary as LLVM functions, linked with every solver that calls them.

A solver's bitcode knows no size of a model, so that what it does with n states would be a loop, which LLVM turns and
unrolls anew for every model: most of the cost of compiling one. Here the model is known: for its small sizes each word
is written out, and a loop is left for all others. A call with a known n becomes just what it does for this n.

Sums run in index order; `axpy` and `dot` multiply and add in one rounding, at every width alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from implicitdsl.backends.lanes.word_names import PREFIX, SCALARS, name_of

LARGEST = 8
"""The largest size of a model for which words are written out; above it LLVM judges what pays."""
AT_ONCE = 8
"""Elements of one lane that are seen to in one vector, where they have nothing to do with one another."""
LONGEST = 72
"""The largest of the sizes that calls name for which words are written out."""
TURNS = 4
"""Sums that take turns where no order of adding is asked for; a power of 2."""

_CALL = re.compile(rf'call [^@\n]*@"?({PREFIX}[\w.]+)"?\((?:<\d+ x i1> [^,]*, )?i64 (?:[a-z]+ )*(?:(\d+)|%)')
"""A call of a word: its symbol and, where that is known, its size."""


@dataclass
class Code:
    """Instructions on elements of a type, and its constant of zeros."""

    element: str
    suffix: str
    zero: str
    lines: list[str] = field(default_factory=list[str])
    e: str = "%e"
    """The element that a word is given, and its mask."""
    m: str = "%m"
    align: str = ""
    """How the places of elements are aligned, where that is less than their own size."""

    def value(self, text: str) -> str:
        """A new value."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def place(self, array: str, i: str) -> str:
        return self.value(f"getelementptr {self.element}, ptr {array}, i64 {i}")

    def load(self, array: str, i: str) -> str:
        return self.value(f"load {self.element}, ptr {self.place(array, i)}{self.align}")

    def store(self, value: str, array: str, i: str) -> None:
        place = self.place(array, i)
        self.lines.append(f"  store {self.element} {value}, ptr {place}{self.align}")

    def two(self, operation: str, a: str, b: str) -> str:
        return self.value(f"{operation} {self.element} {a}, {b}")

    def fma(self, a: str, b: str, c: str) -> str:
        kind = self.element
        return self.value(f"call {kind} @llvm.fma.{self.suffix}({kind} {a}, {kind} {b}, {kind} {c})")

    @property
    def mask(self) -> str:
        """The type of masks."""
        return self.element.replace("double", "i1").replace("float", "i1")

    def say(self, *lines: str) -> None:
        self.lines += lines

    def label(self) -> str:
        """A new name of a block."""
        return f"at{len(self.lines)}"

    def counting(self, first: str, last: str, step: int, body: Callable[[str], None]) -> None:
        """`body(i)` for i = first, first + step, … below last."""
        name = self.label()
        before, inside, again, after = (f"{name}.{part}" for part in ("before", "inside", "again", "after"))
        i, following = f"%{name}.i", f"%{name}.next"
        self.say(f"  br label %{before}", f"{before}:", f"  br label %{name}", f"{name}:")
        self.say(f"  {i} = phi i64 [ {first}, %{before} ], [ {following}, %{again} ]")
        is_inside = self.value(f"icmp slt i64 {i}, {last}")
        self.say(f"  br i1 {is_inside}, label %{inside}, label %{after}", f"{inside}:")
        body(i)
        self.say(f"  br label %{again}", f"{again}:", f"  {following} = add nuw nsw i64 {i}, {step}")
        self.say(f"  br label %{name}", f"{after}:")


Sums = tuple[str, ...]
Each = Callable[[Code, str, Sums], Sums]
"""What is done at a place: the sums after it, from those before."""


def _fill(c: Code, i: str, _: Sums) -> Sums:
    c.store(c.e, "%x", i)
    return ()


def _copy(c: Code, i: str, _: Sums) -> Sums:
    c.store(c.load("%x", i), "%y", i)
    return ()


def _copy_where(c: Code, i: str, _: Sums) -> Sums:
    new, old = c.load("%x", i), c.load("%y", i)
    c.store(c.value(f"select {c.mask} {c.m}, {c.element} {new}, {c.element} {old}"), "%y", i)
    return ()


def _axpy(c: Code, i: str, _: Sums) -> Sums:
    c.store(c.fma(c.e, c.load("%x", i), c.load("%y", i)), "%y", i)
    return ()


def _scale(c: Code, i: str, _: Sums) -> Sums:
    c.store(c.two("fmul", c.e, c.load("%x", i)), "%x", i)
    return ()


def _dot(c: Code, i: str, sums: Sums) -> Sums:
    return (c.fma(c.load("%x", i), c.load("%y", i), sums[0]),)


def _judge(c: Code, i: str, sums: Sums) -> Sums:
    # x - x is 0 for a finite x and NaN for every other: one comparison in all, and nothing for the multipliers, which
    # have the rest of a step to do. Sums take turns, because each waits for what was added before.
    x = c.load("%x", i)
    return (*sums[1:], c.two("fadd", sums[0], c.two("fsub", x, x)))


def _product(c: Code) -> Sums:
    return (c.two("fmul", c.load("%x", "0"), c.load("%y", "0")),)


def _zeros(c: Code) -> Sums:
    return (c.zero,) * TURNS


def _is_zero(c: Code, sums: Sums) -> str:
    while len(sums) > 1:
        sums = tuple(c.two("fadd", a, b) for a, b in zip(sums[::2], sums[1::2], strict=True))
    return c.two("fcmp oeq", sums[0], c.zero)


def _only(c: Code, sums: Sums) -> str:
    return sums[0]


@dataclass(frozen=True)
class Word:
    """One word. `parameters` in their order: n a number, e an element, m a mask, x and y arrays, each followed by the
    place where it begins. `begin` gives the first sums, having seen to the first `seen` places; a round of a loop sees
    to `at_once` places; `result` makes of the last sums what is returned."""

    parameters: str
    each: Each
    begin: Callable[[Code], Sums] | None = None
    seen: int = 0
    at_once: int = 1
    result: Callable[[Code, Sums], str] | None = None
    returns: str = "void"


WORDS = {
    "fill": Word("nex", _fill),
    "copy": Word("nxy", _copy),
    "copy_where": Word("mnxy", _copy_where),
    "axpy": Word("nexy", _axpy),
    "scale": Word("nex", _scale),
    "dot": Word("nxy", _dot, _product, seen=1, result=_only, returns="element"),
    "all_finite": Word("nx", _judge, _zeros, at_once=TURNS, result=_is_zero, returns="mask"),
}


def word_functions(dtype: str, width: int, sizes: Sequence[int], *, are_called: bool = False) -> str:
    """The LLVM text of a module with all words, written out for such of the sizes as are small. They become part of
    their callers, or are called."""
    small = tuple(sorted({n for n in sizes if 0 < n <= LARGEST}))
    return _text(dtype, width, tuple((name, small) for name in WORDS), are_called=are_called)


def words_of_calls(dtype: str, width: int, text: str) -> str:
    """The LLVM text of a module with the words that the text of another calls, written out for the sizes that stand
    there."""
    found: dict[str, set[int]] = {}
    names = {name_of(name, dtype, width): name for name in WORDS}
    for symbol, size in _CALL.findall(text):
        if symbol in names:
            sizes = found.setdefault(names[symbol], set())
            sizes |= {n for n in (int(size or 0),) if 0 < n <= LONGEST}
    wanted = tuple((name, tuple(sorted(found[name]))) for name in WORDS if name in found)
    return _text(dtype, width, wanted, are_called=False)


@cache
def _text(dtype: str, width: int, wanted: tuple[tuple[str, tuple[int, ...]], ...], *, are_called: bool) -> str:
    scalar, short = SCALARS[dtype]
    element, suffix = f"<{width} x {scalar}>", f"v{width}{short}"
    lines = [f"declare {element} @llvm.fma.{suffix}({element}, {element}, {element})"]
    if width == 1:
        wide = f"<{AT_ONCE} x {scalar}>"
        lines.append(f"declare {wide} @llvm.fma.v{AT_ONCE}{short}({wide}, {wide}, {wide})")
    for name, sizes in wanted:
        code, inlining = Code(element, suffix, "zeroinitializer"), "noinline" if are_called else "alwaysinline"
        lines += _function(name_of(name, dtype, width), WORDS[name], code, sizes, inlining)
    return "\n".join(lines) + "\n"


def _function(name: str, word: Word, c: Code, sizes: tuple[int, ...], inlining: str) -> list[str]:
    kinds = {
        "n": "i64 %n",
        "e": f"{c.element} %e",
        "m": f"{c.mask} %m",
        "x": "ptr %xs, i64 %x.at",
        "y": "ptr %ys, i64 %y.at",
    }
    given = ", ".join(kinds[letter] for letter in word.parameters)
    returns = {"void": "void", "element": c.element, "mask": c.mask}[word.returns]
    c.say(f"define {returns} @{name}({given}) {inlining} nounwind {{", "entry:")
    for letter in "xy":
        if letter in word.parameters:
            c.say(f"  %{letter} = getelementptr {c.element}, ptr %{letter}s, i64 %{letter}.at")
    cases = " ".join(f"i64 {n}, label %n{n}" for n in sizes)
    c.say(f"  switch i64 %n, label %any [{cases}]")
    for n in sizes:
        c.say(f"n{n}:")
        sums = word.begin(c) if word.begin else ()
        for i in range(word.seen, n):
            sums = word.each(c, str(i), sums)
        _give(c, word, returns, sums)
    c.say("any:")
    sums = word.begin(c) if word.begin else ()
    first = str(word.seen)
    if word.at_once > 1:
        whole = c.value(f"and i64 %n, -{word.at_once}")
        sums = _loop(c, "some", first, whole, word.at_once, word.each, sums)
        first = whole
    if word.begin is None and c.element.startswith("<1 x"):
        first = _many(c, word)
    sums = _loop(c, "rest", first, "%n", 1, word.each, sums)
    _give(c, word, returns, sums)
    c.say("}")
    return c.lines


def _many(c: Code, word: Word) -> str:
    """A loop over vectors of elements of one lane, which LLVM makes no vectors of; where the rest begins."""
    scalar = c.element.removeprefix("<1 x ").removesuffix(">")
    lanes, align = f"<{AT_ONCE} x {scalar}>", f", align {4 if scalar == 'float' else 8}"
    wide = Code(lanes, c.suffix.replace("v1", f"v{AT_ONCE}"), c.zero, c.lines, "%e.all", "%m.all", align)
    everywhere = f"<{AT_ONCE} x i32> zeroinitializer"
    for letter, kind in (("e", c.element), ("m", c.mask)):
        if letter in word.parameters:
            c.say(f"  %{letter}.all = shufflevector {kind} %{letter}, {kind} poison, {everywhere}")
    whole = c.value(f"sdiv i64 %n, {AT_ONCE}")
    _loop(wide, "many", "0", whole, 1, word.each, ())
    return c.value(f"mul i64 {whole}, {AT_ONCE}")


def _loop(c: Code, name: str, first: str, last: str, step: int, each: Each, before: Sums) -> Sums:
    """The sums after all places from `first` on, below `last`; tested before the first and after every round."""
    c.say(f"  br label %{name}.test", f"{name}.test:", f"  %{name}.any = icmp slt i64 {first}, {last}")
    c.say(f"  br i1 %{name}.any, label %{name}, label %{name}.end", f"{name}:")
    at, following = f"%{name}.at", f"%{name}.next"
    c.say(f"  {at} = phi i64 [ {first}, %{name}.test ], [ {following}, %{name} ]")
    carried = tuple(f"%{name}.sum{k}" for k in range(len(before)))
    place = len(c.lines)
    after = carried
    for k in range(step):
        after = each(c, at if k == 0 else c.value(f"add nuw nsw i64 {at}, {k}"), after)
    c.lines[place:place] = [
        f"  {sum_} = phi {c.element} [ {old}, %{name}.test ], [ {new}, %{name} ]"
        for sum_, old, new in zip(carried, before, after, strict=True)
    ]
    c.say(f"  {following} = add nuw nsw i64 {at}, {step}", f"  %{name}.more = icmp slt i64 {following}, {last}")
    c.say(f"  br i1 %{name}.more, label %{name}, label %{name}.end", f"{name}.end:")
    given = tuple(f"%{name}.sum{k}.end" for k in range(len(before)))
    for each_given, old, new in zip(given, before, after, strict=True):
        c.say(f"  {each_given} = phi {c.element} [ {old}, %{name}.test ], [ {new}, %{name} ]")
    return given


def _give(c: Code, word: Word, returns: str, sums: Sums) -> None:
    c.say("  ret void" if word.result is None else f"  ret {returns} {word.result(c, sums)}")
