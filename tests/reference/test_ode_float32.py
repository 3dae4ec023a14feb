"""Layers in float32: the type of what they return, the digits that they have, and inputs of mixed types."""

from __future__ import annotations

import pytest
import torch

from tests.reference.cases import f64, models

pytestmark = pytest.mark.usefixtures("backend")

ODE, ROOT, FIXPOINT = models("ode"), models("root"), models("fixpoint")
SINGLE, DOUBLE = torch.float32, torch.float64

# layer, inputs, an output of the exact answer, its gradient in the first input, and the error allowed
SUBJECTS = {
    "decay": (ODE.Decay, (2.0, 3.0, 1.5), 0.14936120510359183, -0.22404180765538775, 2e-4),
    "kepler": (ROOT.KeplerEquation, (0.8, 0.5), 1.2622114491948167428, 1.2585531112353791847, 2e-6),
    "lambert": (ROOT.Lambert, (5.0,), 1.3267246652422002236, 0.11404225734668909976, 2e-6),
    "tanh": (FIXPOINT.TanhScalar, (0.9, 0.3), 0.75146958787774490941, 0.53780088064794328267, 5e-6),
    "doubling": (FIXPOINT.Doubling, (1.0,), -1.0, -1.0, 1e-6),
}
subjects = pytest.mark.parametrize("name", SUBJECTS)


@subjects
def test_the_digits_of_float32(name):
    template, inputs, value, slope, bound = SUBJECTS[name]
    given = [torch.tensor(v, dtype=SINGLE, requires_grad=True) for v in inputs]
    found = template(dtype=SINGLE)(*given)
    assert found.dtype == SINGLE
    assert found.item() == pytest.approx(value, rel=bound)
    (first,) = torch.autograd.grad(found, given[0], create_graph=True)
    assert first.dtype == SINGLE
    assert first.item() == pytest.approx(slope, rel=10 * bound)
    (second,) = torch.autograd.grad(first, given[0], materialize_grads=True)
    assert second.dtype == SINGLE
    double = [torch.tensor(v, dtype=DOUBLE, requires_grad=True) for v in inputs]
    (exact,) = torch.autograd.grad(template(dtype=DOUBLE)(*double), double[0], create_graph=True)
    (exact,) = torch.autograd.grad(exact, double[0], materialize_grads=True)
    assert second.item() == pytest.approx(exact.item(), rel=100 * bound, abs=1e-5)


def test_numbers_alone_take_the_type_of_the_layer():
    assert ODE.Decay(dtype=SINGLE)(2.0, 3.0, 1.5).dtype == SINGLE
    assert ODE.Decay(dtype=DOUBLE)(2.0, 3.0, 1.5).dtype == DOUBLE
    assert ODE.Decay()(2.0, 3.0, 1.5).dtype == torch.get_default_dtype()


@pytest.mark.parametrize("name", ["decay", "tanh", "kepler"])
def test_mixed_types_promote(name):
    template, inputs, value, _, _ = SUBJECTS[name]
    layer = template(dtype=SINGLE)
    mixed = [
        f64([inputs[0]]),
        torch.tensor([inputs[1]], dtype=SINGLE),
        *(torch.tensor([v], dtype=SINGLE) for v in inputs[2:]),
    ]
    found = layer(*mixed)
    assert found.dtype == DOUBLE
    # Tolerances are those of the type computed in.
    assert found.item() == pytest.approx(value, rel=1e-5)
    assert layer(*(torch.tensor([v], dtype=SINGLE) for v in inputs)).dtype == SINGLE


def test_params_promote_their_inputs_and_keep_their_own_type():
    torch.manual_seed(0)
    layer = FIXPOINT.DEQ(n=3, m=2, dtype=SINGLE)
    x = torch.randn(4, 2, dtype=DOUBLE, requires_grad=True)
    z = layer(x)
    assert z.dtype == DOUBLE
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == DOUBLE
    assert layer.W.grad is not None
    assert layer.W.grad.dtype == SINGLE
    wide = FIXPOINT.DEQ(n=3, m=2, dtype=DOUBLE)
    wide.load_state_dict({k: v.double() for k, v in layer.state_dict().items()})
    assert torch.equal(wide(x), z)
    assert wide(x.detach().float()).dtype == DOUBLE


def test_a_moved_layer_computes_in_its_new_type():
    layer = ROOT.Coupled(n=2, dtype=SINGLE)
    A, x = torch.tensor([[0.5, -0.2], [0.7, 0.1]]), torch.tensor([1.0, -0.4])
    assert layer(A, x).dtype == SINGLE
    assert layer.double()(A, x).dtype == DOUBLE


def test_whole_numbers_convert_and_half_is_refused():
    layer = ODE.Decay(dtype=SINGLE)
    assert layer(torch.tensor(2), torch.tensor(3), 1.5).dtype == SINGLE
    with pytest.raises(TypeError, match=r"half|float16|complex"):
        layer(torch.tensor(2.0, dtype=torch.float16), 3.0, 1.5)
    with pytest.raises(TypeError, match=r"complex"):
        layer(torch.tensor(2.0 + 1j), 3.0, 1.5)


def test_many_float32_steps_lose_no_time():
    # 4000 steps of 1/4096: time is kept as the sum of two floats, so that the end is met to the last bit.
    layer = ODE.Rotation(dtype=SINGLE, solver="rk4", dt=1 / 4096)
    found = layer(torch.tensor(0.9))
    assert layer.last.steps.item() == 3687
    wanted = [torch.cos(torch.tensor(1.8)).item(), torch.sin(torch.tensor(1.8)).item()]
    assert found.tolist() == pytest.approx(wanted, abs=2e-5)


def test_the_orbit_in_float32_keeps_its_energy():
    layer = ODE.KeplerOrbit(dtype=SINGLE)
    _, _, energy, momentum = layer(0.5, 20.0)
    assert energy.item() == pytest.approx(-0.5, abs=2e-3)
    assert momentum.item() == pytest.approx(0.75**0.5, abs=2e-3)
