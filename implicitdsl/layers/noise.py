"""Random numbers as a function of (seed, number of the sample, which draw, component), in torch's own operations.

Philox4x32-10 (J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a sample's numbers do not
depend on the batch around it, and every operation can be traced, mapped and exported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from implicitdsl.problems.signature import PROBE

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 32
"""Bits of one of the four words of a block."""


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Four random words for a counter of four and a key of two; all are int64 tensors that hold 32 bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = _product(c0, MULTIPLIERS[0])
        high1, low1 = _product(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def _product(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """The high and the low word of a product: int64 wraps, which leaves the bits of the unsigned product."""
    product = a * b
    return (product >> WORD) & MASK, product & MASK


def signs(seed: Tensor, first: int, batch: int, draw: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Random signs, 1 or -1, [batch, *shape], for the samples from number `first` on. `draw` tells apart the draws of a
    layer, `seed` is an int64 scalar."""
    size = math.prod(shape)
    blocks = -(-size // (4 * WORD))
    number = torch.arange(first, first + batch, dtype=torch.int64)[:, None]
    block = torch.arange(blocks, dtype=torch.int64)[None, :]
    zero = torch.zeros_like(number + block)
    counter = (zero + block, zero + draw, zero + (number & MASK), zero + ((number >> WORD) & MASK))
    words = torch.stack(philox(counter, (seed & MASK, (seed >> WORD) & MASK)), dim=-1)
    bits = (words[..., None] >> torch.arange(WORD, dtype=torch.int64)) & 1
    flat = bits.reshape(batch, blocks * 4 * WORD)[:, :size]
    return (2 * flat - 1).to(dtype).reshape(batch, *shape)


def drawn(
    wanted: Sequence[tuple[str, tuple[int, ...]]],
    slots: Mapping[str, Tensor],
    seed: Tensor | None,
    first: int,
    batch: int,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """The random signs of a layer, by name, that are not in its slots yet: pieces of one layer share them."""
    assert seed is not None, "a layer that draws has a seed"
    return {
        name: signs(seed, first, batch, int(name.removeprefix(PROBE)), shape, dtype)
        for name, shape in wanted
        if name not in slots
    }
