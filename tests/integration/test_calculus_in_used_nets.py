"""`grad`, `div` and `jacobian` inside nets and functions are partial derivatives, whatever stands in their arguments; the
product of joined values has a derivative."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import implicitdsl

F64 = torch.float64

TEXT = """
fn dx(x, y) = grad(x*y^2, x)

net Partial(x, y) -> z { return grad(x*y^2, x) }
net Pair(x[2]) -> [2] { return grad(x[0]^2*x[1], x) }
net Table(x[4]) -> [2, 4] { return jacobian([x[1]^2 + sum(x), x[3]*x[2]], x) }
net Half(x[2]) -> s {
  use pair = Pair
  let v = tanh(pair(x))*x
  return div(v, x)
}

net Joined(a, b) -> [2] {
  use f = Pair
  return f([a, b])
}
net Joined4(a[2], b[2]) -> [2, 4] {
  use f = Table
  return f([a, b])
}
net Same(a) -> (x, y) {
  use f = Partial
  return f(a, a), dx(a, a)
}
net Scaled(a) -> (x, y) {
  use f = Partial
  return f(2*a, a), dx(3, a)
}
net Nested(a, b) -> s {
  use f = Half
  return f([a*b, b])
}
ode Flow(a, b) -> [2] {
  use f = Pair
  state x = a, y = b
  let v = f([x, y])
  dx/dt = -v[0]/8
  dy/dt = -v[1]/8
  from t = 0 to 1
  solver rk4(dt = 0.25)
  return [x, y]
}
net Product(x, c) -> (p, q, r) { return prod([x, c]), prod(stack(x, c, x*c)), prod(concat([x, c], [c, 2, x])) }
"""


@pytest.fixture(scope="module")
def models():
    return implicitdsl.loads(TEXT)


def pair(x):
    return torch.stack([2 * x[..., 0] * x[..., 1], x[..., 0] ** 2], -1)


def half(x):
    def field(x):
        return torch.tanh(pair(x)) * x

    return torch.trace(torch.func.jacrev(field)(x))


def flow(a, b):
    y = torch.stack([a, b])
    for _ in range(4):
        k1 = -pair(y) / 8
        k2 = -pair(y + 0.125 * k1) / 8
        k3 = -pair(y + 0.125 * k2) / 8
        y = y + (k1 + 2 * k2 + 2 * k3 - pair(y + 0.25 * k3) / 8) / 24
    return y


def table(a, b):
    zero, one = torch.zeros_like(a[0]), torch.ones_like(a[0])
    return torch.stack([torch.stack([one, 1 + 2 * a[1], one, one]), torch.stack([zero, zero, b[1], b[0]])])


CASES = {
    "Joined": ((3.0, 5.0), lambda a, b: (pair(torch.stack([a, b])),)),
    "Joined4": (([3.0, 4.0], [1.0, 2.0]), lambda a, b: (table(a, b),)),
    "Same": ((3.0,), lambda a: (a**2, a**2)),
    "Scaled": ((3.0,), lambda a: (a**2, a**2)),
    "Nested": ((0.4, 0.7), lambda a, b: (half(torch.stack([a * b, b])),)),
    "Flow": ((0.4, 0.7), lambda a, b: (flow(a, b),)),
    "Product": ((0.4, 0.7), lambda x, c: (x * c, (x * c) ** 2, 2 * (x * c) ** 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(models, name):
    values, reference = CASES[name]
    inputs = tuple(torch.tensor(v, dtype=F64, requires_grad=True) for v in values)
    layer = models[name](dtype=F64)
    found = layer(*inputs)
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, reference(*inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        a = torch.autograd.grad(ours.sum(), inputs, create_graph=True, materialize_grads=True)
        b = torch.autograd.grad(theirs.sum(), inputs, create_graph=True, materialize_grads=True)
        for p, q in zip(a, b, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-11, atol=1e-11)
    assert gradcheck(layer, inputs)
    assert gradgradcheck(layer, inputs)


def test_a_product_with_factors_zero_is_right_to_second_order(models):
    layer = models.Product(dtype=F64)
    x, c = torch.zeros((), dtype=F64), torch.tensor(3.0, dtype=F64)
    hessian = torch.func.hessian(lambda v: layer(v[0], v[1])[0])(torch.stack([x, c]))
    assert torch.equal(hessian, torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=F64))


INNER = """
fixpoint Inner(x) -> z {
  var z = 0
  z = cos(z)/2 + x
  return z
}
net Step(x) -> y {
  use inner = Inner
  return 3*inner(x)
}
"""


@pytest.mark.parametrize(
    "body",
    [
        "use f = Inner\n  return grad(f(x)^2, x)",
        "use f = Inner\n  let z = f(f(2*x))\n  return jacobian(z, x)",
        "use f = Step\n  return grad(f(x), x)",
    ],
)
def test_a_derivative_through_an_implicit_layer_is_refused_not_zero(body):
    with pytest.raises(implicitdsl.ImpError, match="E615"):
        implicitdsl.loads(f"{INNER}net Outer(x) -> y {{\n  {body}\n}}\n").Outer()


def test_a_derivative_beside_an_implicit_layer_is_fine():
    text = INNER + "net Outer(x, y) -> z {\n  use f = Inner\n  return grad(f(y)*x^2, x)\n}\n"
    x, y = torch.tensor(2.0, dtype=F64), torch.tensor(0.3, dtype=F64)
    made = implicitdsl.loads(text)
    torch.testing.assert_close(made.Outer(dtype=F64)(x, y), 2 * x * made.Inner(dtype=F64)(y))
