"""Finite differences beside exact derivatives: right ones pass, wrong first or second derivatives are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from implicitdsl.cli.differences import choose, compare, readable


class Cubic(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([0.5, -1.5], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a * x**3


class HalfGradient(torch.autograd.Function):
    """x² with a gradient that is half of what it should be."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


class ForgetsSecond(torch.autograd.Function):
    """x³ with the right gradient, whose own derivative misses the dependence on x."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (3 * x**2).detach()


class Wrapped(torch.nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function.apply(x)


def test_right_derivatives_agree() -> None:
    rows = compare(Cubic(), {"x": np.array([1.0, 2.0])})
    assert [(r.name, r.shape) for r in rows] == [("x", (2,)), ("a", (2,))]
    for row in rows:
        assert row.worst < 1e-8
        assert row.first.absolute < 1e-8
    # The row shows the true derivative w·3ax² of one of its entries, with weights between 1/2 and 3/2.
    assert any(0.5 <= rows[0].first.exact / (3 * a * x**2) <= 1.5 for a, x in ((0.5, 1.0), (-1.5, 2.0)))


def test_a_batch_of_samples_agrees() -> None:
    rows = compare(Cubic(), {"x": np.linspace(0.5, 1.5, 6).reshape(3, 2)})
    assert all(row.worst < 1e-8 for row in rows)


def test_a_wrong_gradient_is_found() -> None:
    (row,) = compare(Wrapped(HalfGradient), {"x": np.array([1.0, 2.0])})
    assert row.first.relative == pytest.approx(0.5, rel=1e-6)


def test_a_wrong_second_derivative_is_found() -> None:
    (row,) = compare(Wrapped(ForgetsSecond), {"x": np.array([1.0, 2.0])})
    assert row.first.relative < 1e-8
    assert row.second.relative == pytest.approx(1.0, rel=1e-6)


def test_roundings_of_a_layer_that_is_linear_are_no_second_derivative() -> None:
    class Clipped(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return HalfLine.apply(x)

    class HalfLine(torch.autograd.Function):
        """x / 3, whose gradient is rounded one way or another by x: its derivative is 0, a difference of it is not."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x / 3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return (grad * x.detach() / 3) / x.detach() + 0 * x

    (row,) = compare(Clipped(), {"x": np.array([1.1, 2.3, 0.7])})
    assert row.second.exact == 0 != row.second.difference
    assert row.worst < 1e-5


def test_a_nan_is_an_error_of_infinite_size() -> None:
    (row,) = compare(Wrapped(HalfGradient), {"x": np.array([1.0, np.nan])})
    assert row.worst == float("inf")


def test_the_arguments_are_left_as_they_were() -> None:
    layer = Cubic()
    before = layer.a.detach().clone()
    compare(layer, {"x": np.array([1.0, 2.0])})
    assert torch.equal(layer.a.detach(), before)


def test_an_argument_without_entries_has_no_row() -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x.sum() + y.sum() ** 2

    rows = compare(Sum(), {"x": np.zeros(0), "y": np.ones(2)})
    assert [row.name for row in rows] == ["y"]


def test_large_arguments_are_compared_at_chosen_entries() -> None:
    assert choose(64, 0).tolist() == list(range(64))
    chosen = choose(1000, 0)
    assert len(chosen) == 64
    assert torch.equal(chosen, choose(1000, 0))
    assert not torch.equal(chosen, choose(1000, 1))


def test_free_numbers_bear_the_name_of_their_param() -> None:
    assert readable("parametrizations.alpha.original") == "alpha (free)"
    assert readable("f.parametrizations.alpha.original") == "f.alpha (free)"
    assert readable("f.W") == "f.W"
