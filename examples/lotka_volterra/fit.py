"""Fit the Lotka–Volterra equations to the Hudson Bay counts of hares and lynxes, 1900–1920.

The counts are the model's values with log-normal errors, one scale a species. Newton's method on the negative log
likelihood finds four rates and two starting populations. Its Hessian is the second derivative of the layer, exact; so
are the standard errors. The two scales are profiled: for given residuals the best scale is their root mean square.

Data: pelts collected by the Hudson's Bay Company, as tabulated by Odum, Fundamentals of Ecology (1953), and used in
Carpenter, Predator–Prey Population Dynamics (Stan case study, 2018), whose posterior means lie near this answer.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import implicitdsl

HERE = Path(__file__).parent
NAMES = ("alpha", "beta", "gamma", "delta", "hare0", "lynx0")
MEANINGS = {
    "alpha": "growth of hares, per year",
    "beta": "hares lost, per lynx and year",
    "gamma": "decline of lynxes, per year",
    "delta": "lynxes gained, per hare and year",
    "hare0": "hares in 1900, thousands",
    "lynx0": "lynxes in 1900, thousands",
}


@dataclass(frozen=True)
class Counts:
    """`years` [T] and `pelts` [T, 2] (hare, lynx) in thousands."""

    years: torch.Tensor
    pelts: torch.Tensor


@dataclass(frozen=True)
class Fit:
    """Fitted values and standard errors by name, the two scales, and how the search went."""

    values: dict[str, float]
    errors: dict[str, float]
    scales: tuple[float, float]
    loss: float
    gradient: float
    iterations: int
    seconds: float


def read_counts(path: Path = HERE / "hare_lynx.csv") -> Counts:
    """The table of the file as tensors of float64."""
    with path.open(newline="") as file:
        rows = [(float(r["year"]), float(r["hare"]), float(r["lynx"])) for r in csv.DictReader(file)]
    table = torch.tensor(rows, dtype=torch.float64)
    return Counts(table[:, 0], table[:, 1:])


def make_layer() -> torch.nn.Module:
    """The layer of the model file, tight enough that Newton's last steps see no noise."""
    models = implicitdsl.load(HERE / "hare_lynx.imp")
    return models.HareLynx(rtol=1e-8, atol=1e-10, dtype=torch.float64, on_fail="nan")


def free(layer: torch.nn.Module) -> list[torch.Tensor]:
    """The unconstrained numbers behind the six positive parameters, in the order of `NAMES`."""
    return [layer.parametrizations[name].original for name in NAMES]


def residuals(layer: torch.nn.Module, counts: Counts) -> torch.Tensor:
    """Logarithms of counts over model values, [T, 2]."""
    return torch.log(counts.pelts) - torch.log(layer(counts.years - counts.years[0]))


def negative_log_likelihood(layer: torch.nn.Module, counts: Counts) -> torch.Tensor:
    """Of the log-normal model at the best scales, without the terms that no parameter changes."""
    squares = residuals(layer, counts).square().mean(dim=0)
    return 0.5 * len(counts.years) * torch.log(squares).sum()


def derivatives(loss: torch.Tensor, wrt: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient [6] and Hessian [6, 6] of a loss in the free numbers, both exact."""
    first = torch.autograd.grad(loss, wrt, create_graph=True)
    rows = [torch.stack(torch.autograd.grad(g, wrt, retain_graph=True)) for g in first]
    hessian = torch.stack(rows)
    return torch.stack(first).detach(), 0.5 * (hessian + hessian.T)


def newton_step(gradient: torch.Tensor, hessian: torch.Tensor, damping: float) -> torch.Tensor:
    """Downhill also where the Hessian has negative eigenvalues: they enter with their size, plus the damping."""
    size, axes = torch.linalg.eigh(hessian)
    return -axes @ ((axes.T @ gradient) / (size.abs() + damping))


def move(numbers: list[torch.Tensor], step: torch.Tensor) -> None:
    with torch.no_grad():
        for number, change in zip(numbers, step, strict=True):
            number += change


def fit(
    counts: Counts,
    *,
    max_iterations: int = 40,
    tolerance: float = 1e-7,
    tell: Callable[[int, float, float], None] = lambda *_: None,
) -> tuple[torch.nn.Module, Fit]:
    """Newton's method with damping until the gradient's largest entry is below the tolerance.

    `tell(iteration, loss, gradient)` is called after every iteration. Returns the fitted layer and the fit.
    """
    began = time.perf_counter()
    layer = make_layer()
    numbers = free(layer)
    loss = negative_log_likelihood(layer, counts)
    gradient, hessian = derivatives(loss, numbers)
    damping = 1.0
    iteration = 0
    while iteration < max_iterations and not float(gradient.abs().max()) <= tolerance:
        iteration += 1
        step = newton_step(gradient, hessian, damping)
        move(numbers, step)
        trial = negative_log_likelihood(layer, counts)
        # A loss that is NaN, where the integration failed, compares as no improvement.
        if trial.item() <= loss.item() + 1e-9 * abs(loss.item()):
            loss = trial
            gradient, hessian = derivatives(loss, numbers)
            damping = 0.0 if damping < 1e-6 else damping / 10
        else:
            move(numbers, -step)
            damping = max(10 * damping, 1e-3)
        tell(iteration, loss.item(), float(gradient.abs().max()))
    return layer, summary(layer, counts, gradient, hessian, iterations=iteration, seconds=time.perf_counter() - began)


def summary(
    layer: torch.nn.Module,
    counts: Counts,
    gradient: torch.Tensor,
    hessian: torch.Tensor,
    *,
    iterations: int,
    seconds: float,
) -> Fit:
    """Standard errors from the inverse Hessian, carried from the free numbers to the values by the slopes between them.

    At a stationary point this is the inverse Hessian in the values themselves.
    """
    numbers = free(layer)
    values = [getattr(layer, name) for name in NAMES]
    slopes = torch.stack([torch.autograd.grad(v, n)[0] for v, n in zip(values, numbers, strict=True)])
    errors = slopes.abs() * torch.linalg.inv(hessian).diagonal().sqrt()
    with torch.no_grad():
        scales = residuals(layer, counts).square().mean(dim=0).sqrt()
        loss = float(negative_log_likelihood(layer, counts))
    return Fit(
        values={name: v.item() for name, v in zip(NAMES, values, strict=True)},
        errors={name: e.item() for name, e in zip(NAMES, errors, strict=True)},
        scales=(float(scales[0]), float(scales[1])),
        loss=loss,
        gradient=float(gradient.abs().max()),
        iterations=iterations,
        seconds=seconds,
    )


def fit_with_progress(counts: Counts, console: Console) -> tuple[torch.nn.Module, Fit]:
    """The fit under a progress bar: it counts the digits of the gradient still to go."""
    digits = 9
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("fitting", total=digits)

        def tell(iteration: int, loss: float, gradient: float) -> None:
            done = min(digits, max(0, round(2 - math.log10(max(gradient, 1e-12)))))
            text = f"Newton {iteration}: -log likelihood {loss:.6f}, gradient {gradient:.1e}"
            progress.update(task, description=text, completed=done)

        layer, found = fit(counts, tell=tell)
        progress.update(task, completed=digits)
    return layer, found


def table(found: Fit) -> Table:
    made = Table(title="Lotka–Volterra fitted to the Hudson Bay counts, 1900–1920")
    for heading in ("parameter", "meaning"):
        made.add_column(heading)
    for heading in ("value", "standard error"):
        made.add_column(heading, justify="right")
    for name in NAMES:
        made.add_row(name, MEANINGS[name], f"{found.values[name]:.4g}", f"{found.errors[name]:.2g}")
    made.add_row("sigma", "scale of the log-errors of hares", f"{found.scales[0]:.4g}", "")
    made.add_row("", "scale of the log-errors of lynxes", f"{found.scales[1]:.4g}", "")
    return made


def draw(layer: torch.nn.Module, counts: Counts, path: Path) -> None:
    """A picture of counts and fitted curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fine = torch.linspace(0, float(counts.years[-1] - counts.years[0]), 401, dtype=torch.float64)
    with torch.no_grad():
        curves = layer(fine)
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for column, (name, colour) in enumerate((("hare", "tab:brown"), ("lynx", "tab:blue"))):
        axes.plot(fine + counts.years[0], curves[:, column], color=colour, label=f"{name}, fitted")
        axes.plot(counts.years, counts.pelts[:, column], "o", color=colour, label=f"{name}, counted")
    axes.set(xlabel="year", ylabel="pelts, thousands", xticks=range(1900, 1921, 4))
    figure.legend(loc="outside upper center", ncols=4)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    console = Console()
    counts = read_counts()
    layer, found = fit_with_progress(counts, console)
    console.print(table(found))
    console.print(
        f"{found.iterations} Newton iterations, {found.seconds:.1f} s; largest gradient entry {found.gradient:.1e}"
    )
    picture = HERE / "out" / "hare_lynx.png"
    draw(layer, counts, picture)
    console.print(f"picture: {picture}", soft_wrap=True)


if __name__ == "__main__":
    main()
