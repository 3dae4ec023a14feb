"""A bouncing ball from noisy heights: the height it fell from, gravity, and the part of its speed that a bounce leaves.

The times of the bounces depend on all three, and the gradient goes through them exactly, so that the
Levenberg–Marquardt method converges in a few steps. The script makes its own data, with known answers, and prints
the fitted values with their standard errors.
"""

from __future__ import annotations

from pathlib import Path

import torch

import implicitdsl

HERE = Path(__file__).parent
TRUTH = {"h0": 1.5, "g": 9.81, "e": 0.78}
GUESS = (1.3, 9.0, 0.7)
NOISE = 0.01


def make_layer() -> torch.nn.Module:
    return implicitdsl.load(HERE / "ball.imp").Ball(rtol=1e-9, dtype=torch.float64)


def observe(layer: torch.nn.Module, count: int = 25, seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Times over two seconds, and heights with an error of one centimetre."""
    times = torch.linspace(0, 2, count, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    noise = NOISE * torch.randn(count, generator=generator, dtype=torch.float64)
    return times, layer(*TRUTH.values(), times) + noise


def heights_and_jacobian(
    layer: torch.nn.Module, values: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The heights [T] and their derivatives [T, 3], all in one backward pass: the layer runs once for each height."""
    copies = values.expand(len(times), -1).clone().requires_grad_()
    heights = layer(*copies.unbind(-1), times).diagonal()
    (jacobian,) = torch.autograd.grad(heights.sum(), copies)
    return heights.detach(), jacobian


def fit(layer: torch.nn.Module, times: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The values of least squares, and their covariance."""
    values, damping = torch.tensor(GUESS, dtype=torch.float64), 1e-2
    heights, jacobian = heights_and_jacobian(layer, values, times)
    for number in range(30):
        miss = seen - heights
        normal = jacobian.T @ jacobian
        step = torch.linalg.solve(normal + damping * normal.diagonal().diag(), jacobian.T @ miss)
        trial = values + step
        if not (trial > 0).all() or trial[2] >= 1:
            damping *= 10
            continue
        found, slope = heights_and_jacobian(layer, trial, times)
        better = bool((seen - found).square().sum() <= miss.square().sum())
        if better:
            print(f"  step {number}: root mean square {float((seen - found).square().mean().sqrt()):.5f} m")
            values, heights, jacobian = trial, found, slope
        damping = damping / 10 if better else damping * 10
        if bool((step.abs() <= 1e-8 * values).all()):
            break
    return values, NOISE**2 * torch.linalg.inv(jacobian.T @ jacobian)


def draw(path: Path, layer: torch.nn.Module, values: torch.Tensor, times: torch.Tensor, seen: torch.Tensor) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fine = torch.linspace(0, float(times[-1]), 400, dtype=torch.float64)
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(fine, layer(*values, fine), label="fitted")
    axes.plot(times, seen, ".", label="observed")
    axes.set(xlabel="time, s", ylabel="height, m", title="a bouncing ball")
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer = make_layer()
    times, seen = observe(layer)
    values, covariance = fit(layer, times, seen)
    for name, value, error in zip(TRUTH, values, covariance.diagonal().sqrt(), strict=True):
        print(f"{name} = {value:.4f} ± {error:.4f} (true: {TRUTH[name]})")
    picture = HERE / "out" / "ball.png"
    draw(picture, layer, values, times, seen)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
