"""Find the acid's constant from measured concentrations: python train.py"""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def measure(c, *, K=0.02, noise=0.01):
    """Concentrations of an acid whose constant we pretend not to know. Put your own data here."""
    truth = models.Acid(dtype=torch.float64)
    truth.K = K
    with torch.no_grad():
        h = truth(c)
    return h * (1 + noise * torch.randn(h.shape, generator=torch.Generator().manual_seed(0), dtype=h.dtype))


def train(c, h, *, steps=20):
    """The acid whose logarithms of h are nearest to those measured."""
    acid = models.Acid(dtype=torch.float64)
    optimizer = torch.optim.LBFGS(acid.parameters(), max_iter=4, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = (acid(c).log() - h.log()).square().mean()
        value.backward()
        return value

    before = float("inf")
    for step in range(steps):
        optimizer.step(loss)
        now = loss().item()
        print(f"step {step}: loss {now:.3e}, K {acid.K:.5f}")
        if before - now <= 1e-9 * now:
            break
        before = now
    return acid


if __name__ == "__main__":
    c = torch.logspace(-2, 1, 20, dtype=torch.float64)
    acid = train(c, measure(c))
    state = Path(__file__).with_name("trained.pt")
    torch.save(acid.state_dict(), state)
    print(f"saved {state.name}; look at it:")
    print(f"  implicitdsl plot model.imp 'c=linspace(0.01, 10, 100)' --state {state.name} -o acid.png")
