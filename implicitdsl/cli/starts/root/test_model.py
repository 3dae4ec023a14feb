"""Is the model what it says? Run me with pytest."""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def test_the_answer_is_the_positive_root_of_the_quadratic():
    acid = models.Acid(dtype=torch.float64)
    c = torch.logspace(-3, 2, 11, dtype=torch.float64)
    expected = (-0.1 + (0.01 + 0.4 * c).sqrt()) / 2
    torch.testing.assert_close(acid(c), expected, rtol=1e-10, atol=0)


def test_gradients_agree_with_finite_differences():
    acid = models.Acid(dtype=torch.float64)
    c = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(acid, c)
    assert torch.autograd.gradgradcheck(acid, c)


def test_a_negative_concentration_is_no_input():
    acid = models.Acid(dtype=torch.float64, on_fail="nan")
    assert acid(torch.tensor([1.0, -1.0], dtype=torch.float64)).isnan().tolist() == [False, True]
