"""The efficient frontier of four assets by a layer that solves a quadratic program, and which way the shares lean.

The derivative of the shares by the aversion to risk is that of the program's first-order conditions: an asset that is
left out has derivative 0, and the derivatives add up to 0, because the shares add up to 1.
"""

from __future__ import annotations

from pathlib import Path

import torch

import implicitdsl

HERE = Path(__file__).parent
RETURNS = torch.tensor([0.04, 0.07, 0.10, 0.14], dtype=torch.float64)
RISKS = torch.tensor([0.05, 0.10, 0.18, 0.30], dtype=torch.float64)


def make_layer() -> torch.nn.Module:
    """The layer with a covariance of the risks above and correlations of 0.3."""
    correlation = 0.3 + 0.7 * torch.eye(4, dtype=torch.float64)
    covariance = RISKS[:, None] * correlation * RISKS
    layer = implicitdsl.load(HERE / "portfolio.imp").Portfolio(n=4, dtype=torch.float64)
    with torch.no_grad():
        layer.F.copy_(torch.linalg.cholesky(covariance))
    return layer


def frontier(layer: torch.nn.Module, aversions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares [K, 4] for each aversion, and their derivatives by it."""
    aversions = aversions.clone().requires_grad_()
    shares = layer(RETURNS, aversions)
    slopes = [torch.autograd.grad(shares[:, i].sum(), aversions, retain_graph=True)[0] for i in range(4)]
    return shares.detach(), torch.stack(slopes, -1)


def draw(path: Path, aversions: torch.Tensor, shares: torch.Tensor) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    names = [f"return {float(r):.0%}" for r in RETURNS]
    axes.stackplot(aversions, shares.T, labels=names)
    axes.set(xscale="log", xlabel="aversion to risk", ylabel="share", ylim=(0, 1), xlim=(aversions[0], aversions[-1]))
    axes.legend(loc="lower left")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    layer = make_layer()
    aversions = torch.logspace(-0.5, 1.5, 41, dtype=torch.float64)
    shares, slopes = frontier(layer, aversions)
    for i in range(0, 41, 10):
        print(f"aversion {float(aversions[i]):6.2f}: shares {[round(s, 3) for s in shares[i].tolist()]}")
    print(f"derivatives add up to 0 within {float(slopes.sum(-1).abs().max()):.1e}")
    picture = HERE / "out" / "frontier.png"
    draw(picture, aversions, shares)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
