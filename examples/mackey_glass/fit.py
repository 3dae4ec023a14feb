"""The delay of a feedback from a noisy series: the Mackey–Glass equation and its four numbers.

How long production lags behind is a parameter like any other: the gradient goes through every read of the past, through
the kinks that the start sends down the solution, and through the history. The script makes its own data, with known
answers, fits them by L-BFGS, and prints the values with their standard errors.
"""

from __future__ import annotations

from pathlib import Path

import torch

import implicitdsl

HERE = Path(__file__).parent
TRUTH = {"tau": 17.0, "beta": 0.2, "gamma": 0.1, "before": 1.2}
NOISE = 0.02


def make_layer() -> torch.nn.Module:
    return implicitdsl.load(HERE / "mackey_glass.imp").MackeyGlass(rtol=1e-7, dtype=torch.float64)


def set_values(layer: torch.nn.Module, values: dict[str, float]) -> None:
    for name, value in values.items():
        setattr(layer, name, torch.tensor(value, dtype=torch.float64))


def observe(count: int = 31, end: float = 120.0, seed: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """Times, and values with an error of 0.02."""
    layer = make_layer()
    set_values(layer, TRUTH)
    times = torch.linspace(0, end, count, dtype=torch.float64)
    noise = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        return times, layer(times) + NOISE * noise


def fit(layer: torch.nn.Module, times: torch.Tensor, seen: torch.Tensor, *, rounds: int = 25) -> float:
    """The values of least squares, left in the layer; returns the root mean square of what is left.

    A long series has many local minima, a short one few: each fit begins where that of a shorter part ended."""
    set_values(layer, {"before": float(seen[0])})
    for part in (0.35, 0.65, 1.0):
        early = times <= part * times[-1]
        improve(layer, times[early], seen[early], rounds)
    with torch.no_grad():
        return float((layer(times) - seen).square().mean().sqrt())


def improve(layer: torch.nn.Module, times: torch.Tensor, seen: torch.Tensor, rounds: int) -> None:
    """The nearest minimum, by L-BFGS."""
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=rounds, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (layer(times) - seen).square().sum() / NOISE**2
        loss.backward()
        return loss

    optimiser.step(closure)


def standard_errors(layer: torch.nn.Module, times: torch.Tensor) -> dict[str, float]:
    """From the derivatives of all values by the free numbers behind the params, and of the params by these."""
    free = dict(layer.named_parameters())
    columns = []
    for name in free:
        direction = {k: torch.full_like(v, float(k == name)) for k, v in free.items()}
        columns.append(
            torch.func.jvp(lambda p: torch.func.functional_call(layer, p, (times,)), (dict(free),), (direction,))[1]
        )
    jacobian = torch.stack([c.detach() for c in columns], 1)
    spread = (NOISE**2 * torch.linalg.inv(jacobian.T @ jacobian)).diagonal().sqrt()
    found: dict[str, float] = {}
    for (path, raw), error in zip(free.items(), spread, strict=True):
        name = next(n for n in TRUTH if n in path.split("."))
        (slope,) = torch.autograd.grad(getattr(layer, name), raw)
        found[name] = abs(float(slope * error))
    return found


def draw(path: Path, layer: torch.nn.Module, times: torch.Tensor, seen: torch.Tensor) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    step = float(layer.tau.detach()) / 60
    fine = torch.arange(0, float(times[-1]), step, dtype=torch.float64)
    with torch.no_grad():
        values = layer(fine)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained", width_ratios=(2, 1))
    left.plot(fine, values, label="fitted")
    left.plot(times, seen, ".", label="observed")
    left.set(xlabel="time, days", ylabel="x", title="Mackey–Glass")
    left.legend()
    right.plot(values[60:], values[:-60], linewidth=0.8)
    right.set(xlabel="x(t)", ylabel="x(t - tau)")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer = make_layer()
    times, seen = observe()
    left = fit(layer, times, seen)
    print(f"root mean square of what is left: {left:.4f}")
    for name, error in standard_errors(layer, times).items():
        print(f"{name} = {float(getattr(layer, name).detach()):.4f} ± {error:.4f} (true: {TRUTH[name]})")
    picture = HERE / "out" / "mackey_glass.png"
    draw(picture, layer, times, seen)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
