"""Is the model what it says? Run me with pytest."""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def test_the_answer_is_a_fixed_point():
    torch.manual_seed(0)
    layer = models.Equilibrium(n=5, m=3, dtype=torch.float64)
    x = torch.randn(4, 3, dtype=torch.float64)
    z = layer(x)
    torch.testing.assert_close(z, torch.tanh(z @ layer.W.T + x @ layer.U.T + layer.b), rtol=0, atol=1e-11)


def test_gradients_agree_with_finite_differences():
    torch.manual_seed(0)
    model = models.Model(n=3, dtype=torch.float64)
    x = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x)
    assert torch.autograd.gradgradcheck(model, x)
