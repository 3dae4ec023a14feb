"""Is the model what it says? Run me with pytest."""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def test_the_net_is_what_torch_computes():
    torch.manual_seed(0)
    net = models.MLP(m=2, h=3, dtype=torch.float64)
    x = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(net(x), torch.tanh(x @ net.W.T + net.b) @ net.v + net.c)


def test_gradients_agree_with_finite_differences():
    net = models.MLP(m=2, h=3, dtype=torch.float64)
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, x)
    assert torch.autograd.gradgradcheck(net, x)
