"""From a `bvp` problem to its engine, on the parts that a back end builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Argument, Engine
from implicitdsl.backends.settings import Settings
from implicitdsl.backends.shooting.engine import REFINED, ShootingEngine
from implicitdsl.backends.shooting.spec import ShootingSpec
from implicitdsl.problems import bvp
from implicitdsl.problems.bvp import BvpProblem
from implicitdsl.problems.kinds import Problem

SEGMENTS = 16
ITERATIONS = 50
PROBLEMS: dict[str, Callable[[BvpProblem], Problem]] = {
    "flow": bvp.flow,
    "guess": bvp.guess,
    "instants": bvp.instants,
    "conditions": bvp.conditions,
    "linear_conditions": bvp.conditions_jacobian,
    "reading": bvp.reading,
}
"""The problem that each part solves."""


def build_shooting(
    problem: BvpProblem, settings: Settings, dtype: np.dtype[Any], make: Callable[[Problem], Engine]
) -> ShootingEngine:
    """The engine of a `bvp`; `make` gives the engine of a part."""
    signature = problem.signature
    inputs = [Argument(i.name, i.leaf.shape, "input") for i in signature.inputs]
    params = [Argument(i.name, i.leaf.shape, "param") for i in signature.params]
    consts = [Argument(i.name, i.leaf.shape, "const") for i in signature.consts]
    reads, has_times = (1, False) if problem.at is None else (problem.at.shape[0], True)
    told = settings.options.get("segments")
    spec = ShootingSpec(
        layer_name=signature.layer,
        dtype=dtype.name,
        arguments=(*inputs, *params, *consts),
        outputs=tuple((reads, *o.shape) if has_times else o.shape for o in problem.outputs),
        states=problem.size,
        places=len(problem.places),
        reads=reads,
        has_times=has_times,
        rtol=settings.rtol,
        atol=settings.atol,
        levels=(SEGMENTS, REFINED * SEGMENTS) if told is None else (int(told),),
        iterations=int(settings.options.get("iterations", ITERATIONS)),
    )
    return ShootingEngine(spec, lambda name: make(PROBLEMS[name](problem)))
