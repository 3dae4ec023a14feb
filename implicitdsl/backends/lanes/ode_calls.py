"""The functions of a model that the parts of an `ode` on lanes call."""

from __future__ import annotations

_LOCATING = ("guards", "guards_rate", "guards_vjp_y", "modes", "conditions", "reset")
_PAST = ("history", "lags")
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "solve": ("rhs", "linearise", "begin", "at", "output", *_LOCATING, *_PAST),
    "pull": (
        "rhs", "linearise", "begin", "at", "rhs_vjp", "linearise_vjp", "begin_vjp", "at_vjp", "output_vjp", *_LOCATING,
        "rhs_vjp_y", "linearise_vjp_y", "guards_vjp", "reset_vjp", "rhs_keeping", "rhs_vjp_kept", *_PAST, "history_vjp",
        "lags_vjp",
    ),
    "second": (
        *_PAST, *(f"{name}_{end}" for name in _PAST for end in ("vjp", "jvp", "jvp_vjp")),
        *_LOCATING, "rhs_tangent_y", "rhs_tangent_vjp_y", "guards_vjp", "guards_jvp", "guards_jvp_vjp",
        "guards_jvp_vjp_y", "reset_vjp", "reset_jvp", "reset_jvp_vjp", "linearise_tangent_y", "linearise_tangent_vjp_y",
        "rhs", "linearise", "begin", "at", "rhs_tangent", "rhs_tangent_vjp", "linearise_tangent",
        "linearise_tangent_vjp", "begin_vjp", "begin_jvp", "begin_jvp_vjp", "at_vjp", "at_jvp", "at_jvp_vjp",
        "output_jvp", "output_jvp_vjp",
    ),
}  # fmt: skip
FUNCTIONS["thin"] = FUNCTIONS["pull"]
FUNCTIONS["costate"] = (
    "rhs", "linearise", "begin", "at", "rhs_costate", "rhs_gradient", "rhs_costate_rate", "rhs_vjp", "begin_vjp",
    "at_vjp", "output_vjp", *_LOCATING, "guards_vjp", "reset_vjp",
)  # fmt: skip
"""The functions of the model that a part calls, where the method has them."""
KEPT = {
    "solve": ("rhs_keeping", "begin", "at", "output"),
    "pull": ("begin", "at", "begin_vjp", "at_vjp", "output_vjp", "rhs_vjp_kept"),
}
"""Those that are called where the tape holds what stages kept."""
