"""Every draw: moments against the distribution's own, under fixed seeds."""

from __future__ import annotations

import pytest
import torch

from implicitdsl.layers import DrawSpec
from implicitdsl.layers.draws import DRAWS, draw, fans

F64 = torch.float64
N = 40_000
MOMENTS = {
    # draw, shape, mean, variance, bound
    "normal": (DrawSpec("normal"), (200, 200), 0, 1, None),
    "normal(2, 0.1)": (DrawSpec("normal", (2.0, 0.1)), (200, 200), 2, 0.01, None),
    "normal(3)": (DrawSpec("normal", (3.0,)), (N,), 3, 1, None),
    "uniform": (DrawSpec("uniform"), (N,), 0.5, 1 / 12, (0, 1)),
    "uniform(-1, 3)": (DrawSpec("uniform", (-1.0, 3.0)), (N,), 1, 16 / 12, (-1, 3)),
    "glorot": (DrawSpec("glorot"), (100, 400), 0, 2 / 500, (-((6 / 500) ** 0.5), (6 / 500) ** 0.5)),
    "kaiming": (DrawSpec("kaiming"), (100, 400), 0, 2 / 400, None),
}


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_moments(name, dtype):
    which, shape, mean, variance, bound = MOMENTS[name]
    torch.manual_seed(0)
    values = draw(which, shape, dtype)
    assert values.shape == shape and values.dtype == dtype
    count = values.numel()
    # Five standard errors; the variance of a sample variance is at most 2 sigma^4 / n for these distributions.
    assert abs(values.double().mean().item() - mean) < 5 * (variance / count) ** 0.5
    assert abs(values.double().var().item() - variance) < 5 * variance * (2 / count) ** 0.5
    if bound is not None:
        low, high = values.double().min(), values.double().max()
        width = bound[1] - bound[0]
        assert bound[0] - 1e-6 <= low < bound[0] + 1e-2 * width and bound[1] - 1e-2 * width < high <= bound[1] + 1e-6
    torch.manual_seed(0)
    assert torch.equal(draw(which, shape, dtype), values)


def test_identity_zeros_orthogonal():
    assert torch.equal(draw(DrawSpec("identity"), (2, 3), F64), torch.eye(2, 3, dtype=F64))
    assert torch.equal(draw(DrawSpec("identity"), (4, 2, 2), F64), torch.eye(2, dtype=F64).expand(4, 2, 2))
    assert torch.equal(draw(DrawSpec("zeros"), (3,), F64), torch.zeros(3, dtype=F64))
    for shape in ((4, 4), (5, 3), (2, 3, 4)):
        q = draw(DrawSpec("orthogonal"), shape, F64)
        gram = q.mT @ q if shape[-2] >= shape[-1] else q @ q.mT
        torch.testing.assert_close(gram, torch.eye(gram.shape[-1], dtype=F64).expand_as(gram))
    assert q[0].ne(q[1]).any()


def test_fans_are_those_of_torch():
    for shape in ((4, 7), (4, 7, 3, 3)):
        weight = torch.empty(shape)
        assert fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(weight)
    assert fans((5,)) == (5, 1) and fans(()) == (1, 1)


def test_empty_shapes_and_every_record():
    for name in DRAWS:
        assert draw(DrawSpec(name), (0, 3), F64).shape == (0, 3)
    assert set(DRAWS) == {"normal", "uniform", "glorot", "kaiming", "identity", "zeros", "orthogonal"}


@pytest.mark.parametrize(
    ("which", "shape", "words"),
    [
        (DrawSpec("normal", (0.0, -1.0)), (2,), "std = -1 is negative"),
        (DrawSpec("uniform", (2.0, 1.0)), (2,), "above b"),
        (DrawSpec("identity"), (3,), r"not shape \[3\]"),
        (DrawSpec("orthogonal"), (3,), r"not shape \[3\]"),
        (DrawSpec("glorot", (1.0,)), (3, 3), "takes 0 arguments, not 1"),
    ],
)
def test_refusals(which, shape, words):
    with pytest.raises(ValueError, match=words):
        draw(which, shape, F64)
