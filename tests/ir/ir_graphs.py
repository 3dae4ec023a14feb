"""Random graphs over every kind of node, with smooth values away from the singular sets, from a seed."""

from __future__ import annotations

from implicitdsl.ir import build as b

X = b.leaf("input", "x", (3,))
A = b.leaf("param", "A", (3, 4))
S = b.leaf("input", "s", ())
C = b.leaf("param", "c", (2, 2, 3))
LEAVES = (X, A, S, C)


def random_values(rng):
    return {leaf: rng.normal(size=leaf.shape) for leaf in LEAVES}


def _ranges(rng, shape):
    found = []
    for n in shape:
        p = int(rng.integers(0, n))
        found.append((p, int(rng.integers(p + 1, n + 1))))
    return found


def _square(rng, node):
    """A well conditioned square matrix made of a node."""
    n = int(rng.integers(2, 4))
    flat = b.reshape(node, (node.size,))
    m = b.window(flat, ((1,), (1,)), (-1,), (n, n)) if flat.size >= 2 else b.broadcast(b.reshape(node, ()), (n, n))
    return b.add(b.apply("sin", m), b.mul(4.0, b.delta(n)))


def grow(rng, steps, *, smooth=True):
    """A list of nodes, each made of earlier ones; all are bounded functions of the leaves."""
    nodes = list(LEAVES)

    def pick_node():
        return nodes[int(rng.integers(len(nodes)))]

    moves = [
        "unary", "binary", "contract", "outer", "pick", "place", "reshape", "window", "scatter", "cumsum", "prod", "logsumexp",
        "solve", "solve_matrix", "log_det", "det", "cholesky", "transpose", "sum", "broadcast", "matmul", "select", "concat",
        "diag", "max",
    ]  # fmt: skip
    while len(nodes) < steps + len(LEAVES):
        a = pick_node()
        match moves[int(rng.integers(len(moves)))]:
            case "unary":
                name = ["tanh", "sin", "sigmoid", "softplus", "neg"][int(rng.integers(5))]
                new = b.apply(name, a)
            case "binary":
                others = [n for n in nodes if n.shape == a.shape or n.shape == ()]
                c = others[int(rng.integers(len(others)))]
                new = [b.add, b.sub, b.mul, lambda p, q: b.div(p, b.add(2.0, b.mul(q, q)))][int(rng.integers(4))](a, c)
            case "contract":
                text = b.transpose(a)
                new = b.mul(0.3, b.contract("ab,bc->ca", b.reshape(a, (1, a.size)), b.reshape(text, (a.size, 1))))
            case "outer":
                c = pick_node()
                if a.size * c.size > 60 or len(a.shape) + len(c.shape) > 4:
                    continue
                new = b.outer(a, c)
            case "pick":
                new = b.pick(a, _ranges(rng, a.shape))
            case "place":
                lead = [int(v) for v in rng.integers(0, 3, size=len(a.shape))]
                box = [(p, p + n) for p, n in zip(lead, a.shape, strict=True)]
                new = b.place(a, box, [q + 1 for _, q in box])
            case "reshape":
                new = b.reshape(a, (a.size,) if len(a.shape) != 1 else (1, a.size))
            case "window" if len(a.shape) == 1:
                new = b.window(a, ((1,), (2,)), (-1,), (3, 2))
            case "scatter" if len(a.shape) == 1:
                new = b.scatter(a, ((2, -1),), (-1, a.size), (a.size, a.size))
            case "cumsum" | "prod" | "logsumexp" | "max" as kind if a.shape and (smooth or kind != "max"):
                if kind == "prod" and a.shape[-1] > 5:
                    continue
                new = b.reduce(kind, a)
            case "solve" | "solve_matrix" as kind:
                m = _square(rng, a)
                n = m.shape[0]
                c = pick_node()
                width = () if kind == "solve" else (2,)
                flat = b.broadcast(c, (n,)) if c.shape == () else b.window(b.reshape(c, (c.size,)), ((1,),), (0,), (n,))
                right = flat if not width else b.stack([flat, b.apply("sin", flat)], axis=1)
                f = b.factor("lu", m)
                new = b.solve(f, right, transposed=bool(rng.integers(2)))
            case "log_det":
                new = b.log_det(_square(rng, a))
            case "det":
                new = b.mul(0.05, b.det(b.factor("lu", _square(rng, a))))
            case "cholesky":
                m = _square(rng, a)
                new = b.cholesky(b.add(b.matmul(m, b.transpose(m)), b.delta(m.shape[0])))
            case "transpose":
                new = b.transpose(a)
            case "sum" if a.shape:
                new = b.mul(0.5, b.sum_axis(a, int(rng.integers(len(a.shape)))))
            case "broadcast" if a.size <= 12 and len(a.shape) < 3:
                new = b.broadcast(a, (2, *a.shape))
            case "matmul":
                mates = [
                    n for n in nodes if 1 <= len(n.shape) <= 2 and 1 <= len(a.shape) <= 2 and n.shape[0] == a.shape[-1]
                ]
                if not mates:
                    continue
                new = b.mul(0.4, b.matmul(a, mates[int(rng.integers(len(mates)))]))
            case "select":
                others = [n for n in nodes if n.shape == a.shape]
                c = others[int(rng.integers(len(others)))]
                new = b.select(b.apply("lt", a, 0.1), b.apply("sin", c), b.mul(c, a))
            case "concat" if a.shape:
                new = b.concat([a, b.apply("cos", a)], axis=int(rng.integers(len(a.shape))))
            case "diag" if len(a.shape) == 1 and a.size < 6:
                new = b.diag(a)
            case _:
                continue
        if new.size <= 80:
            # bounded, or a large number under a sine would amplify roundings beyond any tolerance
            nodes.append(b.apply("sin", new) if new.size and rng.random() < 0.6 else b.mul(0.3, new))
    return nodes


def scalar_output(rng, nodes):
    """A smooth scalar of the last few nodes."""
    total = b.constant(0.0)
    for node in nodes[-3:]:
        w = b.constant(rng.normal(size=node.shape))
        total = b.add(total, b.total(b.mul(w, b.apply("sin", node))))
    return total
