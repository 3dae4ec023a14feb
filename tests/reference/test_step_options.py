"""What the language lets a model say of its steps: controller, dt0, min_step, max_step, on both back ends.

The reference is x(10), y(10) of the Lotka–Volterra system with p = (1.5, 1, 3, 1) from (1, 1), to 17 digits.
"""

from __future__ import annotations

import math

import pytest
import torch

import implicitdsl
from implicitdsl import ImpError
from implicitdsl.solvers.status import status_name

TEXT = """
ode Prey(y0[2], p[4], ts[T]) -> [T, 2] {
  state x = y0[0], y = y0[1]
  dx/dt = p[0]*x - p[1]*x*y
  dy/dt = p[3]*x*y - p[2]*y
  solver tsit5(controller = pid, dt0 = 0.01, max_step = 0.5)
  return [x, y] at ts
}
"""
MODELS = implicitdsl.loads(TEXT)
REFERENCE = torch.tensor([1.0263447675750893, 0.90969107813604162], dtype=torch.float64)
BACKENDS = pytest.mark.parametrize("backend", ["python", "lanes"])


def solved(solver, backend, dtype=torch.float64, batch=1, **options):
    layer = MODELS.Prey(solver=solver, backend=backend, dtype=dtype, on_fail="nan", **options)
    y0 = torch.ones(batch, 2, dtype=dtype) * (1 + torch.arange(batch, dtype=dtype)[:, None])
    p = torch.tensor([1.5, 1, 3, 1], dtype=dtype)
    return layer, layer(y0, p, torch.tensor([0.0, 10.0], dtype=dtype))[0, -1]


@BACKENDS
@pytest.mark.parametrize("controller", ["i", "pi", "pid"])
@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_every_controller_meets_the_tolerance(method, controller, backend):
    layer, end = solved(f"{method}(controller = {controller})", backend, rtol=1e-9, atol=1e-9)
    assert (end - REFERENCE).abs().max() <= 1e-7
    assert int(layer.last.steps[0]) < 800


@BACKENDS
def test_max_step_bounds_every_step(backend):
    layer, end = solved("tsit5(max_step = 0.02)", backend)
    # No remainder is joined to the last step: 500 steps of 0.02 make 10, and rounding may ask for one more.
    assert int(layer.last.steps[0]) in (500, 501)
    assert (end - REFERENCE).abs().max() <= 1e-7


@BACKENDS
def test_dt0_is_the_first_step_tried(backend):
    # A first step of half the interval is rejected, one of 1e-4 accepted: both cost steps that the default does not take.
    steps = {dt0: int(solved(f"tsit5(dt0 = {dt0})", backend)[0].last.steps[0]) for dt0 in (1e-4, 0.05, 5)}
    plain = int(solved("tsit5()", backend)[0].last.steps[0])
    assert steps[1e-4] > plain
    assert abs(steps[0.05] - plain) <= 5
    assert steps[5] >= plain - 5


@BACKENDS
def test_min_step_ends_a_run_that_needs_a_shorter_one(backend):
    layer, end = solved("tsit5(min_step = 0.2)", backend)
    assert status_name(int(layer.last.status[0])) == "dt_underflow"
    assert end.isnan().all()
    layer, end = solved("tsit5(min_step = 0.001)", backend)
    assert status_name(int(layer.last.status[0])) == "success"
    assert (end - REFERENCE).abs().max() <= 1e-4


@BACKENDS
def test_the_options_of_the_file_count_and_those_of_python_go_before(backend):
    _, file = solved(None, backend)
    _, same = solved("tsit5(controller = pid, dt0 = 0.01, max_step = 0.5)", backend)
    _, other = solved("tsit5()", backend)
    assert torch.equal(file, same)
    assert not torch.equal(file, other)


@BACKENDS
def test_a_sample_takes_the_bits_it_has_alone(backend):
    one = solved("tsit5(controller = pid, max_step = 0.3)", backend)[1]
    assert torch.equal(one, solved("tsit5(controller = pid, max_step = 0.3)", backend, batch=11)[1])


@BACKENDS
def test_single_precision(backend):
    _, end = solved("tsit5(controller = pid, dt0 = 0.01, max_step = 0.1, min_step = 0.0001)", backend, torch.float32)
    assert end.dtype == torch.float32
    assert (end - REFERENCE).abs().max() <= 1e-2


@BACKENDS
def test_gradients_through_controlled_steps(backend):
    layer = MODELS.Prey(
        solver="tsit5(controller = pid, max_step = 0.1)", backend=backend, rtol=1e-10, atol=1e-10, dtype=torch.float64
    )
    start = torch.ones(2, dtype=torch.float64, requires_grad=True)
    rates = torch.tensor([1.5, 1, 3, 1], dtype=torch.float64, requires_grad=True)
    x, _ = layer(start, rates, torch.tensor([0.0, 10.0], dtype=torch.float64))[-1]
    found = torch.cat(torch.autograd.grad(x, (start, rates)))
    # Variational equations, 17 digits.
    wanted = torch.tensor([1.9659960547281691, 0.18856877707805931, 2.1605575235626180, 0.18856877707805931,
                           0.56318279416819772, 0.93965128715307976], dtype=torch.float64)  # fmt: skip
    assert (found - wanted).abs().max() <= 1e-6


@pytest.mark.parametrize(
    "solver",
    [
        "tsit5(dt = 0.1, max_step = 0.2)",
        "tsit5(controller = best)",
        "tsit5(dt0 = 2, max_step = 1)",
        "tsit5(min_step = 2, dt0 = 1)",
        "tsit5(max_step = -1)",
        "rk4(dt = 0.1, controller = pid)",
    ],
)
def test_options_that_contradict_are_refused(solver):
    with pytest.raises(ImpError) as caught:
        MODELS.Prey(solver=solver)
    assert [d.code for d in caught.value.diagnostics] == ["E610"]


def test_the_longest_step_of_a_tape_is_max_step():
    from implicitdsl.solvers.step_control import PI_CONTROLLER
    from implicitdsl.solvers.tableau import TSIT5
    from tests.solvers.ode.explicit import solve
    from tests.solvers.ode.models import LOTKA_VOLTERRA

    class Bounded:
        @staticmethod
        def array(tableau, dtype):
            return PI_CONTROLLER.array(tableau, dtype, dt0=0.003, min_step=0.001, max_step=0.07)

    run = solve(LOTKA_VOLTERRA.rhs, [1, 1], [1.5, 1, 3, 1], (10, 0), tableau=TSIT5, controller=Bounded(), rtol=1e-6)
    lengths = run.grid[2::4]
    assert abs(lengths[0]) == 0.003
    assert max(abs(lengths)) <= 0.07
    assert math.isclose(lengths.sum(), -10, rel_tol=1e-12)
