"""A sample's bits are its own: the same alone, anywhere in a batch, in any layout, with and without a gradient asked for.

One layer of each kind that runs one sample at a time: explicit, differential, root, fixed point.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.reference.cases import models

pytestmark = pytest.mark.usefixtures("backend")

D = torch.float64
COUNT = 7


@dataclass(frozen=True)
class Subject:
    """A layer and inputs with one leading axis; those of `shared` have none."""

    file: str
    layer: str
    sizes: dict[str, int]
    shapes: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...] = ()


SUBJECTS = {
    "net": Subject("ode", "Tanh", {"n": 3, "h": 4}, ((3,),)),
    "ode": Subject("ode", "Interval", {}, ((), (), (), ())),
    "ode times": Subject("ode", "LotkaVolterra", {}, ((2,), (4,), (5,)), shared=(2,)),
    "ode network": Subject("ode", "TinyNeural", {}, ((2,),)),
    "root": Subject("root", "Coupled", {"n": 3}, ((3, 3), (3,)), shared=(0,)),
    "fixpoint": Subject("fixpoint", "DEQ", {"n": 4, "m": 3}, ((3,),)),
    "net of fixpoint": Subject("fixpoint", "Head", {"n": 4, "m": 3}, ((3,),)),
}
subjects = pytest.mark.parametrize("name", SUBJECTS)
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])


def make(name: str, dtype: torch.dtype):
    """The layer, and its inputs for COUNT samples."""
    subject = SUBJECTS[name]
    torch.manual_seed(5)
    layer = getattr(models(subject.file), subject.layer)(dtype=dtype, **subject.sizes)
    inputs: list[Tensor] = []
    for i, shape in enumerate(subject.shapes):
        value = torch.rand((*(() if i in subject.shared else (COUNT,)), *shape), dtype=dtype) + 0.1
        inputs.append(torch.linspace(0, 1, 5, dtype=dtype) if subject.layer == "LotkaVolterra" and i == 2 else value)
    return layer, inputs, subject.shared


def pick(inputs: list[Tensor], shared: tuple[int, ...], rows) -> list[Tensor]:
    return [v if i in shared else v[rows] for i, v in enumerate(inputs)]


def answer(layer, inputs: list[Tensor]) -> list[Tensor]:
    """Outputs, status and steps."""
    found = layer(*inputs)
    return [*(found if isinstance(found, tuple) else (found,)), layer.last.status, layer.last.steps]


def same(found: list[Tensor], wanted: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def gradients(layer, inputs: list[Tensor], shared: tuple[int, ...]) -> list[Tensor]:
    """The own gradients of every sample: those of inputs that are not shared."""
    leaves = [v.clone().requires_grad_() if i not in shared else v for i, v in enumerate(inputs)]
    found = layer(*leaves)
    whole = sum(f.sum() for f in (found if isinstance(found, tuple) else (found,)))
    return list(torch.autograd.grad(whole, [v for i, v in enumerate(leaves) if i not in shared]))


@dtypes
@subjects
def test_alone_and_anywhere_in_any_batch(name, dtype):
    layer, inputs, shared = make(name, dtype)
    whole = answer(layer, inputs)
    slopes = gradients(layer, inputs, shared)
    assert not whole[-2].any()
    for i in (0, 3, COUNT - 1):
        one = pick(inputs, shared, i)
        assert same(answer(layer, one), [w[i] for w in whole])
        assert same(gradients(layer, one, shared), [s[i] for s in slopes])
    order = torch.tensor([4, 0, 6, 6, 1, 3, 5, 2, 4])
    other = pick(inputs, shared, order)
    assert same(answer(layer, other), [w[order] for w in whole])
    assert same(gradients(layer, other, shared), [s[order] for s in slopes])


@subjects
def test_any_layout_and_batch_shape(name):
    layer, inputs, shared = make(name, D)
    whole = answer(layer, inputs)
    spread = [v if i in shared else torch.stack([v, v + 1], dim=-1)[..., 0] for i, v in enumerate(inputs)]
    assert any(not v.is_contiguous() for v in spread)
    assert same(answer(layer, spread), whole)
    turned = [v.T.contiguous().T if v.ndim == 2 else v for v in inputs]
    assert same(answer(layer, turned), whole)
    backwards = [v if i in shared else v.flip(0).as_strided(v.shape, v.stride()).flip(0) for i, v in enumerate(inputs)]
    assert same(answer(layer, backwards), whole)
    boxed = [v if i in shared else v[:6].reshape(2, 3, *v.shape[1:]) for i, v in enumerate(inputs)]
    assert same(answer(layer, boxed), [w[:6].reshape(2, 3, *w.shape[1:]) for w in whole])
    every = [v.expand(COUNT, *v.shape) if i in shared else v for i, v in enumerate(inputs)]
    assert same(answer(layer, every), whole)


@subjects
def test_with_and_without_a_gradient(name):
    layer, inputs, _ = make(name, D)
    whole = answer(layer, inputs)
    asked = [v.clone().requires_grad_() for v in inputs]
    assert same(answer(layer, asked), whole)
    with torch.no_grad():
        assert same(answer(layer, asked), whole)
    for param in layer.parameters():
        param.requires_grad_(False)
    assert same(answer(layer, inputs), whole)
    with torch.inference_mode():
        assert same(answer(layer, inputs), whole)


@subjects
def test_again(name):
    layer, inputs, shared = make(name, D)
    assert same(answer(layer, inputs), answer(layer, inputs))
    assert same(gradients(layer, inputs, shared), gradients(layer, inputs, shared))
    other, _, _ = make(name, D)
    assert same(answer(other, inputs), answer(layer, inputs))


@pytest.mark.parametrize("name", ["net", "ode network", "root", "fixpoint", "net of fixpoint"])
def test_gradients_of_params_are_the_same_bits_for_the_same_batch(name):
    layer, inputs, _ = make(name, D)

    def slopes():
        return torch.autograd.grad(layer(*inputs).sum(), list(layer.parameters()))

    first = slopes()
    assert all(torch.equal(a, b) for a, b in zip(first, slopes(), strict=True))
    # A sample without cotangent adds nothing, not even a rounding.
    weights = torch.ones(COUNT, dtype=D)
    weights[2] = 0
    rows = [i for i in range(COUNT) if i != 2]
    left_out = [v if i in SUBJECTS[name].shared else v[rows] for i, v in enumerate(inputs)]
    masked = torch.autograd.grad((layer(*inputs).reshape(COUNT, -1) * weights[:, None]).sum(), list(layer.parameters()))
    without = torch.autograd.grad(layer(*left_out).sum(), list(layer.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(masked, without, strict=True))
