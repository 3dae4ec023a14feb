"""What a call takes and gives: batch dimensions, types, call sizes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from implicitdsl.layers import Layer
from tests.layers.fake_engines import cut_blueprint, decay_blueprint, nothing_blueprint, tanh_blueprint, tanh_torch

F32, F64 = torch.float32, torch.float64
TABLE = [
    # leading dimensions of x, of A, of both outputs
    ((), (), ()),
    ((5,), (), (5,)),
    ((), (5,), (5,)),
    ((5,), (5,), (5,)),
    ((5,), (1,), (5,)),
    ((1,), (5,), (5,)),
    ((2, 1), (4,), (2, 4)),
    ((2, 3), (2, 3), (2, 3)),
    ((2, 1, 3), (4, 1), (2, 4, 3)),
    ((0,), (), (0,)),
    ((0,), (1,), (0,)),
    ((3, 0), (3, 1), (3, 0)),
]


@pytest.mark.parametrize(("x_lead", "a_lead", "lead"), TABLE)
def test_batch_dimensions_broadcast(x_lead, a_lead, lead):
    layer = Layer(tanh_blueprint())
    x = torch.randn(*x_lead, 3, dtype=F64, requires_grad=True)
    A = torch.randn(*a_lead, 3, 3, dtype=F64, requires_grad=True)
    y, q = layer(x, A)
    assert y.shape == (*lead, 3) and q.shape == lead and layer.last.status.shape == lead
    w = layer.w.detach()
    y_ref, q_ref = tanh_torch(x, A, w)
    torch.testing.assert_close(y, y_ref.expand(y.shape))
    torch.testing.assert_close(q, q_ref.expand(q.shape))
    ours = torch.autograd.grad((y * y).sum() + q.sum(), (x, A))
    theirs = torch.autograd.grad((y_ref.expand(y.shape) ** 2).sum() + q_ref.expand(q.shape).sum(), (x, A))
    torch.testing.assert_close(ours, theirs)


def test_a_shared_matrix_is_not_expanded():
    layer = Layer(tanh_blueprint())
    seen = []
    engine = layer._binding.entry(0, F64, {}).engine
    original = engine.solve
    engine.solve = lambda args, batch, run: (seen.extend(a.shape for a in args), original(args, batch, run))[1]
    layer(torch.randn(6, 3, dtype=F64), torch.randn(3, 3, dtype=F64))
    assert seen == [(6, 3), (3, 3), (3,)]


def test_a_sample_has_the_same_bits_alone_and_in_any_batch():
    layer = Layer(tanh_blueprint())
    x, A = torch.randn(6, 3, dtype=F64), torch.randn(3, 3, dtype=F64)
    whole = layer(x, A)[0]
    assert torch.equal(layer(x[4], A)[0], whole[4])
    assert torch.equal(layer(x.flip(0), A.expand(6, 3, 3))[0].flip(0), whole)


def test_inputs_that_are_not_contiguous():
    layer = Layer(tanh_blueprint())
    x, A = torch.randn(3, 8, dtype=F64).mT[::2], torch.randn(3, 3, dtype=F64).mT
    torch.testing.assert_close(layer(x, A)[0], tanh_torch(x, A, layer.w.detach())[0])
    y = layer(x.clone().requires_grad_(), A)[0]
    y.sum(0).expand(4, 3)[0].sum().backward()


def test_numbers_arrays_and_lists_are_inputs():
    layer = Layer(decay_blueprint())
    ts = [0.0, 0.5, 1.0]
    expected = 2 * torch.exp(-torch.tensor(ts, dtype=F64))
    for a, times in (
        (1, ts),
        (1.0, np.array(ts)),
        (np.float64(1), torch.tensor(ts)),
        (torch.tensor(1), np.float32(ts)),
    ):
        torch.testing.assert_close(layer(a, times), expected)
    assert layer(True, [0, 1]).shape == (2,)
    assert isinstance(layer(1, ts), torch.Tensor)


def test_types_are_promoted():
    double, single = Layer(decay_blueprint()), Layer(decay_blueprint(dtype=F32))
    ts = torch.linspace(0, 1, 4)
    assert double(0.5, ts).dtype == F64  # the param is float64
    assert single(0.5, ts).dtype == F32
    assert single(0.5, ts.double()).dtype == F64
    assert single(torch.tensor(0.5, dtype=F64), ts).dtype == F64
    assert single(torch.tensor(3), torch.arange(4)).dtype == F32
    assert single.double()(0.5, ts).dtype == F64
    assert Layer(nothing_blueprint())().dtype == torch.get_default_dtype()


def test_gradients_come_back_in_the_type_of_their_input():
    layer = Layer(decay_blueprint())
    a = torch.rand(3, requires_grad=True)
    layer(a, torch.linspace(0, 1, 4, dtype=F64)).sum().backward()
    assert a.grad.dtype == F32


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(2, dtype=torch.float16), "`a` is float16.*float32 or float64"),
        (torch.zeros(2, dtype=torch.bfloat16), "`a` is bfloat16"),
        (torch.zeros(2, dtype=torch.complex64), "`a` is complex64"),
        (1j, "`a` is complex"),
        ("one", "`a` is a str"),
        (None, "`a` is a NoneType"),
    ],
)
def test_types_that_are_refused(value, words):
    with pytest.raises(TypeError, match=words):
        Layer(decay_blueprint())(value, torch.linspace(0, 1, 3))


def test_wrong_shapes_name_the_input_and_both_shapes():
    layer = Layer(tanh_blueprint())
    with pytest.raises(ValueError, match=r"Tanh: input `x` has shape \[5, 4\], expected \[..., 3\]"):
        layer(torch.zeros(5, 4), torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"input `A` has shape \[3\], expected \[..., 3, 3\]"):
        layer(torch.zeros(5, 3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"the batch dimensions \[2\] of `A` do not broadcast with those of `x` \[5\]"):
        layer(torch.zeros(5, 3), torch.zeros(2, 3, 3))
    with pytest.raises(TypeError, match=r"Tanh takes 2 inputs \(x, A\), not 1"):
        layer(torch.zeros(3))
    with pytest.raises(TypeError, match="takes no seed"):
        layer(torch.zeros(3), torch.zeros(3, 3), seed=1)


def test_call_sizes_agree_between_inputs():
    from dataclasses import replace

    from implicitdsl.layers import InputSpec

    blueprint = replace(decay_blueprint(), inputs=(InputSpec("a"), InputSpec("ts", ("T",)), InputSpec("us", (2, "T"))))
    with pytest.raises(ValueError, match=r"Decay: `ts` has T = 4, `us` has T = 5 \(its shape is \[2, 5\]\)"):
        Layer(blueprint)(1.0, torch.zeros(4), torch.zeros(2, 5))
    assert blueprint.call_sizes == ("T",)


def test_no_times_are_times_too():
    assert Layer(decay_blueprint())(torch.rand(3), torch.zeros(0)).shape == (3, 0)


def test_a_zero_batch_has_zero_gradients():
    layer = Layer(tanh_blueprint())
    y, q = layer(torch.zeros(0, 3, dtype=F64), torch.zeros(3, 3, dtype=F64))
    (y.sum() + q.sum()).backward()
    assert torch.equal(layer.w.grad, torch.zeros(3, dtype=F64))


def test_last_tells_of_every_sample():
    layer = Layer(tanh_blueprint())
    assert layer.last is None
    layer(torch.randn(2, 3, 3, dtype=F64), torch.eye(3, dtype=F64))
    last = layer.last
    assert last.status.dtype == torch.int32 and last.notes.dtype == last.steps.dtype == torch.int64
    assert torch.equal(last.steps, torch.arange(1, 7).reshape(2, 3))
    assert torch.equal(last.t_end, torch.arange(6, dtype=F64).reshape(2, 3))
    assert not last.failed().any() and last.seed is None
    assert (
        last.message((0, 1)).startswith("Tanh: success")
        and "kink" in last.message((0, 1))
        and "kink" not in last.message(0)
    )
    with pytest.raises(AttributeError, match="t_end"):
        last.energy  # noqa: B018  # the access itself is what is tested


def test_last_of_a_mapped_call_has_the_mapped_axis():
    layer = Layer(tanh_blueprint())
    torch.func.vmap(layer, in_dims=(0, None))(torch.randn(4, 2, 3, dtype=F64), torch.eye(3, dtype=F64))
    assert layer.last.status.shape == (4, 2)


def test_prepare_builds_what_the_call_uses():
    layer = Layer(decay_blueprint())
    assert layer.prepare(T=3) is layer
    before = dict(layer._binding._entries)
    layer(1.0, [0.0, 1.0, 2.0])
    assert before and layer._binding._entries == before
    with pytest.raises(TypeError, match=r"call sizes \['T'\]"):
        layer.prepare()
    Layer(cut_blueprint()).prepare(batch=False, dtype="float32")


def test_threads_may_call_one_layer():
    from concurrent.futures import ThreadPoolExecutor

    layer = Layer(tanh_blueprint())
    xs, A = torch.randn(8, 5, 3, dtype=F64), torch.eye(3, dtype=F64)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: layer(x, A)[0], xs))
    assert torch.equal(torch.stack(found), layer(xs, A)[0])


def test_replicas_of_data_parallel_share_the_params():
    layer = Layer(decay_blueprint())
    replica = layer._replicate_for_data_parallel()
    held = layer.parametrizations._replicate_for_data_parallel()
    inner = layer.parametrizations["k"]._replicate_for_data_parallel()
    inner.original, inner.base = layer.parametrizations["k"].original * 1, None
    held._modules = {"k": inner}
    replica._modules = {"parametrizations": held}
    out = replica(torch.rand(2), torch.linspace(0, 1, 3))
    out.sum().backward()
    assert layer.parametrizations["k"].original.grad is not None


def test_inputs_are_given_by_name():
    layer = Layer(tanh_blueprint())
    x, A = torch.randn(4, 3, dtype=F64), torch.randn(3, 3, dtype=F64)
    names = [spec.name for spec in layer.blueprint.inputs]
    wanted = layer(x, A)
    for found in (layer(**dict(zip(names, (x, A), strict=True))), layer(x, **{names[1]: A})):
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    with pytest.raises(TypeError, match=f"missing: {names[1]}"):
        layer(**{names[0]: x})
    with pytest.raises(TypeError, match=f"`{names[0]}` is given twice"):
        layer(x, **{names[0]: x})
    with pytest.raises(TypeError, match="has no input `nothing`"):
        layer(x, A, nothing=1)
