"""What a run promises: steps, save times, statuses, the tape, replay, and the same bits when compiled."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from implicitdsl.solvers import status, stepping
from implicitdsl.solvers.step_control import I_CONTROLLER
from implicitdsl.solvers.tableau import DOPRI5, RK4, TABLEAUS, TSIT5
from tests.solvers.ode.explicit import pullback, replay, solve
from tests.solvers.ode.models import BLOW_UP, DECAY, FORCED, LOTKA_VOLTERRA, PROTHERO_ROBINSON

LV = ((1.0, 1.0), (1.5, 1.0, 3.0, 1.0), (0.0, 5.0))


def slope(errors, ratio):
    return np.log(errors[0] / errors[1]) / np.log(ratio)


def exact_forced_decay(t, k=2.0):
    return (k * k * np.cos(t) + k * np.sin(t) - k * k * np.exp(-k * t)) / (1 + k * k)


@pytest.mark.parametrize("tableau", [x for x in TABLEAUS.values() if x.order <= 5], ids=lambda x: x.name)
def test_order_of_convergence_at_the_end_and_between_the_steps(tableau):
    coarse = {1: 0.01, 2: 0.02, 3: 0.05, 4: 0.1, 5: 0.05}[tableau.order]
    times = np.linspace(0.0, 2.0, 57)
    end_errors, dense_errors = [], []
    for dt in (coarse, coarse / 2):
        run = solve(PROTHERO_ROBINSON.rhs, [0.0], [2.0], (0.0, 2.0), times, tableau=tableau, dt=dt)
        end_errors.append(abs(run.end[0] - exact_forced_decay(2.0)))
        dense_errors.append(np.abs(run.values[:, 0] - exact_forced_decay(times)).max())
    assert slope(end_errors, 2) == pytest.approx(tableau.order, abs=0.35)
    # The dense output's own error is of one order more than its conditions, and is not summed over the steps.
    assert slope(dense_errors, 2) == pytest.approx(min(tableau.order, tableau.dense_order + 1), abs=0.4)


@pytest.mark.parametrize(
    ("t1", "dt", "steps"),
    [(10.0, 0.1, 100), (1.0, 1 / 3, 3), (0.7, 0.1, 7), (1.05, 0.1, 11), (0.05, 0.1, 1), (-3.0, 0.3, 10)],
)
def test_number_of_fixed_steps(t1, dt, steps):
    run = solve(DECAY.rhs, [1.0], [0.3], (0.0, t1), tableau=RK4, dt=dt)
    assert run.status == 0
    assert run.accepted == run.rows == steps
    assert run.statistics[stepping.LAST_TIME] == t1


def test_single_precision_keeps_time():
    run = solve(DECAY.rhs, [1.0], [0.0], (0.0, 100.0), tableau=TABLEAUS["euler"], dt=0.01, dtype=np.float32)
    assert run.accepted == 10_000
    t = run.grid[0::4].astype(float) + run.grid[1::4]
    np.testing.assert_allclose(t, np.arange(10_000) * float(np.float32(0.01)), rtol=0, atol=1e-8)
    assert run.values.dtype == run.end.dtype == np.float32


def test_single_precision_result():
    y0, p, interval = LV
    run = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, dtype=np.float32, rtol=1e-5, atol=1e-6)
    best = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, rtol=1e-11, atol=1e-11)
    assert run.status == 0
    np.testing.assert_allclose(run.end, best.end, rtol=5e-4)


@pytest.mark.parametrize("dt", [0.0, 0.13])
@pytest.mark.parametrize("tableau", [TSIT5, DOPRI5, TABLEAUS["bosh3"]], ids=lambda x: x.name)
def test_asking_for_more_times_changes_no_bit(tableau, dt):
    y0, p, interval = LV
    few = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, (0.0, 1.7, 5.0), tableau=tableau, dt=dt, rtol=1e-6)
    more = np.sort(np.concatenate([np.linspace(0.0, 5.0, 83), [1.7, 1.7]]))
    many = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, more, tableau=tableau, dt=dt, rtol=1e-6)
    assert (few.grid == many.grid).all()
    assert (few.states == many.states).all()
    assert (few.end == many.end).all()
    assert (few.values == many.values[np.searchsorted(more, few.times)]).all()
    assert (few.values[0] == few.y0).all()
    assert (few.values[-1] == few.end).all()
    i = np.searchsorted(more, 1.7)
    assert (many.values[i] == many.values[i + 1]).all()


def test_dense_values_are_accurate_both_ways():
    times = np.linspace(0.0, 3.0, 31)
    forward = solve(PROTHERO_ROBINSON.rhs, [0.0], [2.0], (0.0, 3.0), times)
    np.testing.assert_allclose(forward.values[:, 0], exact_forced_decay(times), atol=2e-8)
    back = solve(PROTHERO_ROBINSON.rhs, forward.end, [2.0], (3.0, 0.0), times[::-1])
    np.testing.assert_allclose(back.values[:, 0], exact_forced_decay(times[::-1]), atol=1e-6)


@pytest.mark.parametrize("dt", [0.0, 0.1])
def test_an_interval_of_length_zero(dt):
    run = solve(DECAY.rhs, [3.0], [2.0], (1.5, 1.5), (1.5, 1.5), dt=dt)
    assert run.status == 0
    assert (run.values == 3.0).all()
    y0_bar, p_bar, interval_bar, times_bar = pullback(DECAY.rhs, DECAY.vjp, run, [[1.0], [10.0]], [100.0])
    assert y0_bar == pytest.approx([111.0])
    assert p_bar == pytest.approx([0.0])
    assert interval_bar == pytest.approx([6.0 * 111.0, -6.0 * 100.0])
    assert times_bar == pytest.approx([-6.0, -60.0])


def test_no_slope_is_no_trouble():
    run = solve(DECAY.rhs, [0.0], [2.0], (0.0, 1e6), (5.0,), rtol=1e-6, atol=0.0)
    assert run.status == 0
    assert run.accepted < 40
    assert (run.values == 0.0).all()


def test_units_of_time_do_not_matter():
    counts = []
    for unit in (1e-12, 1.0, 1e12):
        run = solve(DECAY.rhs, [3.0], [2.0 / unit], (0.0, 1.5 * unit))
        assert run.end[0] == pytest.approx(0.14936120510359183, rel=1e-8)
        counts.append(run.accepted)
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("interval", "times"),
    [
        ((0.0, 1.0), (0.5, 0.4)),
        ((1.0, 0.0), (0.4, 0.5)),
        ((0.0, 1.0), (-0.1, 0.5)),
        ((0.0, 1.0), (0.5, 1.1)),
        ((0.0, 1.0), (0.5, math.nan)),
        ((0.0, math.inf), (0.5,)),
        ((math.nan, 1.0), ()),
    ],
)
def test_bad_times(interval, times):
    run = solve(DECAY.rhs, [1.0], [1.0], interval, times)
    assert run.status == status.BAD_TIMES
    assert run.accepted == 0


@pytest.mark.parametrize("y0", [1.0, -1.0])
def test_blow_up_is_a_status_and_leaves_what_was_reached(y0):
    end = math.copysign(2.0, y0)
    times = [0.0, end / 4, end * 0.45, end * 0.75]
    run = solve(BLOW_UP.rhs, [y0], [], (0.0, end), times)
    assert run.status == status.DT_UNDERFLOW
    np.testing.assert_allclose(run.values[:3, 0], [y0, 2 * y0, 10 * y0], rtol=1e-6)
    assert np.isnan(run.values[3, 0])
    assert run.statistics[stepping.LAST_TIME] == pytest.approx(y0, rel=1e-8)
    assert np.isfinite(run.end).all()
    # y(1/2) = y0/(1 - y0/2): its derivative stays readable, and the time not reached adds nothing.
    y0_bar, _, interval_bar, _ = pullback(BLOW_UP.rhs, BLOW_UP.vjp, run, [[0.0], [1.0], [0.0], [0.0]])
    assert y0_bar[0] == pytest.approx(4.0, rel=1e-5)
    assert interval_bar[1] == 0.0


def test_a_wall_of_nan_is_nonfinite_and_a_thin_one_is_walked_around():
    def root(t, y, p, out):
        out[0] = np.sqrt(1.0 - t)

    run = solve(root, [0.0], [], (0.0, 2.0), (0.5, 1.5))
    assert run.status == status.NONFINITE
    assert run.statistics[stepping.LAST_TIME] == pytest.approx(1.0, rel=1e-6)
    assert run.values[0, 0] == pytest.approx(2 / 3 * (1 - 0.5**1.5), rel=1e-7)
    assert np.isnan(run.values[1, 0])
    assert run.rejected > 0

    def square_root(t, y, p, out):
        out[0] = -np.sqrt(y[0])  # stages of a bold first step leave the domain

    inside = solve(square_root, [1.0], [], (0.0, 1.99), rtol=1e-4, atol=1e-4)
    assert inside.status == 0
    assert inside.end[0] == pytest.approx((1 - 1.99 / 2) ** 2, abs=1e-3)


@pytest.mark.parametrize("dt", [0.0, 0.1])
def test_nonfinite_at_the_start_and_in_fixed_steps(dt):
    run = solve(DECAY.rhs, [1.0], [math.nan], (0.0, 1.0), (0.0, 1.0), dt=dt)
    assert run.status == status.NONFINITE
    assert run.values[0, 0] == 1.0
    assert np.isnan(run.values[1, 0])
    overflow = solve(BLOW_UP.rhs, [1.0], [], (0.0, 30.0), (0.5,), dt=0.5)
    assert overflow.status == status.NONFINITE
    assert np.isfinite(overflow.values).all()
    assert np.isfinite(overflow.end).all()


def test_max_steps_counts_accepted_and_rejected():
    y0, p, interval = LV
    full = solve(LOTKA_VOLTERRA.rhs, y0, p, interval)
    needed = full.accepted + full.rejected
    assert full.rejected > 0
    assert solve(LOTKA_VOLTERRA.rhs, y0, p, interval, max_steps=needed).status == 0
    short = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, max_steps=needed - 1)
    assert short.status == status.MAX_STEPS
    assert short.accepted + short.rejected == needed - 1
    assert solve(DECAY.rhs, [1.0], [1.0], (0.0, 1.0), dt=0.1, max_steps=9).status == status.MAX_STEPS


def test_the_controllers_are_data():
    y0, p, interval = LV
    plain = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, controller=I_CONTROLLER)
    smooth = solve(LOTKA_VOLTERRA.rhs, y0, p, interval)
    assert not np.array_equal(plain.grid[:40], smooth.grid[:40])
    np.testing.assert_allclose(plain.end, smooth.end, rtol=1e-7)


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)
@pytest.mark.parametrize("interval", [(0.2, 3.0), (3.0, 0.2)])
def test_replay_gives_the_same_bits(tableau, interval):
    times = np.linspace(*interval, 13)
    run = solve(
        FORCED.rhs,
        (1.0, 0.7),
        (1.1, 0.4, 0.8, 0.3),
        interval,
        times,
        tableau=tableau,
        dt=0.0 if tableau.order > 2 and tableau.adaptive else 0.11,
        rtol=1e-7,
    )
    values, end, states = replay(FORCED.rhs, run)
    assert (values == run.values).all()
    assert (end == run.end).all()
    assert (states == run.states).all()


def test_a_tape_too_short_is_counted_in_full():
    y0, p, interval = LV
    full = solve(LOTKA_VOLTERRA.rhs, y0, p, interval)
    none = solve(LOTKA_VOLTERRA.rhs, y0, p, interval, tape=False)
    assert none.rows == full.rows == full.accepted
    assert (none.end == full.end).all()


def test_numba_gives_the_bits_of_python(monkeypatch):
    """The solver functions lie in Numba's subset; with a compiled right-hand side both ways run the same arithmetic."""
    monkeypatch.setattr(numba.config, "OPT", type(numba.config.OPT)(0))  # the compile time is most of this test
    rhs, vjp = numba.njit(LOTKA_VOLTERRA.rhs), numba.njit(LOTKA_VOLTERRA.vjp)
    times = np.linspace(0.0, 2.0, 9)
    y0, p = LV[:2]
    python, machine = (solve(rhs, y0, p, (0.0, 2.0), times, dt=0.15, jit=jit) for jit in (False, True))
    for name in ("values", "end", "statistics", "grid", "states"):
        assert (getattr(python, name) == getattr(machine, name)).all(), name
    bar = np.ones((9, 2))
    for one, other in zip(*(pullback(rhs, vjp, python, bar, jit=jit) for jit in (False, True)), strict=True):
        assert (one == other).all()
    # Chosen steps go through `power`, whose last bit may differ between NumPy and the C library.
    python, machine = (solve(rhs, y0, p, (0.0, 2.0), times, jit=jit) for jit in (False, True))
    assert (python.status, python.accepted) == (machine.status, machine.accepted)
    np.testing.assert_allclose(python.values, machine.values, rtol=1e-13)


def counted(rhs):
    """The right-hand side, and a list that grows by one a call."""
    calls: list[float] = []

    def counting(t, y, p, out):
        calls.append(t)
        rhs(t, y, p, out)

    return counting, calls


@pytest.mark.parametrize("tableau", [x for x in TABLEAUS.values() if x.extra], ids=lambda x: x.name)
def test_stages_that_only_the_dense_output_reads_are_made_where_it_is_read(tableau):
    rhs, calls = counted(LOTKA_VOLTERRA.rhs)
    blind = solve(rhs, *LV, tableau=tableau, dt=0.25)
    # The slope at the start, and as many evaluations a step as the method has stages.
    assert (blind.accepted, len(calls)) == (20, 1 + tableau.stages * 20)
    calls.clear()
    # Two steps are read, one of them twice.
    run = solve(rhs, *LV, [0.6, 0.7, 3.1], tableau=tableau, dt=0.25)
    assert len(calls) == 1 + tableau.stages * 20 + 2 * tableau.extra
    assert np.array_equal(run.end, blind.end) and np.array_equal(run.states[:20], blind.states[:20])
    calls.clear()
    pullback(rhs, LOTKA_VOLTERRA.vjp, run, np.ones_like(run.values), np.ones(2))
    # The last stage of a step is the first of the next: all but one are made once.
    assert len(calls) == 1 + tableau.stages * 20 + 2 * tableau.extra


@pytest.mark.parametrize("tableau", [x for x in TABLEAUS.values() if x.extra], ids=lambda x: x.name)
def test_a_stage_of_the_dense_output_alone_that_is_not_finite_ends_who_reads_it(tableau):
    place = float(tableau.c[-1])

    def torn(t, y, p, out):
        out[0] = np.nan if abs(t - place) < 1e-9 else -y[0]

    assert solve(torn, [1.0], [0.0], (0.0, 3.0), tableau=tableau, dt=1.0).status == status.SUCCESS
    assert solve(torn, [1.0], [0.0], (0.0, 3.0), [1.5], tableau=tableau, dt=1.0).status == status.SUCCESS
    assert solve(torn, [1.0], [0.0], (0.0, 3.0), [0.5, 1.5], tableau=tableau, dt=1.0).status == status.NONFINITE
