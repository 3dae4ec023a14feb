"""Every set: round trip, interior, closed membership, gradients, extremes."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from implicitdsl.layers import SetSpec
from implicitdsl.layers.constrained import Constrained
from implicitdsl.layers.sets import SETS, contains, in_interior

F32, F64 = torch.float32, torch.float64
INF = math.inf
CASES = {
    "positive": (SetSpec("positive"), (4,)),
    "nonneg": (SetSpec("nonneg"), (2, 2)),
    "interval": (SetSpec("interval", (-1.0, 3.0)), (4,)),
    "interval above": (SetSpec("interval", (2.0, INF)), (3,)),
    "interval below": (SetSpec("interval", (-INF, 2.0)), (3,)),
    "interval all": (SetSpec("interval", (-INF, INF)), (3,)),
    "simplex": (SetSpec("simplex", (4.0,)), (4,)),
    "several simplices": (SetSpec("simplex", (3.0,)), (2, 3)),
    "spd": (SetSpec("spd", (3.0,)), (3, 3)),
    "several spd": (SetSpec("spd", (2.0,)), (2, 2, 2)),
    "psd": (SetSpec("psd", (2.0,)), (2, 2)),
    "soc": (SetSpec("soc", (3.0,)), (3,)),
    "ordered": (SetSpec("ordered"), (4,)),
    "orthogonal": (SetSpec("orthogonal"), (3, 3)),
    "orthogonal tall": (SetSpec("orthogonal"), (4, 2)),
    "orthogonal wide": (SetSpec("orthogonal"), (2, 3)),
    "orthogonal one": (SetSpec("orthogonal"), (1, 1)),
}


def held(name, dtype=F64):
    which, shape = CASES[name]
    return Constrained("p", shape, which, torch.as_tensor(SETS[which.name].centre(shape, which.args), dtype=dtype))


def moved(name, scale, dtype=F64):
    """The set's map at random storage of a given size."""
    module = held(name, dtype)
    with torch.no_grad():
        module.original.add_(scale * torch.randn_like(module.original))
    return module


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_values_lie_inside_and_round_trip(name, dtype):
    which, shape = CASES[name]
    module = moved(name, 1.0, dtype)
    value = module().detach()
    assert value.shape == shape and value.dtype == dtype
    assert in_interior(which, value.numpy())
    other = held(name, dtype)
    other.assign(value)
    torch.testing.assert_close(other(), value, rtol=200 * torch.finfo(dtype).eps, atol=200 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives(name):
    module = moved(name, 0.5)
    raw = module.original.detach().clone().requires_grad_()
    if not raw.numel():
        assert torch.equal(module(), torch.ones(1, 1, dtype=F64))
        return
    run = lambda raw: torch.func.functional_call(module, {"original": raw})  # noqa: E731 - local
    assert gradcheck(run, (raw,)) and gradgradcheck(run, (raw,))


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("orthogonal") and n != "interval all"])
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("size", [-1e4, -200.0, -30.0, 30.0, 200.0, 1e4])
def test_extreme_storage_stays_inside_with_finite_derivatives(name, dtype, size):
    which, _ = CASES[name]
    module = held(name, dtype)
    with torch.no_grad():
        module.original.copy_(torch.full_like(module.original, size))
        if which.name in ("simplex", "ordered", "soc", "spd", "psd"):
            module.original[..., 1:] = 1.0
    value = module()
    if which.name in ("spd", "psd"):  # a matrix of such entries is definite, but not to its last digits
        assert torch.isfinite(value).all() and contains(which, value.detach().numpy(), value.ndim).all()
    elif which.name == "ordered":
        assert bool((value.diff() >= 0).all())
    else:
        assert in_interior(which, value.detach().numpy()), value
    (grad,) = torch.autograd.grad(value.sum(), module.original, create_graph=True)
    (twice,) = torch.autograd.grad(grad.sum(), module.original, allow_unused=True)
    assert torch.isfinite(grad).all() and (twice is None or torch.isfinite(twice).all())


@pytest.mark.parametrize("value", [1e-300, 1e-30, 1e-8, 0.1, 1.0, 36.0, 50.0, 1e3, 1e15, 1e300])
def test_positive_values_keep_their_digits(value):
    module = held("positive")
    module.assign(value)
    with mpmath.workdps(40):
        raw = mpmath.log(mpmath.expm1(mpmath.mpf(value))) if value < 1e4 else mpmath.mpf(value)
    assert float(module.original.detach()[0]) == pytest.approx(float(raw), rel=1e-14)
    assert float(module().detach()[0]) == pytest.approx(value, rel=2e-13)


@pytest.mark.parametrize("value", [-1 + 1e-15, -1 + 1e-9, 0.0, 2.5, 3 - 1e-9, 3 - 1e-15])
def test_interval_values_keep_their_distance_from_the_ends(value):
    module = held("interval")
    module.assign(value)
    found = float(module().detach()[0])
    assert found + 1 == pytest.approx(value + 1, rel=1e-13) and 3 - found == pytest.approx(3 - value, rel=1e-13)


def test_a_soc_value_near_the_boundary_keeps_its_gap():
    module = held("soc")
    value = torch.tensor([5 + 1e-12, 3.0, 4.0], dtype=F64)
    module.assign(value)
    assert float(module().detach()[0]) == pytest.approx(float(value[0]), abs=2e-15)
    assert math.isfinite(torch.autograd.grad(module()[0], module.original)[0].abs().max())


def test_an_orthogonal_matrix_of_either_determinant():
    module = held("orthogonal")
    reflection = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=F64))
    module.assign(reflection)
    torch.testing.assert_close(module(), reflection)
    assert list(module.state_dict()) == ["original", "base"]
    other = held("orthogonal")
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(), module())


NAN = math.nan
MEMBERS = {
    # set, members, outsiders: the closed set
    "positive": (SetSpec("positive"), 0, [0.0, 1e-300, 1e300], [-1e-300, NAN]),
    "nonneg": (SetSpec("nonneg"), 1, [[0.0, 1.0]], [[0.0, -1e-9], [NAN, 1.0]]),
    "interval": (SetSpec("interval", (0.0, 1.0)), 0, [0.0, 0.5, 1.0], [-1e-12, 1 + 1e-12, NAN]),
    "simplex": (
        SetSpec("simplex", (3.0,)),
        1,
        [[1.0, 0.0, 0.0], [0.2, 0.3, 0.5 + 1e-8]],
        [[0.5, 0.6, -0.1], [0.2, 0.2, 0.2], [NAN, 1, 0]],
    ),
    "spd": (
        SetSpec("spd", (2.0,)),
        2,
        [[[2.0, 1.0], [1.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]],
        [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [[NAN, 0], [0, 1]]],
    ),
    "psd": (SetSpec("psd", (2.0,)), 2, [[[0.0, 0.0], [0.0, 0.0]]], [[[-1e-3, 0.0], [0.0, 1.0]]]),
    "soc": (
        SetSpec("soc", (3.0,)),
        1,
        [[5.0, 3.0, 4.0], [0.0, 0.0, 0.0]],
        [[4.9, 3.0, 4.0], [-5.0, 3.0, 4.0], [NAN, 0, 0]],
    ),
    "ordered": (SetSpec("ordered"), 1, [[1.0, 1.0, 2.0]], [[1.0, 0.9, 2.0], [1.0, NAN, 2.0]]),
    "orthogonal": (
        SetSpec("orthogonal"),
        2,
        [[[0.6, 0.8], [-0.8, 0.6]], [[0.0, 1.0], [1.0, 0.0]]],
        [[[1.0, 0.0], [0.0, 1.1]], [[NAN, 0], [0, 1]]],
    ),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_membership_is_told_sample_by_sample(name):
    which, rank, inside, outside = MEMBERS[name]
    found = contains(which, np.array([*inside, *outside]), rank)
    assert found.tolist() == [True] * len(inside) + [False] * len(outside)
    single = contains(which, np.array(inside[0]), rank)
    assert single.shape == () and bool(single)
    assert name in SETS and set(SETS) == set(MEMBERS)


def test_float32_data_passes_in_float64():
    rows = torch.softmax(torch.randn(200, 7), -1).double().numpy()
    assert contains(SetSpec("simplex", (7.0,)), rows, 1).all()
    x = torch.randn(50, 5, 5)
    assert contains(SetSpec("psd", (5.0,)), (x @ x.mT).double().numpy(), 2).all()
    assert contains(SetSpec("orthogonal"), torch.linalg.qr(x)[0].double().numpy(), 2).all()


def test_several_members_in_one_sample():
    pairs = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.7, 0.7]]])
    assert contains(SetSpec("simplex", (2.0,)), pairs, 2).tolist() == [True, False]


@pytest.mark.parametrize("name", CASES)
def test_refused_values(name):
    module = held(name)
    with pytest.raises(ValueError, match="must lie inside"):
        module.assign(math.nan)
    outside = {
        "positive": 0.0,
        "nonneg": -1.0,
        "interval": 3.0,
        "interval above": 2.0,
        "interval below": 2.0,
        "interval all": INF,
        "ordered": 1.0,
        "soc": 1.0,
    }.get(name, 7.0)
    before = module().detach().clone()
    with pytest.raises(ValueError, match="must lie inside"):
        module.assign(outside)
    assert torch.equal(module(), before)
