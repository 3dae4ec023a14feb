"""Solver and model compiled apart compute the bits of the two in one piece; packages are always in one piece."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import pytest
import torch
from torch import Tensor

import implicitdsl
from implicitdsl.backends.lanes import apart
from implicitdsl.backends.lanes.apart import LINK, linking
from implicitdsl.backends.lanes.link import aiming_at
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.pieces import joined, pieces

GOLDEN = Path(__file__).parents[1] / "golden" / "good"
TEXT = """
ode Net[n = 3](x0[n], t1) -> [n] {
  param W[n, n] = 0.2, b[n] = 0.1
  state x[n] = x0
  from t = 0 to t1
  dx/dt = tanh(W @ x + b) - 0.3*x
  return x
}
ode Dear[n = 24](x0[n], t1) -> [n] {
  param W[n, n] = 0.02, b[n] = 0.1
  state x[n] = x0
  from t = 0 to t1
  dx/dt = tanh(W @ x + b) - 0.3*x
  return x
}
"""
FILES = ("delay", "dae_events", "deq")
TIMES = torch.linspace(0.0, 2.0, 5, dtype=torch.float64)
BATCH = 11
"""Samples: no whole number of vectors."""


def draw(*shape: int, low: float = 0.5, high: float = 1.5) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.rand(BATCH, *shape, dtype=torch.float64, generator=generator) * (high - low) + low


ARGUMENTS: dict[str, list[Any]] = {
    "Net": [draw(3), draw()], "Dear": [draw(24), draw()], "Mackey": [draw(), draw(low=0.3), TIMES],
    "Rectifier": [draw(2), draw(), draw(low=0.01, high=0.02)], "DEQ": [draw(4)],
}  # fmt: skip
SIZES: dict[str, dict[str, int]] = {"DEQ": {"n": 3, "m": 4}}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Net", {"solver": "tsit5", "adjoint": "gauss"}),
    ("Dear", {"solver": "tsit5"}),
    ("Mackey", {}),
    ("Rectifier", {}),
    ("DEQ", {"solver": "picard", "dtype": torch.float32}),
]
"""One of each family of solvers, in one dtype or the other; `artifacts/test_packages.py` compares with those in one
piece what goes through time by two methods in turn, by a thinned tape, by a method of several steps with a sparse
matrix, with events of an explicit method and by shooting, nets, and roots, minima and programs of float64."""
ONCE = ("Net", "Dear", "DEQ", "Rectifier")
"""Compared without second derivatives: `gauss` has none, and packages are compared with those of roots, of implicit
methods and of events."""


def results(name: str, options: dict[str, Any]) -> list[Tensor]:
    """Outputs, gradients, and the gradients of these."""
    text = "\n".join([TEXT, *((GOLDEN / f"{file}.imp").read_text() for file in FILES)])
    given = {"dtype": torch.float64, "backend": "lanes", **SIZES.get(name, {}), **options}
    torch.manual_seed(0)
    layer = getattr(implicitdsl.loads(text), name)(**given)
    args = [a.to(given["dtype"]).requires_grad_() for a in (x.detach().clone() for x in ARGUMENTS[name])]
    wanted = [*args, *layer.parameters()]
    found = layer(*args)
    outputs = list(found) if isinstance(found, tuple) else [found]
    twice = name not in ONCE
    loss = torch.stack([o.sin().sum() for o in outputs]).sum()
    first = torch.autograd.grad(loss, wanted, create_graph=twice, allow_unused=True)
    every = [*outputs, *first]
    if twice:
        again = torch.stack([g.square().sum() for g in first if g is not None]).sum()
        every += torch.autograd.grad(again, wanted, allow_unused=True)
    return [e.detach() for e in every if e is not None]


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_the_bits_do_not_depend_on_what_lies_apart(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    usual = MachineCode.object

    def code(found: MachineCode, part: str, shared: tuple[int, ...]) -> bytes:
        made = usual(found, part, shared)
        counts.append(len(pieces(made)))
        return made

    monkeypatch.setattr(MachineCode, "object", code)
    found: dict[str, list[Tensor]] = {}
    for word in ("whole", "apart"):
        monkeypatch.setenv(LINK, word)
        counts.clear()
        found[word] = results(name, options)
        # Few states and no loops within a step: the functions of the model become part of the solver.
        is_one = word == "whole" and name == "Net"
        assert counts and (set(counts) == {1} if is_one else max(counts) > 1)
    assert any(bool(t.any()) for t in found["whole"])
    for a, b in zip(found["whole"], found["apart"], strict=True):
        torch.testing.assert_close(a, b, rtol=0.0, atol=0.0, equal_nan=True)


def test_a_package_is_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LINK, "apart")
    assert linking() == "apart"
    with aiming_at("x86-64-v3"):
        assert linking() == "whole"


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LINK, "both")
    with pytest.raises(ValueError, match="IMPLICITDSL_LINK is `whole` or `apart`, not `both`"):
        linking()


def test_no_word_is_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LINK, "")
    assert linking() == "whole"
    monkeypatch.delenv(LINK)
    assert linking() == "whole"


def test_pieces_come_apart_as_they_were_joined() -> None:
    for objects in ([b"one"], [b"", b"two\0", b"x" * 300], [b"imp pieces\n", b"a"]):
        assert pieces(joined(objects)) == objects
    assert pieces(b"\x7fELF") == [b"\x7fELF"]


SOLVER = """
declare i64 @imp_number()
declare void @imp_never(ptr)
define i64 @imp_entry(ptr %x) {
  %n = call i64 @imp_number()
  %odd = icmp eq i64 %n, 7
  br i1 %odd, label %call, label %end
call:
  call void @imp_never(ptr %x)
  br label %end
end:
  %twice = shl i64 %n, 1
  ret i64 %twice
}
"""


DEAR = """
define i64 @imp_number() noinline {
  ret i64 21
}
"""


def test_a_dear_function_is_an_object_of_its_own_beside_a_solver_that_knows_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(LINK, "whole")
    solver = llvm.parse_assembly(SOLVER, llvm.create_context()).as_bitcode()
    never = "define void @imp_never(ptr %x) alwaysinline {\n  ret void\n}\n"
    codes = {n: apart.link_model([solver], ["imp_entry"], model=[never, DEAR.replace("21", n)]) for n in ("21", "30")}
    with aiming_at("native"):
        codes["package"] = apart.link_model([solver], ["imp_entry"], model=[never, DEAR])
    found = {n: Loaded(code).function("imp_entry", ctypes.c_int64, ctypes.c_void_p)(None) for n, code in codes.items()}
    assert found == {"21": 42, "30": 60, "package": 42}
    (one, first), (other, second) = (pieces(codes[n]) for n in ("21", "30"))
    assert one == other and first != second
    assert len(pieces(codes["package"])) == 1


def test_what_a_model_does_not_have_is_only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LINK, "apart")
    solver = llvm.parse_assembly(SOLVER, llvm.create_context()).as_bitcode()
    code = apart.link_model([solver, "define i64 @imp_number() {\n  ret i64 21\n}\n"], ["imp_entry"])
    assert len(pieces(code)) == 2
    assert Loaded(code).function("imp_entry", ctypes.c_int64, ctypes.c_void_p)(None) == 42


def test_a_solver_may_ask_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LINK, "apart")
    text = "define i64 @imp_entry(i64 %x) {\n  ret i64 %x\n}\n"
    solver = llvm.parse_assembly(text, llvm.create_context()).as_bitcode()
    code = apart.link_model([solver, "define i64 @imp_number() {\n  ret i64 21\n}\n"], ["imp_entry"])
    assert Loaded(code).function("imp_entry", ctypes.c_int64, ctypes.c_int64)(7) == 7


def test_a_model_without_a_solver_is_one_piece_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("whole", "apart"):
        monkeypatch.setenv(LINK, word)
        code = apart.link_model(["define i64 @imp_number() {\n  ret i64 21\n}\n"], ["imp_number"])
        assert len(pieces(code)) == 1
        assert Loaded(code).function("imp_number", ctypes.c_int64)() == 21
