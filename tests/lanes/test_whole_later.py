"""A small model begins with a solver that calls its functions, and takes code in one piece when it has run for long."""

from __future__ import annotations

import ctypes
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import Tensor

import implicitdsl
from implicitdsl import compiler
from implicitdsl.backends import aside
from implicitdsl.backends.lanes import cache, machine_code
from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.backends.lanes.link import aiming_at, make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.machine_code import PATIENCE, WHOLE, MachineCode
from implicitdsl.backends.lanes.ode_linking import Form, form_of
from implicitdsl.backends.lanes.ode_methods import ode_method
from implicitdsl.backends.lanes.ode_solver import Part
from implicitdsl.layers.module import Layer

TEXT = """
ode Chain(x0[5], k[5]) -> [5] {
  state x[5] = x0
  dx/dt = [-k[0]*x[0], k[0]*x[0] - k[1]*x[1], k[1]*x[1] - k[2]*x[2], k[2]*x[2] - k[3]*x[3], k[3]*x[3] - k[4]*x[4]]
  from t = 0 to 0.5
  solver rodas5p(rtol = 1e-9, atol = 1e-11)
  return x
}
"""
BATCH = 11
"""Samples: no whole number of vectors."""
IS_KEPT = cache.is_kept
TWICE = os.environ.get(LINK) == "whole"
"""Whether second derivatives are compared too: their kernels are made by no other test, and only so many are meant."""


def answer(value: int) -> bytes:
    """The object file of a function that gives a number."""
    return make_object([f"define i64 @imp_solve() {{\n  ret i64 {value}\n}}\n"], ["imp_solve"])


def two_forms(asked: list[str]) -> MachineCode:
    """Code whose second form gives 2; the names that are asked for are noted."""

    def make(part: str, shared: tuple[int, ...]) -> bytes:
        asked.append(part)
        return answer(2 if part.startswith(WHOLE) else 1)

    return MachineCode({"solve": "", f"{WHOLE}solve": ""}, make)


def test_the_second_form_takes_the_place_of_the_first_when_the_part_has_run_for_long() -> None:
    asked: list[str] = []
    code = two_forms(asked)
    first = code.entry("solve", ())
    code.spend("solve", 0.9 * PATIENCE)
    assert (first(), code.entry("solve", ())()) == (1, 1)
    code.spend("solve", 0.2 * PATIENCE)
    assert code.entry("solve", ()) is first
    aside.wait()
    assert (first(), code.entry("solve", ())()) == (1, 2)
    assert asked == ["solve", f"{WHOLE}solve"]
    assert code.parts == ("solve",)


def test_no_call_waits_for_the_second_form() -> None:
    begun, may_end = Event(), Event()

    def make(part: str, shared: tuple[int, ...]) -> bytes:
        if part.startswith(WHOLE):
            begun.set()
            assert may_end.wait(60)
        return answer(2 if part.startswith(WHOLE) else 1)

    code = MachineCode({"solve": "", f"{WHOLE}solve": "", "pull": ""}, make)
    code.entry("solve", ())
    code.spend("solve", 2 * PATIENCE)
    code.entry("solve", ())
    assert begun.wait(60)
    assert (code.entry("solve", ())(), code.entry("solve", (1,))()) == (1, 1)
    may_end.set()
    aside.wait()
    assert (code.entry("solve", ())(), code.entry("solve", (1,))()) == (2, 2)


def test_a_second_form_that_cannot_be_made_leaves_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, told = list[str](), list[str]()

    def make(part: str, shared: tuple[int, ...]) -> bytes:
        asked.append(part)
        if part.startswith(WHOLE):
            raise RuntimeError("LLVM says no")
        return answer(1)

    monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(str(failure.exc_value)))
    code = MachineCode({"solve": "", f"{WHOLE}solve": ""}, make)
    for _ in range(3):
        assert code.entry("solve", ())() == 1
        code.spend("solve", 2 * PATIENCE)
        aside.wait()
    assert (asked, told) == (["solve", f"{WHOLE}solve"], ["LLVM says no"])


def test_a_part_without_a_second_form_stays_as_it_is() -> None:
    code = MachineCode({"solve": ""}, lambda part, shared: answer(1))
    code.spend("solve", 10 * PATIENCE)
    assert code.entry("solve", ())() == 1
    assert code.made == (("solve", ()),)


def test_what_is_loaded_ahead_is_the_form_that_pays() -> None:
    asked: list[str] = []
    code = two_forms(asked)
    code.spend("solve", np.inf)
    assert isinstance(code.load("solve", ()), Loaded)
    assert code.load("solve", ()).function("imp_solve", ctypes.c_int64)() == 2
    assert asked == [f"{WHOLE}solve"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The parts that layers have asked for."""
    found: set[str] = set()
    usual = MachineCode.object

    def noting(code: MachineCode, part: str, shared: tuple[int, ...]) -> bytes:
        found.add(part)
        return usual(code, part, shared)

    monkeypatch.setattr(MachineCode, "object", noting)
    return found


def layer_of(monkeypatch: pytest.MonkeyPatch, patience: float) -> Layer:
    """A layer that takes its second form after so many seconds of running, whatever is on disk."""
    monkeypatch.setenv(LINK, "whole")
    monkeypatch.setattr(machine_code, "PATIENCE", patience)
    monkeypatch.setattr(cache, "is_kept", lambda name: False)
    return implicitdsl.loads(TEXT).Chain(dtype=torch.float64)


def arguments() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x0 = torch.rand(BATCH, 5, dtype=torch.float64, generator=generator) + 0.5
    k = torch.tensor([1.0, 1000.0, 3.0, 200.0, 0.5], dtype=torch.float64)
    return x0, k * (1 + torch.rand(BATCH, 5, dtype=torch.float64, generator=generator))


def run(layer: Layer, *, twice: bool = False) -> list[bytes]:
    """The states, the gradients of a sum of their squares, and if `twice` those of the squares of these."""
    args = [a.requires_grad_() for a in arguments()]
    found = layer(*args)
    found = [found, *torch.autograd.grad(found.square().sum(), args, create_graph=twice)]
    if twice:
        found += torch.autograd.grad(sum((g.square().sum() for g in found[1:]), torch.zeros(())), args)
    return [t.detach().numpy().tobytes() for t in found]


def test_both_forms_of_a_stiff_model_have_the_same_bits(monkeypatch: pytest.MonkeyPatch, asked: set[str]) -> None:
    parts = {"solve", "pull", "second"} if TWICE else {"solve", "pull"}
    calls = run(layer_of(monkeypatch, np.inf), twice=TWICE)
    assert asked == parts
    layer = layer_of(monkeypatch, 0.0)
    for _ in range(3):
        assert run(layer, twice=TWICE) == calls
        aside.wait()
    assert asked == {f"{form}{part}" for form in ("", WHOLE) for part in parts}
    x0, k = (a.numpy() for a in arguments())
    exact = [expm(0.5 * (np.diag(-rates) + np.diag(rates[:-1], -1))) @ x for x, rates in zip(x0, k, strict=True)]
    found = np.frombuffer(calls[0]).reshape(BATCH, 5)
    np.testing.assert_allclose(found, np.stack(exact), rtol=1e-6, atol=1e-9)
    # As in a further process, all of it is on disk.
    asked.clear()
    monkeypatch.setattr(cache, "is_kept", IS_KEPT)
    assert run(implicitdsl.loads(TEXT).Chain(dtype=torch.float64)) == calls[:3]
    assert asked == {f"{WHOLE}solve", f"{WHOLE}pull"}


def test_a_second_form_that_lies_on_disk_is_taken_at_once() -> None:
    asked: list[str] = []
    kept = {(f"in {WHOLE}solve", (1,))}

    def make(part: str, shared: tuple[int, ...]) -> bytes:
        asked.append(part)
        return answer(1)

    outer = MachineCode({}, make, at_hand=lambda part, shared: (part, shared) in kept)
    code = outer.only("in ", {"solve": "", f"{WHOLE}solve": ""}, {})
    for shared in ((), (1,)):
        assert code.entry("solve", shared) is code.entry("solve", shared)
    assert asked == ["in solve", f"in {WHOLE}solve"]
    # What is loaded stays until its time has come.
    kept.add((f"in {WHOLE}solve", ()))
    assert code.load("solve", ()) is code.load("solve", ())
    assert len(asked) == 2
    code.spend("solve", 2 * PATIENCE)
    assert code.entry("solve", ()) is code.entry("solve", ())
    assert asked[2:] == [f"in {WHOLE}solve"]


def test_threads_may_call_while_the_form_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(monkeypatch, 0.0)
    with ThreadPoolExecutor(4) as pool:
        found = [done.result() for done in [pool.submit(run, layer) for _ in range(8)]]
    assert found == [run(layer)] * 8


def test_the_report_says_which_parts_have_two_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(monkeypatch, np.inf)
    told = compiler.stages(layer.blueprint)["bind"]
    assert "solve, pull, second, thin call the functions of the model, and are compiled with them in one piece" in told
    assert WHOLE not in told
    monkeypatch.setenv(LINK, "apart")
    apart = implicitdsl.loads(TEXT).Chain(dtype=torch.float64)
    assert "one piece" not in compiler.stages(apart.blueprint)["bind"]


@pytest.mark.parametrize(
    ("solver", "states", "nodes", "events", "calls", "again"),
    [
        ("rodas5p", 16, 30, False, True, True),
        ("rodas5p", 17, 30, False, True, False),  # calls are nothing beside its steps
        ("rodas5p", 4, 30, False, False, False),
        ("kvaerno5", 3, 8, False, False, False),
        ("kvaerno5", 4, 8, False, True, True),  # written out, the solver alone takes long
        ("bdf", 4, 8, False, True, True),
        ("bdf", 3, 30, True, True, True),
        ("tsit5", 4, 20, False, False, False),
        ("tsit5", 4, 100, False, True, True),  # a long model, at each of six stages
        ("tsit5", 5, 20, False, True, True),
        ("tsit5", 16, 8, False, True, True),
        ("tsit5", 17, 60, False, True, False),
    ],
)
def test_which_models_have_two_forms(
    monkeypatch: pytest.MonkeyPatch, solver: str, states: int, nodes: int, events: bool, calls: bool, again: bool
) -> None:
    def form(part: Part = "solve", *, is_dear: bool = False, is_whole: bool = False) -> Form:
        method = ode_method(solver, events=events)
        return form_of(part, method, states=states, nodes=nodes, length=nodes, is_dear=is_dear, is_whole=is_whole)

    monkeypatch.setenv(LINK, "whole")
    assert (form().calls, form().has_whole) == (calls, again)
    assert not form(is_whole=True).calls and not form(is_whole=True).has_whole
    assert form("second").calls and form("second").has_whole == (states <= 16)
    with aiming_at("x86-64-v3"):
        assert not form().calls and not form().has_whole
    monkeypatch.setenv(LINK, "apart")
    assert not form().has_whole


def test_beside_a_dear_function_an_explicit_method_has_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LINK, "whole")
    form = form_of("solve", ode_method("tsit5"), states=16, nodes=60, length=60, is_dear=True, is_whole=False)
    assert not form.calls and form.is_one


@pytest.mark.parametrize(
    ("solver", "part", "short", "long"),
    [
        ("tsit5", "solve", 190, 220),
        ("tsit5", "pull", 400, 430),
        ("dop853", "pull", 140, 170),
        ("rodas5p", "solve", 105, 115),
        ("kvaerno5", "solve", 70, 76),
    ],
)
def test_long_formulas_of_few_states_stay_beside_the_solver(
    monkeypatch: pytest.MonkeyPatch, solver: str, part: Part, short: int, long: int
) -> None:
    monkeypatch.setenv(LINK, "whole")

    def form(length: int, *, events: bool = False, is_whole: bool = False) -> Form:
        method = ode_method(solver, events=events)
        return form_of(part, method, states=3, nodes=20, length=length, is_dear=False, is_whole=is_whole)

    assert not form(short).calls
    assert form(long).calls and form(long).has_whole
    assert not form(long, is_whole=True).calls
    assert form(long, events=True).calls == form(short, events=True).calls
