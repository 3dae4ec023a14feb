"""Every family of solvers is PTX without anything that a GPU cannot run, with no GPU at hand.

LLVM selects the instructions, so that what has none there (or a vector of lanes, or a function of the process) is
found; where `ptxas` is on the path it assembles the texts too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from implicitdsl import compiler
from implicitdsl.backends.cuda.obstacles import obstacles
from implicitdsl.backends.cuda.ptx import gpu
from implicitdsl.backends.lanes import build as lanes
from implicitdsl.backends.lanes.target import made_for
from implicitdsl.layers.options import Options

TEXT = """
ode Lotka(y0[2], p[4], ts[3]) -> [3, 2] {
  state x = y0[0], y = y0[1]
  dx/dt = p[0]*x - p[1]*x*y
  dy/dt = p[3]*x*y - p[2]*y
  return [x, y] at ts
}
ode Robertson(k[3]) -> [3] {
  state a = 1, b = 0, c = 0
  da/dt = -k[0]*a + k[2]*b*c
  db/dt = k[0]*a - k[2]*b*c - k[1]*b^2
  dc/dt = k[1]*b^2
  from t = 0 to 100
  return [a, b, c]
}
ode Neural(y0[2], ts[3]) -> [3, 2] {
  param W[4, 2], V[2, 4] = 0.1
  state y[2] = y0
  dy/dt = V @ tanh(W @ y)
  return y at ts
}
ode Bouncing(h0, c) -> (h, v) {
  state h = h0, v = 0
  dh/dt = v
  dv/dt = -9.81
  when h < 0 { v := -c*v }
  from t = 0 to 2
  return h, v
}
ode Late(r, tau) -> x {
  state x = 1
  dx/dt = -r*x(t - tau)
  history x = 1
  from t = 0 to 3
  return x
}
fixpoint Deq(x[2]) -> [3] {
  param W[3, 3], U[3, 2] = 0.1
  var z[3] = 0
  z = tanh(W @ z + U @ x)
  return z
}
root Circle(r) -> z[2] {
  var z[2] = 1
  z[0]^2 + z[1]^2 = r
  z[0] = z[1]^3
  return z
}
argmin Program(q[3], h[2]) -> z[3] {
  param G[2, 3] = 1
  var z[3]
  minimize 1/2*normsq(z) + q @ z
  subject to { G @ z <= h }
  return z
}
argmin Ridge(y[3], lam) -> w[2] {
  param X[3, 2] = 1
  var w[2]
  minimize logsumexp(X @ w - y) + lam*normsq(w)
  return w
}
"""
CASES: dict[str, tuple[str, str, dict[str, Any], tuple[str, ...]]] = {
    "explicit": ("Lotka", "float64", {"solver": "dopri5"}, ("solve", "pull")),
    "explicit, float32": ("Neural", "float32", {"solver": "tsit5"}, ("solve", "pull")),
    "rosenbrock": ("Robertson", "float64", {"solver": "rodas5p"}, ("solve", "pull")),
    "esdirk": ("Robertson", "float64", {"solver": "kvaerno5"}, ("solve",)),
    "bdf": ("Robertson", "float64", {"solver": "bdf"}, ("solve",)),
    "events": ("Bouncing", "float64", {"solver": "tsit5"}, ("solve",)),
    "delays": ("Late", "float64", {"solver": "tsit5"}, ("solve",)),
    "picard": ("Deq", "float64", {"solver": "picard"}, ("picard", "picard_rest", "pull")),
    "newton": ("Circle", "float64", {"solver": "newton"}, ("newton",)),
    "program": ("Program", "float64", {}, ("solve", "program_own", "pull")),
    "smooth": ("Ridge", "float64", {}, ("minimise",)),
}  # fmt: skip
PTXAS = shutil.which("ptxas")


def engine_of(layer: str, dtype: str, options: dict[str, Any]) -> Any:
    """The engine of a layer; for a GPU its machine code is to be asked for parts inside `made_for`, too."""
    builder = compiler._builder(compiler.construct(compiler.read_unit(TEXT), layer, {}, Options(**options)))
    problem, settings = builder.elaborated({}).problem, builder.settings(dtype)
    return lanes.build(problem, settings, np.dtype(dtype))


@pytest.mark.parametrize("case", CASES)
def test_a_family_of_solvers_is_ptx(case: str, tmp_path: Path) -> None:
    layer, dtype, options, parts = CASES[case]
    with made_for(gpu(optimised=False)):
        code = engine_of(layer, dtype, options).code
        for part in parts:
            text = code.object(part, ()).decode()
            assert re.findall(r"\.visible \.entry (\w+)", text) == list(code.entries_of(part))
            assert ".extern" not in text
            # The bits are those of lanes only while nothing is fused, flushed or rounded otherwise.
            assert not re.findall(r"\b(?:add|sub|mul|fma|div|sqrt|rcp)\.(?!rn\.f|[suwlh]|cc)\S*f(?:32|64)", text)
            assert not re.findall(r"\S+\.(?:ftz|approx|full|sat)\S*", text)
            if PTXAS:
                (tmp_path / "part.ptx").write_text(text)
                subprocess.run(
                    [PTXAS, "-arch=sm_80", "-O1", tmp_path / "part.ptx", "-o", tmp_path / "cubin"], check=True
                )


def test_optimised_code_has_no_calls_and_no_stack_for_a_small_model() -> None:
    with made_for(gpu()):
        text = engine_of("Lotka", "float64", {"solver": "dopri5"}).code.object("solve", ()).decode()
    assert not re.search(r"\bcall\b|\balloca\b|__local_depot", text)
    assert text.count("fma.rn.f64") > 50


def test_engines_built_outside_are_for_lanes() -> None:
    assert engine_of("Circle", "float64", {}).width == 8
    with made_for(gpu()):
        assert engine_of("Circle", "float64", {}).width == 1
        assert engine_of("Program", "float64", {}).width == 1
    assert engine_of("Program", "float64", {}).width == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("declare ptr @malloc(i64)\ndefine ptr @f() {\n %x = call ptr @malloc(i64 8)\n ret ptr %x\n}", "`malloc` does not exist on a GPU"),
        ("define i64 @f(i64 %n) {\n %x = call i64 @g(i64 %n)\n ret i64 %x\n}\ndefine i64 @g(i64 %n) {\n %x = call i64 @f(i64 %n)\n ret i64 %x\n}", "`f` calls itself"),
        ("define i64 @f(ptr %p) {\n %x = call i64 %p()\n ret i64 %x\n}", "`f` calls a function that is known only when it runs"),
        ("@flag = external global i32\ndefine i32 @f() {\n %x = load i32, ptr @flag\n ret i32 %x\n}", "`flag` lies in the memory of the process"),
        ("declare void @llvm.x86.sse2.pause()\ndefine void @f() {\n call void @llvm.x86.sse2.pause()\n ret void\n}", "`llvm.x86.sse2.pause` does not exist on a GPU"),
    ],
)  # fmt: skip
def test_what_a_gpu_cannot_run_is_said(text: str, sentence: str) -> None:
    assert sentence in obstacles(llvm.parse_assembly(text, llvm.create_context()))
