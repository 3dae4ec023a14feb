"""Real layers as modules: copies, pickles, state dicts, types, containers, workers, modes."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

import implicitdsl
from tests.integration.zoo import CASES, models

F64 = torch.float64
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def gradients(layer, case):
    """By the params and the first input."""
    rows = [r.clone().requires_grad_() for r in case.rows()]
    named = {"first input": rows[0], **dict(layer.named_parameters())}
    found = torch.autograd.grad(layer(*rows, *case.shared).pow(2).sum(), list(named.values()))
    return dict(zip(named, found, strict=True))


@EVERY
def test_a_copy_is_equal_and_apart(case):
    layer = case.layer()
    other = copy.deepcopy(layer)
    assert torch.equal(layer(*case.inputs()), other(*case.inputs()))
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.1)
    assert all(torch.equal(p, before[n]) for n, p in layer.named_parameters())
    if before:
        assert not torch.equal(layer(*case.inputs()), other(*case.inputs()))


@EVERY
def test_a_copy_outlives_its_original(case):
    layer = case.layer()
    expected, grads = layer(*case.inputs()).detach(), gradients(layer, case)
    other = copy.deepcopy(layer)
    del layer
    assert torch.equal(other(*case.inputs()), expected)
    assert all(torch.equal(g, grads[n]) for n, g in gradients(other, case).items())


def test_a_result_outlives_its_layer():
    x = torch.randn(3, 2, dtype=F64, requires_grad=True)
    layer = models().DEQ(n=3, m=2, dtype=F64)
    out = layer(x)
    (expected,) = torch.autograd.grad(layer(x).sum(), x)
    del layer
    (found,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(found, expected)


@EVERY
def test_pickle_in_this_process(case):
    layer = case.layer()
    other = pickle.loads(pickle.dumps(layer))
    assert torch.equal(layer(*case.inputs()), other(*case.inputs()))
    ours, theirs = gradients(layer, case), gradients(other, case)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(g, theirs[n]) for n, g in ours.items())


def test_pickle_in_a_new_process(tmp_path):
    layers = [(name, case.layer(), case.inputs()) for name, case in CASES.items()]
    torch.save([(layer, inputs) for _, layer, inputs in layers], tmp_path / "layers.pt")
    script = (
        "import sys, torch\n"
        "found = []\n"
        "for layer, inputs in torch.load(sys.argv[1] + '/layers.pt', weights_only=False):\n"
        "    out = layer(*inputs)\n"
        "    grads = torch.autograd.grad(out.pow(2).sum(), list(layer.parameters())) if len(list(layer.parameters())) else ()\n"
        "    found.append((out.detach(), grads))\n"
        "torch.save(found, sys.argv[1] + '/found.pt')\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script, str(tmp_path)], check=True, timeout=120)
    for (_, layer, inputs), (out, grads) in zip(layers, torch.load(tmp_path / "found.pt"), strict=True):
        ours = layer(*inputs)
        assert torch.equal(ours, out)
        params = list(layer.parameters())
        if params:
            expected = torch.autograd.grad(ours.pow(2).sum(), params)
            assert all(torch.equal(a, b) for a, b in zip(expected, grads, strict=True))


@EVERY
def test_state_dict_through_a_file_with_prefixes(case):
    model = torch.nn.ModuleDict({"inner": case.layer()})
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        fresh = torch.nn.ModuleDict({"inner": models()[case.name](**case.sizes, dtype=F64, **case.options)})
    state = torch.load(file, weights_only=True)
    assert all(key.startswith("inner.") for key in state)
    assert fresh.load_state_dict(state).missing_keys == []
    assert torch.equal(model["inner"](*case.inputs()), fresh["inner"](*case.inputs()))


def test_the_names_of_the_state_dict():
    keys = set(CASES["cut net"].layer().state_dict())
    assert keys == {"features.W", "features.U", "features.b", "head.W", "head.V", "head.b", "head.c"}
    assert set(CASES["fixpoint with a net"].layer().state_dict()) == {"f.W", "f.V", "f.b", "f.c"}
    sets = {f"parametrizations.{n}.original" for n in ("alpha", "beta", "gamma", "delta")}
    assert set(CASES["ode adaptive"].layer().state_dict()) == sets


def test_loading_a_state_dict_of_other_shapes_or_names_raises():
    layer = models().DEQ(n=3, m=2)
    with pytest.raises(RuntimeError, match="size mismatch for W"):
        layer.load_state_dict(models().DEQ(n=4, m=2).state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict({})


@EVERY
def test_to_float64_and_back(case):
    torch.manual_seed(3)
    options = {k: v for k, v in case.options.items() if k not in ("rtol", "atol")}
    layer = models()[case.name](**case.sizes, **options)
    small = tuple(i.float() for i in case.inputs())
    out = layer(*small)
    assert out.dtype == torch.float32
    layer.to(F64)
    double = layer(*case.inputs())
    assert double.dtype == F64
    torch.testing.assert_close(out.double(), double, rtol=2e-3, atol=2e-4)
    assert all(p.dtype == F64 for p in layer.parameters())
    layer.float()
    assert torch.equal(layer(*small), out)


def test_promotion_of_types():
    layer = models().DEQ(n=3, m=2)
    x = torch.randn(2)
    assert layer(x).dtype == torch.float32
    assert layer(x.double()).dtype == F64
    assert models().DEQ(n=3, m=2, dtype=F64)(x).dtype == F64
    assert layer(torch.tensor([1, 2])).dtype == torch.float32
    assert layer([0.5, 1.0]).dtype == torch.float32
    assert layer(np.array([0.5, 1.0])).dtype == F64
    assert models().Kepler()(0.5, 0.1).dtype == torch.get_default_dtype()


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, torch.complex64, torch.complex128])
@EVERY
def test_half_and_complex_are_refused(case, dtype):
    layer = case.layer()
    with pytest.raises(TypeError, match="float32 or float64"):
        layer(*(i.to(dtype) for i in case.inputs()))


def test_half_params_are_refused():
    for dtype in (torch.half, torch.bfloat16):
        layer = models().DEQ(n=3, m=2).to(dtype)
        with pytest.raises(TypeError, match="float32 or float64"):
            layer(torch.randn(2))
    with pytest.raises(TypeError, match="float32 or float64"):
        models().DEQ(n=3, m=2, dtype=torch.half)


def test_autocast_halves_are_refused_and_floats_are_not_touched():
    layer, first = models().DEQ(n=3, m=2), torch.nn.Linear(2, 2)
    x = torch.randn(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.float32
        with pytest.raises(TypeError, match="bfloat16"):
            layer(first(x))
    assert torch.equal(layer(x), layer(x))


def test_other_devices_are_refused_with_what_to_do():
    layer = models().DEQ(n=3, m=2)
    with pytest.raises(ValueError, match=r"meta.*cpu"):
        layer(torch.empty(2, device="meta"))
    with pytest.raises(TypeError, match=r"sparse.*dense"):
        layer(torch.ones(2).to_sparse())
    with pytest.raises(ValueError, match="processor"):
        models().DEQ(n=3, m=2, device="cuda")
    with pytest.raises(ValueError, match="no device"):
        models().DEQ(n=3, m=2, device="toaster")
    assert models().DEQ(n=3, m=2, device="cpu")(torch.randn(2)).device.type == "cpu"


@EVERY
def test_no_grad_and_inference_mode_change_no_bit(case):
    layer = case.layer()
    out = layer(*case.inputs())
    with torch.no_grad():
        silent = layer(*case.inputs())
    with torch.inference_mode():
        inferred = layer(*case.inputs())
    assert torch.equal(out, silent) and torch.equal(out, inferred)
    assert not silent.requires_grad and inferred.is_inference()
    wanted = torch.tensor(0) if not list(layer.parameters()) else out
    assert out.requires_grad == (wanted is out)


@EVERY
def test_checkpoint_gives_the_same_gradients(case):
    layer = case.layer()
    rows = [r.clone().requires_grad_() for r in case.rows()]
    wrt = [*rows, *layer.parameters()]
    plain = torch.autograd.grad(layer(*rows, *case.shared).pow(2).sum(), wrt)
    again = torch.autograd.grad(checkpoint(layer, *rows, *case.shared, use_reentrant=False).pow(2).sum(), wrt)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_inside_sequential_and_with_hooks():
    model = torch.nn.Sequential(torch.nn.Linear(4, 2), models().DEQ(n=3, m=2), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    seen = []
    model[1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    model(torch.randn(5, 4)).sum().backward()
    assert seen == [(5, 3)]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert sum(p.numel() for p in model[1].parameters()) == 9 + 6 + 3
    assert "DEQ" in repr(model)


def test_params_in_sets_are_read_set_and_kept_inside():
    layer = CASES["ode adaptive"].layer()
    assert layer.alpha.item() == pytest.approx(1.1, abs=1e-15)
    layer.alpha = 2.5
    assert layer.alpha.item() == pytest.approx(2.5, rel=1e-15)
    with pytest.raises(ValueError, match="alpha"):
        layer.alpha = -1.0
    assert layer.alpha.item() == pytest.approx(2.5, rel=1e-15)
    with pytest.raises(RuntimeError, match="in place"):
        layer.alpha.mul_(2)
    with pytest.raises(RuntimeError, match="in place"):
        layer.alpha += 1
    with pytest.raises(RuntimeError, match="in place"):
        layer.alpha[...] = 3.0
    assert layer.alpha.item() == pytest.approx(2.5, rel=1e-15)
    optimiser = torch.optim.SGD(layer.parameters(), lr=100.0)
    layer(*CASES["ode adaptive"].inputs()).sum().backward()
    optimiser.step()
    assert all(getattr(layer, n).item() > 0 for n in ("alpha", "beta", "gamma", "delta"))


class Solved(Dataset):
    """Samples that a layer makes in the worker."""

    def __init__(self, layer):
        self.layer = layer

    def __len__(self):
        return 6

    def __getitem__(self, k):
        with torch.no_grad():
            return self.layer(torch.full((2,), 0.1 * k, dtype=F64))


@pytest.mark.parametrize("name", ["fixpoint", "cut net"])
def test_data_loader_with_forked_workers(name):
    layer = CASES[name].layer()
    expected = torch.stack([Solved(layer)[k] for k in range(6)]).detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks in processes with threads
        loader = DataLoader(Solved(layer), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=60)
        found = torch.cat(list(loader))
    assert torch.equal(found, expected)


def test_data_loader_with_spawned_workers():
    layer = CASES["fixpoint"].layer()
    loader = DataLoader(Solved(layer), batch_size=3, num_workers=1, multiprocessing_context="spawn", timeout=90)
    expected = torch.stack([Solved(layer)[k] for k in range(6)]).detach()
    assert torch.equal(torch.cat(list(loader)), expected)


def test_threads_may_call_one_layer():
    from concurrent.futures import ThreadPoolExecutor

    layer = models().DEQ(n=3, m=2, dtype=F64)
    xs = [torch.randn(k + 1, 2, dtype=F64, requires_grad=True) for k in range(8)]

    def work(x):
        out = layer(x)
        return out, torch.autograd.grad(out.pow(2).sum(), x)[0]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, xs))
    for x, (out, grad) in zip(xs, found, strict=True):
        assert torch.equal(out, layer(x))
        assert torch.equal(grad, work(x)[1])


@EVERY
def test_prepare_then_call(case):
    layer = case.layer()
    plain = case.layer()(*case.inputs())
    sizes = {"T": 3} if case.shared else {}
    assert layer.prepare(batch=True, **sizes) is layer
    assert torch.equal(layer(*case.inputs()), plain)


def test_another_dtype_may_be_prepared_too():
    layer, x = models().DEQ(n=3, m=2, dtype=F64), torch.ones(2, dtype=F64)
    plain = layer(x)
    layer.prepare(dtype="float32")
    assert torch.equal(layer(x), plain)
    assert layer.float()(x.float()).dtype == torch.float32


def test_a_layer_is_a_layer():
    assert isinstance(models().DEQ(n=3, m=2), implicitdsl.Layer)
    assert isinstance(models().DEQ(n=3, m=2), torch.nn.Module)
