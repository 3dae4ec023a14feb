"""A solver for the sizes of a small model is made once, and every model of these sizes is finished from it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.backends.lanes import cache, link
from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.backends.lanes.link import align_frames, joined, make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.sized import FEW, write_out
from tests.artifacts.conftest import share_solvers
from tests.lanes.probes import aligned

STEPS = 7
NUMBER = "define i64 @imp_NAME() alwaysinline {\n  ret i64 VALUE\n}\n"
EXTRA = 5
"""A number that solvers have no use for."""
SOLVER = f"""
declare i64 @imp_states()
declare void @imp_rhs(ptr, ptr)
declare void @imp_word_axpy.v8f64(i64, <8 x double>, ptr, i64, ptr, i64)
declare void @imp_word_fill.v8f64(i64, <8 x double>, ptr, i64)
define internal void @step(i64 %n, ptr %y) {{
entry:
  %size = mul i64 %n, {STEPS}
  %k = alloca <8 x double>, i64 %size
  call void @imp_word_fill.v8f64(i64 %size, <8 x double> zeroinitializer, ptr %k, i64 0)
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %stage ]
  %more = icmp slt i64 %i, {STEPS}
  br i1 %more, label %stage, label %done
stage:
  %at = mul i64 %i, %n
  %place = getelementptr <8 x double>, ptr %k, i64 %at
  call void @imp_rhs(ptr %y, ptr %place)
  call void @imp_word_axpy.v8f64(i64 %n, <8 x double> splat (double 0.125), ptr %k, i64 %at, ptr %y, i64 0)
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}}
define i64 @imp_solve(i64 %first, ptr %y) {{
  %n = call i64 @imp_states()
  call void @step(i64 %n, ptr %y)
  ret i64 %first
}}
"""


def numbers(size: int) -> str:
    """What solver and model know of the model."""
    return "".join(
        NUMBER.replace("NAME", name).replace("VALUE", str(value))
        for name, value in {"states": size, "extra": EXTRA}.items()
    )


def model(size: int, constant: float, *, adds: bool = False) -> str:
    """The derivative of state i is the next state times a constant; the first has `EXTRA` more if it `adds`."""
    lines = []
    for i in range(size):
        lines += [
            f"  %a{i} = getelementptr <8 x double>, ptr %y, i64 {(i + 1) % size}",
            f"  %y{i} = load <8 x double>, ptr %a{i}",
            f"  %f{i} = fmul <8 x double> %y{i}, splat (double {constant!r})",
            f"  %b{i} = getelementptr <8 x double>, ptr %out, i64 {i}",
        ]
    if adds:
        lines += [
            "  %more = call i64 @imp_extra()",
            "  %real = uitofp i64 %more to double",
            "  %one = insertelement <8 x double> poison, double %real, i64 0",
            "  %all = shufflevector <8 x double> %one, <8 x double> poison, <8 x i32> zeroinitializer",
            "  %sum = fadd <8 x double> %f0, %all",
        ]
    lines += [f"  store <8 x double> {'%sum' if adds and i == 0 else f'%f{i}'}, ptr %b{i}" for i in range(size)]
    body = "\n".join(lines)
    declared = "declare i64 @imp_extra()\n" if adds else ""
    return f"{declared}define void @imp_rhs(ptr %y, ptr %out) alwaysinline {{\n{body}\n  ret void\n}}\n"


def solved(size: int, constant: float, *, adds: bool = False, inline_all: bool = True, early: bool = False) -> bytes:
    """What machine code makes of some states; `early` links the model with the solver before either is optimised."""
    solver, late = [numbers(size), SOLVER], [model(size, constant, adds=adds)]
    if early:
        solver, late = [*solver, *late], []
    made = make_object(solver, ["imp_solve"], model=late, inline_all=inline_all, sizes=[size])
    code, y = Loaded(made), aligned(start(size))
    assert code.function("imp_solve", ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(41, y.ctypes.data) == 41
    return y.tobytes()


def start(size: int) -> np.ndarray:
    return np.linspace(0.1, 0.9, 8 * size).reshape(size, 8)


def expected(size: int, constant: float, *, adds: bool = False) -> bytes:
    """The same by NumPy; a multiple by a power of 2 is exact, so that a step rounds once."""
    y = start(size)
    for _ in range(STEPS):
        slope = constant * np.roll(y, -1, axis=0)
        slope[0] += EXTRA if adds else 0.0
        y = y + 0.125 * slope
    return y.tobytes()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    made = tmp_path / "own"
    made.mkdir(mode=0o700)
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(made))
    return made


def counts(folder: Path) -> tuple[int, int]:
    """Solvers for sizes and objects in a cache."""
    return len(list(folder.glob("*.sized"))), len(list(folder.glob("*.o")))


DAMAGES = (lambda b: b[:-3], lambda b: b"", lambda b: b[:40] + b"\xff" + b[41:], lambda b: b + b"0")


def test_models_of_the_same_sizes_share_a_solver_and_others_have_their_own(own: Path) -> None:
    assert solved(3, 0.7) == expected(3, 0.7)
    assert counts(own) == (1, 1)
    # The functions of a model may ask for numbers that the solver does not.
    assert solved(3, 0.3, adds=True) == expected(3, 0.3, adds=True)
    assert counts(own) == (1, 2)
    assert solved(2, 0.7) == expected(2, 0.7)
    assert counts(own) == (2, 3)
    # Where not all is to be one function, the solver is another one.
    assert solved(3, 0.7, inline_all=False) == expected(3, 0.7)
    assert counts(own) == (3, 4)
    whole = {kept: kept.read_bytes() for kept in own.glob("*.sized")}
    for kept in whole:
        for damage in DAMAGES:
            kept.write_bytes(damage(whole[kept]))
            assert cache.read(kept) is None
    # What is damaged is made again.
    assert solved(3, 0.3, inline_all=False) == expected(3, 0.3)
    assert counts(own) == (3, 5)
    assert sum(kept.read_bytes() == content for kept, content in whole.items()) == 1


def test_larger_models_are_made_as_a_whole(own: Path) -> None:
    assert solved(FEW + 1, 0.7) == expected(FEW + 1, 0.7)
    assert counts(own) == (0, 1)


def test_a_model_that_is_linked_before_the_solver_is_written_out_changes_no_bit(own: Path) -> None:
    assert solved(3, 0.7, inline_all=False, early=True) == expected(3, 0.7)
    assert counts(own) == (0, 1)


def test_without_a_place_a_solver_for_sizes_is_made_for_every_model(own: Path) -> None:
    own.chmod(0o777)  # others may write to it
    assert solved(3, 0.7) == expected(3, 0.7)
    assert counts(own) == (0, 0)


def test_no_process_waits_for_itself(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: float) -> None:
        raise AssertionError("waits for a lock that it holds")

    monkeypatch.setattr(cache.time, "sleep", refuse)
    key = "ab" * 20
    assert (
        cache.kept_object(key, lambda: cache.kept_sized(key, lambda: b"solver") + b" and model") == b"solver and model"
    )


def test_numbers_of_a_small_model_are_known_before_its_functions_are_linked() -> None:
    seen: list[str] = []
    module = joined([numbers(3), SOLVER], ["imp_solve"], llvm.create_context())
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3)
    write_out(module, machine, add_words=lambda: seen.append(str(module)), is_one=True)
    assert "call void @imp_word_fill.v8f64(i64 21," in seen[0]
    assert seen[0].count("call void @imp_word_axpy.v8f64(i64 3,") == STEPS
    assert "alloca [21 x <8 x double>]" in seen[0]


def test_frames_of_entries_begin_where_lines_of_the_cache_do() -> None:
    context = llvm.create_context()
    module = joined([numbers(3), SOLVER], ["imp_solve"], context)
    align_frames(module, ["imp_solve"], context)
    entry = module.get_function("imp_solve")
    assert any(b"alignstack" in words for words in entry.attributes)
    assert module.get_function("imp_solve.body").linkage == llvm.Linkage.internal


MODELS = """
ode One(k[2]) -> [2] {
  state a = 1, b = 0
  da/dt = -k[0]*a + k[1]*a*b
  db/dt = k[0]*a - k[1]*b
  from t = 0 to 2
  return [a, b]
}
ode Other(k[2]) -> [2] {
  state a = 1, b = 0.5
  da/dt = b - k[0]*a/(1 + a^2)
  db/dt = -k[1]*a
  from t = 0 to 2
  return [a + b, b]
}
"""


class Asked(Exception):
    """A solver for sizes is asked for: there is no need to make it."""


@pytest.mark.parametrize("solver", ["rk4(dt = 0.1)", "dopri5", "dop853", "kvaerno5", "rodas5p", "bdf"])
def test_an_edit_of_formulas_asks_for_the_solvers_that_are_there(monkeypatch: pytest.MonkeyPatch, solver: str) -> None:
    asked: list[str] = []

    def ask(key: str, make: Callable[[], bytes]) -> bytes:
        asked.append(key)
        raise Asked

    monkeypatch.setenv(LINK, "whole")
    monkeypatch.setattr(link, "kept_sized", ask)
    monkeypatch.setattr(link, "kept_object", lambda key, make: make())
    for name in ("One", "Other"):
        layer = getattr(implicitdsl.loads(MODELS), name)(solver=solver, backend="lanes", dtype=torch.float64)
        engine = layer.blueprint.engine(0, torch.float64, {})
        for part, shared in engine.entries(every=False):
            if part in ("solve", "pull"):
                with pytest.raises(Asked):
                    engine.code.object(part, shared)
    assert asked[:2] == asked[2:]
    assert len(set(asked)) == 2


def test_an_edit_of_formulas_compiles_no_solver_and_keeps_the_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stiff method of several steps; `artifacts/test_packages.py` has the bits of an explicit and a stiff one that
    are finished from solvers for sizes."""

    def found(name: str) -> torch.Tensor:
        layer = getattr(implicitdsl.loads(MODELS), name)(solver="bdf", backend="lanes", dtype=torch.float64)
        return layer(torch.linspace(0.5, 1.5, 22, dtype=torch.float64).reshape(11, 2))

    monkeypatch.setenv(LINK, "apart")
    apart = found("Other")
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    share_solvers(cache.cache_folder(), own, (".bc",))
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(own))
    monkeypatch.setenv(LINK, "whole")
    found("One")
    assert counts(own) == (1, 1)
    assert torch.equal(found("Other"), apart)
    assert counts(own) == (1, 2)
