"""Train the net of model.imp on a curve: python train.py"""

from pathlib import Path

import torch

import implicitdsl

models = implicitdsl.load(Path(__file__).with_name("model.imp"))


def data(number):
    """Points and the values to learn. Put your own data here."""
    x = torch.linspace(-3, 3, number)[:, None]
    return x, torch.sin(x[:, 0])


def train(x, y, *, steps=200):
    """A net trained by Adam on all of the data."""
    torch.manual_seed(0)
    net = models.MLP()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    for step in range(steps):
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss:.2e}")
    return net


if __name__ == "__main__":
    net = train(*data(40))
    state = Path(__file__).with_name("trained.pt")
    torch.save(net.state_dict(), state)
    print(f"saved {state.name}; look at it:")
    print(f"  implicitdsl run model.imp 'x=[0.5]' --state {state.name} --grad")
