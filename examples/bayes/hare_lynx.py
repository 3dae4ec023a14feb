"""The Bayesian fit of hares and lynxes by the no-U-turn sampler of Pyro, with bands of the posterior.

Model and priors are those of B. Carpenter, "Predator-prey population dynamics: the Lotka-Volterra model in Stan"
(2018); the answer is compared with his posterior means. The sampler's gradients are exact derivatives of the steps.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import pyro
import torch
from pyro import distributions as dist
from pyro.infer import MCMC, NUTS
from torch import Tensor

import implicitdsl

HERE = Path(__file__).parent
STAN = {"rates": (0.545, 0.028, 0.803, 0.024), "start": (33.956, 5.949), "noise": (0.250, 0.252)}
"""Posterior means of the case study, section "Fitting the Hudson's Bay data"."""


def read_counts() -> tuple[Tensor, Tensor]:
    """Years since the first [21], and pelts [21, 2] in thousands."""
    with (HERE.parent / "lotka_volterra" / "hare_lynx.csv").open() as file:
        rows = [[float(row[name]) for name in ("year", "hare", "lynx")] for row in csv.DictReader(file)]
    table = torch.tensor(rows, dtype=torch.float64)
    return table[:, 0] - table[0, 0], table[:, 1:]


def make_layer() -> torch.nn.Module:
    """Populations at the years; a sample that fails has no likelihood."""
    return implicitdsl.load(HERE / "models.imp").HareLynx(dtype=torch.float64, rtol=1e-6, atol=1e-6, on_fail="nan")


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def energy(layer: torch.nn.Module, years: Tensor, pelts: Tensor, logs: Tensor) -> Tensor:
    """Minus the log of the posterior density of the logarithms of rates, start and noise [8], up to a constant."""
    rates, start, noise = logs.exp().split((4, 2, 2))
    found = layer(rates, start, years)
    likelihood = dist.LogNormal(found.log(), noise).log_prob(pelts).sum()
    prior = dist.Normal(double(1.0, 0.05, 1.0, 0.05), double(0.5, 0.05, 0.5, 0.05)).log_prob(rates).sum()
    prior = prior + dist.LogNormal(double(10.0, 10.0).log(), 1.0).log_prob(start).sum()
    prior = prior + dist.LogNormal(double(-1.0, -1.0), 1.0).log_prob(noise).sum()
    # A density of the values is one of their logarithms times the values.
    return -(likelihood + prior + logs.sum())


def sample(draws: int, warmup: int, *, progress: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """Draws from the posterior, [draws, …] for each name."""
    pyro.set_rng_seed(seed)
    layer, (years, pelts) = make_layer(), read_counts()
    begin = double(0.5, 0.02, 0.9, 0.03, 30.0, 5.0, 0.3, 0.3).log()
    kernel = NUTS(potential_fn=lambda at: energy(layer, years, pelts, at["logs"]))
    chain = MCMC(
        kernel, draws, warmup_steps=warmup, initial_params={"logs": begin}, disable_progbar=not progress
    )  # fmt: skip
    # Values without a likelihood are a divergence of the sampler, not an error.
    with pyro.validation_enabled(is_validate=False):
        chain.run()
    rates, start, noise = chain.get_samples()["logs"].exp().split((4, 2, 2), dim=-1)
    return {"rates": rates, "start": start, "noise": noise}


def errors(draws: Tensor) -> Tensor:
    """The standard error of the mean of correlated draws, by the means of 20 batches."""
    means = draws[: len(draws) // 20 * 20].reshape(20, -1, draws.shape[-1]).mean(1)
    return means.std(0) / 20**0.5


def predict(found: dict[str, Tensor], times: Tensor, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Populations [draws, T, 2] along the draws, and new counts there, with the noise of a count."""
    with torch.no_grad():
        curves = make_layer()(found["rates"], found["start"], times)
        noise = torch.randn(curves.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return curves, curves * (found["noise"][:, None] * noise).exp()


def draw(path: Path, found: dict[str, Tensor]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    years, pelts = read_counts()
    times = torch.linspace(0, 30, 301, dtype=torch.float64)
    curves, counts = predict(found, times)
    figure, rows = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    at = 1900 + times.numpy()
    for k, (axes, name) in enumerate(zip(rows, ("hares", "lynxes"), strict=True)):
        for band, values, shade in (("a count", counts, 0.15), ("the population", curves, 0.4)):
            low, high = (values[..., k].quantile(q, dim=0).numpy() for q in (0.05, 0.95))
            axes.fill_between(at, low, high, alpha=shade, color=f"C{k}", linewidth=0, label=f"90 % of {band}")
        axes.plot(at, curves[..., k].median(0).values.numpy(), color=f"C{k}")
        axes.plot(1900 + years.numpy(), pelts[:, k].numpy(), "k.", label="pelts")
        axes.set(ylabel=f"{name}, thousands", ylim=(0, None))
        axes.legend(loc="upper right")
    rows[1].set_xlabel("year; counts end in 1920")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--draws", type=int, default=1000)
    reader.add_argument("--warmup", type=int, default=500)
    given = reader.parse_args()
    begun = time.perf_counter()
    found = sample(given.draws, given.warmup, progress=True)
    print(f"{given.draws} draws in {time.perf_counter() - begun:.1f} s, warm-up included")
    for name, wanted in STAN.items():
        means, error = found[name].mean(0).tolist(), errors(found[name]).tolist()
        for mean, spread, other in zip(means, error, wanted, strict=True):
            print(f"{name:6s} {mean:8.4f} ± {spread:.4f}   Stan {other}")
    picture = HERE / "out" / "hare_lynx.png"
    draw(picture, found)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
