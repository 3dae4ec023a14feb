"""Failed samples: what is said of them, and that they change no bit of anything else."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from implicitdsl.layers import Layer, SetSpec, SolveError
from implicitdsl.solvers.status import BAD_INPUT, DIVERGED
from tests.layers.fake_engines import cut_blueprint, tanh_blueprint

F64 = torch.float64
A = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(1))


def data(bad=(1, 4), value=11.0):
    x = torch.randn(6, 3, dtype=F64)
    for i in bad:
        x[i, 0] = value
    return x


def test_raise_says_which_why_and_what_to_try():
    layer = Layer(tanh_blueprint())
    with pytest.raises(SolveError) as caught:
        layer(data().reshape(2, 3, 3), A)
    error = caught.value
    assert error.samples == ((0, 1), (1, 1)) and error.status.shape == (2, 3) and error.status[1, 1] == DIVERGED
    text = str(error)
    for part in (
        "Tanh: 2 of 6 samples",
        "diverged [E704] at (0, 1), (1, 1)",
        "grow without bound",
        "another solver",
        'on_fail="nan"',
    ):
        assert part in text
    assert isinstance(error, RuntimeError)
    assert torch.equal(layer.last.failed(), torch.tensor([[False, True, False], [False, True, False]]))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == text and again.samples == error.samples


def test_a_single_sample_and_many_samples_are_worded():
    layer = Layer(tanh_blueprint())
    with pytest.raises(SolveError, match="Tanh: the sample could not be solved"):
        layer(data()[1], A)
    with pytest.raises(SolveError, match="at 0, 1, 2, 3, 4 and 2 more"):
        layer(torch.full((7, 3), 11.0, dtype=F64), A)


@pytest.mark.parametrize("make", [tanh_blueprint, cut_blueprint])
@pytest.mark.parametrize("bad", [11.0, float("nan")])
def test_nan_keeps_every_bit_of_the_others(make, bad):
    x = data(value=bad)
    kept = torch.tensor([0, 2, 3, 5])
    layer = Layer(make(on_fail="nan"))

    def run(x):
        x = x.clone().requires_grad_()
        a = A.clone().requires_grad_()
        y, q = layer(x, a)
        alive = ~layer.last.failed()
        loss = (y[alive] ** 2).sum() + q[alive].sum()
        params = [p for p in layer.parameters() if p.requires_grad]
        first = torch.autograd.grad(loss, (x, a, *params), create_graph=True)
        second = torch.autograd.grad(
            sum((g[alive] if g is first[0] else g).pow(2).sum() for g in first), (x, a, *params)
        )
        return y, q, first, second

    y, q, first, second = run(x)
    assert layer.last.status.tolist() == [
        0,
        *[DIVERGED if bad == 11 else BAD_INPUT],
        0,
        0,
        layer.last.status[1].item(),
        0,
    ]
    assert torch.isnan(y[[1, 4]]).all() and torch.isnan(q[[1, 4]]).all()
    y2, q2, first2, second2 = run(x[kept])
    assert torch.equal(y[kept], y2) and torch.equal(q[kept], q2)
    for ours, alone in zip((*first, *second), (*first2, *second2), strict=True):
        if len(ours) == 6:  # the inputs' own gradients: exactly 0 where the cotangent is
            assert torch.equal(ours[kept], alone) and bool((ours[[1, 4]] == 0).all())
        else:
            assert torch.equal(ours, alone)


@pytest.mark.parametrize("make", [tanh_blueprint, cut_blueprint])
def test_the_gradient_of_a_failed_sample_that_is_asked_for_is_nan(make):
    layer = Layer(make(on_fail="nan"))
    x = data().requires_grad_()
    y, _ = layer(x, A)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.isnan(grad[[1, 4]]).all() and torch.isfinite(grad[[0, 2, 3, 5]]).all()
    tangent = torch.func.jvp(lambda x: layer(x, A)[0], (x.detach(),), (torch.ones_like(x),))[1]
    assert torch.isnan(tangent[[1, 4]]).all() and torch.isfinite(tangent[[0, 2, 3, 5]]).all()


def test_warn_returns_the_best_iterate():
    layer = Layer(tanh_blueprint(on_fail="warn"))
    x = data()
    with pytest.warns(RuntimeWarning, match="Tanh: 2 of 6 samples could not be solved"):
        y, _ = layer(x, A)
    assert torch.isfinite(y).all() and layer.last.failed().tolist() == [False, True, False, False, True, False]
    x[2, 1] = float("nan")
    with pytest.warns(RuntimeWarning, match="bad_input \\[E711\\] at 2"):
        y, _ = layer(x, A)
    assert torch.isnan(y[2]).all() and torch.isfinite(y[1]).all()


def test_backward_failures_follow_on_fail():
    x = data(value=7.0)
    strict = Layer(tanh_blueprint())
    y, _ = strict(x.requires_grad_(), A)
    with pytest.raises(SolveError, match="could not be differentiated") as caught:
        y.sum().backward()
    assert caught.value.samples == ((1,), (4,)) and caught.value.stage == "backward"
    (grad,) = torch.autograd.grad(strict(x, A)[0][[0, 2]].sum(), x)  # samples without a cotangent are not asked
    assert torch.isfinite(grad).all()
    soft = Layer(tanh_blueprint(on_fail="nan"))
    y, _ = soft(x, A)
    grad_x, grad_w = torch.autograd.grad(y.sum(), (x, soft.w))
    assert torch.isfinite(y).all() and torch.isnan(grad_x[[1, 4]]).all() and torch.isfinite(grad_x[[0, 2, 3, 5]]).all()
    assert torch.isnan(grad_w).all()  # the sum lacks terms that nobody knows
    loud = Layer(tanh_blueprint(on_fail="warn"))
    y, _ = loud(x, A)
    with pytest.warns(RuntimeWarning, match="could not be differentiated"):
        torch.autograd.grad(y.sum(), x)


def test_failures_in_the_second_backward():
    x = data(value=7.0).requires_grad_()
    layer = Layer(tanh_blueprint(on_fail="nan"))
    y, _ = layer(x, A)
    # The first pullback leaves the bad samples out, the second meets them through the shared direction of w.
    (grad,) = torch.autograd.grad(y[[0, 2, 3, 5]].sum(), layer.w, create_graph=True)
    (twice,) = torch.autograd.grad(grad.sum(), x)
    assert bool((twice[[1, 4]] == 0).all()) and torch.isfinite(twice).all()


def test_inputs_outside_their_set():
    layer = Layer(tanh_blueprint(x_set=SetSpec("interval", (-1.0, 1.0)), on_fail="nan"))
    x = torch.tensor([[0.0, 0.5, -0.5], [1.0, -1.0, 0.0], [1.1, 0.0, 0.0], [0.0, float("nan"), 0.0]], dtype=F64)
    layer(x, A)
    assert layer.last.status.tolist() == [0, 0, BAD_INPUT, BAD_INPUT]
    assert "outside the set" in layer.last.message(2)
    shared = Layer(tanh_blueprint(on_fail="nan"))
    y, _ = shared(x[:2], torch.full((3, 3), float("nan"), dtype=F64))
    assert shared.last.status.tolist() == [BAD_INPUT] * 2 and torch.isnan(y).all()


def test_bad_inputs_are_named():
    layer = Layer(tanh_blueprint(x_set=SetSpec("interval", (-1.0, 1.0))))
    x = torch.zeros(2, 2, 3, dtype=F64)
    x[0, 1, 2], x[1, 0, 0], x[1, 1, 1] = 2.0, float("nan"), -3.0
    with pytest.raises(SolveError) as caught:
        layer(x, A)
    text = str(caught.value)
    assert "input `x` has elements that are NaN at (1, 0)\n" in text
    assert "input `x` is outside `interval(-1, 1)` at (0, 1), (1, 1)\n" in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text
    with pytest.raises(SolveError) as caught:
        layer(x[0, 0], torch.full((3, 3), float("nan"), dtype=F64))
    assert caught.value.why == ("input `A` has elements that are NaN",)
    with pytest.warns(RuntimeWarning, match="outside `interval\\(-1, 1\\)` at 1\n"):
        Layer(tanh_blueprint(x_set=SetSpec("interval", (-1.0, 1.0)), on_fail="warn"))(x[0], A)


def test_a_cut_net_tests_its_inputs_and_names_the_layer_that_failed():
    layer = Layer(cut_blueprint(x_set=SetSpec("interval", (-20.0, 20.0)), on_fail="nan"))
    x = torch.tensor([[0.1, 0.2, 0.3], [30.0, 0.0, 0.0], [11.0, 0.0, 0.0]], dtype=F64, requires_grad=True)
    layer(x, A)
    assert layer.last.status.tolist() == [0, BAD_INPUT, DIVERGED]
    assert layer.last.message(1).startswith("Cut: bad_input") and layer.last.message(2).startswith("Tanh: diverged")
    assert layer.inner.last is None  # the outer call tells
    assert torch.autograd.gradcheck(lambda x: layer(x, A), (x[:1].detach().requires_grad_(),))
    assert torch.autograd.gradgradcheck(lambda x: layer(x, A), (x[:1].detach().requires_grad_(),))
    strict = Layer(cut_blueprint())
    with pytest.raises(SolveError) as caught:
        strict(x.detach(), A)
    assert caught.value.layer == "Tanh"


def test_paths_may_hold_nan():
    from dataclasses import replace

    from implicitdsl.layers import InputSpec

    blueprint = tanh_blueprint(on_fail="nan")
    free = replace(blueprint, inputs=(InputSpec("x", (3,), path=True), blueprint.inputs[1]))
    layer = Layer(free)
    layer(torch.tensor([float("nan"), 0.0, 0.0], dtype=F64), A)
    assert layer.last.status == 0


def test_the_engine_never_sees_what_needs_no_work():
    layer = Layer(tanh_blueprint(on_fail="nan"))
    engine = layer._binding.entry(0, F64, {}).engine
    x = data(value=float("nan")).requires_grad_()
    y, _ = layer(x, A)
    y[0].sum().backward()
    assert engine.calls == [("solve", 4), ("pullback", 1)]
    engine.calls.clear()
    layer(torch.full((2, 3), np.nan, dtype=F64), A)
    assert engine.calls == []
