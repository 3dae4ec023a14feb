"""The matrix of multiple shooting, factored by structured orthogonal elimination, for a batch of samples.

With nodes x_0 … x_N of n scalars each, K x = (r, q) says

    A_i x_i - x_{i+1} = r_i  (i = 0 … N-1),      Σ_i G_i x_i = q.

Neighbouring rows are taken in pairs, and a QR factorisation of the two blocks of the node between them eliminates that
node; log2 N rounds leave the first and the last node (S. J. Wright, SIAM J. Sci. Stat. Comput. 13 (1992) 742–764).
Unlike elimination from left to right this is stable for solutions that grow and for those that decay. The last 2n
equations are solved by their singular values, so that a matrix without full rank has a solution too, of least norm.

NumPy's stacked routines treat each matrix of a stack by itself: the bits of a sample do not depend on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array


@dataclass(frozen=True)
class Round:
    """The elimination of every other node: `q` (B, h, 2n, 2n) with `q`ᵀ [R; L] = [`t`; 0], `x` (B, h, n, 2n) with the
    eliminated node = T⁻¹ r - X (left, right), and the rows `g` (B, n, h n) of the conditions for those nodes."""

    q: Array
    t: Array
    x: Array
    g: Array
    odd: bool


@dataclass(frozen=True)
class Factors:
    """K factored; `deficient` tells of samples whose K has no full rank to rounding, `sound` of those with finite K."""

    rounds: tuple[Round, ...]
    left: Array
    weights: Array
    scales: Array
    right: Array
    deficient: NDArray[np.bool_]
    sound: NDArray[np.bool_]
    n: int

    def rows(self, rows: NDArray[np.int64]) -> Factors:
        """The same for some of the samples."""
        if len(rows) == len(self.left):
            return self
        rounds = tuple(Round(r.q[rows], r.t[rows], r.x[rows], r.g[rows], r.odd) for r in self.rounds)
        arrays = (a[rows] for a in (self.left, self.weights, self.scales, self.right, self.deficient, self.sound))
        return Factors(rounds, *arrays, self.n)  # pyright: ignore[reportCallIssue] - as many as there are

    def solve(self, r: Array, q: Array) -> Array:
        """x (B, N+1, n) for r (B, N, n) and q (B, n)."""
        n, tops = self.n, []
        for step in self.rounds:
            both = np.concatenate([r[:, 0 : 2 * _half(r) : 2], r[:, 1 : 2 * _half(r) : 2]], axis=2)
            turned = _apply(np.swapaxes(step.q, 2, 3), both)
            top = _triangular(step.t, turned[..., :n])
            tops.append(top)
            q = q - _apply(step.g, top.reshape(len(top), -1))
            r = np.concatenate([turned[..., n:], r[:, -1:]], axis=1) if step.odd else turned[..., n:]
        whole = np.concatenate([r[:, 0], q], axis=1) * self.scales
        x = _apply(self.right, _apply(np.swapaxes(self.left, 1, 2), whole) * self.weights).reshape(-1, 2, n)
        for step, top in zip(reversed(self.rounds), reversed(tops), strict=True):
            half = top.shape[1]
            sides = np.concatenate([x[:, :half], x[:, 1 : half + 1]], axis=2)
            x = _interleaved(x, top - _apply(step.x, sides))
        return x

    def solve_transposed(self, b: Array) -> tuple[Array, Array]:
        """(μ, ν) of shapes (B, N, n) and (B, n) with Kᵀ (μ, ν) = b, b (B, N+1, n)."""
        n, middles = self.n, []
        for step in self.rounds:
            half = step.t.shape[1]
            middle = b[:, 1 : 2 * half : 2]
            middles.append(middle)
            kept = np.concatenate([b[:, 0 : 2 * half + 1 : 2], *([b[:, -1:]] if step.odd else [])], axis=1)
            passed = _apply(np.swapaxes(step.x, 2, 3), middle)
            kept[:, :half] -= passed[..., :n]
            kept[:, 1 : half + 1] -= passed[..., n:]
            b = kept
        whole = _apply(np.swapaxes(self.right, 1, 2), b.reshape(len(b), 2 * n)) * self.weights
        pair = _apply(self.left, whole) * self.scales
        mu, nu = pair[:, None, :n], pair[:, n:]
        for step, middle in zip(reversed(self.rounds), reversed(middles), strict=True):
            half = middle.shape[1]
            taken = _apply(np.swapaxes(step.g, 1, 2), nu).reshape(middle.shape)
            top = _triangular(np.swapaxes(step.t, 2, 3), middle - taken)
            rows = _apply(step.q, np.concatenate([top, mu[:, :half]], axis=2))
            spread = rows.reshape(len(rows), 2 * half, n)
            mu = np.concatenate([spread, mu[:, half:]], axis=1) if step.odd else spread
        return mu, nu


def factor(a: Array, g: Array) -> Factors:
    """K factored, from A (B, N, n, n) and G (B, N+1, n, n)."""
    batch, n = len(a), a.shape[-1]
    sound = all_finite(a) & all_finite(g)
    left = np.where(sound[:, None, None, None], a, np.eye(n, dtype=a.dtype))
    g = np.where(sound[:, None, None, None], g, np.zeros((), a.dtype))
    right = np.broadcast_to(-np.eye(n, dtype=a.dtype), left.shape)
    rounds: list[Round] = []
    while left.shape[1] > 1:
        half, odd = _half(left), left.shape[1] % 2 == 1
        low, high = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        q, t = np.linalg.qr(np.concatenate([right[:, low], left[:, high]], axis=2), mode="complete")
        t = np.ascontiguousarray(t[:, :, :n])
        # A solution that grows and then decays beyond the range of floats leaves nothing of the node between.
        lost = (np.diagonal(t, axis1=2, axis2=3) == 0).any(axis=2)
        t[lost] = np.eye(n, dtype=a.dtype)
        sound &= ~lost.any(axis=1)
        sides = np.zeros((batch, half, 2 * n, 2 * n), a.dtype)
        sides[..., :n, :n], sides[..., n:, n:] = left[:, low], right[:, high]
        turned = np.swapaxes(q, 2, 3) @ sides
        x = np.linalg.solve(t, turned[..., :n, :])
        middle = g[:, 1 : 2 * half : 2]
        kept = np.concatenate([g[:, 0 : 2 * half + 1 : 2], *([g[:, -1:]] if odd else [])], axis=1)
        passed = middle @ x
        kept[:, :half] -= passed[..., :n]
        kept[:, 1 : half + 1] -= passed[..., n:]
        rounds.append(Round(q, t, x, np.ascontiguousarray(np.swapaxes(middle, 1, 2)).reshape(batch, n, half * n), odd))
        g = kept
        left = np.concatenate([turned[..., n:, :n], left[:, 2 * half :]], axis=1)
        right = np.concatenate([turned[..., n:, n:], right[:, 2 * half :]], axis=1)
    last = np.concatenate(
        [np.concatenate([left[:, 0], right[:, 0]], axis=2), np.concatenate([g[:, 0], g[:, 1]], axis=2)], axis=1
    )
    size = np.abs(last).max(axis=2)
    scales = np.where(size > 0, 1.0 / np.where(size > 0, size, 1.0), 1.0).astype(a.dtype)
    scaled = last * scales[:, :, None]
    whole = all_finite(scaled)
    scaled = np.where(whole[:, None, None], scaled, np.eye(2 * n, dtype=a.dtype))
    u, values, vt = np.linalg.svd(scaled)
    cut = values[:, :1] * (8 * n * np.finfo(a.dtype).eps)
    weights = np.where(values > cut, 1.0 / np.where(values > cut, values, 1.0), 0.0).astype(a.dtype)
    deficient = (values <= cut).any(axis=1)
    return Factors(
        tuple(rounds), u, weights, scales, np.ascontiguousarray(np.swapaxes(vt, 1, 2)), deficient, sound & whole, n
    )


def all_finite(array: Array) -> NDArray[np.bool_]:
    """Whether all numbers of each sample are finite."""
    return np.asarray(np.isfinite(array).reshape(len(array), -1).all(axis=1))


def _half(rows: Array) -> int:
    return rows.shape[1] // 2


def _apply(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[..., None])[..., 0]


def _triangular(t: Array, b: Array) -> Array:
    return np.linalg.solve(t, b[..., None])[..., 0]


def _interleaved(outer: Array, inner: Array) -> Array:
    """Nodes kept and nodes eliminated, in order; behind the last pair a kept node may follow another."""
    batch, kept, n = outer.shape
    half = inner.shape[1]
    whole = np.empty((batch, kept + half, n), outer.dtype)
    whole[:, 0 : 2 * half + 1 : 2] = outer[:, : half + 1]
    whole[:, 1 : 2 * half : 2] = inner
    whole[:, 2 * half + 1 :] = outer[:, half + 1 :]
    return whole
