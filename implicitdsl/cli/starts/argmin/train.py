"""Learn how a budget is shared from examples: python train.py"""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def data(number):
    """Situations and the shares that were chosen in them. Put your own data here."""
    x = torch.rand(number, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(1)
    with torch.no_grad():
        return x, models.Model()(x)


def train(x, shares, *, steps=40):
    """A model trained by Adam on all of the data."""
    torch.manual_seed(0)
    model = models.Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - shares).square().sum(dim=-1).mean()
        loss.backward()
        optimizer.step()
        if step % 10 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss:.2e}")
    return model


if __name__ == "__main__":
    model = train(*data(24))
    state = Path(__file__).with_name("trained.pt")
    torch.save(model.state_dict(), state)
    print(f"saved {state.name}; try it:")
    print(f"  implicitdsl run model.imp:Model 'x=[0.5, -0.5]' --state {state.name} --grad")
