"""Values that machine code is loaded with: one object serves every tolerance, and none can be forgotten."""

from __future__ import annotations

import ctypes
import threading

import pytest
import torch

import implicitdsl
from implicitdsl.backends.lanes.data import Data, data_text
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.model_constants import constants_text

READS = """
declare double @imp_rtol()
declare i64 @imp_max_steps()
declare ptr @imp_control()
define double @read(i64 %i) {
  %r = call double @imp_rtol()
  %n = call i64 @imp_max_steps()
  %t = call ptr @imp_control()
  %p = getelementptr double, ptr %t, i64 %i
  %c = load double, ptr %p
  %f = sitofp i64 %n to double
  %s = fadd double %r, %c
  %u = fadd double %s, %f
  ret double %u
}
declare double @imp_dt()
define double @step() {
  %v = call double @imp_dt()
  ret double %v
}
"""
GIVEN: Data = {"rtol": 0.5, "max_steps": 3, "control": (1.0, 20.0), "dt": 0.1, "atol": 7.0}


def readers() -> bytes:
    return make_object([READS, data_text({k: v for k, v in GIVEN.items() if k != "atol"}, "double")], ["read", "step"])


def test_code_reads_what_it_was_loaded_with_and_two_loads_do_not_meet() -> None:
    code = readers()
    first = Loaded(code, GIVEN)
    second = Loaded(code, {**GIVEN, "rtol": 0.25, "max_steps": 1000})
    read = [loaded.function("read", ctypes.c_double, ctypes.c_int64) for loaded in (first, second)]
    assert [f(1) for f in read] == [23.5, 1020.25]
    assert [f(0) for f in reversed(read)] == [1001.25, 4.5]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {name: value for name, value in GIVEN.items() if name != "control"},
        {**GIVEN, "control": (1.0,)},
        {**GIVEN, "max_steps": 3.0},
        {**GIVEN, "rtol": 1},
    ],
)
def test_what_is_not_given_or_of_another_kind_is_told(given: Data) -> None:
    with pytest.raises(RuntimeError, match="machine code reads"):
        Loaded(readers(), given)


def test_a_step_that_code_takes_for_positive_is() -> None:
    code = readers()
    assert Loaded(code, GIVEN).function("step", ctypes.c_double)() == 0.1
    with pytest.raises(RuntimeError, match="positive"):
        Loaded(code, {**GIVEN, "dt": 0.0})


def test_constants_that_nobody_reads_tell_no_objects_apart() -> None:
    modules = ["declare i64 @imp_states()\n", b"\0imp_rtol\0"]
    made = constants_text(
        "float64", read_by=modules, numbers={"states": 2, "save_times": 7}, reals={"rtol": 1.0}, data={"rtol": 1e-3}
    )
    assert "imp_states" in made and "save_times" not in made
    assert "imp_datum_rtol" in made and "0.001" not in made


TEXTS = {
    "ode": """
ode Ode(y0[2], ts[T]) -> [T, 2] {
  param rate = 2
  state x = y0[0], y = y0[1]
  dx/dt = x - rate*x*y
  dy/dt = x*y - y
  return [x, y] at ts
}""",
    "root": """
root Root(a) -> z {
  var z = 1
  z^3 + z = a
  return z
}""",
    "argmin": """
argmin Argmin(a) -> z {
  var z = 1
  minimize (z - a)^4 + z^2
  return z
}""",
}
CASES = [
    ("ode", {"solver": "tsit5"}, {"rtol": 1e-4}, {"rtol": 1e-9, "atol": 1e-12, "max_steps": 5000}),
    ("ode", {"solver": "rk4"}, {"dt": 0.1}, {"dt": 0.01}),
    ("ode", {"solver": "bdf", "adjoint": "discrete"}, {"rtol": 1e-4}, {"rtol": 1e-7}),
    ("ode", {"adjoint": "gauss"}, {"rtol": 1e-4}, {"rtol": 1e-8}),
    ("root", {}, {"rtol": 1e-6}, {"rtol": 1e-13, "max_steps": 90}),
    ("argmin", {}, {"rtol": 1e-6}, {"rtol": 1e-12}),
]


def call(layer: torch.nn.Module, kind: str) -> list[torch.Tensor]:
    like = {"dtype": torch.float64}
    x = torch.tensor([[1.0, 0.5], [0.7, 1.2], [2.0, 0.3]] if kind == "ode" else [2.0, 10.0, 3.0], **like)
    x = x.requires_grad_()
    found = layer(x, torch.linspace(0, 3, 4, **like)) if kind == "ode" else layer(x)
    return [found.detach(), torch.autograd.grad(found.square().sum(), x)[0]]


@pytest.mark.parametrize(("kind", "common", "loose", "tight"), CASES)
def test_two_tolerances_are_one_object_and_both_are_right(
    kind: str, common: dict, loose: dict, tight: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = implicitdsl.loads(TEXTS[kind])
    made = objects(monkeypatch)
    layers, found = [], []
    for options in (loose, tight):
        layer = getattr(models, kind.capitalize())(backend="lanes", dtype=torch.float64, **common, **options)
        made.append({})
        layers.append(layer)
        found.append(call(layer, kind))
    assert made[0] == made[1]
    assert made[0]
    # Both are alive: the second has not changed the first.
    for layer, before in zip(layers, found, strict=True):
        for a, b in zip(call(layer, kind), before, strict=True):
            assert torch.equal(a, b)
    # Each does what the back end `python` does, which reads its settings from elsewhere.
    for options, (value, gradient) in zip((loose, tight), found, strict=True):
        oracle = getattr(models, kind.capitalize())(backend="python", dtype=torch.float64, **common, **options)
        near = {"rtol": 1e-9, "atol": 1e-10}
        for a, b in zip(call(oracle, kind), (value, gradient), strict=True):
            torch.testing.assert_close(a, b, **near)
    assert kind != "ode" or not torch.equal(found[0][0], found[1][0])


def objects(monkeypatch: pytest.MonkeyPatch) -> list[dict[tuple[str, tuple[int, ...]], bytes]]:
    """Object files that are loaded, in the last of the dictionaries that are put into the list."""
    made: list[dict[tuple[str, tuple[int, ...]], bytes]] = []
    usual = MachineCode.object

    def noting(self: MachineCode, part: str, shared: tuple[int, ...]) -> bytes:
        found = made[-1][part, shared] = usual(self, part, shared)
        return found

    monkeypatch.setattr(MachineCode, "object", noting)
    return made


@pytest.mark.parametrize("own_times", [False, True])
def test_series_of_any_length_are_one_object(own_times: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values, gradients by starts and times, and second derivatives are those of the back end `python`."""
    models, made = implicitdsl.loads(TEXTS["ode"]), objects(monkeypatch)
    options = {"dtype": torch.float64, "solver": "tsit5", "rtol": 1e-4}
    lanes = models.Ode(backend="lanes", **options)
    python = models.Ode(backend="python", **options)

    def run(layer: torch.nn.Module, length: int) -> list[torch.Tensor]:
        x = torch.tensor([[1.0, 0.5], [0.7, 1.2], [2.0, 0.3]], dtype=torch.float64).requires_grad_()
        times = torch.linspace(0, 3, length, dtype=torch.float64)
        times = (times.repeat(3, 1) if own_times else times).requires_grad_()
        found = layer(x, times)
        first = torch.autograd.grad(found.square().sum(), [x, times], create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), [x, times])
        return [found.detach(), *(g.detach() for g in first), *second]

    for length in (4, 2, 9, 4):
        made.append({})
        for a, b in zip(run(lanes, length), run(python, length), strict=True):
            # Lengths of steps agree to 1e-6 or so, and with them what is within a tolerance of 1e-4.
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
    assert {part for part, _ in made[0]} == {"solve", "pull", "second"}
    assert made[0] == made[1] == made[2]


def test_threads_with_tolerances_of_their_own_do_not_meet() -> None:
    models = implicitdsl.loads(TEXTS["ode"])
    wanted, found = {}, {}
    for rtol in (1e-3, 1e-5, 1e-7):
        wanted[rtol] = call(models.Ode(backend="lanes", dtype=torch.float64, solver="tsit5", rtol=rtol), "ode")

    def work(rtol: float) -> None:
        layer = models.Ode(backend="lanes", dtype=torch.float64, solver="tsit5", rtol=rtol)
        found[rtol] = [call(layer, "ode") for _ in range(20)][-1]

    crew = [threading.Thread(target=work, args=(rtol,)) for rtol in wanted]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    for rtol, values in wanted.items():
        for a, b in zip(values, found[rtol], strict=True):
            assert torch.equal(a, b)
