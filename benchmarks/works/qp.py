"""`qp10`, `qp50`: dense quadratic programs, one Q, A, G, b, h and a batch of linear terms q.

qp10: n = 10, 10 inequalities, 3 equalities, 128 samples; qp50: n = 50, 50 inequalities, 10 equalities, 64 samples.
float64, x to 1e-8; the gradient of Σᵢ (Σⱼ xᵢⱼ)² with respect to q.

Floor. An interior-point iteration forms Q + GᵀDG (m·n² operations, half a product), factors it (n³/3), reduces the
equalities (p·n² for L⁻¹Aᵀ, p²·n for the Schur complement) and solves twice (predictor and corrector, each
4·n² + 4·m·n + 4·p·n). The gradient is one more factorisation at the answer and one solve. Bytes: q and x once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Goal
from benchmarks.work import Call, Comparison, Contender, Floor, Mode, Settings, Values, facts_of

MODEL = Path(__file__).parents[1] / "models" / "qp.imp"


@dataclass(frozen=True)
class Sizes:
    """Unknowns, inequalities, equalities, samples."""

    n: int
    m: int
    p: int
    batch: int


@dataclass(frozen=True)
class Data:
    """minimise 1/2 x'Qx + q'x subject to Gx <= h, Ax = b; q is [B, n]. All torch tensors, float64."""

    Q: Any
    q: Any
    G: Any
    h: Any
    A: Any
    b: Any


def data(sizes: Sizes) -> Data:
    """A random program with a feasible point that is strictly inside."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n = sizes.n
    root = draw(n, n) / n**0.5
    Q = root @ root.T + 0.1 * torch.eye(n, dtype=torch.float64)
    G, inside = draw(sizes.m, n), draw(n)
    h = G @ inside + torch.rand(sizes.m, generator=generator, dtype=torch.float64)
    A = draw(sizes.p, n)
    return Data(Q, 2 * draw(sizes.batch, n), G, h, A, A @ inside)


def reference(sizes: Sizes) -> dict[Mode, Values]:
    """The exact answers: active sets found by least-distance programming, then one linear solve on each, and a test
    that they satisfy the optimality conditions (which are sufficient here, wherever the set came from).

    Least distance: Lawson & Hanson, Solving Least Squares Problems (1974), ch. 23: eliminate the equalities, scale by
    the Cholesky factor, then min ‖y‖ subject to Ey >= f is a non-negative least squares problem."""
    from scipy.linalg import null_space
    from scipy.optimize import nnls

    given = data(sizes)
    Q, q, G, h, A, b = (getattr(given, k).numpy() for k in ("Q", "q", "G", "h", "A", "b"))
    n, p = sizes.n, sizes.p
    Z = null_space(A)
    base = np.linalg.lstsq(A, b, rcond=None)[0]
    L = np.linalg.cholesky(Z.T @ Q @ Z)
    E = np.linalg.solve(L, -(G @ Z).T).T  # rows of -G Z L⁻ᵀ
    answers, gradients = [], []
    for linear in q:
        shift = np.linalg.solve(L, Z.T @ (Q @ base + linear))
        f = -(h - G @ base) + E @ shift  # E (y - shift) >= -(h - G base)
        system, target = np.vstack([E.T, f]), np.append(np.zeros(n - p), 1.0)
        weights, _ = nnls(system, target, maxiter=100 * sizes.m)
        active = weights > 1e-9 * max(weights.max(), 1e-30)
        C = np.vstack([A, G[active]])
        kkt = np.block([[Q, C.T], [C, np.zeros((len(C), len(C)))]])
        found = np.linalg.solve(kkt, np.concatenate([-linear, b, h[active]]))
        x, multipliers = found[:n], found[n + p :]
        assert (G @ x - h).max() < 1e-9
        assert multipliers.min(initial=0.0) > -1e-9
        answers.append(x)
        pull = np.concatenate([np.full(n, -2 * x.sum()), np.zeros(len(C))])
        gradients.append(np.linalg.solve(kkt, pull)[:n])
    return {"forward": {"x": np.array(answers)}, "gradient": {"q": np.array(gradients)}}


def _calls(solve: Callable[[Any], Any], q: Any) -> dict[Mode, Call]:
    """Both modes of a torch layer that maps q to x."""
    import torch

    live = q.clone().requires_grad_()

    def forward() -> Any:
        with torch.no_grad():
            return solve(q)

    def gradient() -> Any:
        return torch.autograd.grad(solve(live).sum(1).square().sum(), live)

    return {
        "forward": Call(forward, lambda x: {"x": x.numpy()}),
        "gradient": Call(gradient, lambda g: {"q": g[0].numpy()}),
    }


def ours(settings: Settings, sizes: Sizes) -> Contender:
    """Our layer; its matrices are params that do not train."""
    import torch

    import implicitdsl

    given = data(sizes)
    model = implicitdsl.load(MODEL).QP
    layer = model(n=sizes.n, m=sizes.m, p=sizes.p, dtype=torch.float64, **settings.layer())
    layer.requires_grad_(False)
    layer.L.copy_(torch.linalg.cholesky(given.Q))
    for name in ("A", "G", "b", "h"):
        getattr(layer, name).copy_(getattr(given, name))
    return Contender("implicitdsl", _calls(layer, given.q), "interior point, implicit adjoint", facts_of(layer))


def moreau(settings: Settings, sizes: Sizes, *, method: str) -> Contender:
    """Moreau's torch solver on the sparse form, set up once; method "" lets it choose."""
    import moreau as mo
    import scipy.sparse as sp
    import torch
    from moreau.torch import Solver

    given, batch = data(sizes), sizes.batch
    P = sp.csr_matrix(given.Q.numpy())
    C = sp.csr_matrix(np.vstack([given.A.numpy(), given.G.numpy()]))
    pattern = [torch.tensor(part, dtype=torch.int64) for part in (P.indptr, P.indices, C.indptr, C.indices)]
    cones = mo.Cones(num_zero_cones=sizes.p, num_nonneg_cones=sizes.m)
    chosen = {"solver": method} if method else {}
    options = mo.Settings(device="cpu", enable_grad=True, batch_size=batch, **chosen)
    solver = Solver(sizes.n, sizes.p + sizes.m, *pattern, cones, options)
    P_values, C_values = (torch.tensor(part).expand(batch, -1).contiguous() for part in (P.data, C.data))
    right = torch.cat([given.b, given.h]).expand(batch, -1).contiguous()
    calls = _calls(lambda q: solver.solve(P_values, C_values, q, right).x, given.q)
    return Contender(f"moreau {method or 'auto'}", calls, f"{method or 'auto'}, set up once")


def qpth(settings: Settings, sizes: Sizes) -> Contender:
    """qpth, its definiteness check off."""
    from qpth.qp import QPFunction

    d = data(sizes)
    solver = QPFunction(verbose=-1, check_Q_spd=False)
    return Contender("qpth", _calls(lambda q: solver(d.Q, q, d.G, d.h, d.A, d.b), d.q), "interior point")


def proxqp(settings: Settings, sizes: Sizes) -> Contender:
    """ProxQP's torch layer at eps 1e-8, threads left to it."""
    import torch
    from proxsuite.torch.qplayer import QPFunction

    d = data(sizes)
    low = torch.full((sizes.m,), -1e20, dtype=torch.float64)
    layer = QPFunction(structural_feasibility=True, eps=1e-8)
    return Contender("proxqp", _calls(lambda q: layer(d.Q, q, d.A, d.b, d.G, low, d.h)[0], d.q), "eps 1e-8")


def cvxpylayers(settings: Settings, sizes: Sizes) -> Contender:
    """cvxpylayers through diffcp, the program in its Cholesky form."""
    import cvxpy as cp
    from cvxpylayers.torch import CvxpyLayer

    d = data(sizes)
    x, linear = cp.Variable(sizes.n), cp.Parameter(sizes.n)
    root = np.linalg.cholesky(d.Q.numpy()).T
    objective = cp.Minimize(0.5 * cp.sum_squares(root @ x) + linear @ x)
    problem = cp.Problem(objective, [d.G.numpy() @ x <= d.h.numpy(), d.A.numpy() @ x == d.b.numpy()])
    layer = CvxpyLayer(problem, [linear], [x])
    return Contender("cvxpylayers", _calls(lambda q: layer(q)[0], d.q), "diffcp")


def floor(mode: Mode, facts: dict[str, Any], sizes: Sizes) -> Floor:
    """See the head of this file."""
    n, m, p = sizes.n, sizes.m, sizes.p
    factor = m * n**2 + n**3 / 3 + p * n**2 + p**2 * n
    solve = 4 * n**2 + 4 * m * n + 4 * p * n
    forward = facts["total_steps"] * (factor + 2 * solve)
    moved = 8 * sizes.batch * 2 * n
    if mode == "forward":
        return Floor(forward, moved)
    return Floor(forward + sizes.batch * (factor + solve), 2 * moved)


def make(name: str, sizes: Sizes, goals: dict[Mode, tuple[Goal, ...]]) -> Comparison:
    """The work for those sizes."""
    return Comparison(
        name=name,
        title=f"quadratic program, n = {sizes.n}, {sizes.m} inequalities, {sizes.p} equalities, "
        f"{sizes.batch} samples, float64",
        dtype="float64",
        ours=partial(ours, sizes=sizes),
        peers={
            "moreau auto": partial(moreau, sizes=sizes, method=""),
            "moreau ipm": partial(moreau, sizes=sizes, method="ipm"),
            "proxqp": partial(proxqp, sizes=sizes),
            "qpth": partial(qpth, sizes=sizes),
            "cvxpylayers": partial(cvxpylayers, sizes=sizes),
        },
        reference=partial(reference, sizes),
        # Wide enough for peers that stop at 1e-6: the table says each one's error.
        bounds={"forward": 1e-4, "gradient": 1e-2},
        floor=partial(floor, sizes=sizes),
        goals=goals,
    )


WORKS = {
    "qp10": make(
        "qp10", Sizes(10, 10, 3, 128), {"forward": (Goal(4, "best"),), "gradient": (Goal(6, "best"),)}
    ),
    "qp50": make(
        "qp50", Sizes(50, 50, 10, 64), {"forward": (Goal(2, "best"),), "gradient": (Goal(3, "best"),)}
    ),
}  # fmt: skip
