"""How fast emitted functions run: multiply–adds and elements a second, beside the most the processor does.

    python benchmarks/emission.py [matrix] [networks] [elementary]

Every figure is the best of several runs over blocks of samples whose data stay in the cache, in processor time of the
one thread that runs. On an AMD EPYC (Zen 4, AVX-512, peak near 58 GFLOP/s in float64), n = 32 … 512:

    float64, 8 lanes    W @ z 55 … 58     W.T @ lam 51 … 58     sum of lam z.T 45 … 53
    float64, 4 lanes          41 … 49               37 … 50                    43 … 53
    float32, 16 lanes        108 … 113              98 … 115                   79 … 95
    float32, 8 lanes          95 … 99               85 … 100                   89 … 105

W is one array for all lanes; the sum is that of the outer products over lanes, into plain floats.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Collection, Sequence

import numpy as np

from implicitdsl.backends.lanes import elementary_polynomials, sleef
from implicitdsl.backends.lanes.emit import SCALAR_GROUPS, emit_functions
from implicitdsl.backends.lanes.lane_code import Dtype
from implicitdsl.backends.lanes.layout import set_address
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.ir import build as b
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.derived import Derived, Group, group, simplified, transpose

BLOCKS = 16
SIZES = (32, 64, 128, 256, 512)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that begins on a cache line."""
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def looped(function: Derived, element: str, sizes: Sequence[int], item: int) -> str:
    """The LLVM text of `run_NAME(rounds, blocks, groups …)`: the function on every block, over and over."""
    groups = [*function.inputs, *function.outputs]
    lines, given = [], []
    for k, g in enumerate(groups):
        lines.append(f"  %at{k} = mul i64 %block, {sizes[k]}")
        lines.append(f"  %p{k} = getelementptr {element}, ptr %a{k}, i64 %at{k}")
        if g.name in SCALAR_GROUPS and k < len(function.inputs):
            lines.append(f"  %v{k} = load {element}, ptr %p{k}, align {item}")
            given.append(f"{element} %v{k}")
        else:
            given.append(f"ptr %p{k}")
    names = ", ".join(f"ptr %a{k}" for k in range(len(groups)))
    body = "\n".join(lines)
    return f"""
define void @run_{function.name}(i64 %rounds, i64 %blocks, {names}) {{
entry:
  br label %round
round:
  %r = phi i64 [0, %entry], [%r1, %done]
  br label %once
once:
  %block = phi i64 [0, %round], [%next, %once]
{body}
  call void @imp_{function.name}({", ".join(given)})
  %next = add i64 %block, 1
  %more = icmp slt i64 %next, %blocks
  br i1 %more, label %once, label %done
done:
  %r1 = add i64 %r, 1
  %again = icmp slt i64 %r1, %rounds
  br i1 %again, label %round, label %end
end:
  ret void
}}
"""


class Timed:
    """A function compiled for one dtype and width, with arrays of its own."""

    def __init__(
        self, function: Derived, dtype: Dtype, width: int, *, shared: Collection[Leaf] = (),
        summed: Collection[Leaf] = (), blocks: int = BLOCKS,
    ) -> None:  # fmt: skip
        kind = {"float64": "double", "float32": "float"}[dtype]
        element = kind if width == 1 else f"<{width} x {kind}>"
        text = emit_functions([function], dtype, width, shared=shared, summed=summed)
        groups = [(g, [leaf if leaf in shared else None for leaf in g.leaves]) for g in function.inputs]
        of = {f"{g.name}_bar": g.leaves for g in function.inputs}
        groups += [(g, [leaf if leaf in summed else None for leaf in of.get(g.name, ())]) for g in function.outputs]
        self.blocks, self.width, self.dtype = blocks, width, np.dtype(dtype)
        self.kept: list[np.ndarray] = []
        self.arrays = [self._array(g, pointed, k >= len(function.inputs)) for k, (g, pointed) in enumerate(groups)]
        begun = time.thread_time()
        sizes = [a.shape[1] for a in self.arrays]
        code = make_object([text + looped(function, element, sizes, self.dtype.itemsize)], [f"run_{function.name}"])
        self.compiled = time.thread_time() - begun
        kinds = [ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * len(groups)]
        self.run = Loaded(code).function(f"run_{function.name}", None, *kinds)

    def _array(self, g: Group, pointed: Sequence[Leaf | None], is_output: bool) -> np.ndarray:
        """The blocks of a group; a member that is pointed to takes one element."""
        rng = np.random.default_rng(0)
        members = [*pointed, *[None] * (len(g.sizes) - len(pointed))]
        taken = [size if leaf is None else 1 for leaf, size in zip(members, g.sizes, strict=True)]
        array = aligned((self.blocks, sum(taken), self.width), self.dtype)
        array[...] = rng.normal(size=array.shape)
        for place, leaf in zip(np.cumsum([0, *taken]), members, strict=False):
            if leaf is not None:
                scale = 0.0 if is_output else 1.0 / np.sqrt(leaf.shape[-1])
                held = aligned((leaf.size,), self.dtype)
                held[...] = scale * rng.normal(size=leaf.size)
                self.kept.append(held)
                set_address(array, int(place), held.ctypes.data)
        return array

    def seconds(self, least: float = 0.004, tries: int = 15) -> float:
        """Seconds of one call on one block."""
        given = [a.ctypes.data for a in self.arrays]
        rounds = 1
        while True:
            begun = time.thread_time()
            self.run(rounds, self.blocks, *given)
            took = time.thread_time() - begun
            if took > least:
                break
            rounds *= 4
        for _ in range(tries):
            begun = time.thread_time()
            self.run(rounds, self.blocks, *given)
            took = min(took, time.thread_time() - begun)
        return took / rounds / self.blocks


def matrix_functions(n: int) -> dict[str, tuple[Derived, int]]:
    """Name → function, multiply–adds a sample."""
    W, z, lam = b.leaf("param", "W", (n, n)), b.leaf("state", "z", (n,)), b.leaf("input", "lam", (n,))
    p = group("p", (W, z, lam))

    def one(name: str, node: Node) -> Derived:
        return Derived(name, (p,), (group("out", (node,)),))

    product = b.matmul(W, z)
    weights = Derived("net", (group("z", (z,)), group("p", (W,))), (group("out", (product,)),))
    return {
        "W @ z": (one("matvec", product), n * n),
        "W.T @ lam": (one("transposed", b.matmul(b.transpose(W), lam)), n * n),
        "lam z.T": (transpose(weights, ("p",)), n * n),
        "tanh(W @ z)": (one("layer", b.apply("tanh", product)), n * n),
    }


def network(n: int, hidden: int) -> tuple[Derived, tuple[Leaf, ...], int]:
    """V tanh(W z + b) + c, its weights, its multiply–adds."""
    W, V = b.leaf("param", "W", (hidden, n)), b.leaf("param", "V", (n, hidden))
    c, d = b.leaf("param", "b", (hidden,)), b.leaf("param", "c", (n,))
    z = b.leaf("state", "z", (n,))
    value = b.add(b.matmul(V, b.apply("tanh", b.add(b.matmul(W, z), c))), d)
    weights = (W, c, V, d)
    return Derived("rhs", (group("y", (z,)), group("p", weights)), (group("out", (value,)),)), weights, 2 * n * hidden


def matrix(widths: dict[Dtype, Sequence[int]], sizes: Sequence[int]) -> None:
    """Prints GFLOP/s, two a multiply–add."""
    for dtype, each in widths.items():
        for width in each:
            print(f"{dtype}, {width} lanes: GFLOP/s")
            for n in sizes:
                found = []
                for name, (f, work) in matrix_functions(n).items():
                    shared = [leaf for g in f.inputs for leaf in g.leaves if leaf.name == "W"]
                    timed = Timed(f, dtype, width, shared=shared, summed=shared)
                    found.append(f"{name} {2e-9 * work * width / timed.seconds():6.1f}")
                print(f"  n = {n:3}: " + "   ".join(found), flush=True)


def networks(widths: dict[Dtype, Sequence[int]]) -> None:
    """Prints the time of a network and of its vjp, and the rate of their multiply–adds (one go, and four)."""
    for dtype, each in widths.items():
        for n, hidden in ((2, 64), (16, 64), (64, 64)):
            f, weights, work = network(n, hidden)
            back = simplified(transpose(f, ("y", "p")))
            found = []
            for name, g, times in (("forward", simplified(f), 1), ("vjp", back, 3)):
                timed = Timed(g, dtype, each[0], shared=weights, summed=weights)
                took = timed.seconds()
                rate = 2e-9 * times * work * each[0] / took
                found.append(
                    f"{name} {1e9 * took / each[0]:6.1f} ns a sample {rate:5.1f} GFLOP/s, {timed.compiled:.2f} s"
                )
            print(f"{dtype}, {each[0]} lanes, {n} -> {hidden} -> {n}: " + "   ".join(found), flush=True)


def elementary_functions(widths: dict[Dtype, Sequence[int]]) -> None:
    """Prints nanoseconds an element, loads and stores included, for own functions and those of the vector library."""
    x = b.leaf("input", "x", (512,))
    inside = b.add(b.mul(x, 0.3), 1.5)
    for dtype, each in widths.items():
        print(f"{dtype}, {each[0]} lanes: ns an element, own and from the library ({sleef.library_name()})")
        for name in elementary_polynomials.FUNCTIONS:
            f = Derived(name, (group("p", (x,)),), (group("out", (b.apply(name, inside),)),))
            own = Timed(f, dtype, each[0], blocks=1).seconds()
            kept = dict(elementary_polynomials.FUNCTIONS)
            elementary_polynomials.FUNCTIONS.clear()
            library = Timed(f, dtype, each[0], blocks=1).seconds()
            elementary_polynomials.FUNCTIONS.update(kept)
            print(f"  {name:6} {1e9 * own / 512 / each[0]:5.2f} {1e9 * library / 512 / each[0]:5.2f}", flush=True)
        for power in (5, 10, 31, -6, -12):
            # The library is called where the exponent is not known while code is made.
            known, asked = b.power(inside, float(power)), b.power(inside, b.add(b.mul(x, 0.0), float(power)))
            own, library = (
                Timed(Derived("f", (group("p", (x,)),), (group("out", (f,)),)), dtype, each[0], blocks=1).seconds()
                for f in (known, asked)
            )
            print(f"  x^{power:<4} {1e9 * own / 512 / each[0]:5.2f} {1e9 * library / 512 / each[0]:5.2f}", flush=True)


WIDTHS: dict[Dtype, Sequence[int]] = {"float64": (8, 4), "float32": (16, 8)}


def main() -> None:
    """What the command line asks for."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("what", nargs="*", default=["matrix", "networks", "elementary"])
    what = asked.parse_args().what
    if "matrix" in what:
        matrix(WIDTHS, SIZES)
    if "networks" in what:
        networks(WIDTHS)
    if "elementary" in what:
        elementary_functions(WIDTHS)


if __name__ == "__main__":
    main()
