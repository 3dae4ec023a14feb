"""A tiny interpreter of the IR in torch: the outside reference for values and derivatives."""

from __future__ import annotations

import torch

from implicitdsl.functions.expression import Apply, Arg, Const
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir import node as ir
from implicitdsl.ir.node import walk

SCALARS = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "neg": torch.neg, "pow": torch.pow,
    "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "tanh": torch.tanh, "sin": torch.sin, "cos": torch.cos,
    "sigmoid": torch.sigmoid, "softplus": torch.nn.functional.softplus, "abs": torch.abs, "relu": torch.relu,
    "maximum": torch.maximum, "minimum": torch.minimum, "cosh": torch.cosh, "sinh": torch.sinh, "log1p": torch.log1p,
    "lt": lambda a, b: (a < b).double(), "gt": lambda a, b: (a > b).double(), "le": lambda a, b: (a <= b).double(),
    "ge": lambda a, b: (a >= b).double(), "select": lambda c, a, b: torch.where(c != 0, a, b),
}  # fmt: skip


def scalar(expr, args):
    values = {}
    for e in walk_expr(expr):
        match e:
            case Arg():
                values[e] = args[e.index]
            case Const():
                values[e] = torch.tensor(e.value, dtype=torch.float64)
            case Apply():
                values[e] = SCALARS[e.function](*(values[a] for a in e.args))
    return values[expr]


def window_index(strides, offset, wide, seen):
    places = torch.meshgrid(*(torch.arange(n) for n in seen), indexing="ij")
    inside = torch.ones(seen, dtype=torch.bool)
    axes = []
    for axis, n in enumerate(wide):
        where = sum((p * s[axis] for p, s in zip(places, strides, strict=True)), torch.full(seen, offset[axis]))
        inside &= (where >= 0) & (where < n)
        axes.append(where.clamp(0, n - 1))
    return tuple(axes), inside


def contract(node, args):
    sizes = dict(zip(node.out, node.shape, strict=True))
    have = set("".join(node.ins))
    extra = [(c, torch.ones(sizes[c], dtype=torch.float64)) for c in node.out if c not in have]
    spec = ",".join([*node.ins, *(c for c, _ in extra)]) + "->" + node.out
    return torch.einsum(spec, *args, *(v for _, v in extra))


def interpret(outputs, values):
    """The outputs as torch tensors, for tensors of the leaves."""
    out = {}
    for node in walk(outputs):
        args = [out[a] for a in node.args]
        match node:
            case ir.Leaf():
                out[node] = values[node]
            case ir.Constant():
                out[node] = torch.tensor(node.value.copy())
            case ir.Delta():
                out[node] = torch.eye(node.shape[0], dtype=torch.float64)
            case ir.Map():
                out[node] = scalar(node.expr, args) + torch.zeros(node.shape, dtype=torch.float64)
            case ir.Contract():
                out[node] = contract(node, args)
            case ir.Pick():
                out[node] = args[0][tuple(slice(p, q) for p, q in node.ranges)]
            case ir.Place():
                box = torch.zeros(node.shape, dtype=torch.float64)
                box[tuple(slice(p, q) for p, q in node.ranges)] = args[0]
                out[node] = box
            case ir.Reshape():
                out[node] = args[0].reshape(node.shape)
            case ir.Window():
                where, inside = window_index(node.strides, node.offset, args[0].shape, node.shape)
                out[node] = torch.where(inside, args[0][where], 0.0)
            case ir.Scatter():
                where, inside = window_index(node.strides, node.offset, node.shape, args[0].shape)
                base = torch.zeros(node.shape, dtype=torch.float64)
                out[node] = base.index_put(where, torch.where(inside, args[0], 0.0), accumulate=True)
            case ir.Reduce():
                fn = {
                    "max": lambda a: torch.amax(a, -1), "min": lambda a: torch.amin(a, -1), "prod": lambda a: torch.prod(a, -1),
                    "cumsum": lambda a: torch.cumsum(a, -1), "logsumexp": lambda a: torch.logsumexp(a, -1),
                }[node.kind]  # fmt: skip
                out[node] = fn(args[0])
            case ir.Factor():
                out[node] = args[0]
            case ir.Solve():
                out[node] = torch.linalg.solve(args[0].T if node.transposed else args[0], args[1])
            case ir.LogDet():
                out[node] = torch.linalg.slogdet(args[0])[1] if node.what == "logabs" else torch.linalg.det(args[0])
            case ir.Cholesky():
                out[node] = torch.linalg.cholesky(args[0])
    return [out[o] for o in outputs]
