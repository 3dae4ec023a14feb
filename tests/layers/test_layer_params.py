"""Params, consts, sub-layers: values, storage, copies, pickles, options."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from implicitdsl.layers import Blueprint, DrawSpec, Layer, Options, ParamSpec, SetSpec, inherited, read_options
from tests.layers.fake_engines import cut_blueprint, decay_blueprint, tanh_blueprint

F64 = torch.float64


def plain(*params, consts=(), **options):
    return Layer(Blueprint(kind="net", name="P", params=params, consts=consts, options=Options(**options)))


def test_params_are_parameters_and_consts_are_buffers():
    layer = plain(
        ParamSpec("W", (2, 3), draw=DrawSpec("normal", (0.0, 0.1))),
        ParamSpec("b", (2,)),
        consts=(ParamSpec("c", (), start=np.array(4.0)),),
    )
    assert [n for n, _ in layer.named_parameters()] == ["W", "b"] and [n for n, _ in layer.named_buffers()] == ["c"]
    assert layer.c == 4 and torch.equal(layer.b, torch.zeros(2)) and layer.W.dtype == torch.float32
    assert plain(ParamSpec("W", (2,)), dtype=F64).W.dtype == F64


def test_start_values_are_seeded_by_torch():
    spec = ParamSpec("W", (4, 4), draw=DrawSpec("normal"))
    torch.manual_seed(5)
    first = plain(spec).W
    torch.manual_seed(5)
    assert torch.equal(plain(spec).W, first) and not torch.equal(plain(spec).W, first)


def test_a_param_in_a_set_reads_as_its_value_and_is_set_by_assignment():
    layer = Layer(decay_blueprint())
    assert list(layer.state_dict()) == ["parametrizations.k.original"]
    assert torch.nn.utils.parametrize.is_parametrized(layer, "k") and "k" in dir(layer)
    torch.testing.assert_close(layer.k.detach(), torch.tensor(2.0, dtype=F64), rtol=1e-15, atol=0)
    layer.k = 3.5
    torch.testing.assert_close(layer.k.detach(), torch.tensor(3.5, dtype=F64), rtol=1e-15, atol=0)
    for outside in (-1.0, 0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`k` must lie inside positive: every element above 0; it was given"):
            layer.k = outside
    with pytest.raises(ValueError, match=r"`k` has shape \[\], not \[2\]"):
        layer.k = torch.ones(2)
    torch.testing.assert_close(layer.k.detach(), torch.tensor(3.5, dtype=F64), rtol=1e-15, atol=0)
    layer.k.pow(2).backward()
    assert layer.parametrizations["k"].original.grad != 0


WRITES = {
    "mul_": lambda v: v.mul_(2),
    "fill_": lambda v: v.fill_(2),
    "setitem": lambda v: v.__setitem__(0, 1.0),
    "iadd": lambda v: v.__iadd__(1),
    "data": lambda v: v.data.fill_(1),
    "detach": lambda v: v.detach().zero_(),
    "view": lambda v: v[0].fill_(1),
    "copy_": lambda v: v.copy_(torch.zeros(3)),
    "clamp_": lambda v: v.clamp_(0, 1),
    "function": lambda v: torch.nn.init.zeros_(v),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_a_write_in_place_raises(name, mode):
    layer = Layer(tanh_blueprint(w_set=SetSpec("positive")))
    before = layer.w.detach().clone()
    with mode(), pytest.raises(RuntimeError, match=r"Assign a new value to the layer instead"):
        WRITES[name](layer.w)
    assert torch.equal(layer.w, before)


def test_the_value_is_an_ordinary_tensor_otherwise():
    layer = Layer(tanh_blueprint(w_set=SetSpec("positive")))
    assert type(layer.w + 1) is torch.Tensor and type(layer.w.clone()) is torch.Tensor
    layer.w.clone().mul_(2)
    loaded = pickle.loads(pickle.dumps({"w": layer.w.detach()}))["w"]
    assert type(loaded) is torch.Tensor and torch.equal(loaded, layer.w)
    assert "tensor([" in repr(layer.w.detach()) and layer.w.tolist() == layer.w.detach().numpy().tolist()
    grad = torch.func.grad(
        lambda p: torch.func.functional_call(
            layer, {"parametrizations.w.original": p}, (torch.ones(3, dtype=F64), torch.eye(3, dtype=F64))
        )[1]
    )(layer.parametrizations["w"].original.detach())
    assert torch.isfinite(grad).all()
    reg = torch.autograd.grad((layer.w**2).sum(), layer.parametrizations["w"].original)[0]
    raw = layer.parametrizations["w"].original
    torch.testing.assert_close(reg, 2 * layer.w.detach() * torch.sigmoid(raw))


def test_start_values_outside_their_set_are_refused():
    with pytest.raises(ValueError, match="`a` must lie inside interval\\(0, 1\\)"):
        plain(ParamSpec("a", (), set=SetSpec("interval", (0.0, 1.0)), start=np.array(1.5)))
    assert plain(ParamSpec("a", (2,), set=SetSpec("interval", (0.0, 1.0)))).a.tolist() == [0.5, 0.5]


def test_an_optimiser_keeps_the_value_inside():
    layer = Layer(decay_blueprint())
    optimiser = torch.optim.SGD(layer.parameters(), lr=10.0)
    for _ in range(5):
        optimiser.zero_grad()
        layer(1.0, [0.0, 1.0]).sum().backward()
        optimiser.step()
    assert 0 < layer.k < 2


def test_state_dicts_prefix_sub_layers_and_round_trip():
    layer, other = Layer(cut_blueprint()), Layer(cut_blueprint())
    assert list(layer.state_dict()) == ["inner.w", "f.b"]
    with torch.no_grad():
        layer.inner.w.normal_()
        layer.f.b.normal_()
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    x, A = torch.randn(2, 3, dtype=F64), torch.randn(3, 3, dtype=F64)
    assert torch.equal(layer(x, A)[0], other(x, A)[0])


@pytest.mark.parametrize("make", [tanh_blueprint, decay_blueprint, cut_blueprint])
@pytest.mark.parametrize("way", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_and_pickles(make, way):
    layer = Layer(make(on_fail="nan"))
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.25)
    layer.eval()
    next(layer.parameters()).requires_grad_(False)
    state = torch.get_rng_state()
    other = way(layer)
    assert torch.equal(torch.get_rng_state(), state)
    assert not other.training and not next(other.parameters()).requires_grad
    assert repr(other) == repr(layer) and list(other.state_dict()) == list(layer.state_dict())
    given = (torch.ones(3, dtype=F64), torch.eye(3, dtype=F64)) if make is not decay_blueprint else (0.5, [0.0, 1.0])
    ours, theirs = other(*given), layer(*given)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    for p, q in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q) and p.data_ptr() != q.data_ptr()
    assert other.blueprint.options.on_fail == "nan"


def test_what_cannot_be_pickled_says_so():
    with pytest.raises(TypeError, match="save its state_dict"):
        pickle.dumps(Layer(tanh_blueprint(recipe=False)))


def test_tied_tensors_stay_tied_in_a_pickle():
    layer = Layer(cut_blueprint())
    pair = torch.nn.ModuleList([layer, torch.nn.ParameterList([layer.inner.w])])
    again = pickle.loads(pickle.dumps(pair))
    assert again[0].inner.w is again[1][0]


def test_repr_tells_kind_sizes_and_solver():
    assert repr(Layer(tanh_blueprint(solver="newton"))) == "Tanh(root, n=3, solver=newton)"
    assert "(inner): Tanh(root, n=3)" in repr(Layer(cut_blueprint()))
    assert "k in positive" in repr(Layer(decay_blueprint()))


def test_options_are_checked():
    options = read_options(
        solver="anderson(m = 5)", rtol=1e-8, max_steps=np.int64(3), dtype=np.float32, threads=2, on_fail="nan"
    )
    assert options == Options(
        solver="anderson(m = 5)", rtol=1e-8, max_steps=3, dtype=torch.float32, threads=2, on_fail="nan"
    )
    assert read_options(dtype="float64").dtype == read_options(dtype=float.__class__ and np.dtype("f8")).dtype == F64
    for given, kind, words in [
        ({"rtoll": 1}, TypeError, "did you mean `rtol`"),
        ({"rtol": 0}, ValueError, "positive, finite"),
        ({"atol": float("nan")}, ValueError, "positive, finite"),
        ({"dt": "x"}, TypeError, "dt is a number"),
        ({"max_steps": 0}, ValueError, "at least 1"),
        ({"max_steps": 1.5}, TypeError, "whole number"),
        ({"seed": True}, TypeError, "whole number"),
        ({"on_fail": "ignore"}, ValueError, '"raise", "nan" or "warn"'),
        ({"dtype": torch.float16}, TypeError, "float32 or float64, not in float16"),
        ({"dtype": complex}, TypeError, "not in complex"),
        ({"device": "cuda"}, ValueError, "solved on the processor only"),
        ({"device": "moon"}, ValueError, "no device"),
        ({"solver": 3}, TypeError, "solver is a text"),
    ]:
        with pytest.raises(kind, match=words):
            read_options(**given)


def test_sub_layers_inherit_four_options():
    outer = Options(dtype=F64, on_fail="nan", threads=3, rtol=1e-3)
    inner = inherited(Options(rtol=1e-9, solver="newton"), outer)
    assert inner == Options(rtol=1e-9, solver="newton", dtype=F64, on_fail="nan", threads=3)
