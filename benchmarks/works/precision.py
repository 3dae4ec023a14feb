"""`precision`: error against time, seven problems, 32 samples with constants of their own, float64, one call.

A point is one tolerance: rtol = tolerance, atol = tolerance × the size below which a component does not count. Its
error is held against the reference of `benchmarks/precision/reference.json` before its time is taken; a point that is
off by more than `WRONG` has no time. Contenders of one tolerance take turns. A curve ends with the point that takes
longer than `LONG`, whose successors would take longer still.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.measure import take_turns
from benchmarks.precision import contenders
from benchmarks.precision.contenders import Curve, Point
from benchmarks.precision.problems import BATCH, PROBLEMS, Problem
from benchmarks.precision.reference import doubt, reference
from benchmarks.row import Row
from benchmarks.work import OURS, Settings, Study

TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)
WRONG = 0.3
LONG = 1.0
"""Seconds of a call."""

OUR_STIFF, OUR_OTHERS = ("rodas5p", "kvaerno5", "auto"), ("tsit5", "dop853", "prince9")


def curves(problem: Problem, settings: Settings, batch: int) -> Mapping[str, partial[Curve]]:
    """Everybody who takes part, by name."""
    given = (problem, settings, batch)
    ours = {f"{OURS} {name}": partial(contenders.ours, *given, name) for name in _ours(problem)}
    implicit = {"diffrax Kvaerno5": "Kvaerno5"}
    explicit = {"diffrax Tsit5": "Tsit5", "diffrax Dopri8": "Dopri8"}
    peers: dict[str, partial[Curve]] = {
        name: partial(contenders.diffrax, *given, solver)
        for name, solver in (implicit if problem.stiff else explicit).items()
    }
    peers["casadi CVODES"] = partial(contenders.casadi, *given)
    for solver in ("bdf", "tr_bdf2") if problem.stiff else ("tsit45",):
        peers[f"pydiffsol {solver}"] = partial(contenders.pydiffsol, *given, solver)
    for solver in ("Radau", "LSODA") if problem.stiff else ("DOP853", "LSODA"):
        peers[f"scipy {solver}"] = partial(contenders.scipy, *given, solver)
    if not problem.stiff:
        peers["heyoka Taylor"] = partial(contenders.heyoka, *given)
    return {**ours, **{name: make for name, make in peers.items() if settings.takes(name)}}


def _ours(problem: Problem) -> tuple[str, ...]:
    return OUR_STIFF if problem.stiff else OUR_OTHERS


def rows(
    settings: Settings,
    problems: tuple[Problem, ...] = PROBLEMS,
    tolerances: tuple[float, ...] = TOLERANCES,
    batch: int = BATCH,
) -> Iterator[Row]:
    """A row for every problem, contender and tolerance; `facts` has the three."""
    for problem in problems:
        if not settings.has(problem.name):
            continue
        built: dict[str, Curve] = {}
        for name, make in curves(problem, settings, batch).items():
            try:
                built[name] = make()
            except ImportError as error:
                yield Row("precision", problem.name, name, settings.threads, status="missing", note=str(error)[:200])
        for tolerance in tolerances:
            yield from _turn(problem, settings, built, tolerance)


def _turn(problem: Problem, settings: Settings, built: dict[str, Curve], tolerance: float) -> Iterator[Row]:
    """The points of one tolerance; curves that end here are taken out of `built`."""
    points: dict[str, Point] = {}
    found: dict[str, Row] = {}
    for name, curve in list(built.items()):
        facts = {"tolerance": tolerance, "doubt": doubt(problem)}
        row = Row("precision", f"{problem.name}, {tolerance:g}", name, settings.threads, facts=facts)
        try:
            point = curve.at(tolerance)
            begin = time.perf_counter()
            error = problem.error(point.read(point.run()), reference(problem))
            first = 1e3 * (time.perf_counter() - begin)
        except Exception as problem_met:
            # A method that gives up at this tolerance is a fact worth a row.
            note = f"{type(problem_met).__name__}: {problem_met}".strip().splitlines()[-1][:200]
            yield Row("precision", row.mode, name, settings.threads, status="failed", note=note, facts=facts)
            continue
        if error > WRONG:
            yield Row("precision", row.mode, name, settings.threads, status="wrong", note=f"{error:.2g}", facts=facts)
            continue
        points[name] = point
        found[name] = Row(
            "precision", row.mode, name, settings.threads, error=error, first=round(first, 3), facts=facts
        )
    for name, taken in take_turns({name: point.run for name, point in points.items()}, settings.seconds / 10).items():
        share, row = built[name].share, found[name]
        scaled = {what: round(getattr(taken, what) / share, 5) for what in ("best", "median", "cpu")}
        yield Row(**{**vars(row), **scaled, "runs": taken.runs})
        if scaled["cpu"] > 1e3 * LONG:
            del built[name]


WORKS = {"precision": Study("precision", f"error against time, seven problems, {BATCH} samples, float64", rows)}
