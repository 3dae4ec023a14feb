"""What `auto` is for a problem: one method, or one until a sample is stiff and another from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from implicitdsl.backends.settings import Settings
from implicitdsl.problems.ode import OdeProblem

AUTO = "auto"
PLAIN = "tsit5"
STIFF = "rodas5p"

Refuse = Callable[[OdeProblem, Settings], "str | None"]


def in_use(problem: OdeProblem, settings: Settings, refuse: Refuse | None = None) -> tuple[Settings, str]:
    """The settings with the method that runs, `auto` staying where both do, and why; as they are for another solver.
    `refuse` says why a back end cannot hold a problem with a method."""
    if settings.solver != AUTO:
        return settings, ""
    reason = _why_plain(problem, settings, refuse)
    if reason is None:
        return settings, f"`{PLAIN}` for every sample, `{STIFF}` for one from where it is found stiff"
    return replace(settings, solver=PLAIN), f"`{PLAIN}`: {reason}"


def of_rest(settings: Settings, *, role: str = "") -> Settings:
    """The settings of the second method; `dt0` was the first step of the run."""
    options = {name: value for name, value in settings.options.items() if name != "dt0"}
    return replace(settings, solver=f"{STIFF}{role}", options=options)


def _why_plain(problem: OdeProblem, settings: Settings, refuse: Refuse | None) -> str | None:
    if problem.events is not None:
        return "a run with events stays with one method"
    if problem.delays is not None:
        return "the past is read by explicit methods"
    if settings.dt is not None:
        return "steps of a fixed size have no error estimate to judge by"
    if problem.at is not None and problem.at.size == 0:
        return "no time is asked for"
    too_large = None if refuse is None else refuse(problem, replace(settings, solver=STIFF))
    return None if too_large is None else f"for `{STIFF}` {too_large}"
