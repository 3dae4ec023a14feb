"""What a solver says of each sample: fixed numbers, part of the language (`implicitdsl explain status`)."""

from __future__ import annotations

from dataclasses import dataclass

SUCCESS = 0
MAX_STEPS = 1
DT_UNDERFLOW = 2
NONFINITE = 3
DIVERGED = 4
STALLED = 5
NO_ROOT = 6
SINGULAR = 7
INFEASIBLE = 8
UNBOUNDED = 9
NONCONVEX = 10
BAD_INPUT = 11
BAD_TIMES = 12
ZENO = 13

WEAK_ACTIVE = 1
DEPENDENT_ROWS = 2
NEAR_SINGULAR = 4
KINK = 8
APPROXIMATE = 16


@dataclass(frozen=True)
class Status:
    """A number, its name, what it means, and what to try."""

    number: int
    name: str
    meaning: str
    advice: str

    @property
    def code(self) -> str:
        """The code of the failure, for `implicitdsl explain CODE`."""
        return f"E7{self.number:02d}"


STATUSES: tuple[Status, ...] = (
    Status(SUCCESS, "success", "the condition holds to the tolerance asked for", ""),
    Status(
        MAX_STEPS,
        "max_steps",
        "the step or iteration limit was reached before the end",
        "raise max_steps, loosen rtol and atol, or try another solver",
    ),
    Status(
        DT_UNDERFLOW,
        "dt_underflow",
        "no step was small enough to meet the tolerance: the solution has a singularity or a jump there",
        "shorten the interval, loosen the tolerance, or look at the model near the time named",
    ),
    Status(
        NONFINITE,
        "nonfinite",
        "a function gave NaN or infinity and no smaller step avoids it",
        "start inside the functions' domains, or bound the unknowns with `in`",
    ),
    Status(
        DIVERGED,
        "diverged",
        "the iterates grow without bound",
        "use another solver, a better start, or damp the iteration",
    ),
    Status(
        STALLED,
        "stalled",
        "no further progress is possible at this precision, and the residual is above the tolerance",
        "use float64, loosen the tolerance, or rescale the equations",
    ),
    Status(
        NO_ROOT,
        "no_root",
        "the search ended at a point that is no root: a local minimum of the residual, or a bound",
        "try another start; the equations may have no solution",
    ),
    Status(
        SINGULAR,
        "singular",
        "the system matrix is singular at the answer, so the answer or its derivative is not unique",
        "remove redundant equations, or add a condition that makes the answer unique; in a `dae` with a sparse matrix, let "
        "`matrix = dense` choose pivots",
    ),
    Status(
        INFEASIBLE,
        "infeasible",
        "no point satisfies all constraints",
        "relax a constraint; the certificate is in the dual values",
    ),
    Status(UNBOUNDED, "unbounded", "the objective improves without bound", "bound the variables or add curvature"),
    Status(
        NONCONVEX,
        "nonconvex",
        "a convexity condition of the model does not hold for this sample's data",
        "check the data named by `inspect`, or use `solver local()`",
    ),
    Status(
        BAD_INPUT,
        "bad_input",
        "an input is outside the set that its signature names or not finite, or a lag does not reach back in time",
        "check the data of this sample",
    ),
    Status(
        BAD_TIMES,
        "bad_times",
        "the times are not monotone, not finite, or outside the interval",
        "sort the times of this sample",
    ),
    Status(
        ZENO,
        "zeno",
        "more than 100 rounds of events fired at one instant",
        "stop the run, give the reset a minimal change, or smooth a jump that pushes back from both sides",
    ),
)

NOTES: tuple[tuple[int, str, str], ...] = (
    (WEAK_ACTIVE, "weak_active", "a constraint holds with multiplier 0: the derivative is one-sided"),
    (DEPENDENT_ROWS, "dependent_rows", "active constraints are linearly dependent: the multipliers are not unique"),
    (NEAR_SINGULAR, "near_singular", "the system is nearly singular: the derivative loses digits"),
    (KINK, "kink", "the answer lies on a kink, where torch's convention chooses the derivative"),
    (APPROXIMATE, "approximate_gradient", "the adjoint gives a gradient to tolerance, not that of the computed steps"),
)


def status_name(number: int) -> str:
    """The name of a status number."""
    return STATUSES[number].name


def note_names(bits: int) -> tuple[str, ...]:
    """The names of the notes set in a bit set."""
    return tuple(name for bit, name, _ in NOTES if bits & bit)
