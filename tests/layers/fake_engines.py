"""Engines with closed forms, written out per sample, and blueprints that use them."""

from __future__ import annotations

import functools

import numpy as np
import torch

from implicitdsl.backends.engine import Argument, Gradient, Second, Solution, Tangents
from implicitdsl.layers import Blueprint, CallPiece, EnginePiece, InputSpec, Options, ParamSpec, SetSpec
from implicitdsl.solvers.status import DIVERGED, SINGULAR

NUMPY = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}


class PointEngine:
    """Loops over samples; a subclass gives the value and the three derivatives of one sample."""

    layer_name = "Fake"

    def __init__(self, dtype=torch.float64):
        self.dtype = NUMPY[dtype]
        self.calls = []

    def status(self, *args):
        return 0

    def backward_status(self, *args):
        return 0

    def _sample(self, values, i):
        return [v[i] if v.ndim > len(a.shape) else v for v, a in zip(values, self.arguments, strict=True)]

    def _sum(self, args, grads, i, parts):
        for value, grad, part, argument in zip(args, grads, parts, self.arguments, strict=True):
            if value.ndim > len(argument.shape):
                grad[i] = part
            else:
                grad += part

    def _blank(self, batch):
        return [np.zeros((batch, *s), self.dtype) for s in self.outputs]

    def solve(self, args, batch, run):
        assert batch >= 1
        self.calls.append(("solve", batch))
        outputs, status = self._blank(batch), np.zeros(batch, np.int32)
        for i in range(batch):
            one = self._sample(args, i)
            for o, v in zip(outputs, self.value(*one), strict=True):
                o[i] = v
            status[i] = self.status(*one)
        first = outputs[0].copy()
        saved = [first] if self.saved else []
        return Solution(
            outputs,
            status,
            np.arange(batch) % 2 * 8,
            run.numbers + 1,
            saved,
            {"t_end": np.arange(batch, dtype=self.dtype)},
        )

    def pullback(self, args, batch, saved, status, cotangents):
        self.calls.append(("pullback", batch))
        grads = [np.zeros(a.shape, self.dtype) for a in args]
        failed = np.zeros(batch, np.int32)
        for i in range(batch):
            one = self._sample(args, i)
            self._sum(args, grads, i, self.vjp(*one, *(c[i] for c in cotangents)))
            failed[i] = self.backward_status(*one)
        return Gradient(grads, failed)

    def pullback_pullback(self, args, batch, saved, status, cotangents, directions):
        self.calls.append(("pullback_pullback", batch))
        grads, out, failed = (
            [np.zeros(a.shape, self.dtype) for a in args],
            self._blank(batch),
            np.zeros(batch, np.int32),
        )
        for i in range(batch):
            one, dots = self._sample(args, i), self._sample(directions, i)
            for o, v in zip(out, self.jvp(*one, *dots), strict=True):
                o[i] = v
            self._sum(args, grads, i, self.second(*one, *dots, *(c[i] for c in cotangents)))
            failed[i] = self.backward_status(*one)
        return Second(out, grads, failed)

    def pushforward(self, args, batch, saved, status, tangents):
        self.calls.append(("pushforward", batch))
        out = self._blank(batch)
        for i in range(batch):
            for o, v in zip(out, self.jvp(*self._sample(args, i), *self._sample(tangents, i)), strict=True):
                o[i] = v
        return Tangents(out, np.zeros(batch, np.int32))


class Tanh(PointEngine):
    """y = tanh(w * (A @ x)), q = sum(w x^2). Fails where x[0] > 10; has no derivative where x[0] = 7."""

    def __init__(self, n, dtype=torch.float64):
        super().__init__(dtype)
        self.arguments = (Argument("x", (n,), "input"), Argument("A", (n, n), "input"), Argument("w", (n,), "param"))
        self.outputs = ((n,), ())
        self.saved = (((n,), self.dtype),)

    def status(self, x, A, w):
        return DIVERGED if x[0] > 10 else 0

    def backward_status(self, x, A, w):
        return SINGULAR if x[0] == 7 else 0

    def value(self, x, A, w):
        return np.tanh(w * (A @ x)), np.sum(w * x * x)

    def vjp(self, x, A, w, g, c):
        e = g * (1 - np.tanh(w * (A @ x)) ** 2)
        return A.T @ (e * w) + 2 * c * w * x, np.outer(e * w, x), e * (A @ x) + c * x * x

    def jvp(self, x, A, w, dx, dA, dw):
        s = 1 - np.tanh(w * (A @ x)) ** 2
        return s * (dw * (A @ x) + w * (dA @ x + A @ dx)), np.sum(dw * x * x + 2 * w * x * dx)

    def second(self, x, A, w, dx, dA, dw, g, c):
        y = np.tanh(w * (A @ x))
        s = 1 - y * y
        moved = dA @ x + A @ dx
        dp = dw * (A @ x) + w * moved
        h, gs = -2 * y * s * g * dp, g * s
        return (
            A.T @ (h * w + gs * dw) + dA.T @ (gs * w) + 2 * c * (dw * x + w * dx),
            np.outer(h * w + gs * dw, x) + np.outer(gs * w, dx),
            h * (A @ x) + gs * moved + 2 * c * x * dx,
        )


class Decay(PointEngine):
    """y[t] = k exp(-a ts[t]) with a scalar input a and a param k; one call size."""

    saved = ()

    def __init__(self, count, dtype=torch.float64):
        super().__init__(dtype)
        self.arguments = (Argument("a", (), "input"), Argument("ts", (count,), "input"), Argument("k", (), "param"))
        self.outputs = ((count,),)

    def value(self, a, ts, k):
        return (k * np.exp(-a * ts),)

    def vjp(self, a, ts, k, g):
        e = g * np.exp(-a * ts)
        return -k * np.sum(e * ts), -a * k * e, np.sum(e)

    def jvp(self, a, ts, k, da, dts, dk):
        return (np.exp(-a * ts) * (dk - k * (da * ts + a * dts)),)

    def second(self, a, ts, k, da, dts, dk, g):
        e, m = g * np.exp(-a * ts), da * ts + a * dts
        inner = dk - k * m
        return np.sum(e * (-ts * inner - k * dts)), e * (-a * inner - k * da), -np.sum(e * m)


class Affine(PointEngine):
    """y = b * z + x: an explicit piece after a call; `f.b` belongs to a used net."""

    saved = ()

    def __init__(self, n, dtype=torch.float64):
        super().__init__(dtype)
        self.arguments = (
            Argument("z", (n,), "input"),
            Argument("x", (n,), "input"),
            Argument("f.b", (n,), "param"),
        )
        self.outputs = ((n,),)

    def value(self, z, x, b):
        return (b * z + x,)

    def vjp(self, z, x, b, g):
        return g * b, g, g * z

    def jvp(self, z, x, b, dz, dx, db):
        return (db * z + b * dz + dx,)

    def second(self, z, x, b, dz, dx, db, g):
        return g * db, np.zeros_like(x), g * dz


class Nothing(PointEngine):
    """A layer of no arguments: y = sqrt(2)."""

    arguments = ()
    outputs = ((),)
    saved = ()

    def value(self):
        return (np.sqrt(2),)


def _cached(make):
    return functools.lru_cache(None)(lambda piece, dtype, sizes: make(piece, dtype, **dict(sizes)))


def engines(make):
    """A blueprint's `engine`, cached, from make(piece, dtype, **call sizes)."""
    cache = _cached(make)
    return lambda piece, dtype, sizes: cache(piece, dtype, tuple(sizes.items()))


def tanh_blueprint(n=3, *, recipe=True, x_set=None, w_set=None, **options):
    return Blueprint(
        kind="root",
        name="Tanh",
        sizes={"n": n},
        inputs=(InputSpec("x", (n,), x_set), InputSpec("A", (n, n))),
        params=(ParamSpec("w", (n,), set=w_set, start=np.linspace(0.5, 1.5, n)),),
        outputs=((n,), ()),
        results=("y", "q"),
        tuple_output=True,
        program=(EnginePiece(("y", "q")),),
        options=Options(**{"dtype": torch.float64, **options}),
        engine=engines(lambda piece, dtype: Tanh(n, dtype)),
        recipe=("tanh", n, options) if recipe else None,
        rebuild=rebuild if recipe else None,
    )


def decay_blueprint(**options):
    return Blueprint(
        kind="ode",
        name="Decay",
        inputs=(InputSpec("a"), InputSpec("ts", ("T",))),
        params=(ParamSpec("k", (), set=SetSpec("positive"), start=np.array(2.0)),),
        outputs=(("T",),),
        options=Options(**{"dtype": torch.float64, **options}),
        engine=engines(lambda piece, dtype, T: Decay(T, dtype)),
        recipe=("decay", 0, options),
        rebuild=rebuild,
    )


def cut_blueprint(n=3, *, x_set=None, **options):
    """net Cut[n](x, A): y, q = inner(x, A); return f.b * y + x, q."""
    net = Blueprint(
        kind="net",
        name="F",
        sizes={"n": n},
        params=(ParamSpec("b", (n,), start=np.full(n, 0.7)),),
        options=Options(**{"dtype": torch.float64, **options}),
    )
    return Blueprint(
        kind="net",
        name="Cut",
        sizes={"n": n},
        inputs=(InputSpec("x", (n,), x_set), InputSpec("A", (n, n))),
        uses={"inner": tanh_blueprint(n, **options), "f": net},
        outputs=((n,), ()),
        results=("out", "q"),
        tuple_output=True,
        program=(CallPiece("inner", ("x", "A"), ("z", "q")), EnginePiece(("out",))),
        options=Options(**{"dtype": torch.float64, **options}),
        engine=engines(lambda piece, dtype: Affine(n, dtype)),
        recipe=("cut", n, options),
        rebuild=rebuild,
    )


def nothing_blueprint():
    return Blueprint(kind="root", name="Nothing", outputs=((),), engine=engines(lambda piece, dtype: Nothing(dtype)))


MAKERS = {"tanh": tanh_blueprint, "decay": lambda n, **o: decay_blueprint(**o), "cut": cut_blueprint}


def rebuild(recipe):
    """A blueprint again, from what a pickle holds."""
    name, n, options = recipe
    return MAKERS[name](n, **options)


def tanh_torch(x, A, w):
    """The same function in torch: the outside reference for values and derivatives."""
    return torch.tanh(w * (A @ x[..., None])[..., 0]), (w * x * x).sum(-1)
