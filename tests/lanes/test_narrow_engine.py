"""A sparse system has machine code of one lane for one sample: in the bits of a sample among others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.backends.lanes.narrow_engine import ALONE, NarrowEngine
from tests.reference.cases import f64, models

SIZES = {"n": 8}
OPTIONS = {"solver": "rodas5p(matrix = sparse, rtol = 1e-4, atol = 1e-6)", "dtype": torch.float64, "backend": "lanes"}


def derivatives(layer: Any, nu: Tensor, chosen: int) -> list[Tensor]:
    """Of one sample of a batch: its outputs, the gradient of their weighted sum, and the derivative of that gradient."""
    given = nu.clone().requires_grad_()
    out = layer(given)[chosen]
    (grad,) = torch.autograd.grad(torch.cos(torch.arange(out.numel()).double()) @ out, given, create_graph=True)
    (bend,) = torch.autograd.grad(grad[chosen], given)
    return [out.detach(), grad[chosen].detach(), bend[chosen]]


def test_one_sample_alone_has_the_bits_that_it_has_among_others() -> None:
    layer, nu = models("lines").Burgers(**OPTIONS, **SIZES), f64([0.01, 0.02, 0.03])
    many, alone = derivatives(layer, nu, 1), derivatives(layer, nu[1:2], 0)
    assert all(torch.equal(a, b) for a, b in zip(many, alone, strict=True))
    assert many[2].abs() > 1


def test_the_parts_for_one_sample_are_prepared_and_shipped_with_the_others() -> None:
    engine = models("lines").Burgers(**OPTIONS, **SIZES).blueprint.engine(0, torch.float64, {})
    assert isinstance(engine, NarrowEngine)
    engine.prepare(batch=False)
    assert {part for part, _ in engine.code.made} == {f"{ALONE}solve", f"{ALONE}pull", "solve", "pull"}
    assert {part.removeprefix(ALONE) for part, _ in engine.entries()} == {"solve", "pull", "second", "thin"}


def test_loops_over_the_states_of_one_sample_stay_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written out, with one lane and the entries of a sparse matrix, they are half a minute of LLVM's work."""
    monkeypatch.setenv(LINK, "whole")
    engine = models("lines").Burgers(**OPTIONS, n=44).blueprint.engine(0, torch.float64, {})
    shared = engine.entries(every=False)[0][1]
    for part, most in (("solve", 70_000), ("pull", 140_000)):
        assert len(engine.code.object(f"{ALONE}{part}", shared)) < most
