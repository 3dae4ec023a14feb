"""The commands as a user runs them: what they print, in both formats, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from implicitdsl.cli.main import app
from implicitdsl.diagnostics.catalogue import CATALOGUE
from implicitdsl.solvers.status import NOTES, STATUSES

GOOD = """\
# A fixed point.
fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  var z[n] = 0
  z = tanh(W @ z + U @ x)
  return z
}

root Kepler(M, e in interval(0, 1)) -> E {
  var E = M
  E - e*sin(E) = M
  return E
}
"""
WRONG = """\
fixpoint DEQ[n, m](x[k]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  var z[n] = 0
  z = tanh(W @ z + U @ x)
  return z
}
"""
UNTIDY = "root R(p)->x{\nvar x=1\nx**2=p # squared\nreturn x\n}\n"
TIDY = "root R(p) -> x {\n  var x = 1\n  x^2 = p  # squared\n  return x\n}\n"
RUNS_NOT = """\
sde Walk(x0) -> x {
  noise W
  state x = x0
  dx = dW
  from t = 0 to 1
  return x
}
"""


def call(*words: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.imp"
    path.write_text(GOOD)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.imp"
    path.write_text(WRONG)
    return path


# ---------------------------------------------------------------- check


def test_check_counts_what_it_finds(good: Path) -> None:
    result = call("check", good)
    assert result.exit_code == 0
    assert result.output == f"{good}: 2 layers, no errors, no warnings\n"


def test_check_shows_every_finding_and_exits_with_1(wrong: Path, good: Path) -> None:
    result = call("check", good, wrong)
    assert result.exit_code == 1
    assert f"--> {wrong}:5:20" in result.output
    assert "error[E3" in result.output
    assert f"{good}: 2 layers" in result.output


def test_check_for_programs(wrong: Path) -> None:
    result = call("check", wrong, "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["ok"] is False
    (file,) = found["files"]
    assert file["file"] == str(wrong)
    assert file["layers"] == [{"name": "DEQ", "kind": "fixpoint", "line": 1}]
    (diagnostic,) = file["diagnostics"]
    assert diagnostic["severity"] == "error"
    place = {"file": str(wrong), "line": 5, "column": 20, "end_line": 5, "end_column": 25}
    assert diagnostic["place"] == place


def test_a_missing_file_is_a_wrong_use(tmp_path: Path) -> None:
    for words in (["check"], ["fmt"], ["compile"], ["inspect"], ["gradcheck"]):
        result = call(*words, tmp_path / "none.imp")
        assert result.exit_code == 2, words
        assert "none.imp" in result.output + result.stderr


def test_an_unknown_command_or_option_is_a_wrong_use(good: Path) -> None:
    assert call("chek", good).exit_code == 2
    assert call("check", "--nothing", good).exit_code == 2
    assert call("check").exit_code == 2


def test_a_folder_or_bytes_are_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "bytes.imp").write_bytes(b"\xff\xfe\x00")
    assert call("check", tmp_path).exit_code == 2
    assert call("check", tmp_path / "bytes.imp").exit_code == 2


# ---------------------------------------------------------------- fmt


def test_fmt_writes_the_one_form_once(tmp_path: Path) -> None:
    path = tmp_path / "a.imp"
    path.write_text(UNTIDY)
    result = call("fmt", path)
    assert (result.exit_code, result.output) == (0, f"changed {path}\n")
    assert path.read_text() == TIDY
    result = call("fmt", path)
    assert (result.exit_code, result.output) == (0, "")


def test_fmt_check_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.imp"
    path.write_text(UNTIDY)
    result = call("fmt", "--check", path)
    assert (result.exit_code, result.output) == (1, f"would change {path}\n")
    assert path.read_text() == UNTIDY
    path.write_text(TIDY)
    assert call("fmt", "--check", path).exit_code == 0


def test_fmt_leaves_a_text_with_errors_alone(tmp_path: Path) -> None:
    broken, fine = tmp_path / "broken.imp", tmp_path / "fine.imp"
    broken.write_text("root R(p -> x {\n")
    fine.write_text(UNTIDY)
    result = call("fmt", "--format", "json", broken, fine)
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["changed"] == [str(fine)]
    assert found["diagnostics"][0]["code"].startswith("E1")
    assert broken.read_text() == "root R(p -> x {\n"
    assert fine.read_text() == TIDY


# ---------------------------------------------------------------- explain


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_explain_prints_the_page_of_every_code(code: str) -> None:
    result = call("explain", code)
    assert result.exit_code == 0
    record = CATALOGUE[code]
    assert result.output.startswith(f"{code}: {record.title}\n")
    for line in record.bad.strip().splitlines():
        assert line.strip() in result.output
    page = json.loads(call("explain", code, "--format", "json").output)
    assert page["right"] == record.good


def test_explain_knows_statuses_and_notes() -> None:
    text = call("explain", "status").output
    assert all(s.name in text and s.meaning in text for s in STATUSES)
    found = json.loads(call("explain", "status", "--format", "json").output)["statuses"]
    assert [s["number"] for s in found] == list(range(len(STATUSES)))
    text = call("explain", "notes").output
    assert all(name in text for _, name, _ in NOTES)
    assert len(json.loads(call("explain", "notes", "--format", "json").output)["notes"]) == len(NOTES)


def test_explain_knows_no_other_code() -> None:
    result = call("explain", "E999")
    assert result.exit_code == 2
    assert "no diagnostic E999" in result.stderr


def test_explain_tells_a_model_in_words_and_what_is_derived(good: Path) -> None:
    result = call("explain", f"{good}:Kepler")
    assert result.exit_code == 0
    assert "such that  E - e*sin(E) = M" in result.output
    assert "DEQ" not in result.output
    words, derived = result.output.split("return     E, a number\n", 1)
    assert words.startswith("Kepler: a root layer")
    assert "cos" in derived  # the adjoint holds ∂/∂E of sin(E)
    pages = json.loads(call("explain", good, "--format", "json").output)["layers"]
    assert [page["layer"] for page in pages] == ["DEQ", "Kepler"]


def test_explain_tells_of_a_layer_that_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "walk.imp"
    path.write_text(RUNS_NOT)
    result = call("explain", path)
    assert result.exit_code == 0
    assert "driven by  W, Brownian motion" in result.output
    assert "nothing is derived: " in result.output


def test_explain_of_a_wrong_model_shows_what_is_wrong(wrong: Path) -> None:
    result = call("explain", wrong)
    assert result.exit_code == 1
    assert "error[E3" in result.output


# ---------------------------------------------------------------- inspect


STAGES = ["read", "elaborate", "derive", "schedule", "emit", "bind"]


def test_inspect_prints_every_stage(good: Path) -> None:
    found = json.loads(call("inspect", f"{good}:DEQ", "n=3", "m=2", "--format", "json").output)
    assert found["sizes"] == {"n": 3, "m": 2}
    assert [name for name in found["stages"] if name in STAGES] == STAGES
    assert all(text.strip() for text in found["stages"].values())


def test_inspect_prints_one_stage(good: Path) -> None:
    result = call("inspect", f"{good}:DEQ", "n=3", "m=2", "--after", "elaborate")
    assert result.exit_code == 0
    assert "tanh" in result.output


def test_inspect_prints_one_function(good: Path) -> None:
    for stage in ("derive", "schedule", "emit"):
        whole = call("inspect", f"{good}:DEQ", "n=3", "m=2", "--after", stage).output
        part = call("inspect", f"{good}:DEQ", "n=3", "m=2", "--after", stage, "--function", "residual_vjp").output
        assert part.strip() in whole
        assert "residual_vjp" in part
        assert "residual_jacobian" in whole
        assert "residual_jacobian" not in part
    wrong = call("inspect", f"{good}:DEQ", "n=3", "m=2", "--after", "emit", "--function", "lunch")
    assert wrong.exit_code == 2


BIG = """\
net MLP[n, h, m](x[n]) -> [m] {
  param W[h, n], V[m, h] ~ glorot()
  return V @ tanh(W @ x)
}

ode Neural[d, h](z0[d]) -> [d] {
  use f = MLP[d, h, d]
  state z[d] = z0
  dz/dt = f(z)
  from t = 0 to 1
  solver dopri5(rtol = 1e-5)
  return z
}
"""


def test_inspect_tells_back_end_solver_layout_cost_and_kernels_with_reasons(tmp_path: Path, good: Path) -> None:
    path = tmp_path / "big.imp"
    path.write_text(BIG)
    text = call("inspect", f"{path}:Neural", "d=2", "h=50", "backend=lanes", "--after", "bind").output
    assert "back end  lanes, vectors of 8 samples in float64, 16 in float32 (as asked for)" in text
    assert "solver    dopri5: " in text
    assert "(named in the text)" in text
    assert "rtol 1e-05, atol 1e-09" in text
    assert "(the default of `ode`)" in text  # the adjoint
    assert "a sample takes 16 bytes of inputs, 16 of outputs" in text
    assert "params and consts 1600 bytes, once" in text
    assert re.search(r"f\.W\[50, 2\] +param, one array for all lanes", text)
    # 50 tanh, and 50*2 + 2*50 products: more than is written out.
    assert re.search(r"rhs +50 operations and 200 multiply-adds, \d loops? over arrays", text)
    assert "kernels   solve, pull, second" in text
    small = call("inspect", f"{path}:Neural", "d=1", "h=2", "backend=lanes", "solver=tsit5", "--after", "bind").output
    assert re.search(r"rhs +2 operations and 4 multiply-adds, written out", small)
    assert "(an option of the layer)" in small
    plain = call("inspect", f"{good}:DEQ", "n=3", "m=2", "backend=python", "--after", "bind").output
    assert "back end  python, a sample at a time (as asked for)" in plain
    assert "kernels   none" in plain


def test_inspect_follows_the_pieces_of_a_net_that_calls_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "outer.imp"
    path.write_text(GOOD + "\nnet Twice(M) -> y {\n  use f = Kepler\n  return 2*f(M^2, 0.5)\n}\n")
    found = json.loads(call("inspect", f"{path}:Twice", "--format", "json").output)["stages"]
    assert "piece0_output" in found["schedule"]
    assert "piece2_output" in found["emit"]
    assert "piece 2" in found["bind"]


def test_inspect_needs_sizes_and_one_layer(good: Path) -> None:
    result = call("inspect", f"{good}:DEQ", "n=3")
    assert result.exit_code == 2
    assert "m=…" in result.stderr
    assert call("inspect", good).exit_code == 2
    assert call("inspect", f"{good}:None").exit_code == 2
    assert call("inspect", f"{good}:DEQ", "n=3", "m=2", "k=1").exit_code == 2
    assert call("inspect", f"{good}:DEQ", "n=3", "m=2", "--after", "lunch").exit_code == 2


# ---------------------------------------------------------------- compile


def test_compile_builds_what_has_all_sizes_and_lists_the_rest(good: Path) -> None:
    found = json.loads(call("compile", good, "--format", "json").output)
    assert [(b["layer"], b["dtype"]) for b in found["built"]] == [("Kepler", "float32"), ("Kepler", "float64")]
    assert all(b["derived"] for b in found["built"])
    assert found["left"] == [{"layer": "DEQ", "build": "DEQ(n=…, m=…)"}]


def test_compile_builds_what_is_named(good: Path) -> None:
    result = call("compile", good, "--build", "DEQ(n=3, m=2, dtype=float32)", "--build", "Kepler(rtol=1e-3)")
    assert result.exit_code == 0
    assert "built  DEQ(n=3, m=2) float32" in result.output
    assert result.output.endswith("3 built, 0 not executable yet, 0 left\n")


def test_compile_says_what_cannot_run_yet(tmp_path: Path, good: Path) -> None:
    path = tmp_path / "walk.imp"
    path.write_text(GOOD + RUNS_NOT)
    result = call("compile", path)
    assert result.exit_code == 0
    assert "not executable yet: Walk" in result.output
    result = call("compile", path, "--build", "Walk")
    assert result.exit_code == 1


def test_compile_refuses_wrong_builds(good: Path) -> None:
    for build in ("DEQ(n=3)", "Nothing(n=3)", "DEQ(n=3, m=2, k=1)", "DEQ(n=3, m=2, dtype=float16)", "DEQ(3, 2)"):
        assert call("compile", good, "--build", build).exit_code == 2, build


def test_a_size_that_is_not_named_is_a_wrong_use_of_every_command(good: Path) -> None:
    for command in ("run", "plot", "bench", "gradcheck", "inspect"):
        result = call(command, f"{good}:DEQ", "n=3")
        assert (result.exit_code, "m=…" in result.stderr) == (2, True), command


def test_there_are_no_colours_where_the_environment_wants_none(wrong: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    assert "\x1b[" in runner.invoke(app, ["check", str(wrong)], color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    found = runner.invoke(app, ["check", str(wrong)], color=True).output
    assert "error[" in found and "\x1b[" not in found


def test_a_terminal_of_few_characters_gets_marks_for_the_others(good: Path) -> None:
    words = [sys.executable, "-m", "implicitdsl", "inspect", f"{good}:DEQ", "n=3"]
    found = subprocess.run(words, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert (found.returncode, b"m=?" in found.stderr) == (2, True)


def test_compile_writes_no_package_of_a_layer_on_python_and_says_why(good: Path, tmp_path: Path) -> None:
    result = call("compile", good, "-o", tmp_path / "built", "--build", "DEQ(n=3, m=2, backend=python)")
    assert result.exit_code == 1
    assert "error[E614]" in result.output
    assert "back end" in result.output
    assert not (tmp_path / "built").exists()


# ---------------------------------------------------------------- gradcheck


@pytest.mark.usefixtures("backend")
def test_gradcheck_has_a_row_for_every_argument(good: Path) -> None:
    result = call("gradcheck", f"{good}:DEQ", "n=3", "m=2", "--format", "json")
    found = json.loads(result.output)
    assert result.exit_code == 0, found
    assert [(row["name"], row["shape"]) for row in found["arguments"]] == [("x", [2]), ("W", [3, 3]), ("U", [3, 2])]
    for row in found["arguments"]:
        assert row["first"]["relative"] < 1e-7
        assert row["second"]["relative"] < 1e-6
    assert all(name in call("gradcheck", f"{good}:DEQ", "n=3", "m=2").output for name in ("W", "U", "ok"))


@pytest.mark.usefixtures("backend")
def test_gradcheck_takes_data_and_says_which_gradient(good: Path) -> None:
    found = json.loads(call("gradcheck", f"{good}:Kepler", "M=1", "e=0.5", "--format", "json").output)
    m, e = found["arguments"]
    # dE/dM = 1/(1 - e cos E), dE/de = sin E/(1 - e cos E), with E = 1.498701133517848 for M = 1, e = 0.5.
    from math import cos, sin

    anomaly = 1.498701133517848
    assert e["first"]["exact"] / m["first"]["exact"] == pytest.approx(sin(anomaly), rel=1e-9)
    assert 0.5 / (1 - 0.5 * cos(anomaly)) <= m["first"]["exact"] <= 1.5 / (1 - 0.5 * cos(anomaly))


@pytest.mark.usefixtures("backend")
def test_gradcheck_reads_an_archive(good: Path, tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "d.npz", M=np.array([0.5, 1.0]), e=np.array(0.3))
    result = call("gradcheck", f"{good}:Kepler", "--data", tmp_path / "d.npz", "--format", "json")
    assert [row["shape"] for row in json.loads(result.output)["arguments"]] == [[2], []]
    assert result.exit_code == 0


@pytest.mark.usefixtures("backend")
def test_gradcheck_fails_where_the_tolerance_is_missed(good: Path) -> None:
    assert call("gradcheck", f"{good}:Kepler", "M=1", "e=0.5", "--tolerance", "1e-16").exit_code == 1


@pytest.mark.usefixtures("backend")
def test_gradcheck_of_a_sample_without_answer_says_why(tmp_path: Path) -> None:
    path = tmp_path / "no.imp"
    path.write_text("root R(p) -> x {\n  var x = 1\n  x^2 = -p\n  return x\n}\n")
    result = call("gradcheck", path, "p=1")
    assert result.exit_code == 1
    assert "R" in result.stderr


def test_gradcheck_refuses_what_it_does_not_know(good: Path) -> None:
    for words in (["q=1"], ["M=[1, [2]]"], ["M=open(1)"], ["dtype=float32"], ["rtol=-1"], ["M"]):
        assert call("gradcheck", f"{good}:Kepler", *words).exit_code == 2, words
    assert call("gradcheck", f"{good}:DEQ", "n=3", "m=2", "x=[1, 2, 3]").exit_code == 2


# ---------------------------------------------------------------- the program


def test_the_module_is_the_program(good: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "implicitdsl", "check", str(good)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{good}: 2 layers, no errors, no warnings\n")


def test_check_and_fmt_start_without_torch() -> None:
    code = (
        "import sys, implicitdsl.cli.main, implicitdsl.cli.files, implicitdsl.cli.fmt\n"
        "sys.exit(', '.join({'torch', 'sympy', 'numba'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
