"""A solver for the sizes of a small model is made once, and every model of these sizes is finished from it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.backends.lanes import cache
from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.sized import FEW
from implicitdsl.backends.lanes.word_functions import LARGEST
from tests.artifacts.conftest import share_solvers
from tests.lanes.probes import aligned

STEPS = 7
NUMBER = "define i64 @imp_NAME() alwaysinline {\n  ret i64 VALUE\n}\n"
SOLVER = f"""
declare i64 @imp_states()
declare void @imp_rhs(ptr, ptr)
declare void @imp_word_axpy.v8f64(i64, <8 x double>, ptr, i64, ptr, i64)
define internal void @step(i64 %n, ptr %y) {{
entry:
  %k = alloca <8 x double>, i64 %n
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %stage ]
  %more = icmp slt i64 %i, {STEPS}
  br i1 %more, label %stage, label %done
stage:
  call void @imp_rhs(ptr %y, ptr %k)
  call void @imp_word_axpy.v8f64(i64 %n, <8 x double> splat (double 0.125), ptr %k, i64 0, ptr %y, i64 0)
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


def model(size: int, constant: float, asks: str = "") -> str:
    """The derivative of state i is the next state times a constant; `asks` names a number that is added to it."""
    lines = []
    for i in range(size):
        lines += [
            f"  %a{i} = getelementptr <8 x double>, ptr %y, i64 {(i + 1) % size}",
            f"  %y{i} = load <8 x double>, ptr %a{i}",
            f"  %f{i} = fmul <8 x double> %y{i}, splat (double {constant!r})",
            f"  %b{i} = getelementptr <8 x double>, ptr %out, i64 {i}",
        ]
    if asks:
        lines += [
            f"  %more = call i64 @imp_{asks}()",
            "  %real = uitofp i64 %more to double",
            "  %one = insertelement <8 x double> poison, double %real, i64 0",
            "  %all = shufflevector <8 x double> %one, <8 x double> poison, <8 x i32> zeroinitializer",
            "  %sum = fadd <8 x double> %f0, %all",
        ]
    lines += [f"  store <8 x double> {'%sum' if asks and i == 0 else f'%f{i}'}, ptr %b{i}" for i in range(size)]
    declared = f"declare i64 @imp_{asks}()\n" if asks else ""
    body = "\n".join(lines)
    return f"{declared}define void @imp_rhs(ptr %y, ptr %out) alwaysinline {{\n{body}\n  ret void\n}}\n"


def solved(size: int, constant: float, asks: str = "", *, inline_all: bool = True) -> np.ndarray:
    """What machine code makes of some states."""
    numbers = NUMBER.replace("NAME", "states").replace("VALUE", str(size))
    numbers += NUMBER.replace("NAME", asks).replace("VALUE", "5") if asks else ""
    made = make_object(
        [numbers, SOLVER], ["imp_solve"], model=[model(size, constant, asks)], inline_all=inline_all, sizes=[size]
    )
    code, y = Loaded(made), aligned(start(size))
    assert code.function("imp_solve", ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(41, y.ctypes.data) == 41
    return y.copy()


def start(size: int) -> np.ndarray:
    return np.linspace(0.1, 0.9, 8 * size).reshape(size, 8)


def expected(size: int, constant: float, more: float = 0.0) -> np.ndarray:
    """The same by NumPy; a multiple by a power of 2 is exact, so that a step rounds once."""
    y = start(size)
    for _ in range(STEPS):
        slope = constant * np.roll(y, -1, axis=0)
        slope[0] = slope[0] + more if more else slope[0]
        y = y + 0.125 * slope
    return y


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


@pytest.mark.parametrize("inline_all", [False, True])
def test_models_of_the_same_sizes_share_a_solver_and_others_have_their_own(own: Path, inline_all: bool) -> None:
    assert solved(3, 0.7, inline_all=inline_all).tobytes() == expected(3, 0.7).tobytes()
    assert counts(own) == (1, 1)
    assert solved(3, 0.3, inline_all=inline_all).tobytes() == expected(3, 0.3).tobytes()
    assert counts(own) == (1, 2)
    assert solved(2, 0.7, inline_all=inline_all).tobytes() == expected(2, 0.7).tobytes()
    assert counts(own) == (2, 3)


@pytest.mark.parametrize(("most", "inline_all"), [(FEW, False), (LARGEST, True)])
def test_larger_models_are_made_as_a_whole(own: Path, most: int, inline_all: bool) -> None:
    for size in (most, most + 1):
        assert solved(size, 0.7, inline_all=inline_all).tobytes() == expected(size, 0.7).tobytes()
    assert counts(own) == (1, 2)


def test_functions_of_a_model_may_ask_for_numbers_that_the_solver_does_not(own: Path) -> None:
    assert solved(3, 0.7, "size_q").tobytes() == expected(3, 0.7, 5.0).tobytes()


DAMAGES = (lambda b: b[:-3], lambda b: b"", lambda b: b[:40] + b"\xff" + b[41:], lambda b: b + b"0")


def test_a_damaged_solver_for_sizes_is_made_again(own: Path) -> None:
    solved(3, 0.7)
    (kept,) = own.glob("*.sized")
    whole = kept.read_bytes()
    for damage, constant in zip(DAMAGES, (0.1, 0.2, 0.3, 0.4), strict=True):
        kept.write_bytes(damage(whole))
        assert solved(3, constant).tobytes() == expected(3, constant).tobytes()
        assert kept.read_bytes() == whole


def test_without_a_place_a_solver_for_sizes_is_made_for_every_model(own: Path) -> None:
    own.chmod(0o777)  # others may write to it
    assert solved(3, 0.7).tobytes() == expected(3, 0.7).tobytes()
    assert counts(own) == (0, 0)


def test_no_process_waits_for_itself(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: float) -> None:
        raise AssertionError("waits for a lock that it holds")

    monkeypatch.setattr(cache.time, "sleep", refuse)
    key = "ab" * 20
    assert (
        cache.kept_object(key, lambda: cache.kept_sized(key, lambda: b"solver") + b" and model") == b"solver and model"
    )


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
  da/dt = b - sin(k[0]*a)
  db/dt = -k[1]*a
  from t = 0 to 2
  return [a + b, b]
}
"""


@pytest.mark.parametrize(("solver", "parts"), [("dopri5", 1), ("rodas5p", 2), ("bdf", 1)])
def test_an_edit_of_formulas_compiles_no_solver_and_keeps_the_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: str, parts: int
) -> None:
    k = torch.linspace(0.5, 1.5, 22, dtype=torch.float64).reshape(11, 2).requires_grad_()

    def found(name: str) -> list[bytes]:
        layer = getattr(implicitdsl.loads(MODELS), name)(solver=solver, backend="lanes", dtype=torch.float64)
        y = layer(k)
        found = (y, *torch.autograd.grad((y * y).sum(), k)) if parts == 2 else (y,)
        return [x.detach().numpy().tobytes() for x in found]

    monkeypatch.setenv(LINK, "apart")
    apart = found("Other")
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    share_solvers(cache.cache_folder(), own, (".bc",))
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(own))
    monkeypatch.setenv(LINK, "whole")
    found("One")
    assert counts(own) == (parts, parts)
    assert found("Other") == apart
    assert counts(own) == (parts, 2 * parts)
