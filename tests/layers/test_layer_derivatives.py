"""Every way torch has of taking derivatives, against torch's own derivatives of the same closed form."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import func
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

from implicitdsl.layers import Layer
from tests.layers.fake_engines import cut_blueprint, decay_blueprint, tanh_blueprint, tanh_torch

F64 = torch.float64


def data(batch=4, grad=False):
    x = torch.randn(batch, 3, dtype=F64, requires_grad=grad)
    A = torch.randn(3, 3, dtype=F64, requires_grad=grad)
    w = torch.tensor([0.5, 1.0, 1.5], dtype=F64, requires_grad=grad)
    return x, A, w


LAYER = Layer(tanh_blueprint())


def call(x, A, w):
    return func.functional_call(LAYER, {"w": w}, (x, A))


def squared(f):
    return lambda *args: sum((o * o).sum() for o in f(*args))


def test_values():
    for ours, theirs in zip(call(*data()), tanh_torch(*data()), strict=True):
        assert ours.shape == theirs.shape
    x, A, w = data()
    for ours, theirs in zip(call(x, A, w), tanh_torch(x, A, w), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-15)


def test_gradcheck_in_both_modes_and_gradgradcheck():
    given = data(2, grad=True)
    assert gradcheck(call, given, check_forward_ad=True)
    assert gradgradcheck(call, given, check_fwd_over_rev=True)


def test_reverse_over_forward():
    given = data(2, grad=True)
    push = lambda x, A, w: func.jvp(lambda a, b: call(a, A, b), (x, w), (torch.ones_like(x), torch.ones_like(w)))[1]  # noqa: E731 - local
    assert gradcheck(push, given)


def test_gradcheck_of_the_other_layers():
    decay, ts = Layer(decay_blueprint()), torch.linspace(0, 1, 5, dtype=F64).requires_grad_()
    a = torch.rand(2, dtype=F64, requires_grad=True)
    raw = torch.tensor(0.3, dtype=F64, requires_grad=True)
    run = lambda a, ts, raw: func.functional_call(decay, {"parametrizations.k.original": raw}, (a, ts))  # noqa: E731 - local
    assert gradcheck(run, (a, ts, raw), check_forward_ad=True) and gradgradcheck(run, (a, ts, raw))
    cut = Layer(cut_blueprint())
    x, A, w = data(2, grad=True)
    b = torch.full((3,), 0.7, dtype=F64, requires_grad=True)
    whole = lambda x, A, w, b: func.functional_call(cut, {"inner.w": w, "f.b": b}, (x, A))  # noqa: E731 - local
    assert gradcheck(whole, (x, A, w, b), check_forward_ad=True) and gradgradcheck(whole, (x, A, w, b))
    y, q = whole(x, A, w, b)
    z, q_ref = tanh_torch(x, A, w)
    torch.testing.assert_close(y, b * z + x)
    torch.testing.assert_close(q, q_ref)


X, A0, W0 = data()
TRANSFORMS = {
    "grad": lambda f: func.grad(f, argnums=(0, 1, 2))(X, A0, W0),
    "grad of grad": lambda f: func.grad(lambda w: func.grad(f, argnums=2)(X, A0, w).pow(2).sum())(W0),
    "grad of grad in x": lambda f: func.grad(lambda x: func.grad(f)(x, A0, W0).pow(2).sum())(X),
    "vmap of grad, shared": lambda f: func.vmap(func.grad(f, argnums=(0, 1, 2)), in_dims=(0, None, None))(X, A0, W0),
    "vmap of grad, all mapped": lambda f: func.vmap(func.grad(f, argnums=(0, 1, 2)), in_dims=(0, None, 0))(
        X, A0, torch.stack([W0, 2 * W0, 3 * W0, W0])
    ),
    "vmap of grad, batched": lambda f: func.vmap(func.grad(f, argnums=(0, 1, 2)), in_dims=(0, None, None))(
        torch.stack([X, 2 * X]), A0, W0
    ),
    "vmap at the end": lambda f: func.vmap(func.grad(f, argnums=2), in_dims=(None, 2, None))(
        X, torch.stack([A0, A0.mT], 2), W0
    ),
    "vmap in vmap": lambda f: func.vmap(func.vmap(func.grad(f), in_dims=(0, None, None)), in_dims=(None, None, 0))(
        X, A0, torch.stack([W0, -W0])
    ),
    "jacrev": lambda f: func.jacrev(f, argnums=(0, 2))(X, A0, W0),
    "jacfwd": lambda f: func.jacfwd(f, argnums=(0, 2))(X, A0, W0),
    "hessian": lambda f: func.hessian(f, argnums=(0, 1, 2))(X, A0, W0),
    "jacrev twice": lambda f: func.jacrev(func.jacrev(f, argnums=2), argnums=1)(X, A0, W0),
    "jacrev of jacfwd": lambda f: func.jacrev(func.jacfwd(f, argnums=2), argnums=2)(X, A0, W0),
    "jvp": lambda f: func.jvp(lambda w: f(X, A0, w), (W0,), (W0 + 1,)),
    "vmap of jvp": lambda f: func.vmap(lambda v: func.jvp(lambda w: f(X, A0, w), (W0,), (v,))[1])(
        torch.eye(3, dtype=F64)
    ),
    "vmap of hessian": lambda f: func.vmap(func.hessian(f, argnums=2), in_dims=(0, None, None))(X, A0, W0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform(name):
    transform = TRANSFORMS[name]
    torch.testing.assert_close(transform(squared(call)), transform(squared(tanh_torch)), rtol=1e-11, atol=1e-12)


def test_jacrev_of_a_tensor_output():
    ours = func.jacrev(lambda w: call(X, A0, w)[0])(W0)
    torch.testing.assert_close(ours, func.jacrev(lambda w: tanh_torch(X, A0, w)[0])(W0))


def test_forward_mode_of_torch_is_right():
    import torch.autograd.forward_ad as fwd

    with fwd.dual_level():
        y, q = call(X, A0, fwd.make_dual(W0, torch.ones_like(W0)))
        tangents = fwd.unpack_dual(y).tangent, fwd.unpack_dual(q).tangent
    _, expected = func.jvp(lambda w: tanh_torch(X, A0, w), (W0,), (torch.ones_like(W0),))
    torch.testing.assert_close(tangents, expected)


def test_third_order_and_forward_over_forward_raise_a_sentence():
    f = squared(call)
    with pytest.raises(NotImplementedError, match="exact to second order"):
        func.grad(lambda w: func.grad(lambda w: func.grad(f, argnums=2)(X, A0, w).sum())(w).sum())(W0)
    with pytest.raises(NotImplementedError, match=r"jacfwd\(torch.func.jacrev"):
        func.jacfwd(func.jacfwd(f, argnums=2), argnums=2)(X, A0, W0)


def test_the_gradient_of_a_shared_argument_under_vmap_has_the_bits_of_the_single_call():
    f = squared(call)
    both = func.vmap(func.grad(f, argnums=2), in_dims=(0, None, None))(torch.stack([X, 2 * X]), A0, W0)
    assert torch.equal(both[1], func.grad(f, argnums=2)(2 * X, A0, W0))


def test_checkpoint_gives_the_same_bits():
    x, A, w = data(grad=True)
    plain = torch.autograd.grad(squared(call)(x, A, w), (x, A, w))
    again = torch.autograd.grad(sum((o * o).sum() for o in checkpoint(call, x, A, w, use_reentrant=False)), (x, A, w))
    for a, b in zip(plain, again, strict=True):
        assert torch.equal(a, b)


def test_no_grad_and_inference_mode_change_no_bit():
    x, A, _ = data(grad=True)
    y, q = LAYER(x, A)
    with torch.no_grad():
        y2, q2 = LAYER(x, A)
    with torch.inference_mode():
        y3, q3 = LAYER(x, A)
    assert y.requires_grad and not y2.requires_grad and y3.is_inference()
    assert torch.equal(y, y2) and torch.equal(y, y3) and torch.equal(q, q2) and torch.equal(q, q3)


def test_a_result_outlives_its_layer_and_engines_are_freed():
    layer = Layer(tanh_blueprint())
    x, A, _ = data(grad=True)
    y, q = layer(x, A)
    engine = weakref.ref(next(iter(layer._binding._entries.values())).engine)
    del layer
    gc.collect()
    y.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())
    del y, q
    gc.collect()
    assert engine() is None


def test_a_dead_key_is_a_sentence():
    from implicitdsl.layers import registry

    with pytest.raises(RuntimeError, match="no longer exists"):
        registry.find("engine of nobody")


def test_tensors_are_freed_with_the_graph():
    x, A, _ = data(grad=True)
    alive = []
    for _ in range(3):
        y, q = LAYER(x, A)
        (y.sum() + q.sum()).backward()
        alive.append(weakref.ref(y))
        del y, q
    gc.collect()
    assert not any(ref() is not None for ref in alive)


def test_a_copy_has_its_own_params_and_the_same_gradients():
    other = copy.deepcopy(LAYER)
    with torch.no_grad():
        other.w.mul_(2)
    x, A, w = data()
    torch.testing.assert_close(other(x, A)[0], tanh_torch(x, A, 2 * w)[0])
    torch.testing.assert_close(LAYER(x, A)[0], tanh_torch(x, A, w)[0])
