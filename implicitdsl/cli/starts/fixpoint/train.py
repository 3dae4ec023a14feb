"""Train the equilibrium model of model.imp on a function of two numbers: python train.py"""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def data(number):
    """Points and the values to learn. Put your own data here."""
    x = torch.rand(number, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return x, torch.sin(2 * x[:, 0]) * x[:, 1]


def train(x, y, *, steps=60):
    """A model trained by Adam on all of the data."""
    torch.manual_seed(0)
    model = models.Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        if step % 10 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss:.2e}")
    return model


if __name__ == "__main__":
    model = train(*data(12))
    state = Path(__file__).with_name("trained.pt")
    torch.save(model.state_dict(), state)
    print(f"saved {state.name}; try it:")
    print(f"  implicitdsl run model.imp:Model 'x=[0.5, 0.5]' --state {state.name} --grad")
