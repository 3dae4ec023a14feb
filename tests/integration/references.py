"""Models with their solutions in torch. A reference takes the layer, for its params, and the inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

F64 = torch.float64
ADAPTIVE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}


@dataclass(frozen=True)
class Model:
    """A text whose last definition is `name`, inputs, and the solution."""

    name: str
    text: str
    inputs: tuple[Tensor, ...]
    reference: Callable[..., Any]
    sizes: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-9


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed + 17 * len(shape)))


def num(*values: float) -> Tensor:
    return torch.tensor(values if len(values) > 1 else values[0], dtype=F64)


def repeat(step: Callable[[Tensor], Tensor], start: Tensor, times: int = 120) -> Tensor:
    for _ in range(times):
        start = step(start)
    return start


def mv(a: Tensor, x: Tensor) -> Tensor:
    return (a @ x[..., None])[..., 0]


MODELS: list[Model] = []


def model(name: str, text: str, *inputs: Tensor, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(reference: Callable[..., Any]) -> Callable[..., Any]:
        MODELS.append(Model(name, text, inputs, reference, **more))
        return reference

    return keep


# ---------------------------------------------------------------- ode


@model(
    "Growth",
    """
ode Growth(x0, ts[T]) -> [T] {
  param r = 0.8, K = 2 in positive
  state x = x0
  dx/dt = r*x*(1 - x/K)
  return x at ts
}
""",
    num(0.3, 0.9),
    num(0.0, 0.5, 1.5),
    options=ADAPTIVE,
)
def _(layer, x0, ts):
    grown = torch.exp(layer.r * (ts - ts[0]))
    x = x0[:, None]
    return layer.K * x * grown / (layer.K + x * (grown - 1))


@model(
    "Spring",
    """
ode Spring(x0, v0, a, b) -> (x, v) {
  param w = 1.7, c = 0.3
  state x = x0, v = v0
  dx/dt = v
  dv/dt = -w^2*x - c*v
  from t = a to b
  return x, v
}
""",
    num(1.0, -0.4),
    num(0.2),
    num(0.9),
    num(-0.3),
    options=ADAPTIVE,
)
def _(layer, x0, v0, a, b):
    zero, one = torch.zeros((), dtype=F64), torch.ones((), dtype=F64)
    A = torch.stack([torch.stack([zero, one]), torch.stack([-(layer.w**2), -layer.c])])
    y = mv(torch.matrix_exp((b - a) * A), torch.stack(torch.broadcast_tensors(x0, v0), -1))
    return y[..., 0], y[..., 1]


@model(
    "Flow",
    """
ode Flow[n](X0[n, n], A[n, n], s) -> [n, n] {
  state X[n, n] = X0
  dX/dt = A @ X
  from t = 0 to s
  return X
}
""",
    draw(2, 2, 2),
    draw(2, 2),
    num(0.7),
    sizes={"n": 2},
    options=ADAPTIVE,
)
def _(layer, X0, A, s):
    return torch.matrix_exp(s * A) @ X0


@model(
    "Driven",
    """
ode Driven(x0, w) -> x {
  param k = 0.9
  state x = x0
  let force = cos(w*t)
  dx/dt = force - k*x
  from t = 0 to 2
  return x
}
""",
    num(0.1, 0.8),
    num(1.3),
    options=ADAPTIVE,
)
def _(layer, x0, w):
    k, t = layer.k, 2.0
    d = k**2 + w**2
    return (k * torch.cos(w * t) + w * torch.sin(w * t)) / d + (x0 - k / d) * torch.exp(-k * t)


@model(
    "Oscillator",
    """
fn energy(q, p, m, k) = normsq(p)/(2*m) + k*normsq(q)/2
ode Oscillator[n](q0[n], p0[n]) -> (q[n], p[n]) {
  param m = 1.5, k = 0.7 in positive
  state q[n] = q0, p[n] = p0
  let H = energy(q, p, m, k)
  dq/dt = grad(H, p)
  dp/dt = -grad(H, q)
  from t = 0 to 1
  return q, p
}
""",
    draw(2, 2),
    draw(2, 2, seed=1),
    sizes={"n": 2},
    options=ADAPTIVE,
)
def _(layer, q, p):
    w = torch.sqrt(layer.k / layer.m)
    return q * torch.cos(w) + p / (layer.m * w) * torch.sin(w), p * torch.cos(w) - layer.m * w * q * torch.sin(w)


@model(
    "LinearCNF",
    """
net Linear[n](x[n]) -> [n] {
  param A[n, n] ~ normal(0, 0.5)
  return A @ x
}
ode LinearCNF[n](x[n]) -> (z[n], logp) {
  use f = Linear[n]
  state z[n] = x, logp = 0
  let v = f(z)
  dz/dt = v
  dlogp/dt = -div(v, z) - trace(jacobian(v, z))
  from t = 0 to 1
  return z, logp
}
""",
    draw(2, 2),
    sizes={"n": 2},
    options=ADAPTIVE,
)
def _(layer, x):
    A = layer.f.A
    return mv(torch.matrix_exp(A), x), -2 * torch.trace(A).expand(2)


@model(
    "Start",
    """
ode Start(s[1]) -> [2, 1] {
  param x0[1] = 0.4 in interval(0, 1)
  state x[1] = x0, n = 2
  dx/dt = -x/2
  dn/dt = 0
  from t = 0 to s[0]
  return reshape([x, n*x], [2, 1])
}
""",
    num(0.3).reshape(1),
    options=ADAPTIVE,
)
def _(layer, s):
    x = layer.x0 * torch.exp(-s / 2)
    return torch.stack([x, 2 * x])


# ---------------------------------------------------------------- root


@model(
    "Binding",
    """
root Binding(a in positive, b in positive) -> c {
  param K = 0.4 in positive
  var c = 0 in interval(0, inf)
  (a - c)*(b - c) = K*c
  return c
}
""",
    num(1.0, 2.0),
    num(0.7),
)
def _(layer, a, b):
    s = a + b + layer.K
    return (s - torch.sqrt(s**2 - 4 * a * b)) / 2


@model(
    "Enzyme",
    """
root Enzyme(flow in positive) -> (S, rate) {
  param Vmax = 2, Km = 0.5 in positive
  var S = 1 in positive
  let v = Vmax*S/(Km + S)
  v - flow = 0
  return S, v
}
""",
    num(0.4, 1.2),
)
def _(layer, flow):
    return layer.Km * flow / (layer.Vmax - flow), flow + 0 * layer.Vmax


@model(
    "Cubic",
    """
root Cubic(p[n]) -> [n] {
  var z[n] = 1
  z^3 + z = p
  return z
}
""".replace("Cubic(p[n])", "Cubic[n](p[n])"),
    num(0.5, 2.0),
    sizes={"n": 2},
)
def _(layer, p):
    return torch.sinh(torch.asinh(1.5 * 3**0.5 * p) / 3) * 2 / 3**0.5


@model(
    "Step",
    """
root Step[n](x[n], h) -> [n] {
  param A[n, n] ~ normal(0, 0.5)
  var z[n] = x
  z[0] = x[0] + h*(A @ z)[0]
  z[1:n] = x[1:n] + h*(A @ z)[1:n]
  return z
}
""",
    draw(2, 3),
    num(0.2),
    sizes={"n": 3},
)
def _(layer, x, h):
    return mv(torch.linalg.inv(torch.eye(3, dtype=F64) - h * layer.A), x)


@model(
    "Circle",
    """
root Circle(a, r in positive) -> (x, y) {
  var x = 1, y = 1
  x^2 + y^2 = r^2
  y = a*x
  return x, y
}
""",
    num(0.5, 1.5),
    num(1.2),
)
def _(layer, a, r):
    x = r / torch.sqrt(1 + a**2)
    return x, a * x


# ---------------------------------------------------------------- fixpoint


@model(
    "Softmax",
    """
fixpoint Softmax[n](x[n]) -> [n] {
  param W[n, n] ~ normal(0, 0.5)
  var z[n] = 1/n
  z = softmax(W @ z + x)
  return z
}
""",
    draw(2, 3),
    sizes={"n": 3},
)
def _(layer, x):
    return repeat(lambda z: torch.softmax(z @ layer.W.T + x, -1), torch.full((2, 3), 1 / 3, dtype=F64))


@model(
    "ConvDEQ",
    """
fixpoint ConvDEQ[c, n](x[c, n]) -> [c, n] {
  param k[c, c, 3] ~ normal(0, 0.2)
  param b[c, 1] = 0.1
  var z[c, n] = 0
  z = tanh(conv1d(z, k, padding = 1) + b + x)
  return z
}
""",
    draw(1, 2, 4),
    sizes={"c": 2, "n": 4},
)
def _(layer, x):
    return repeat(lambda z: torch.tanh(functional.conv1d(z, layer.k, padding=1) + layer.b + x), torch.zeros_like(x))


@model(
    "Ranks",
    """
fixpoint Ranks[n](P[n, n], jump) -> [n] {
  var r[n] = 1/n
  r = (1 - jump)*P.T @ r + jump/n
  return r
}
""",
    torch.softmax(draw(3, 3), -1),
    num(0.15, 0.4),
    sizes={"n": 3},
)
def _(layer, P, jump):
    j = jump[:, None, None]
    eye = torch.eye(3, dtype=F64)
    return mv(torch.linalg.inv(eye - (1 - j) * P.T), (jump[:, None] / 3).expand(2, 3))


@model(
    "Branch",
    """
fixpoint Branch(x) -> z {
  param a = 0.4
  var z = 0
  z = if x > 0 and not x > 2 then a*sin(z) + x else if x < -5 or x == 0 then 1 else x/2 - a*z
  return z
}
""".replace(" or x == 0", ""),
    num(0.7, -1.2, 3.0, -6.0),
)
def _(layer, x):
    inner = repeat(lambda z: layer.a * torch.sin(z) + x, torch.zeros_like(x))
    outer = x / 2 / (1 + layer.a)
    return torch.where((x > 0) & ~(x > 2), inner, torch.where(x < -5, torch.ones_like(x), outer))


# ---------------------------------------------------------------- argmin


@model(
    "Balanced",
    """
argmin Balanced[n](t[n], s) -> (z[n], price) {
  param d[n] ~ uniform(1, 2) in positive
  var z[n]
  minimize 1/2*sum(d*(z - t)^2)
  subject to {
    total: sum(z) = s
  }
  return z, dual(total)
}
""",
    draw(2, 3),
    num(0.5),
    sizes={"n": 3},
    tolerance=1e-8,
)
def _(layer, t, s):
    price = (t.sum(-1) - s) / (1 / layer.d).sum()
    return t - price[:, None] / layer.d, price


@model(
    "Box",
    """
argmin Box[n](t[n], a, b) -> [n] {
  var z[n]
  minimize normsq(z - t)
  subject to { a <= z <= b }
  return z
}
""",
    num(-2.0, 0.3, 1.9),
    num(-1.0),
    num(1.2),
    sizes={"n": 3},
    tolerance=1e-8,
)
def _(layer, t, a, b):
    return torch.minimum(torch.maximum(t, a), b)


@model(
    "HalfSpace",
    """
argmin HalfSpace[n](t[n], g[n]) -> [n] {
  param h = 0.3
  var z[n]
  minimize 1/2*normsq(z - t)
  subject to { g @ z <= h }
  return z
}
""",
    draw(3, 2),
    num(1.0, 0.5),
    sizes={"n": 2},
    tolerance=1e-8,
)
def _(layer, t, g):
    return t - torch.relu(t @ g - layer.h)[:, None] * g / (g @ g)


@model(
    "Correlation",
    """
argmin Correlation[n](A[n, n]) -> [n, n] {
  var X[n, n]
  minimize normsq(X - A)
  subject to {
    X = X.T
    diag(X) = ones(n)
  }
  return X
}
""",
    draw(2, 2, 2),
    sizes={"n": 2},
    tolerance=1e-8,
)
def _(layer, A):
    eye = torch.eye(2, dtype=F64)
    return (A + A.mT) / 2 * (1 - eye) + eye


@model(
    "Control",
    """
argmin Control[H = 2](x0, r in positive) -> u[H] {
  param a = 0.9, b = 0.6
  var x[H + 1], u[H]
  minimize sum(x[k + 1]^2 + r*u[k]^2 for k in 0:H)
  subject to {
    x[0] = x0
    for k in 0:H { x[k + 1] = a*x[k] + b*u[k] }
  }
  return u
}
""",
    num(1.0, -0.5),
    num(0.4),
    tolerance=1e-8,
)
def _(layer, x0, r):
    a, b = layer.a, layer.b
    zero = torch.zeros((), dtype=F64)
    B = torch.stack([torch.stack([b, zero]), torch.stack([a * b, b])])
    free = torch.stack([a, a**2])
    K = torch.linalg.solve(B.T @ B + r * torch.eye(2, dtype=F64), B.T @ free)
    return -x0[:, None] * K


@model(
    "Counts",
    """
argmin Counts[n](q[n] in positive) -> [n] {
  var z[n] = 0
  minimize sum(exp(z)) - q @ z
  return z
}
""",
    num(0.5, 2.0),
    sizes={"n": 2},
    tolerance=1e-8,
)
def _(layer, q):
    return torch.log(q)


# ---------------------------------------------------------------- net


@model(
    "Kalman",
    """
net Kalman[n, m](x[n], P[n, n], y[m]) -> (x1[n], P1[n, n], ll) {
  param H[m, n] ~ normal()
  param R[m, m] in spd(m)
  let S = H @ P @ H.T + R
  let K = solve(S, H @ P).T
  let v = y - H @ x
  let L = cholesky(S)
  return x + K @ v, (eye(n) - K @ H) @ P, -1/2*(v @ inv(S) @ v + logdet(S) + m*log(2*pi)) + 0*sum(L)
}
""",
    draw(2, 3),
    torch.eye(3, dtype=F64) + 0.1 * torch.ones(3, 3, dtype=F64),
    draw(2, 2),
    sizes={"n": 3, "m": 2},
)
def _(layer, x, P, y):
    H, R = layer.H, layer.R
    S = H @ P @ H.T + R
    K = P.mT @ H.T @ torch.linalg.inv(S).mT
    v = y - x @ H.T
    inverse = torch.linalg.inv(S)
    density = -(torch.einsum("bi,ij,bj->b", v, inverse, v) + torch.logdet(S) + 2 * math.log(2 * math.pi)) / 2
    return x + v @ K.mT, ((torch.eye(3, dtype=F64) - K @ H) @ P).expand(2, 3, 3), density


@model(
    "Series",
    """
net Series[n](x, c[n]) -> (y, dy, parts[4]) {
  let f = sum(c[k]*x^k for k in 0:n)
  return f, grad(f, x), [c[-2:n], x, prod(stack(x, c[0]))]
}
""",
    num(0.4, -1.2),
    draw(4),
    sizes={"n": 4},
)
def _(layer, x, c):
    k = torch.arange(4)
    f = sum(c[i] * x**i for i in range(4))
    df = sum(int(i) * c[i] * x ** (int(i) - 1) for i in k[1:])
    both = torch.stack([x, x * c[0]], -1)
    return f, df, torch.cat([c[2:].expand(2, 2), both], -1)


@model(
    "Residual",
    """
net Layer[n](x[n]) -> [n] {
  param W[n, n] ~ glorot()
  param b[n] = 0.1
  return gelu(W @ x + b)
}
net Block[n](x[n]) -> [n] {
  use a = Layer[n]
  use b = Layer[n]
  return x + b(a(x))
}
net Residual[n](x[n]) -> [n] {
  use first = Block[n]
  use second = Block[n]
  return second(first(x)) - first(x)
}
""",
    draw(2, 2),
    sizes={"n": 2},
)
def _(layer, x):
    def block(b, x):
        kept = x
        for inner in (b.a, b.b):
            x = functional.gelu(x @ inner.W.T + inner.b)
        return kept + x

    first = block(layer.first, x)
    return block(layer.second, first) - first


@model(
    "Calculus",
    """
net Calculus[n](x[n], A[n, n]) -> (g[n], d, J[n, n]) {
  let v = tanh(A @ x)*x
  let e = x @ A @ x + sum(x^3)
  return grad(e, x), div(v, x), jacobian(v, x)
}
""",
    draw(2, 2),
    draw(2, 2),
    sizes={"n": 2},
)
def _(layer, x, A):
    t = torch.tanh(x @ A.T)
    J = torch.diag_embed(t) + ((1 - t**2) * x)[..., None] * A
    return x @ (A + A.T).T + 3 * x**2, J.diagonal(dim1=-2, dim2=-1).sum(-1), J


@model(
    "Image",
    """
net Image(x[1, 5, 4]) -> (y[2, 2, 2], z[2, 2]) {
  param k[2, 1, 3, 2] ~ normal()
  param w[2, 5, 2] ~ normal()
  return conv2d(x, k, stride = 2, padding = 0), conv1d(reshape(x, [5, 4]), w, stride = 2, padding = 0)
}
""",
    draw(2, 1, 5, 4),
)
def _(layer, x):
    return functional.conv2d(x, layer.k, stride=2), functional.conv1d(x[:, 0], layer.w, stride=2)


@model(
    "Pieces",
    """
net Pieces(x[4], y[2]) -> (M[2, 4], s) {
  let inner = concat(x[-3:-1], y)
  let low = min(x[0:2], y)
  let rows = stack(inner, concat(stack(x[k]*y[1] for k in 0:2), low))
  return rows, max(x) - min(y) + norm(y) + dot(x[0:2], y) + sum(outer(y, y)) + heaviside(x[0])*clip(y[0], -1, 1) + atan2(y[0], x[1])
}
""",
    draw(2, 4),
    draw(2, 2, seed=9),
)
def _(layer, x, y):
    low = torch.minimum(x[:, :2], y)
    rows = torch.stack([torch.cat([x[:, 1:3], y], -1), torch.cat([x[:, :2] * y[:, 1:], low], -1)], 1)
    s = x.max(-1).values - y.min(-1).values + y.norm(dim=-1) + (x[:, :2] * y).sum(-1) + y.sum(-1) ** 2
    s = s + torch.heaviside(x[:, 0].detach(), torch.zeros((), dtype=F64)) * y[:, 0].clamp(-1, 1)
    return rows, s + torch.atan2(y[:, 0], x[:, 1])


# ---------------------------------------------------------------- cut nets


@model(
    "Pipeline",
    """
fixpoint Rest[n](x[n]) -> [n] {
  param W[n, n] ~ normal(0, 0.3)
  var z[n] = 0
  z = W @ z + x
  return z
}
argmin Simple[n](t[n], s) -> [n] {
  var z[n]
  minimize normsq(z - t)
  subject to { sum(z) = s }
  return z
}
ode Decay[n](x0[n], k in nonneg) -> [n] {
  state x[n] = x0
  dx/dt = -k*x
  from t = 0 to 1
  solver rk4(dt = 0.01)
  return x
}
net Pipeline[n](x[n], k) -> [n] {
  use a = Rest[n]
  use b = Simple[n]
  use c = Decay[n]
  let z = a(sin(x))
  return c(b(z, x[0]), k^2) + z
}
""",
    draw(2, 3),
    num(0.6),
    sizes={"n": 3},
    tolerance=1e-8,
)
def _(layer, x, k):
    z = mv(torch.linalg.inv(torch.eye(3, dtype=F64) - layer.a.W), torch.sin(x))
    b = z - (z.sum(-1) - x[:, 0])[:, None] / 3
    h = -(k**2) * 0.01
    return b * (1 + h + h**2 / 2 + h**3 / 6 + h**4 / 24) ** 100 + z
