"""Chains of functions become one before they are optimised; what is called from many places is left to LLVM."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llvmlite.binding as llvm
import pytest

from implicitdsl.backends.lanes.flatten import optimise_solver, optimise_whole
from implicitdsl.backends.lanes.link import PIPELINE, compiled, keep_inside, linked
from implicitdsl.backends.lanes.loaded import Loaded

CHAIN = """
declare double @llvm.fma.f64(double, double, double)
define i64 @imp_size() alwaysinline {
  ret i64 3
}
define internal double @0(double %x, i64 %n) {
  %known = icmp eq i64 %n, 3
  br i1 %known, label %three, label %other
three:
  %y = call double @llvm.fma.f64(double %x, double 3.0, double 1.0)
  ret double %y
other:
  %z = call double @1(double %x, i64 %n)
  ret double %z
}
define internal double @1(double %x, i64 %n) {
  %m = uitofp i64 %n to double
  %y = fdiv double %x, %m
  ret double %y
}
define internal double @2(double %x, i64 %n) {
  %y = call double @0(double %x, i64 %n)
  %z = fmul double %y, %y
  ret double %z
}
define internal double @3(double %x) noinline {
  %y = fadd double %x, 0.5
  ret double %y
}
define i64 @imp_run(ptr %place) {
  %x = load double, ptr %place
  %n = call i64 @imp_size()
  %y = call double @2(double %x, i64 %n)
  %z = call double @3(double %y)
  store double %z, ptr %place
  ret i64 0
}
"""


def _machine() -> llvm.TargetMachine:
    return llvm.Target.from_default_triple().create_target_machine(opt=3)


def _found(
    text: str, x: float, *, sizes: Sequence[int] = (), inline_all: bool = False, is_apart: bool = False
) -> float:
    """What `imp_run` of a module makes of a number."""
    module = linked([text], ["imp_run"], sizes=sizes)
    keep_inside(module, ["imp_run"], inline_all=inline_all)
    code, place = Loaded(compiled(module, "native", sizes=sizes, is_apart=is_apart)), ctypes.c_double(x)
    code.function("imp_run", ctypes.c_int64, ctypes.c_void_p)(ctypes.addressof(place))
    return place.value


def _optimised() -> llvm.ModuleRef:
    module = llvm.parse_assembly(CHAIN, llvm.create_context())
    keep_inside(module, ["imp_run"])
    optimise_whole(module, _machine())
    return module


def test_a_chain_is_one_function_and_what_no_size_of_the_model_runs_is_gone() -> None:
    module = _optimised()
    left = [f.name for f in module.functions if not f.is_declaration]
    assert "imp_run" in left
    assert len(left) == 2  # the other one asks to stay a function
    assert "fdiv" not in str(module)
    assert "icmp" not in str(module)


def test_no_operation_is_fused_or_reordered() -> None:
    text = str(_optimised())
    assert text.count("fmul") == 1
    assert text.count("fadd") == 1
    assert " fast " not in text
    once = 0.1 * 3.0 + 1.0  # 1.3 in one rounding and in two: both are the double next to it
    assert _found(CHAIN, 0.1) == once * once + 0.5


def test_objects_are_found_by_how_they_are_optimised() -> None:
    assert "backends/lanes/flatten.py" in PIPELINE


def _sum(name: str, count: int) -> str:
    """A function that adds multiples of a number, `count` instructions and some more."""
    terms = "".join(
        f"  %y{i} = call double @llvm.fma.f64(double %x, double {i}.5, double %y{i - 1})\n" for i in range(1, count)
    )
    return f"define internal double @{name}(double %x) {{\n  %y0 = fmul double %x, %x\n{terms}  ret double %y{count - 1}\n}}\n"


SHARED = f"""
declare double @llvm.fma.f64(double, double, double)
{_sum("small", 20)}{_sum("large", 300)}
define i64 @imp_run(ptr %place) {{
  %x = load double, ptr %place
  %a = call double @small(double %x)
  %b = call double @large(double %a)
  %c = call double @small(double %b)
  %d = call double @large(double %c)
  %e = call double @small(double %d)
  %f = call double @large(double %e)
  store double %f, ptr %place
  ret i64 0
}}
"""


def test_what_is_small_becomes_part_of_its_callers_and_what_is_large_stays_a_function() -> None:
    module = llvm.parse_assembly(SHARED, llvm.create_context())
    keep_inside(module, ["imp_run"])
    optimise_whole(module, _machine(), sizes=[64])
    left = [f for f in module.functions if not f.is_declaration]
    run = next(f for f in left if f.name == "imp_run")
    assert len(left) == 2
    assert sum("call" in line and "double @own" in line for line in str(run).splitlines()) == 3
    assert str(run).count("@llvm.fma") == 3 * 19


@pytest.mark.parametrize("text", [CHAIN, SHARED])
def test_every_way_of_simplifying_keeps_the_bits(text: str) -> None:
    found = {
        _found(text, 1e-3 / 7, sizes=sizes, inline_all=inline_all, is_apart=is_apart)
        for sizes in ([], [2], [6], [64])
        for inline_all in (False, True)
        for is_apart in (False, True)
    }
    assert len(found) == 1


def test_what_several_solvers_hold_alike_is_one_function() -> None:
    twice = SHARED.replace("@large(double %c)", "@other(double %c)") + _sum("other", 300)
    module = llvm.parse_assembly(twice, llvm.create_context())
    keep_inside(module, ["imp_run"])
    optimise_whole(module, _machine(), sizes=[64])
    assert str(module).count("double @llvm.fma.f64(double %") == 3 * 19 + 299


WORDS = """
declare void @imp_word_axpy.v8f64(i64, <8 x double>, ptr, i64, ptr, i64)
define internal void @imp_rhs(ptr %x) HOW {
  %y = load <8 x double>, ptr %x
  %z = fmul <8 x double> %y, %y
  store <8 x double> %z, ptr %x
  ret void
}
define i64 @imp_run(ptr %x) {
  call void @imp_rhs(ptr %x)
  %e = load <8 x double>, ptr %x
  call void @imp_word_axpy.v8f64(i64 40, <8 x double> %e, ptr %x, i64 0, ptr %x, i64 40)
  call void @imp_word_axpy.v8f64(i64 40, <8 x double> %e, ptr %x, i64 40, ptr %x, i64 0)
  ret i64 0
}
"""


@pytest.mark.parametrize(
    ("how", "size", "is_one", "called"),
    [("noinline", 40, True, True), ("alwaysinline", 40, True, True), ("alwaysinline", 12, True, False), ("noinline", 12, True, True),
         ("noinline", 8, True, False),
     ("noinline", 40, False, False)],
)  # fmt: skip
def test_words_are_called_beside_a_dear_function_of_many_states(
    how: str, size: int, is_one: bool, called: bool
) -> None:
    module = linked([WORDS.replace("HOW", how)], ["imp_run"], sizes=[size], is_one=is_one)
    keep_inside(module, ["imp_run"], inline_all=is_one)
    optimise_whole(module, _machine(), sizes=[size])
    (run,) = (f for f in module.functions if f.name == "imp_run")
    assert ("fma" not in str(run)) == called


ROUNDS = 6
LOOP = f"""
define internal void @add(ptr %x, ptr %y) {{
  br label %test
test:
  %i = phi i64 [ 0, %0 ], [ %next, %round ]
  %more = icmp slt i64 %i, {ROUNDS}
  br i1 %more, label %round, label %after
round:
  %from = getelementptr double, ptr %x, i64 %i
  %to = getelementptr double, ptr %y, i64 %i
  %a = load double, ptr %from
  %b = load double, ptr %to
  %sum = fadd double %a, %b
  store double %sum, ptr %to
  %next = add i64 %i, 1
  br label %test
after:
  ret void
}}
define i64 @imp_run(ptr %x, ptr %y) {{
  call void @add(ptr %x, ptr %y)
  call void @add(ptr %y, ptr %x)
  ret i64 0
}}
"""


@pytest.mark.parametrize(
    ("size", "is_straight", "sums"), [(ROUNDS, True, 1), (ROUNDS, False, ROUNDS), (64, True, 1), (3, True, ROUNDS)]
)
def test_beside_stiff_steps_of_some_states_small_functions_keep_their_loops(
    size: int, is_straight: bool, sums: int
) -> None:
    module = llvm.parse_assembly(LOOP, llvm.create_context())
    keep_inside(module, ["imp_run"])
    optimise_solver(module, _machine(), sizes=[size], is_straight=is_straight)
    assert str(module).count("fadd") == 2 * sums
    code = Loaded(_machine().emit_object(module))
    given, found = [0.1 * i for i in range(ROUNDS)], [1 / (i + 3) for i in range(ROUNDS)]
    x, y = ((ctypes.c_double * ROUNDS)(*values) for values in (given, found))
    code.function("imp_run", ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(x, y)
    assert list(y) == [a + b for a, b in zip(given, found, strict=True)]
    assert list(x) == [a + b for a, b in zip(given, y, strict=True)]
