"""What the language's page promises of "From Python" and of statements, sentence by sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.solvers import status as statuses
from tests.integration.zoo import models

F64 = torch.float64


def close(a, b, tol=1e-9):
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=tol, atol=tol)


# ---------------------------------------------------------------- batches


SCALE = """
root Affine[n](A[n, n], x[n], c) -> [n] {
  param w = 2
  var z[n] = 0
  A @ z = w*x + c
  return z
}
"""


def test_leading_dimensions_of_any_input_are_broadcast():
    layer = implicitdsl.load(SCALE).Affine(n=2, dtype=F64)
    A = torch.randn(2, 2, dtype=F64) + 3 * torch.eye(2, dtype=F64)
    x, c = torch.randn(4, 1, 2, dtype=F64), torch.randn(3, dtype=F64)
    found = layer(A, x, c)
    assert found.shape == (4, 3, 2)
    close(found, torch.linalg.solve(A, (2 * x + c[:, None])[..., None])[..., 0])
    many = layer(A.expand(3, 2, 2), x, c)
    assert torch.equal(many, found)
    assert layer.last.status.shape == (4, 3)
    assert layer(A, x[0, 0], c[0]).shape == (2,)
    assert layer(A, x[:0], c[0]).shape == (0, 1, 2)


def test_every_output_has_the_whole_batch_shape():
    text = "net Both(x, y) -> (a, b) { return x, 2*y }"
    a, b = implicitdsl.load(text).Both()(torch.randn(3, 1), torch.randn(4))
    assert a.shape == b.shape == (3, 4)
    found = implicitdsl.load(text).Both()(1.0, 2.0)
    assert type(found) is tuple and found[0].shape == ()


def test_batches_that_do_not_broadcast_say_which_inputs():
    layer = implicitdsl.load(SCALE).Affine(n=2)
    with pytest.raises(ValueError, match=r"\[4\].*`c`.*`x` \[3\]"):
        layer(torch.eye(2), torch.randn(3, 2), torch.randn(4))
    with pytest.raises(ValueError, match=r"`x` has shape \[3, 5\], expected \[\.\.\., 2\]"):
        layer(torch.eye(2), torch.randn(3, 5), torch.randn(3))
    with pytest.raises(TypeError, match=r"takes 3 inputs \(A, x, c\), not 1"):
        layer(torch.eye(2))


@pytest.mark.parametrize("name", ["Decay", "DEQ", "Kepler", "Program", "Classifier"])
def test_a_sample_has_its_bits_alone_and_in_any_batch(name):
    sizes = {"DEQ": {"n": 3, "m": 2}, "Program": {"n": 3, "m": 2}, "Classifier": {"m": 2, "k": 2}}.get(name, {})
    layer = models()[name](**sizes, dtype=F64)
    shapes = {"Decay": [(2,)], "Kepler": [(), ()], "Program": [(3,), (2,)]}.get(name, [(2,)])
    rows = [torch.rand(5, *s, dtype=F64) + (0.1 if name != "Kepler" else 0) for s in shapes]
    more = [torch.tensor([0.0, 0.5], dtype=F64)] if name == "Decay" else []

    def run(part):
        given = [p.clone().requires_grad_() for p in part]
        out = layer(*given, *more)
        return out.detach(), torch.autograd.grad(out.pow(2).sum(), given), layer.last

    out, grads, last = run(rows)
    turned, turned_grads, _ = run([r.flip(0) for r in rows])
    assert torch.equal(turned.flip(0), out)
    assert all(torch.equal(t.flip(0), g) for t, g in zip(turned_grads, grads, strict=True))
    for k in range(5):
        alone, own, facts = run([r[k] for r in rows])
        assert torch.equal(alone, out[k])
        assert all(torch.equal(a, g[k]) for a, g in zip(own, grads, strict=True))
        assert facts.steps.item() == last.steps[k].item()
    strided = [torch.stack([r, r], -1)[..., 0] for r in rows]
    assert torch.equal(run(strided)[0], out)


# ---------------------------------------------------------------- sizes


def test_sizes_of_the_call_must_agree():
    text = "net Pair(x[T], y[T]) -> [T] { return x + y }"
    layer = implicitdsl.load(text).Pair()
    assert layer(torch.ones(3), torch.ones(3)).shape == (3,)
    assert layer(torch.ones(2, 5), torch.ones(5)).shape == (2, 5)
    with pytest.raises(ValueError, match=r"`x` has T = 3, `y` has T = 4"):
        layer(torch.ones(3), torch.ones(4))


def test_an_unknown_keyword_says_what_was_meant():
    with pytest.raises(TypeError, match=r"`rtoll`; did you mean `rtol`"):
        models().DEQ(n=3, m=2, rtoll=1e-3)
    with pytest.raises(TypeError, match=r"`hh`.*sizes: d, h"):
        models().Neural(d=2, hh=3)
    with pytest.raises(AttributeError, match="did you mean `Kepler`"):
        _ = models().Keppler


def test_a_missing_size_is_named():
    with pytest.raises(implicitdsl.ImpError, match=r"`m`|size m"):
        models().DEQ(n=3)


@pytest.mark.parametrize("value", [2.0, "3", True, None])
def test_sizes_are_whole_numbers(value):
    with pytest.raises(TypeError, match="whole number"):
        models().DEQ(n=value, m=2)


def test_sizes_may_be_numpy_integers():
    assert models().DEQ(n=np.int64(3), m=2)(torch.randn(2)).shape == (3,)


def test_negative_sizes_are_refused():
    with pytest.raises((implicitdsl.ImpError, ValueError)):
        models().DEQ(n=-1, m=2)


@pytest.mark.parametrize(
    "name", ["solver", "adjoint", "rtol", "atol", "dt", "max_steps", "seed", "on_fail", "dtype", "device", "threads"]
)
def test_sizes_may_not_bear_the_names_of_options(name):
    with pytest.raises(implicitdsl.ImpError):
        implicitdsl.load(f"net N[{name}](x[{name}]) -> [{name}] {{ return x }}")


def test_defaults_of_sizes_may_be_overridden():
    text = "net N[n, h = n + 1](x[n]) -> [h] {\n  param W[h, n] ~ normal()\n  return W @ x\n}"
    made = implicitdsl.load(text)
    assert made.N(n=3)(torch.randn(3)).shape == (4,)
    assert made.N(n=3, h=7)(torch.randn(3)).shape == (7,)


# ---------------------------------------------------------------- options


TOLERANT = """
ode Growth(x0) -> x {
  state x = x0
  dx/dt = sin(3*x) + x
  from t = 0 to 1
  solver dopri5(rtol = 1e-3, atol = 1e-3)
  return x
}
ode Plain(x0) -> x {
  state x = x0
  dx/dt = sin(3*x) + x
  from t = 0 to 1
  return x
}
"""


def test_python_beats_the_file_and_the_file_beats_the_default():
    made = implicitdsl.load(TOLERANT)
    x = torch.tensor(0.3, dtype=F64)

    def steps(template, **options):
        layer = template(**options)
        layer(x)
        return layer.last.steps.item()

    default, file = steps(made.Plain), steps(made.Growth)
    fine = steps(made.Growth, rtol=1e-10, atol=1e-12)
    assert file < default < fine
    assert steps(made.Growth, rtol=1e-3, atol=1e-3) == file
    assert steps(made.Growth, solver="rk4", dt=0.01) == 100
    inside = steps(made.Plain, solver="dopri5(rtol = 1e-3, atol = 1e-3)")
    assert inside == file
    assert steps(made.Plain, solver="dopri5(rtol = 1e-3, atol = 1e-3)", rtol=1e-10, atol=1e-12) == fine


@pytest.mark.parametrize("option", [{"rtol": 1e-3}, {"solver": "newton"}, {"max_steps": 3}, {"dt": 0.1}])
def test_an_option_that_could_change_nothing_is_refused(option):
    with pytest.raises(implicitdsl.ImpError, match=f"`net` has no solver that `{next(iter(option))}`"):
        models().Classifier(m=2, k=2, **option)


def test_defaults_of_tolerances_by_type():
    made = implicitdsl.load(TOLERANT)
    x = torch.tensor(0.3)
    plain, told = made.Plain(), made.Plain(rtol=1e-4, atol=1e-6)
    assert torch.equal(plain(x), told(x)) and plain.last.steps == told.last.steps
    told = made.Plain(rtol=1e-6, atol=1e-9)
    assert torch.equal(plain(x.double()), told(x.double())) and plain.last.steps == told.last.steps


def test_max_steps_is_a_status():
    layer = implicitdsl.load(TOLERANT).Plain(max_steps=2, on_fail="nan", dtype=F64)
    assert layer(torch.tensor(0.3)).isnan()
    assert layer.last.status.item() == statuses.MAX_STEPS


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rtol": -1.0}, ValueError),
        ({"rtol": "small"}, TypeError),
        ({"max_steps": 0}, ValueError),
        ({"max_steps": 1.5}, TypeError),
        ({"on_fail": "ignore"}, ValueError),
        ({"solver": 3}, TypeError),
        ({"dtype": torch.int64}, TypeError),
        ({"dtype": "complex64"}, TypeError),
        ({"threads": 0}, ValueError),
        ({"solver": "toms748"}, implicitdsl.ImpError),
        ({"solver": "newton(speed = 3)"}, implicitdsl.ImpError),
        ({"dt": 0.1}, implicitdsl.ImpError),
    ],
)
def test_wrong_options_are_refused_when_the_layer_is_made(options, error):
    with pytest.raises(error):
        models().DEQ(n=3, m=2, **options)


USES = """
fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  var z[n] = 0
  z = tanh(W @ z + U @ x)
  return z
}
net Loose[m](x[m]) -> [3] {
  use f = DEQ[n = 3, m = m](rtol = 1e-2)
  return f(x)
}
net Tight[m](x[m]) -> [3] {
  use f = DEQ[3, m](rtol = 1e-11)
  return f(x)
}
net Two[m](x[m]) -> [6] {
  use f = DEQ[3, m]
  use g = DEQ[3, m]
  return [f(x), g(x)]
}
net Twice[m](x[m]) -> [m] {
  use f = DEQ[m, m]
  return f(f(x))
}
"""


def test_options_of_a_use_line():
    made = implicitdsl.load(USES)
    loose, tight = made.Loose(m=2, dtype=F64), made.Tight(m=2, dtype=F64)
    tight.load_state_dict(loose.state_dict())
    x = torch.randn(2, dtype=F64)
    gap = (loose(x) - tight(x)).abs().max()
    assert loose.last.steps < tight.last.steps
    assert 0 < gap < 0.1
    W, U = loose.f.W, loose.f.U
    z = tight(x)
    close(z, torch.tanh(W @ z + U @ x).detach(), 1e-10)


def test_two_uses_own_two_and_one_use_shares():
    made = implicitdsl.load(USES)
    two = made.Two(m=2, dtype=F64)
    assert set(two.state_dict()) == {"f.W", "f.U", "g.W", "g.U"}
    assert not torch.equal(two.f.W, two.g.W)
    x = torch.randn(4, 2, dtype=F64)
    assert torch.equal(two(x), torch.cat([two.f(x), two.g(x)], -1))
    twice = made.Twice(m=2, dtype=F64)
    assert torch.equal(twice(x), twice.f(twice.f(x)))
    assert len(list(twice.parameters())) == 2
    assert torch.autograd.gradcheck(twice, x.requires_grad_())
    assert torch.autograd.gradgradcheck(twice, x)


def test_a_sub_layer_takes_the_outer_dtype_and_on_fail():
    text = """
root Square(p) -> x {
  var x = 1
  x^2 = p
  return x
}
net Outer(p) -> y {
  use inner = Square
  return 2*inner(p) + 1
}
"""
    layer = implicitdsl.load(text).Outer(dtype=F64, on_fail="nan")
    p = torch.tensor([4.0, -1.0, 9.0], dtype=F64, requires_grad=True)
    out = layer(p)
    close(out[[0, 2]], [5.0, 7.0])
    assert out[1].isnan()
    assert layer.inner.blueprint.options.on_fail == "nan" and layer.inner.blueprint.options.dtype == F64
    assert "Square" in layer.last.message(1) and "Outer" in layer.last.message(0)
    (g,) = torch.autograd.grad(out[0] + out[2], p)
    close(g, [0.5, 0.0, 1 / 3])
    raising = implicitdsl.load(text).Outer(dtype=F64)
    with pytest.raises(implicitdsl.SolveError, match="Square") as caught:
        raising(p)
    assert caught.value.samples == ((1,),)


# ---------------------------------------------------------------- failures


ROOT = """
root Sqrt(p) -> x {
  param a = 1
  var x = 1
  a*x^2 = p
  return x
}
"""


def test_on_fail_raise_says_which_why_and_what_to_try():
    layer = implicitdsl.load(ROOT).Sqrt(dtype=F64)
    with pytest.raises(implicitdsl.SolveError) as caught:
        layer(torch.tensor([[4.0, -1.0], [9.0, -2.0]], dtype=F64))
    assert caught.value.samples == ((0, 1), (1, 1))
    assert "Sqrt: 2 of 4 samples" in str(caught.value) and "try" in str(caught.value) and "(0, 1)" in str(caught.value)
    assert layer.last.status.shape == (2, 2)
    close(layer(torch.tensor([4.0], dtype=F64)), [2.0])


def test_on_fail_warn_gives_the_best_finite_iterate():
    layer = implicitdsl.load(ROOT).Sqrt(dtype=F64, on_fail="warn")
    with pytest.warns(RuntimeWarning, match="Sqrt"):
        out = layer(torch.tensor([4.0, -1.0], dtype=F64))
    assert out.isfinite().all()
    close(out[0], 2.0)


@pytest.mark.parametrize("on_fail", ["nan", "warn"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_failed_sample_changes_no_bit_of_another_nor_of_a_shared_gradient(on_fail):
    layer = implicitdsl.load(ROOT).Sqrt(dtype=F64, on_fail=on_fail)

    def run(values, weights):
        p = torch.tensor(values, dtype=F64, requires_grad=True)
        out = layer(p)
        a, own = torch.autograd.grad((torch.tensor(weights, dtype=F64) * out).nan_to_num(0).sum(), [layer.a, p])
        return out.detach(), a, own

    out, a, own = run([4.0, -1.0, 9.0], [1.0, 0.0, 2.0])
    alone, only, _ = run([4.0, 9.0], [1.0, 2.0])
    assert torch.equal(out[[0, 2]], alone)
    assert torch.equal(a, only)
    assert own[1] == 0
    bad = torch.tensor([4.0, torch.nan, 9.0], dtype=F64, requires_grad=True)
    found = layer(bad)
    assert torch.equal(found[[0, 2]], alone)
    assert layer.last.status[1] == statuses.BAD_INPUT
    (a,) = torch.autograd.grad(found[0] + 2 * found[2], layer.a)
    assert torch.equal(a, only)


def test_status_numbers_are_fixed():
    names = (
        "success max_steps dt_underflow nonfinite diverged stalled no_root singular infeasible unbounded nonconvex bad_input "
        "bad_times zeno"
    ).split()
    assert [statuses.status_name(k) for k in range(14)] == names


def test_sets_on_inputs_are_closed_and_tested_per_sample():
    layer = models().Kepler(dtype=F64, on_fail="nan")
    e = torch.tensor([0.0, 0.5, 1.0, 1.0001, -1e-9], dtype=F64)
    out = layer(torch.tensor(1.0, dtype=F64), e)
    assert layer.last.status.tolist() == [0, 0, 0, 11, 11]
    assert out.isnan().tolist() == [False, False, False, True, True]
    close(out[0], 1.0)


def test_bad_times_of_one_sample():
    text = "ode D(x0, ts[T]) -> [T] {\n  state x = x0\n  dx/dt = -x\n  return x at ts\n}"
    layer = implicitdsl.load(text).D(dtype=F64, on_fail="nan", rtol=1e-10, atol=1e-12)
    ts = torch.tensor([[0.0, 1.0, 2.0], [0.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]], dtype=F64)
    out = layer(torch.tensor(1.0, dtype=F64), ts)
    assert layer.last.status.tolist() == [0, statuses.BAD_TIMES, 0, 0]
    close(out[0], torch.exp(-ts[0]), 1e-8)
    close(out[2], torch.exp(-(ts[2] - 3)), 1e-8)
    close(out[3], torch.ones(3))
    assert layer(torch.tensor(2.0, dtype=F64), torch.zeros(0, dtype=F64)).shape == (0,)
    close(layer(torch.tensor(2.0, dtype=F64), torch.ones(1, dtype=F64)), [2.0])
    assert layer(torch.ones(4, dtype=F64), torch.zeros(0, dtype=F64)).shape == (4, 0)


def test_asking_for_more_times_changes_no_other_value():
    layer = models().Decay(dtype=F64)
    y0 = torch.tensor([1.0, 2.0], dtype=F64)
    few = layer(y0, torch.tensor([0.0, 0.7, 2.0], dtype=F64))
    many = layer(y0, torch.tensor([0.0, 0.1, 0.2, 0.7, 1.3, 2.0], dtype=F64))
    assert torch.equal(few, many[[0, 3, 5]])


def test_a_derivative_that_does_not_exist_fails_backward_only():
    text = "root Double(p) -> x {\n  var x = 0\n  x^2 = p\n  return x\n}"
    p = torch.tensor([0.0], dtype=F64, requires_grad=True)
    layer = implicitdsl.load(text).Double(dtype=F64)
    out = layer(p)
    assert out.item() == 0 and layer.last.status.item() == 0
    with pytest.raises(implicitdsl.SolveError, match="differentiated"):
        out.sum().backward()
    close(layer(p), [0.0])


# ---------------------------------------------------------------- statements


def test_consts_are_buffers_and_draws_follow_the_seed():
    text = """
net N(x) -> y {
  param w[3], v[3] ~ normal(1, 2)
  const c = 5
  return x + c + sum(w) + sum(v)
}
"""
    made = implicitdsl.load(text)
    torch.manual_seed(4)
    a = made.N()
    torch.manual_seed(4)
    b = made.N()
    assert torch.equal(a.w, b.w) and not torch.equal(a.w, a.v) and not torch.equal(a.w, made.N().w)
    assert dict(a.named_buffers()).keys() == {"c"} and dict(a.named_parameters()).keys() == {"w", "v"}
    a.c.fill_(7)
    close(a(torch.tensor(0.0)) - b(torch.tensor(0.0)), 2.0, 1e-5)


def test_imports_across_files(tmp_path):
    (tmp_path / "blocks.imp").write_text("fn half(x) = x/2\nnet Half(x) -> y { return half(x) }\n")
    (tmp_path / "main.imp").write_text(
        'import "blocks.imp" as m\nimport "blocks.imp"\n'
        "net Quarter(x) -> y {\n  use h = m.Half\n  return half(h(x))\n}\n"
    )
    made = implicitdsl.load(tmp_path / "main.imp")
    close(made.Quarter()(torch.tensor(8.0)), 2.0)
    import pickle

    layer = made.Quarter()
    (tmp_path / "blocks.imp").unlink()
    close(pickle.loads(pickle.dumps(layer))(torch.tensor(4.0)), 1.0)


def test_functions_of_a_line():
    text = """
fn square(x) = x^2
fn energy(q, p) = square(p)/2 + square(q)/2
net N(q, p) -> (e, g) { return energy(q, p), grad(energy(q, p), q) }
"""
    e, g = implicitdsl.load(text).N()(3.0, 4.0)
    close(e, 12.5), close(g, 3.0)


def test_one_layer_that_cannot_run_does_not_spoil_its_file():
    text = """
sde Walk(x0) -> x {
  noise W
  state x = x0
  dx = dW
  from t = 0 to 1
  return x
}
net Fine(x) -> y { return 2*x }
"""
    made = implicitdsl.load(text)
    with pytest.raises(implicitdsl.ImpError, match="E6"):
        made.Walk()
    close(made.Fine()(torch.tensor(2.0)), 4.0)


def test_last_tells_steps_statuses_notes_and_the_end():
    made = implicitdsl.load(TOLERANT)
    layer = made.Plain(dtype=F64)
    assert layer.last is None
    layer(torch.tensor([0.1, 0.3], dtype=F64))
    assert layer.last.status.tolist() == [0, 0] and layer.last.status.dtype == torch.int32
    assert layer.last.notes.tolist() == [0, 0] and layer.last.notes.dtype == torch.int64
    assert (layer.last.steps > 0).all()
    close(layer.last.t_end, [1.0, 1.0])
    assert layer.last.seed is None
    assert "success" in layer.last.message(1)


def test_notes_tell_what_is_true_of_a_good_answer():
    text = "argmin Least(q) -> z {\n  var z\n  minimize (z - q)^2\n  subject to { z >= 0 }\n  return z\n}"
    layer = implicitdsl.load(text).Least(dtype=F64)
    out = layer(torch.tensor([1.0, -1.0, 0.0], dtype=F64))
    close(out, [1.0, 0.0, 0.0], 1e-8)
    assert layer.last.status.tolist() == [0, 0, 0]
    assert [int(n) & statuses.WEAK_ACTIVE for n in layer.last.notes] == [0, 0, statuses.WEAK_ACTIVE]
    assert "weak_active" in layer.last.message(2) and "weak_active" not in layer.last.message(0)


def test_what_is_no_text_of_a_model_is_told(tmp_path):
    (tmp_path / "old.imp").write_bytes("net N(x) -> y { return x }  # \xe9".encode("latin1"))
    with pytest.raises(ValueError, match=r"old\.imp is no text in UTF-8 \(byte 0xe9 at offset 30\)"):
        implicitdsl.load(tmp_path / "old.imp")
    with pytest.raises(FileNotFoundError) as caught:
        implicitdsl.load("fn f(x) = x^2")
    assert "loads" in caught.value.__notes__[0]


def test_sizes_are_given_by_name():
    made = implicitdsl.loads("net N[n, h = 2](x[n]) -> [n] { return h*x }")
    with pytest.raises(TypeError, match="N takes sizes and options by name: `N\\(n=…, h=…\\)`"):
        made.N(3)


def test_loads_reads_a_text():
    close(implicitdsl.loads("net N(x) -> y { return 2*x }").N()(torch.tensor(2.0)), 4.0)


def test_an_error_holds_every_finding():
    with pytest.raises(implicitdsl.ImpError) as caught:
        implicitdsl.load("net A(x) -> y { return z }\nnet C(x[n]) -> y { return x @ q }")
    assert len(caught.value.diagnostics) == 2
    assert "`z`" in str(caught.value) and "`q`" in str(caught.value)
    with pytest.raises(implicitdsl.ImpError) as caught:
        implicitdsl.load("net A(x) -> y { return x @ }\nnet C(x) -> y { return (x }")
    assert len({d.span.start for d in caught.value.diagnostics}) >= 2
