"""`compile -o`: a package that runs without the compiler, holds what was built, and says what is missing."""

from __future__ import annotations

import importlib.util
import json
import math
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from typer.testing import CliRunner

import implicitdsl
from implicitdsl.artifacts.elf import undefined_symbols
from implicitdsl.artifacts.engines import record_of
from implicitdsl.artifacts.manifest import features_of
from implicitdsl.artifacts.shipped import NotBuiltError
from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.cli.main import app
from implicitdsl.solvers import status as codes
from tests.artifacts.conftest import FORBID, run_python, using

MODELS = """
# A decay that mixes by M.
net Mix[n = 2](x[n], M[n, n]) -> [n] {
  param rate[n] = 0.5 in positive
  return tanh(M @ x) - rate*x
}
net Same[n](x[n], M[n, n]) -> [n] {
  use f = Mix[n]()
  return f(x, M)
}
"""
"""Layers whose code is the same, and so is one object file."""
AT = """
ode At[n](x0[n], ts[T]) -> [T, n] {
  param e = 0.8 in interval(0, 1)
  state x[n] = x0
  dx/dt = -x
  when x[0] < 1/5 { x := x + e }
  solver rk4(dt = 0.25)
  return x at ts
}
"""
"""Sizes, one of which a call gives, a fixed step and an event."""

CALL = """
import json, pickle, sys
import torch
def value(t): return t.detach().numpy().tobytes().hex()
def call(layer, M):
    x = torch.linspace(0.5, 2.0, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()
    y = layer(x, M)
    (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), x)
    return [value(t) for t in (y, g, h)]
M = torch.tensor([[0.1, -0.4], [0.7, 0.2]], dtype=torch.float64)
found = {}
for name in ("Mix", "Same"):
    layer = getattr(models, name)(n=2, dtype=torch.float64)
    found[name] = [call(layer, M), call(layer, M.expand(3, 2, 2)), call(pickle.loads(pickle.dumps(layer)), M)]
print(json.dumps(found))
"""

AUTO = """
ode Auto(k, y0[2]) -> [2] {
  param c = 0.5 in positive
  state x = y0[0], y = y0[1]
  dx/dt = -k*x + c*y
  dy/dt = -y + x*y/10
  from t = 0 to 1
  return [x, y]
}
"""
IN_TIME = (
    AUTO
    + AUTO.replace("Auto", "Thinned").replace("to 1\n", "to 1\n  adjoint discrete(memory = 1e-4)\n")
    + AT
    + """
dae Chain(k) -> [3] {
  state u[3] = 1
  var   w[3] = 1
  du/dt = -k*w
  w^3 + w = u + 0.1*concat([u[2]], u[0:2])
  from t = 0 to 1
  solver bdf(matrix = sparse, rtol = 1e-4)
  return w
}
bvp Before(a) -> x {
  state x = a
  dx/dt = -sin(x)
  x(1) = a
  from t = 0 to 1
  solver shooting(segments = 2, method = kvaerno5, dt = 0.1)
  return x
}
"""
)

LEFT_OPEN = """
root Log(a) -> z {
  var z = 1
  exp(z) = a
  return z
}
argmin Flat(a) -> z {
  var z = 1
  minimize exp(z) - a*z
  solver local
  return z
}

argmin Shares(a) -> z {
  var z[3]
  minimize 1/2*normsq(z - [a^2/8, a/4, -a])
  subject to {
    sum(z) = a
    z >= 0
  }
  return z[0]
}
"""
"""The minimum is the root, so that what differentiates them is one object file."""

CALL_IN_TIME = """
import json, torch
F64 = torch.float64
ks, sizes = torch.tensor([1.0, 30.0, 3000.0], dtype=F64), {"At": {"n": 1}}
inputs = {
    "Auto": (ks, torch.tensor([1.0, 0.5], dtype=F64)), "Thinned": (ks, torch.tensor([1.0, 0.5], dtype=F64)),
    "At": (ks[:2, None] / 3, torch.tensor([0.1, 0.4, 1.1], dtype=F64)), "Chain": (ks[:2],), "Before": (ks[:1] / 2,),
}
found = {}
for name, given in inputs.items():
    layer = getattr(models, name)(dtype=F64, **sizes.get(name, {}))
    given = [x.clone().requires_grad_() for x in given]
    wrt = [*given, *layer.parameters()]
    first = torch.autograd.grad((y := layer(*given)).square().sum(), wrt, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), wrt, allow_unused=True)
    every = [t.detach().numpy().tobytes().hex() for t in (y, *first, *second) if t is not None]
    found[name] = [every, layer.last.status.tolist(), layer.last.steps.tolist()]
print(json.dumps(found))
"""


def compile_package(source: Path, folder: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["compile", str(source), "-o", str(folder), *words])
    assert result.exit_code == 0, result.output + result.stderr
    return result.output


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "models.imp"
    path.write_text(MODELS + AT)
    return path


@pytest.fixture(scope="session")
def built(source: Path, folder: Path) -> Path:
    """A package with `Same` for n = 2 in float64, and `Mix` for its default size."""
    target = source.parent / "built_models"
    with using(folder):
        words = ("--cpu", "native", "--build", "Same(n=2, dtype=float64)", "--build", "Mix(dtype=float64)")
        compile_package(source, target, *words)
    return target


def open_built(folder: Path, name: str = "built_models") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_a_package_runs_without_the_compiler_and_without_a_cache(built: Path, source: Path, cache: Path) -> None:
    shipped = FORBID + f"import sys; sys.path.insert(0, {str(built.parent)!r})\nimport built_models as models\n" + CALL
    loaded = f"import implicitdsl; models = implicitdsl.load({str(source)!r})\n" + CALL
    # Made for this processor, a package holds the code that `load` makes: the bits are the same.
    assert json.loads(run_python(shipped, cache="/dev/null/none")) == json.loads(run_python(loaded, cache=cache))


def test_every_way_through_time_is_shipped_with_the_bits_of_the_layer(cache: Path, tmp_path: Path) -> None:
    """Two methods in turn, also with a thinned tape, events, a method of several steps for a sparse `dae`, an implicit
    Runge–Kutta method as the flow of a boundary value problem, and the functions of that. The code of a package is in one
    piece, that of `load` here is not. The chain has parts for one sample too, which LLVM once ended the process over: it has
    no copy of a truth value from a flag to a register of masks."""
    source = tmp_path / "in_time.imp"
    source.write_text(IN_TIME)
    builds = ("Auto()", "Thinned()", "At(n=1, T=3)", "Chain()", "Before()")
    words = [w for build in builds for w in ("--build", f"{build[:-1]}{', ' if '=' in build else ''}dtype=float64)")]
    compile_package(source, tmp_path / "in_time", "--cpu", "native", *words)
    shipped = FORBID + f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport in_time as models\n" + CALL_IN_TIME
    loaded = f"import implicitdsl; models = implicitdsl.load({str(source)!r})\n" + CALL_IN_TIME
    found = json.loads(run_python(shipped, cache="/dev/null/none"))
    assert found == json.loads(run_python(loaded, cache=cache, **{LINK: "apart"}))
    # What `load` has compiled once, it finds again without the compiler.
    assert found == json.loads(run_python(FORBID + loaded, cache=cache, **{LINK: "apart"}))
    assert all(status == 0 for _, statuses, _ in found.values() for status in statuses)
    assert len(found) == len(builds)
    # tsit5 alone would take a thousand steps.
    assert found["Auto"][2][2] < 200
    # Rows that are made again have the bits of those that were kept.
    assert found["Thinned"] == found["Auto"]


@pytest.mark.usefixtures("solvers_of_one_sample")
def test_what_lanes_leave_open_is_settled_without_the_compiler(cache: Path, tmp_path: Path) -> None:
    """Samples without a root, a minimum or a point go to solvers of one sample, which take memory as they go. That of
    programs is no part of a package: it is lowered and compiled where it is wanted."""
    source = tmp_path / "left_open.imp"
    source.write_text(LEFT_OPEN)
    builds = [f"--build={name}(dtype=float64)" for name in ("Log", "Flat", "Shares")]
    compile_package(source, tmp_path / "left_open", "--cpu", "native", *builds)
    call = """
import json, torch
found = []
for name in ("Log", "Flat", "Shares"):
    layer = getattr(models, name)(dtype=torch.float64, on_fail="nan")
    a = torch.tensor([4.0, -1.0], dtype=torch.float64, requires_grad=True)
    z = layer(a)
    found.append([z[0].item(), layer.last.status.tolist()])
    (g,) = torch.autograd.grad(z[0].square(), a, create_graph=True)
    (h,) = torch.autograd.grad(g[0].square(), a)
    found[-1].append([t[0].item().hex() for t in (z, g, h)])
print(json.dumps(found))
"""
    loaded = f"import implicitdsl; models = implicitdsl.load({str(source)!r})\n"
    start = FORBID + f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport left_open as models\n"
    found = json.loads(run_python(start + call, cache="/dev/null/none"))
    assert found == json.loads(run_python(loaded + call, cache=cache, **{LINK: "apart"}))
    assert [status for _, status, _ in found] == [[0, codes.NO_ROOT], [0, codes.UNBOUNDED], [0, codes.INFEASIBLE]]
    assert [value for value, *_ in found] == pytest.approx([math.log(4), math.log(4), 2.5], rel=1e-12)
    objects = (tmp_path / "left_open" / "objects").iterdir()
    assert not any(name.startswith("imp_") for path in objects for name in undefined_symbols(path.read_bytes()))


def test_gradients_for_each_sample_of_a_mapped_axis(tmp_path: Path, folder: Path) -> None:
    """`vmap` asks for a gradient by the matrix for each sample, which no code of a package gives for all at once."""
    text = tmp_path / "models.imp"
    text.write_text("net Dense(x[2]) -> [2] {\n  param W[2, 2] = [[1, 2], [3, 4]]\n  return exp(W @ x)\n}")
    with using(folder):
        compile_package(text, tmp_path / "mapped", "--cpu", "native", "--build", "Dense(dtype=float64)")
    layer = open_built(tmp_path / "mapped", "mapped").Dense(dtype=torch.float64)
    x = torch.tensor([[0.5, 0.1], [-1.0, 0.2], [0.3, 0.0]], dtype=torch.float64)

    def value(x: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"W": W}, (x,)).sum()

    W = layer.W.detach()
    by_x, by_W = torch.func.vmap(torch.func.grad(value, argnums=(0, 1)), in_dims=(0, None))(x, W)
    slope = torch.exp(x @ W.T)
    torch.testing.assert_close(by_x, slope @ W)
    torch.testing.assert_close(by_W, slope[:, :, None] * x[:, None, :])


def test_a_package_holds_what_was_built_and_says_what_builds_the_rest(built: Path, source: Path) -> None:
    models = open_built(built)
    assert models.__all__ == ["Same", "Mix"]
    assert models.Mix.__doc__ == "A decay that mixes by M."
    layer = models.Mix(dtype=torch.float64, on_fail="nan", threads=1)
    assert isinstance(layer, implicitdsl.Layer) and isinstance(layer, models.Mix)
    assert layer.blueprint.options.on_fail == "nan"
    with pytest.raises(
        NotBuiltError, match=r"--build 'Same\(n=2, dtype=float64\)' .*--build 'Mix\(n=3, dtype=float64\)'"
    ):
        models.Mix(n=3, dtype=torch.float64)
    for keywords in ({}, {"dtype": torch.float32}):
        with pytest.raises(NotBuiltError, match=r"implicitdsl compile models\.imp"):
            models.Mix(**keywords)
    with pytest.raises(NotBuiltError, match="Same"):
        models.Same(dtype=torch.float64)
    engine = layer.blueprint.engine(0, torch.float64, {})
    with pytest.raises(NotBuiltError, match=r"implicitdsl\.load"):
        engine.code.entry("solve", (0, 1, 2, 3))
    with pytest.raises(TypeError, match="did you mean `dtype`"):
        models.Mix(dtyp=torch.float64)
    with pytest.raises(TypeError, match=r"Mix takes sizes and options by name: `Mix\(n=…\)`"):
        models.Mix(3)
    with pytest.raises(NotBuiltError, match=r"back end `lanes`; backend='python' needs .* implicitdsl\.load"):
        models.Mix(dtype=torch.float64, backend="python")
    with pytest.raises(AttributeError, match=r"built_models holds no `Mx`; did you mean `Mix`\?"):
        models.Mx  # noqa: B018 - the look-up is the test
    with pytest.raises(AttributeError, match=r"(?s)not built for At\(\); .* --build 'At\(\)'"):
        models.At  # noqa: B018 - the look-up is the test
    assert not hasattr(models, "__wrapped__")


def test_two_tolerances_are_shipped_as_one_object(cache: Path, tmp_path: Path) -> None:
    source = tmp_path / "decay.imp"
    source.write_text(AUTO)
    options = [f"rtol={r}, atol={r}" for r in ("1e-3", "1e-10")]
    words = [w for o in options for w in ("--build", f"Auto(dtype=float64, {o})")]
    compile_package(source, tmp_path / "decays", "--cpu", "native", *words)
    calls = [f"models.Auto(dtype=torch.float64, {o})" for o in options]
    call = f"""
import json, torch
layers = [{", ".join(calls)}]
k, y0 = torch.tensor(1.0, dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
print(json.dumps([layer(k, y0)[0].item() for layer in (*layers, *reversed(layers))]))
"""
    start = FORBID + f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport decays as models\n"
    loose, tight, tight_again, loose_again = json.loads(run_python(start + call, cache="/dev/null/none"))
    assert (loose, tight) == (loose_again, tight_again)
    # Where y begins with 0, dx/dt = -x.
    assert tight == pytest.approx(0.36787944117144233, rel=1e-9)
    assert loose == pytest.approx(0.36787944117144233, rel=1e-3) and abs(loose - tight) > 1e-8
    listed = json.loads((tmp_path / "decays" / "manifest.json").read_text())["layers"]
    assert len(list((tmp_path / "decays" / "objects").iterdir())) == listed[0]["objects"] == listed[1]["objects"]


ADJUSTABLE = (
    AUTO
    + AT
    + """
ode Bounce(h0) -> h {
  state h = h0, v = 0
  dh/dt = v
  dv/dt = -9.81
  when h < 0 { v := -0.8*v }
  from t = 0 to 1
  solver kvaerno5
  return h
}
ode Costate(x0) -> x {
  state x = x0
  dx/dt = -sin(x)
  from t = 0 to 1
  solver bdf
  adjoint gauss
  return x
}
root Log(a) -> z {
  var z = 1
  exp(z) = a
  return z
}
argmin Quartic(a) -> z {
  var z = 1
  minimize (z - a)^4 + z^2
  return z
}
net Uses(a) -> y {
  param k = 2
  use f = Log()
  return k*f(a)
}
bvp Hanging(a) -> y {
  state y = a, s = 0
  dy/dt = s
  ds/dt = sqrt(1 + s^2)
  y(0) = a
  y(1) = a
  from t = 0 to 1
  return y
}
"""
)
"""Layers whose code is loaded with tolerances, one that uses one of them, and one whose tolerances are no data."""
TOLD: dict[str, dict[str, float]] = {
    "Auto": {"rtol": 1e-9, "atol": 1e-11, "max_steps": 5000},
    "At": {"dt": 0.01},
    "Bounce": {"rtol": 1e-4, "atol": 1e-5},
    "Costate": {"rtol": 1e-8, "max_steps": 7000},
    "Log": {"rtol": 1e-3, "max_steps": 90},
    "Quartic": {"rtol": 1e-4},
}


@pytest.mark.parametrize("name", TOLD)
def test_a_record_with_other_values_is_that_of_an_engine_made_with_them(name: str) -> None:
    models = implicitdsl.loads(ADJUSTABLE)

    def record(**told: float):
        sizes = {"n": 1} if name == "At" else {}
        layer = getattr(models, name)(**sizes, dtype=torch.float32, backend="lanes", **told)
        origin = layer.blueprint.origin()
        return record_of(origin.engine(0, torch.float32, {"T": 3} if name == "At" else {}))

    changed = record().with_values(TOLD[name])
    assert changed is not None and changed != record()
    # What machine code is found by holds their texts.
    assert repr(changed) == repr(record(**TOLD[name]))


@pytest.mark.usefixtures("solvers_of_one_sample")
def test_values_that_code_is_loaded_with_are_free_in_a_package(cache: Path, tmp_path: Path) -> None:
    source = tmp_path / "free.imp"
    source.write_text(ADJUSTABLE)
    compile_package(source, tmp_path / "free", "--cpu", "native", "--build", "At(n=1, T=3, dtype=float64)",
                    "--build", "Log(dtype=float64)", "--build", "Uses(dtype=float64)",
                    "--build", "Auto(dtype=float64, rtol=1e-5)")  # fmt: skip
    shipped, read = open_built(tmp_path / "free", "free_models"), implicitdsl.loads(ADJUSTABLE)
    like = {"dtype": torch.float64}
    at, ts = {**like, "n": 1}, torch.linspace(0.0, 1.0, 3, **like)
    for name, more in {"At": (ts,), "Log": (), "Auto": ([1.0, 0.5],)}.items():
        told = {**TOLD[name], **({"n": 1} if name == "At" else {})}
        given = torch.tensor([[0.5], [3.0]] if name == "At" else [0.5, 3.0], **like)
        x, y = (given.clone().requires_grad_() for _ in range(2))
        found, wanted = getattr(shipped, name)(**like, **told)(x, *more), getattr(read, name)(**like, **told)(y, *more)
        assert torch.equal(found, wanted)
        assert torch.equal(*(torch.autograd.grad(o.sum(), i)[0] for o, i in ((found, x), (wanted, y))))
    # The step that was shipped and the one that was asked for are two layers.
    usual, fine = (layer([1.0], ts)[-1].item() for layer in (shipped.At(**at), shipped.At(**at, dt=0.01)))
    exact = 0.36787944117144233
    assert fine == pytest.approx(exact, abs=1e-10) and 1e-10 < abs(usual - exact) < 1e-4
    other = {"solver": "euler(dt = 0.1)"}
    for name, told in (
        ("Uses", {"rtol": 1e-3}),
        ("Log", {"atol": 1e-3}),
        ("Auto", {}),
        ("Auto", {"dt": 0.1}),
        ("At", {"n": 1, **other}),
    ):
        with pytest.raises(NotBuiltError, match=name):
            getattr(shipped, name)(**like, **told)


def test_sizes_of_calls_are_named_and_others_are_refused(source: Path, cache: Path, tmp_path: Path) -> None:
    compile_package(source, tmp_path / "at", "--cpu", "native", "--build", "At(n=1, T=3, dtype=float64)")
    layer = open_built(tmp_path / "at", "at_models").At(n=1, dtype=torch.float64)
    ts = torch.linspace(0.0, 1.0, 3, dtype=torch.float64)
    # The classical method of order 4 on dx/dt = -x, written out.
    step = 1 - 0.25 + 0.25**2 / 2 - 0.25**3 / 6 + 0.25**4 / 24
    assert layer([1.0], ts)[-1].item() == pytest.approx(step**4, rel=1e-14)
    with pytest.raises(NotBuiltError, match=r"At\(n=1, T=2, dtype=float64\)"):
        layer([1.0], ts[:2])


WITHOUT_SIZES = (
    AT
    + """
net Mix[n = 2](x[n]) -> [n] {
  param rate[n] = 0.5 in positive
  return tanh(x) - rate*x
}
net Twice[n](x[n]) -> [n] {
  use f = Mix[n]()
  return f(f(x))
}
"""
)


def test_layers_without_sizes_are_listed_with_what_builds_them(cache: Path, tmp_path: Path) -> None:
    source = tmp_path / "some.imp"
    source.write_text(WITHOUT_SIZES)
    said = compile_package(source, tmp_path / "some")
    assert said.count("built  Mix(n=2)") == 2
    assert "--build 'Twice(n=…)'" in said and "--build 'At(n=…)'" in said
    manifest = json.loads((tmp_path / "some" / "manifest.json").read_text())
    assert manifest["cpu"] == "x86-64-v3" and "avx2" in manifest["features"]
    assert not any(name.startswith("imp_") for name in manifest["symbols"])
    assert [entry["dtype"] for entry in manifest["layers"]] == ["float32", "float64"]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("features", ["avx2", "no-such-feature"], "lacks no-such-feature"),
        ("implicitdsl", "0.0.1", "made by implicitdsl 0.0.1"),
        ("runtime", "0", "another build"),
        ("system", "plan9-vax", "made for plan9-vax"),
        ("symbols", ["Sleef_of_tomorrow"], "Sleef_of_tomorrow"),
        ("format", 0, "format"),
        ("data", "0", "damaged"),
    ],
)
def test_a_package_for_another_machine_is_refused_at_import(
    built: Path, tmp_path: Path, key: str, value: object, why: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(ImportError, match=why):
        open_built(folder, "refused_models")


def test_a_damaged_object_file_is_refused_before_it_is_loaded(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    for path in (folder / "objects").iterdir():
        path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    layer = open_built(folder, "damaged_models").Mix(dtype=torch.float64)
    with pytest.raises(ImportError, match="damaged"):
        layer([1.0, 2.0], torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("manifest.json", None, "cannot read .*manifest.json"),
        ("manifest.json", "", "manifest.json is damaged"),
        ("manifest.json", "[]", "manifest.json is damaged"),
        ("manifest.json", '{"format": 1}', "manifest.json is damaged"),
        ("layers.bin", None, "cannot read .*layers.bin"),
        ("layers.bin", "x", "layers.bin is damaged"),
    ],
)
def test_a_damaged_package_is_refused_at_import(
    built: Path, tmp_path: Path, name: str, content: str | None, why: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(ImportError, match=why):
        open_built(folder, "torn_models")


def test_an_object_file_that_is_gone_is_an_import_error(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    shutil.rmtree(folder / "objects")
    layer = open_built(folder, "emptied_models").Mix(dtype=torch.float64)
    with pytest.raises(ImportError, match="cannot read"):
        layer([1.0, 2.0], torch.eye(2, dtype=torch.float64))


NAMED = """
net {name}(x) -> y {{
  param k = {k}
  return k*x
}}
"""
"""Layers that differ in a value alone, and so have one object."""


def test_a_layer_may_bear_any_name_of_the_language_and_its_file_any_of_the_disk(cache: Path, tmp_path: Path) -> None:
    names = ("None", "lambda", "_layers", "print", "__layers")
    source = tmp_path / 'a"""b \\N\nc.imp'
    source.write_text("".join(NAMED.format(name=name, k=k) for k, name in enumerate(names)))
    folder = tmp_path / "package"
    compile_package(source, folder, "--cpu", "native")
    package = open_built(folder, "named_models")
    for k, name in enumerate(names):
        layer = getattr(package, name)(dtype=torch.float64)
        assert float(pickle.loads(pickle.dumps(layer))(3.0).detach()) == 3 * k
    source.write_text("net __name__(x) -> y { return x }\n")
    done = CliRunner().invoke(app, ["compile", str(source), "-o", str(tmp_path / "own")])
    assert done.exit_code == 0
    assert "for itself in every module" in done.output
    assert float(implicitdsl.load(source)["__name__"]()(3.0)) == 3


def test_a_package_behind_a_link_is_replaced_where_it_lies(
    built: Path, source: Path, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "real"
    shutil.copytree(built, folder)
    (tmp_path / "link").symlink_to("real")
    words = [
        "compile",
        str(source),
        "-o",
        str(tmp_path / "link"),
        "--cpu",
        "native",
        "--build",
        "At(n=1, T=1, dtype=float64)",
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((folder / "manifest.json").read_text())["layers"][0]["layer"] == "At"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_wrong_commands_write_nothing(source: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    for words in (
        ["-o", str(tmp_path / "x"), "--cpu", "z80"],
        ["-o", str(tmp_path / "x"), "--build", "At(n=1)"],
        ["-o", str(tmp_path / "x"), "--build", "Mix(T=3)"],
        ["-o", str(tmp_path / "full"), "--cpu", "native", "--build", "At(n=1, T=1, dtype=float64)"],
        ["--cpu", "native"],
    ):
        assert CliRunner().invoke(app, ["compile", str(source), *words]).exit_code == 2, words
    assert not (tmp_path / "x").exists()
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_the_symbols_of_an_object_are_those_it_takes_from_the_process(built: Path) -> None:
    found = [undefined_symbols(path.read_bytes()) for path in (built / "objects").iterdir()]
    assert all(name.startswith(("Sleef_", "mem", "tanh", "imp_")) for names in found for name in names)
    assert undefined_symbols(b"MZ") == frozenset()
    assert set(features_of("x86-64-v3")) > set(features_of("x86-64-v2"))
