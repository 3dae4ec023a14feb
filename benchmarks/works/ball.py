"""`ball`: the time of the third bounce of a ball and its derivatives by height, speed, gravity, restitution and radius:
what a fit to bounce times asks for (the example of torchdiffeq's events), rtol = atol = 1e-8.

float64, batch 1, the call from Python included. The motion is a parabola between bounces, so the truth is a closed
form. torchdiffeq starts each flight 1e-7 above the ground, as its example does, lest the event be found again at
once, and has the radius among the states, as what enters the condition otherwise gets no gradient from it.

Floor. A step is 6 evaluations of 3 slopes and sums of 3 numbers each, 200 operations; the search for an event evaluates
the dense output at 16 places, 40 operations each; 8 steps and 3 events are some 10,000 operations, a microsecond or
two. What remains is the call, as in `single`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "ball.imp"
TOLERANCE = 1e-8
GIVEN = np.array([10.0, 0.0, 9.8, 0.8, 0.2])
BOUNCES = 3
ABOVE_GROUND = 1e-7


def third_bounce(x: Any) -> Any:
    """The closed form, in torch."""
    height, speed, gravity, restitution, radius = x.unbind()
    flight = (speed + (speed * speed + 2 * gravity * (height - radius)).sqrt()) / gravity
    rebound = restitution * (gravity * flight - speed)
    return flight + 2 * rebound / gravity * (1 + restitution)


def reference() -> dict[Mode, Values]:
    """The closed form, differentiated by torch."""
    import torch

    x = torch.tensor(GIVEN, requires_grad=True)
    when = third_bounce(x)
    (slope,) = torch.autograd.grad(when, x)
    return {"forward": {"t": when.detach().numpy()}, "gradient": {"x": slope.numpy()}}


def ours(settings: Settings) -> Contender:
    """Our layer, on torch tensors without batch dimensions."""
    import torch

    import implicitdsl

    options = {"solver": "tsit5", "rtol": TOLERANCE, "atol": TOLERANCE, "dtype": torch.float64}
    layer = implicitdsl.load(MODEL).ThirdBounce(**options, **settings.layer())
    still = torch.tensor(GIVEN)
    moving = still.clone().requires_grad_()
    calls: dict[Mode, Call] = {
        "forward": Call(lambda: layer(*still.unbind()), lambda t: {"t": t.numpy()}),
        "gradient": Call(lambda: torch.autograd.grad(layer(*moving.unbind()), moving), lambda g: {"x": g[0].numpy()}),
    }
    return Contender("implicitdsl", calls, "tsit5, discrete adjoint", facts_of(layer))


def torchdiffeq(settings: Settings) -> Contender:
    """torchdiffeq's odeint_event, a call for each flight, backpropagation through the steps."""
    import torch
    from torchdiffeq import odeint_event

    still = torch.tensor(GIVEN)
    moving = still.clone().requires_grad_()
    options: dict[str, Any] = {"rtol": TOLERANCE, "atol": TOLERANCE, "method": "dopri5"}

    def solve(x: Any) -> Any:
        height, speed, gravity, restitution, radius = x.unbind()

        def field(t: Any, y: Any) -> Any:
            return torch.stack([y[1], -gravity, 0 * gravity])

        def over_ground(t: Any, y: Any) -> Any:
            return y[0] - y[2]

        t, y = torch.zeros((), dtype=torch.float64), torch.stack([height, speed, radius])
        for _ in range(BOUNCES):
            t, path = odeint_event(field, y, t, event_fn=over_ground, **options)
            y = torch.stack([path[-1][0] + ABOVE_GROUND, -restitution * path[-1][1], path[-1][2]])
        return t

    def forward() -> Any:
        with torch.no_grad():
            return solve(still)

    calls: dict[Mode, Call] = {
        "forward": Call(forward, lambda t: {"t": t.numpy()}),
        "gradient": Call(lambda: torch.autograd.grad(solve(moving), moving), lambda g: {"x": g[0].numpy()}),
    }
    return Contender("torchdiffeq", calls, "dopri5, odeint_event, backpropagation")


def floor(mode: Mode, facts: dict[str, Any]) -> Floor:
    """See the head of this file."""
    forward = facts["total_steps"] * (200 + 16 * 40) + BOUNCES * 1000
    return Floor(forward, 48) if mode == "forward" else Floor(4 * forward, 96)


WORKS = {
    "ball": Comparison(
        name="ball",
        title="the third bounce of a ball, one sample, float64, tolerance 1e-8",
        dtype="float64",
        ours=ours,
        peers={"torchdiffeq": torchdiffeq},
        reference=reference,
        bounds={"forward": 1e-6, "gradient": 1e-5},
        floor=floor,
        goals={"gradient": (Goal(10, "torchdiffeq"),)},
    )
}
