"""Derivatives of an answer of multiple shooting, by the implicit function theorem for its equations.

With F(s, p) = 0 the equations, K = ∂F/∂s at the answer and y the states where outputs are read,

    Kᵀ μ = -(∂y/∂s)ᵀ ȳ,    p̄ = (∂y/∂p)ᵀ ȳ + (∂F/∂p)ᵀ μ,    and along ṗ    K ṡ = -(∂F/∂p) ṗ.

Nodes, places and reading times are functions of p like any other. The second order differentiates these formulas along
ṗ: Kᵀ μ̇ = -(d/dε)(∂y/∂s)ᵀȳ - K̇ᵀ μ. All of it is exact for the computed flows with their steps held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.shooting.matrix import Factors
from implicitdsl.backends.shooting.part import Given, Sums
from implicitdsl.backends.shooting.system import System, Times, add_at_nodes, at_nodes, off_mesh, on_mesh


@dataclass(frozen=True)
class Answer:
    """What is kept of a solution: the states `s` at the nodes, the derivatives `columns` of the legs of the equations,
    `by` of the conditions, the values `v` at the places, the states `y` at the reading times, and what the legs
    keep."""

    s: Array
    columns: Array
    by: Array
    v: Array
    y: Array
    legs: list[Array]
    reads: list[Array]

    @property
    def segments(self) -> int:
        return self.s.shape[1] - 1


@dataclass(frozen=True)
class Slopes:
    """Tangents along a direction of the arguments: of the inputs of the legs of the equations and of those to the
    reading times, of the values, of the states read and of the reading times."""

    own: list[Array]
    own_reads: list[Array]
    v: Array
    y: Array
    reads: Array


class Linear:
    """An answer with its matrix, ready for derivatives."""

    def __init__(self, system: System, given: Given, times: Times, answer: Answer) -> None:
        self.system, self.given, self.times, self.answer = system, given, times, answer
        self.factors: Factors = system.matrix(answer.columns, answer.by, times)
        self.own, self.own_reads = system.own(answer.s, times), system.own_reads(answer.s, times)

    def _sums(self) -> Sums:
        return Sums(self.given, self.system.arguments, self.answer.s.dtype)

    # ------------------------------------------------------------ first order

    def pull(self, cotangents: Sequence[Array]) -> Sums:
        """The gradients of <cotangents, outputs>, cotangents (batch, m, …) by reading time."""
        sums, system, answer = self._sums(), self.system, self.answer
        t_bar, y_bar = system.reading.pull([self.times.reads, answer.y], self.given, [], cotangents, sums)
        s_bar, *reads = system.flow.pull(self.own_reads, self.given, answer.reads, [y_bar], sums)
        mu, nu = self.factors.solve_transposed(-self._at_starts(s_bar))
        _, *legs = system.flow.pull(self.own, self.given, answer.legs, [self._onto_legs(mu, nu, sums)], sums)
        self._pull_instants(self._time_bars(legs, reads, t_bar), sums)
        return sums

    def _at_starts(self, s_bar: Array) -> Array:
        """Cotangents of the starts of the legs to the reading times as those of the nodes."""
        whole = np.zeros_like(self.answer.s)
        add_at_nodes(whole, self.times.read_nodes, s_bar)
        return whole

    def _onto_legs(self, mu: Array, nu: Array, sums: Sums) -> Array:
        """The cotangents of the ends of the legs of the equations for multipliers of defects and conditions."""
        (v_bar,) = self.system.conditions.pull([self.answer.v[:, None]], self.given, [], [nu[:, None]], sums)
        return np.concatenate([mu, v_bar[:, 0]], axis=1)

    def _time_bars(self, legs: Sequence[Array], reads: Sequence[Array], t_bar: Array) -> list[Array]:
        """Cotangents of the two ends of the legs and of the reading times as those of what `instants` gives."""
        n = self.answer.segments
        mesh = np.zeros_like(self.times.mesh)
        mesh[:, :-1] += legs[0][:, :n]
        mesh[:, 1:] += legs[1][:, :n]
        add_at_nodes(mesh, self.times.place_nodes, legs[0][:, n:])
        add_at_nodes(mesh, self.times.read_nodes, reads[0])
        within = np.zeros((len(mesh), 2), mesh.dtype)
        return [off_mesh(mesh), within, legs[1][:, n:].copy(), reads[1] + t_bar]

    def _pull_instants(self, bars: Sequence[Array], sums: Sums) -> None:
        self.system.instants.pull((), self.given, [], [b[:, None] for b in bars], sums)

    # ------------------------------------------------------------ along a direction

    def slopes(self, outer: Sequence[Array]) -> Slopes:
        """The tangents of everything but the outputs."""
        system, answer, times = self.system, self.answer, self.times
        n = answer.segments
        ends, _, places, reads = (
            d[:, 0] for d in system.instants.push((), self.given, [], (), outer, (self.given.batch, 1))
        )
        mesh = on_mesh(ends, n)
        begin = np.concatenate([mesh[:, :-1], at_nodes(mesh, times.place_nodes)], axis=1)
        until = np.concatenate([mesh[:, 1:], places], axis=1)
        (moved,) = system.flow.push(self.own, self.given, answer.legs, [None, begin, until], outer)
        v = moved[:, n:]
        (g,) = system.conditions.push([answer.v[:, None]], self.given, [], [v[:, None]], outer)
        s = self.factors.solve(-moved[:, :n], -g[:, 0])
        at_places = at_nodes(s, times.place_nodes)
        v = v + (answer.columns[:, n:] @ at_places[..., None])[..., 0]
        own_reads = [at_nodes(s, times.read_nodes), at_nodes(mesh, times.read_nodes), reads]
        (y,) = system.flow.push(self.own_reads, self.given, answer.reads, own_reads, outer)
        return Slopes([np.concatenate([s[:, :-1], at_places], axis=1), begin, until], own_reads, v, y, reads)

    def push(self, outer: Sequence[Array]) -> list[Array]:
        """The tangents of the outputs by reading time."""
        slopes = self.slopes(outer)
        own = [self.times.reads, self.answer.y]
        return self.system.reading.push(own, self.given, [], [slopes.reads, slopes.y], outer)

    # ------------------------------------------------------------ second order

    def second(self, cotangents: Sequence[Array], outer: Sequence[Array]) -> tuple[list[Array], Sums]:
        """The tangents of the outputs along `outer`, and the gradients of <cotangents, tangents>."""
        system, answer, given = self.system, self.answer, self.given
        sums, first, n = self._sums(), self._sums(), answer.segments
        slopes = self.slopes(outer)

        own = [self.times.reads, answer.y]
        t_bar, y_bar = system.reading.pull(own, given, [], cotangents, first)
        tangents, (t_dot, y_dot) = system.reading.second(
            own, given, [], cotangents, [slopes.reads, slopes.y], outer, sums
        )
        s_bar, *reads = system.flow.pull(self.own_reads, given, answer.reads, [y_bar], first)
        _, bent = system.flow.second(self.own_reads, given, answer.reads, [y_bar], slopes.own_reads, outer, sums)
        turned = system.flow.pull(self.own_reads, given, answer.reads, [y_dot], sums)
        s_dot, *reads_dot = (a + b for a, b in zip(bent, turned, strict=True))

        mu, nu = self.factors.solve_transposed(-self._at_starts(s_bar))
        cot = self._onto_legs(mu, nu, first)
        _, *legs = system.flow.pull(self.own, given, answer.legs, [cot], first)
        _, (v_dot,) = system.conditions.second(
            [answer.v[:, None]], given, [], [nu[:, None]], [slopes.v[:, None]], outer, sums
        )
        _, (e, *legs_bent) = system.flow.second(self.own, given, answer.legs, [cot], slopes.own, outer, sums)
        e[:, n:] += (np.swapaxes(answer.columns[:, n:], 2, 3) @ v_dot[:, 0][..., None])[..., 0]
        moved = self._at_starts(s_dot)
        moved[:, :-1] += e[:, :n]
        add_at_nodes(moved, self.times.place_nodes, e[:, n:])
        mu_dot, nu_dot = self.factors.solve_transposed(-moved)
        cot_dot = self._onto_legs(mu_dot, nu_dot, sums)
        cot_dot[:, n:] += v_dot[:, 0]
        _, *legs_turned = system.flow.pull(self.own, given, answer.legs, [cot_dot], sums)

        legs_dot = [a + b for a, b in zip(legs_bent, legs_turned, strict=True)]
        bars = [b[:, None] for b in self._time_bars(legs, reads, t_bar)]
        system.instants.second((), given, [], bars, (), outer, sums)
        self._pull_instants(self._time_bars(legs_dot, reads_dot, t_dot), sums)
        return tangents, sums
