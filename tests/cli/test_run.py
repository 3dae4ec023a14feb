"""`run`: outputs, gradients and statuses as printed, as JSON and in files."""

from __future__ import annotations

import csv
import json
from math import cos, exp, sin
from pathlib import Path

import numpy as np
import pytest
import torch

import implicitdsl
from tests.cli.models import DECAY, KEPLER, NETS, call, squeezed

# E - e sin E = M for M = 1, e = 0.5.
ANOMALY = 1.498701133517848


@pytest.fixture
def kepler(tmp_path: Path) -> Path:
    path = tmp_path / "kepler.imp"
    path.write_text(KEPLER)
    return path


@pytest.fixture
def decay(tmp_path: Path) -> Path:
    path = tmp_path / "decay.imp"
    path.write_text(DECAY)
    return path


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "nets.imp"
    path.write_text(NETS)
    return path


def test_one_sample_is_printed_with_its_status(kepler: Path) -> None:
    result = call("run", kepler, "M=1", "e=0.5")
    assert result.exit_code == 0
    assert result.output.startswith("Kepler: root, 1 sample in ")
    assert "E 1.4987" in squeezed(result.output)
    assert "status success, " in result.output


def test_run_for_programs(kepler: Path) -> None:
    found = json.loads(call("run", kepler, "M=1", "e=0.5", "--grad", "--format", "json").output)
    assert found["ok"] is True
    assert found["outputs"]["E"]["value"] == pytest.approx(ANOMALY, abs=1e-14)
    slope = 1 / (1 - 0.5 * cos(ANOMALY))
    assert found["gradients"]["M"] == pytest.approx(slope, rel=1e-12)
    assert found["gradients"]["e"] == pytest.approx(sin(ANOMALY) * slope, rel=1e-12)
    assert (found["batch"], found["status"], found["drawn"]) == ([], 0, [])


def test_times_are_a_column_and_entries_bear_their_names(decay: Path) -> None:
    text = squeezed(call("run", decay, "y0=[1, 2]", "ts=[0, 0.5, 1]", "rate=3").output)
    assert " t x y " in text
    assert f" 0.5 {exp(-1.5):.4f}" in text
    assert "0.735759" in text  # 2/e


def test_a_batch_is_a_table_of_samples(kepler: Path) -> None:
    text = squeezed(call("run", kepler, "M=linspace(0, 1, 40)", "e=0.5", "--rows", "3").output)
    assert "40 samples" in text
    assert "0 success 0 0" in text
    assert "…" in text
    assert "39 success" in text
    assert "38 success" not in text


def test_a_failed_sample_is_named_with_what_to_try_and_the_others_are_printed(kepler: Path) -> None:
    result = call("run", kepler, "M=1", "e=[0.5, 2, 3]")
    assert result.exit_code == 1
    assert "2 of 3 samples failed" in result.stderr
    assert "bad_input [E711], samples 1, 2: an input is outside the set" in result.stderr
    assert "try: check the data" in result.stderr
    assert "0 success 4 1.4987" in squeezed(result.output)
    found = json.loads(call("run", kepler, "M=1", "e=[0.5, 2]", "--grad", "--format", "json").output)
    assert found["ok"] is False
    assert found["outputs"]["E"]["value"] == [pytest.approx(ANOMALY), None]
    # The gradient is that of the samples that were solved.
    assert found["gradients"]["M"] == pytest.approx(1 / (1 - 0.5 * cos(ANOMALY)))
    assert found["gradients"]["e"][1] == 0


def test_a_failure_can_be_an_error_or_show_the_best_iterate(tmp_path: Path) -> None:
    path = tmp_path / "no.imp"
    path.write_text("root R(p) -> x {\n  var x = 1\n  x^2 = -p\n  return x\n}\n")
    result = call("run", path, "p=1", "on_fail=raise")
    assert result.exit_code == 1
    assert "R: the sample could not be solved" in result.stderr
    result = call("run", path, "p=1")
    assert result.exit_code == 1
    assert "nan" in result.output
    result = call("run", path, "p=1", "on_fail=warn")
    assert result.exit_code == 1
    assert "nan" not in result.output


def test_the_inner_layer_that_failed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outer.imp"
    path.write_text(
        "root Inner(p) -> x {\n  var x = 1\n  x^2 = -p\n  return x\n}\n"
        "net Outer(p) -> y {\n  use f = Inner\n  return 2*f(p)\n}\n"
    )
    result = call("run", f"{path}:Outer", "p=1")
    assert result.exit_code == 1
    assert " in Inner: " in result.stderr


def test_a_derivative_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "double.imp"
    path.write_text("root R(p) -> x {\n  var x = p\n  x^2 = 0*p\n  return x\n}\n")
    result = call("run", path, "p=0", "--grad")
    assert result.exit_code == 1
    assert "could not be differentiated" in result.stderr


def test_values_of_params_and_consts_are_given_by_name(nets: Path, tmp_path: Path) -> None:
    words = ("n=2", "m=2", "x=[1, 1]", "W=[[1, 2], [3, 4]]", "c=10", "--format", "json")
    found = json.loads(call("run", f"{nets}:Affine", *words).output)
    assert found["outputs"]["y"]["value"] == [13, 17]
    assert found["outputs"]["total"]["value"] == 30
    np.savez(tmp_path / "d.npz", x=np.ones(2), W=np.array([[1.0, 2.0], [3.0, 4.0]]), other=np.ones(3))
    words = ("n=2", "m=2", "c=10", "--data", str(tmp_path / "d.npz"), "--format", "json")
    assert json.loads(call("run", f"{nets}:Affine", *words).output)["outputs"]["y"]["value"] == [13, 17]


def test_a_trained_state_is_loaded(nets: Path, tmp_path: Path) -> None:
    layer = implicitdsl.load(nets).Head(dtype=torch.float64)
    x = torch.tensor([0.3, -0.7], dtype=torch.float64)
    torch.save(layer.state_dict(), tmp_path / "trained.pt")
    words = ("x=[0.3, -0.7]", "--state", str(tmp_path / "trained.pt"), "--format", "json")
    found = json.loads(call("run", f"{nets}:Head", *words).output)
    assert found["outputs"]["out"]["value"] == layer(x).tolist()
    (tmp_path / "text.pt").write_text("no state")
    assert call("run", f"{nets}:Head", "--state", tmp_path / "text.pt").exit_code == 2
    torch.save({"other": torch.ones(1)}, tmp_path / "other.pt")
    assert call("run", f"{nets}:Head", "--state", tmp_path / "other.pt").exit_code == 2


def test_what_is_not_given_is_drawn_from_the_seed(nets: Path) -> None:
    first, again, other = (call("run", f"{nets}:Head", "--seed", s, "--format", "json").output for s in ("1", "1", "2"))
    values = [json.loads(text)["outputs"]["out"]["value"] for text in (first, again, other)]
    assert values[0] == values[1]
    assert values[0] != values[2]
    assert "drawn from seed 1, because not given: x" in call("run", f"{nets}:Head", "--seed", "1").output


def test_outputs_go_to_an_archive(decay: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.npz"
    result = call("run", decay, "y0=[[1, 2], [3, 4]]", "ts=[0, 1]", "rtol=1e-10", "--grad", "-o", file)
    assert result.exit_code == 0
    assert f"written to {file}" in result.output
    with np.load(file) as held:
        assert held["out"].shape == (2, 2, 2)
        assert held["out"][1, 1] == pytest.approx([3 * exp(-2), 4 * exp(-1)], rel=1e-7)
        assert held["t"].tolist() == [0, 1]
        assert held["status"].tolist() == [0, 0]
        # d/d(rate) of the sum of x over samples and times: -(1 + 3) e^-2.
        assert held["grad_rate"] == pytest.approx(-4 * exp(-2), rel=1e-6)


def test_outputs_go_to_a_table_with_all_digits(decay: Path, kepler: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    assert call("run", decay, "y0=[[1, 2], [3, 4]]", "ts=[[0, 1], [0, 2]]", "-o", file).exit_code == 0
    lines = list(csv.DictReader(file.open()))
    assert [line["sample"] for line in lines] == ["0", "0", "1", "1"]
    assert [float(line["t"]) for line in lines] == [0, 1, 0, 2]
    assert float(lines[3]["y"]) == pytest.approx(4 * exp(-2), rel=1e-5)
    assert call("run", kepler, "M=1", "e=[0.5, 2]", "-o", file).exit_code == 1
    lines = list(csv.DictReader(file.open()))
    assert [line["status"] for line in lines] == ["success", "bad_input"]
    assert float(lines[0]["E"]) == pytest.approx(ANOMALY, abs=1e-14)


def test_an_empty_batch_is_no_failure(kepler: Path) -> None:
    result = call("run", kepler, "M=zeros(0)", "e=0.5")
    assert result.exit_code == 0
    assert "no samples" in result.output


def test_an_output_without_entries_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "square.imp"
    path.write_text("net Square[n](x[n]) -> (y[n], s) { return x^2, sum(x) }\n")
    result = call("run", path, "n=0", "x=zeros(2, 0)")
    assert (result.exit_code, squeezed(result.output).count("success 0 [] 0")) == (0, 2)


def test_wrong_uses(kepler: Path, nets: Path, tmp_path: Path) -> None:
    for words in (["q=1"], ["M=[1, [2]]"], ["-o", str(tmp_path / "a.xlsx")], ["--data", "none.npz"], ["rtol=-1"]):
        assert call("run", kepler, *words).exit_code == 2, words
    for words in (["n=2"], ["n=2", "m=2", "x=[1, 2, 3]"], ["n=2", "m=2", "W=[1, 2, 3]"], ["n=2", "m=2", "x=1"]):
        assert call("run", f"{nets}:Affine", *words).exit_code in (1, 2), words
    assert call("run", nets).exit_code == 2


def test_a_param_outside_its_set_is_a_wrong_use(decay: Path) -> None:
    result = call("run", decay, "rate=-1")
    assert result.exit_code == 2
    assert "must lie inside positive" in result.stderr


def test_float32_is_computed_in_float32(kepler: Path) -> None:
    found = json.loads(call("run", kepler, "M=1", "e=0.5", "dtype=float32", "--format", "json").output)
    value = found["outputs"]["E"]["value"]
    assert value == pytest.approx(ANOMALY, abs=1e-6)
    assert value == float(np.float32(value))


STOPS = """\
ode Fall(h0) -> speed {
  state h = h0, v = 0
  dh/dt = v
  dv/dt = -2
  when h < 0 { stop }
  from t = 0 to 10
  return v
}
"""


def test_the_facts_of_a_kind_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "fall.imp"
    path.write_text(STOPS)
    # h = h0 - t^2 is 0 at the square root of h0.
    found = json.loads(call("run", path, "h0=[1, 4]", "--format", "json").output)
    assert found["extras"]["t_end"] == pytest.approx([1, 2], abs=1e-6)
    text = squeezed(call("run", path, "h0=4").output)
    assert "t_end 2" in text
    assert "t_end" in squeezed(call("run", path, "h0=[1, 4]").output)
