"""Is the model what it says? Run me with pytest."""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def projected(score):
    """The nearest point of the simplex, by sorting (Held, Wolfe & Crowder 1974)."""
    ordered = score.sort(descending=True).values
    excess = (ordered.cumsum(0) - 1) / torch.arange(1, len(score) + 1, dtype=score.dtype)
    threshold = excess[ordered > excess][-1]
    return (score - threshold).clamp(min=0)


def test_the_shares_are_the_projection_of_the_scores():
    torch.manual_seed(0)
    scores = torch.randn(6, 4, dtype=torch.float64)
    shares = models.Shares(n=4, dtype=torch.float64)(scores)
    torch.testing.assert_close(shares, torch.stack([projected(s) for s in scores]), rtol=0, atol=1e-8)


def test_gradients_agree_with_finite_differences():
    layer = models.Shares(n=3, dtype=torch.float64)
    score = torch.tensor([0.5, 0.3, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, score)
