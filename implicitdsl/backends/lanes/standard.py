"""The solvers that a wheel holds compiled: every method and kind in both dtypes, at the widths that layers have.

Left to be made where they are used, because few layers want them: tapes that are thinned, models that the stack does
not hold, gradients by the costate equation, and events with another method than `EVENTS`.

`python -m implicitdsl.backends.lanes.standard` makes them, and puts them into the package.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal

from implicitdsl.backends.auto import PLAIN, STIFF
from implicitdsl.backends.lanes import (
    bitcode,
    minimum_build,
    net_engine,
    one_root,
    program_rest,
    program_sizes,
    root_build,
    smooth_build,
    smooth_engine,
)
from implicitdsl.backends.lanes.block_code import block_solver
from implicitdsl.backends.lanes.block_engine import WIDTH
from implicitdsl.backends.lanes.ode_methods import KEEPS, named_in_bitcode
from implicitdsl.backends.lanes.ode_solver import Part, solver
from implicitdsl.backends.lanes.one_sample import one_sample_object
from implicitdsl.solvers.bdf import BDF
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK
from implicitdsl.solvers.tableau import EXPLICIT

KEEPING = tuple(f"{name} {KEEPS}" for name in ("dopri5", "tsit5"))
"""The methods whose tapes may hold what stages kept; for others that is made where it is used."""
METHODS = (*EXPLICIT, *ROSENBROCK, *ESDIRK, BDF.name, f"{PLAIN} watched", *KEEPING)
"""The methods of `ode`, with those that `auto` is made of."""
EVENTS = (PLAIN, STIFF)
"""The methods that are compiled for models with events."""
ODE_PARTS: tuple[Part, ...] = ("solve", "pull", "second")
BLOCKS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "net_blocks": (net_engine.SIGNATURES, ()),
    "root_blocks": (
        {entry: root_build.SIGNATURES[entry] for entry in root_build.CALLS if entry != "one"},
        tuple(f"solvers/{name}" for name in root_build.SOLVERS),
    ),
    "smooth_blocks": ({"minimise": smooth_engine.SIGNATURES["minimise"]}, smooth_build.MODULES),
    "program_blocks": (
        minimum_build.SIGNATURES,
        ("solvers/block_prepared",),
    ),
    "program_kernel": (
        {f"any_{kernel}": signature for kernel, (signature, _) in program_sizes.KERNELS.items()},
        program_sizes.SOLVERS,
    ),
}
"""By the module of the entries: their parameters, and the solvers that they call."""
ONE = {
    **{f"imp_{part}": named for part, named in (one_root.SOLVERS | smooth_engine.ONE_SOLVERS).items()},
    **{f"imp_one_sample {k}": named for k, named in enumerate(program_rest.SIGNATURES.items())},
}
"""By symbol: the solvers for one sample. A number after the symbol tells apart those of one name."""


@dataclass(frozen=True)
class Group:
    """What is compiled in one go: one method or module, whose parts share what they call."""

    kind: Literal["ode", "blocks", "one"]
    name: str
    dtype: str
    written_out: bool = False
    events: bool = False

    def __str__(self) -> str:
        more = " written out" * self.written_out + " with events" * self.events
        return f"{self.kind} {self.name} {self.dtype}{more}"


def kept_names(methods: Sequence[str], *, written_out: bool) -> tuple[str, ...]:
    """The names under which the solvers of methods are kept."""
    return tuple(methods if written_out else dict.fromkeys(map(named_in_bitcode, methods)))


def groups() -> Iterator[Group]:
    """All of them, those that take longest first."""
    for dtype in WIDTH:
        yield from (Group("one", name, dtype) for name in ONE)
        for written_out in (False, True):
            yield from (
                Group("ode", name, dtype, written_out, events=True)
                for name in kept_names(EVENTS, written_out=written_out)
            )
            yield from (Group("ode", name, dtype, written_out) for name in kept_names(METHODS, written_out=written_out))
        yield from (Group("blocks", name, dtype) for name in BLOCKS)


def made(group: Group) -> dict[str, bytes]:
    """The bitcode of a group by the names that the cache gives it, from the cache if it lies there."""
    width = WIDTH[group.dtype]
    with bitcode.noting() as found:
        match group.kind:
            case "ode":
                for part in ODE_PARTS[:2] if KEEPS in group.name.split() else ODE_PARTS:
                    solver(
                        part, group.name, group.dtype, width,
                        written_out=group.written_out, far=False, events=group.events,
                    )  # fmt: skip
            case "blocks":
                signatures, modules = BLOCKS[group.name]
                for entry, signature in signatures.items():
                    block_solver(f"{group.name}.{entry}", signature, group.dtype, width, modules)
            case "one":
                one_sample_object(*ONE[group.name], group.dtype, group.name.partition(" ")[0])
    return dict(found)


def main() -> None:
    """Makes all groups whose names hold one of the given words, or all; prints what each takes."""
    arguments = argparse.ArgumentParser(description="Compile the solvers that the wheel holds.")
    arguments.add_argument("words", nargs="*", help="only groups whose names hold one of these")
    arguments.add_argument("--workers", type=int, default=2, help="processes that compile")
    given = arguments.parse_args()
    chosen = [g for g in groups() if not given.words or any(word in str(g) for word in given.words)]
    bitcode.clear()
    begun, size, count = time.monotonic(), 0, 0
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = {pool.submit(made, group): group for group in chosen}
        for done in as_completed(waiting):
            entries = done.result()
            size, count = size + bitcode.write(entries), count + len(entries)
            print(f"{time.monotonic() - begun:7.0f} s  {count:4d} solvers  {size / 1e6:5.1f} MB  {waiting[done]}")


if __name__ == "__main__":
    main()
