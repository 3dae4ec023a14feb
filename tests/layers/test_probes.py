"""`div(v, x, probes = k)`: the estimated divergence, and the random signs behind it."""

from __future__ import annotations

import pytest
import torch

import implicitdsl
from implicitdsl.layers.noise import philox, signs

TEXT = """
net Field[n, h](x[n]) -> [n] {
  param W[h, n], V[n, h] ~ normal(0, 0.5)
  return V @ tanh(W @ x)
}

ode Flow[n, k = 1, h = 5](x[n]) -> (z[n], logp) {
  use f = Field[n, h]
  state z[n] = x, logp = 0
  let v = f(z)
  dz/dt    = v
  dlogp/dt = -div(v, z, probes = k)
  from t = 0 to 1
  return z, logp
}

ode Exact[n, h = 5](x[n]) -> (z[n], logp) {
  use f = Field[n, h]
  state z[n] = x, logp = 0
  let v = f(z)
  dz/dt    = v
  dlogp/dt = -div(v, z)
  from t = 0 to 1
  return z, logp
}

ode Diagonal[n](x[n], a[n]) -> logp {
  state z[n] = x, logp = 0
  dz/dt    = a*z
  dlogp/dt = -div(a*z, z, probes = 1)
  from t = 0 to 1.5
  return logp
}

net Outer[n](x[n]) -> e {
  use flow = Diagonal[n](rtol = 1e-9)
  return 2*flow(x, x)
}
"""
EVERY = pytest.mark.usefixtures("backend")


def words(*values: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(v) for v in values)


@pytest.mark.parametrize(
    ("counter", "key", "wanted"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], wanted: tuple[int, ...]
) -> None:
    """The known answers of the authors' own test (Random123, philox4x32 with 10 rounds)."""
    assert tuple(int(w) for w in philox(words(*counter), words(*key))) == wanted


def test_signs_are_fair_and_independent_of_the_batch() -> None:
    drawn = signs(torch.tensor(7), 0, 4000, 0, (3, 50), torch.float64)
    assert torch.equal(drawn.abs(), torch.ones_like(drawn))
    # 600,000 fair signs: their mean has the standard deviation 0.0013, products of neighbours the same.
    assert abs(drawn.mean()) < 0.007
    assert abs((drawn[:, :, 1:] * drawn[:, :, :-1]).mean()) < 0.007
    assert abs((drawn[1:] * drawn[:-1]).mean()) < 0.007
    assert torch.equal(drawn[11:13], signs(torch.tensor(7), 11, 2, 0, (3, 50), torch.float64))
    assert not torch.equal(drawn, signs(torch.tensor(8), 0, 4000, 0, (3, 50), torch.float64))
    assert not torch.equal(drawn, signs(torch.tensor(7), 0, 4000, 1, (3, 50), torch.float64))


@EVERY
def test_a_diagonal_jacobian_is_met_exactly() -> None:
    layer = implicitdsl.loads(TEXT).Diagonal(n=3, dtype=torch.float64, rtol=1e-10, atol=1e-10)
    found = layer(torch.ones(4, 3), torch.tensor([0.4, -0.3, -0.3], dtype=torch.float64))
    torch.testing.assert_close(found, torch.full((4,), 0.3, dtype=torch.float64), rtol=0, atol=1e-9)


def both(**options: str) -> tuple[implicitdsl.Layer, implicitdsl.Layer, torch.Tensor]:
    """The flow by two probes, that by the exact divergence with the same weights, and points."""
    torch.manual_seed(0)
    models = implicitdsl.loads(TEXT)
    exact = models.Exact(n=3, dtype=torch.float64)
    flow = models.Flow(n=3, k=2, dtype=torch.float64, **options)
    flow.load_state_dict(exact.state_dict())
    return flow, exact, torch.randn(6, 3, dtype=torch.float64)


@EVERY
def test_the_estimate_is_unbiased() -> None:
    flow, exact, x = both()
    wanted = exact(x)[1]
    found = torch.stack([flow(x, seed=s)[1] for s in range(200)])
    error = (found.mean(0) - wanted).abs()
    spread = found.std(0) / 200**0.5
    assert (error < 4.5 * spread).all()
    assert (found.std(0) > 1e-3).all()


@EVERY
def test_a_sample_has_its_own_signs_wherever_it_lies() -> None:
    flow, _, x = both()
    whole = flow(x, seed=3)[1]
    assert flow.last is not None
    assert flow.last.seed == 3
    assert torch.equal(whole[2:4], flow(x[2:4], seed=3, first_sample=2)[1])
    assert torch.equal(whole.reshape(2, 3), flow(x.reshape(2, 3, 3), seed=3)[1])


@EVERY
def test_each_call_has_a_fresh_seed_which_repeats_it() -> None:
    flow, _, x = both()
    first = flow(x)[1]
    assert flow.last is not None
    seed = flow.last.seed
    assert not torch.equal(first, flow(x)[1])
    assert torch.equal(first, flow(x, seed=seed)[1])


def test_back_ends_agree() -> None:
    lanes, _, x = both(backend="lanes")
    python, _, _ = both(backend="python")
    torch.testing.assert_close(lanes(x, seed=1)[1], python(x, seed=1)[1], rtol=1e-9, atol=1e-9)


@EVERY
def test_derivatives_to_second_order() -> None:
    flow, _, x = both()
    x = x[:2].clone().requires_grad_()
    fixed = implicitdsl.loads(TEXT).Flow(n=3, k=2, dtype=torch.float64, solver="rk4", dt=0.25)
    fixed.load_state_dict(flow.state_dict())
    assert torch.autograd.gradcheck(lambda x: fixed(x, seed=5)[1], x)
    assert torch.autograd.gradgradcheck(lambda x: fixed(x, seed=5)[1], x)


@EVERY
def test_a_net_hands_the_seed_to_the_layer_that_it_uses() -> None:
    layer = implicitdsl.loads(TEXT).Outer(n=3, dtype=torch.float64)
    x = torch.tensor([0.1, -0.2, 0.4], dtype=torch.float64)
    assert abs(layer(x, seed=2).item() - 2 * -0.3 * 1.5) < 1e-7


@EVERY
def test_a_traced_call_has_the_same_signs() -> None:
    flow, _, x = both()
    traced = torch.compile(lambda x: flow(x, seed=1)[1], backend="eager", fullgraph=True)
    assert torch.equal(traced(x), flow(x, seed=1)[1])
    assert torch.equal(torch.func.vmap(lambda x: flow(x, seed=1)[1])(x), torch.stack([flow(r, seed=1)[1] for r in x]))


@pytest.mark.parametrize(
    ("call", "code"),
    [("div(v, z, probes = 0)", "E302"), ("div(v, z, signs = 2)", "E208"), ("sum(grad(logp, z, probes = 2))", "E208")],
)
def test_what_does_not_fit_is_refused(call: str, code: str) -> None:
    text = TEXT.replace("div(v, z, probes = k)", call)
    with pytest.raises(implicitdsl.ImpError) as caught:
        implicitdsl.loads(text).Flow(n=3)
    assert code in {d.code for d in caught.value.diagnostics}
