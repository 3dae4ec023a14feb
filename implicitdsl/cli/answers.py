"""What a call of a layer answered: its outputs by name with their axes named, statuses, notes, steps and gradients."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from implicitdsl.cli.calls import Call, silenced_warnings
from implicitdsl.cli.data import Array, UsageError, read_array
from implicitdsl.cli.differences import readable
from implicitdsl.layers import batching
from implicitdsl.layers.errors import SHOWN
from implicitdsl.layers.last import Last
from implicitdsl.layers.module import Layer
from implicitdsl.semantics.words import quote
from implicitdsl.solvers.status import STATUSES, note_names, status_name
from implicitdsl.syntax import tree


@dataclass(frozen=True, eq=False)
class Output:
    """One output: `value` is [*batch, *shape], and where `timed` the first axis of `shape` is that of the times.
    `title` is its text, `name` an identifier, `entries` the titles of its entries (of those at one time)."""

    name: str
    title: str
    value: Array
    shape: tuple[int, ...]
    timed: bool
    entries: tuple[str, ...]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.value.shape[: self.value.ndim - len(self.shape)]

    def rows(self) -> Array:
        """[samples, times, entries]; one time where it is not timed."""
        samples = int(np.prod(self.batch, dtype=np.int64))
        times = self.shape[0] if self.timed else 1
        return self.value.reshape(samples, times, len(self.entries))


@dataclass(frozen=True, eq=False)
class Answer:
    """`times` is [*batch of the times, T] or None. `gradients` are those of the sum of all outputs of the samples that
    were solved, by argument; None where they were not asked for. `extras` are the facts that a kind has (`t_end`), one
    a sample. `failure` is what to say of failed samples, empty if there are none; `gradient_failure` the same of the
    derivative."""

    outputs: tuple[Output, ...]
    times: Array | None
    status: Array
    notes: Array
    steps: Array
    seconds: float
    preparing: float
    gradients: Mapping[str, Array] | None = None
    gradient_seconds: float = 0.0
    failure: str = ""
    gradient_failure: str = ""
    extras: Mapping[str, Array] = field(default_factory=dict[str, Array])

    @property
    def batch(self) -> tuple[int, ...]:
        return self.status.shape

    @property
    def samples(self) -> int:
        return int(np.prod(self.batch, dtype=np.int64))

    def places(self) -> list[tuple[int, ...]]:
        """The index of every sample into the batch, in order."""
        return list(np.ndindex(self.batch))

    def status_names(self) -> list[str]:
        return [status_name(int(s)) for s in self.status.reshape(-1)]

    def note_texts(self) -> list[str]:
        return [" ".join(note_names(int(n))) for n in self.notes.reshape(-1)]


def solve(call: Call, *, gradients: bool = False) -> Answer:
    """Calls the layer, which is to be made with `on_fail` "warn" where the command line does not say otherwise; failed
    samples are then NaN here. Raises SolveError where it says "raise"."""
    layer, tensors, blueprint = call.layer, call.tensors(), call.layer.blueprint
    sizes: Any = batching.bind_sizes(call.name, blueprint.inputs, [tuple(t.shape) for t in tensors])
    began = time.perf_counter()
    with silenced_warnings():
        layer.prepare(dtype=call.dtype, **sizes)
        prepared = time.perf_counter()
        with torch.no_grad():
            found = layer(*tensors)
    seconds = time.perf_counter() - prepared
    found = found if isinstance(found, tuple) else (found,)
    last = layer.last or _nothing_to_tell(call, tensors)
    status = last.status.numpy()
    values = [value.numpy() for value in found]
    if "on_fail" not in call.given:
        values = [_without(value, status != 0) for value in values]
    answer = Answer(
        name_outputs(call.template.definition, values, len(status.shape)),
        times_of(call),
        status,
        last.notes.numpy(),
        last.steps.numpy(),
        seconds,
        prepared - began,
        failure=failure_text(last),
        extras={name: fact.numpy() for name, fact in last.extras.items() if _says_something(fact, last.status)},
    )
    return differentiate(call, answer) if gradients else answer


def _says_something(fact: torch.Tensor, status: torch.Tensor) -> bool:
    """Whether a fact is one number a sample, and there is one: `stiff_from` is NaN where nothing is stiff."""
    return fact.shape == status.shape and not bool(fact.isnan().all())


def differentiate(call: Call, answer: Answer) -> Answer:
    """The answer with the gradients of the sum of all outputs of the samples that were solved."""
    layer = call.layer
    arguments = {name: tensor.requires_grad_() for name, tensor in zip(call.inputs, call.tensors(), strict=True)}
    arguments |= dict(layer.named_parameters())
    solved = torch.from_numpy(np.asarray(answer.status == 0))
    began = time.perf_counter()
    with silenced_warnings() as caught:
        found = layer(*list(arguments.values())[: len(call.inputs)])
        found = found if isinstance(found, tuple) else (found,)
        sums = [_of_solved(value, solved).sum() for value in found]
        grads = torch.autograd.grad(torch.stack(sums).sum(), list(arguments.values()), allow_unused=True)
    seconds = time.perf_counter() - began
    told = [str(w.message) for w in caught if "differentiated" in str(w.message)]
    return replace(
        answer,
        gradients=dict(
            _by_value(layer, name, torch.zeros_like(argument) if grad is None else grad)
            for (name, argument), grad in zip(arguments.items(), grads, strict=True)
        ),
        gradient_seconds=seconds,
        gradient_failure="\n".join(told),
    )


def _by_value(layer: Layer, name: str, grad: torch.Tensor) -> tuple[str, Array]:
    """The gradient by the value of a param whose set is elementwise, from that by the free number behind it."""
    head, _, tail = name.rpartition("parametrizations.")
    owner = layer.get_submodule(head.rstrip(".")) if tail.endswith(".original") else None
    if not isinstance(owner, Layer):
        return name, grad.numpy()
    last = tail.removesuffix(".original")
    spec = next(s for s in owner.blueprint.params if s.name == last)
    if spec.set is None or spec.set.name not in ("positive", "nonneg", "interval"):
        return readable(name), grad.numpy()
    held: Any = owner.get_submodule(f"parametrizations.{last}")
    slope = torch.autograd.grad(held().sum(), held.original)[0]
    return f"{head}{last}", (grad / slope).numpy()


def _of_solved(value: torch.Tensor, solved: torch.Tensor) -> torch.Tensor:
    mask = solved.reshape(solved.shape + (1,) * (value.ndim - solved.ndim))
    return torch.where(mask, value, torch.zeros((), dtype=value.dtype))


def _without(value: Array, failed: NDArray[np.bool_]) -> Array:
    kept = value.copy()
    kept[failed] = np.nan
    return kept


def _nothing_to_tell(call: Call, tensors: list[torch.Tensor]) -> Last:
    """The facts of a call that reached no solver: an empty batch."""
    shape = batching.batch_shape(call.name, call.layer.blueprint.inputs, [tuple(t.shape) for t in tensors])
    return Last(*(torch.zeros(shape, dtype=torch.int64) for _ in range(4)), names=(call.name,))


def failure_text(last: Last) -> str:
    """Which samples failed, why, and what to try; empty if none did."""
    status, where = last.status.numpy(), last.where.numpy()
    failed = status != 0
    if not failed.any():
        return ""
    lines = [f"{failed.sum()} of {status.size} samples failed" if status.ndim else "the sample failed"]
    for layer, number in sorted({(int(w), int(s)) for w, s in zip(where[failed], status[failed], strict=True)}):
        record = STATUSES[number]
        places = [tuple(int(i) for i in p) for p in np.argwhere(failed & (status == number) & (where == layer))]
        inside = f" in {last.names[layer]}" if last.names[layer] != last.names[0] else ""
        lines.append(f"  {record.name} [{record.code}]{inside}{_at(places)}: {record.meaning}")
        if record.advice:
            lines.append(f"    try: {record.advice}")
    return "\n".join(lines)


def _at(places: list[tuple[int, ...]]) -> str:
    if places == [()]:
        return ""
    shown = ", ".join(str(p[0] if len(p) == 1 else p) for p in places[:SHOWN])
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f", sample{'s' if len(places) > 1 else ''} {shown}{more}"


# ---------------------------------------------------------------- names


def name_outputs(definition: tree.Definition, values: Sequence[Array], rank: int) -> tuple[Output, ...]:
    """Outputs with their names: those of the signature, else what `return` lists."""
    returned = next(s for s in definition.body if isinstance(s, tree.Return))
    listed = list(returned.values) if len(returned.values) == len(values) else [None] * len(values)
    timed = returned.at is not None
    found: list[Output] = []
    for number, (value, declared, expression) in enumerate(zip(values, definition.outputs, listed, strict=True)):
        text = "" if expression is None else quote(expression)
        plain = declared.name or (text if text.isidentifier() else "")
        alone = "out" if len(values) == 1 else f"out{number}"
        shape = value.shape[rank:]
        entries = _entries(expression, declared.name or text or alone, shape[1:] if timed else shape)
        found.append(Output(plain or alone, declared.name or text or alone, value, shape, timed, entries))
    return tuple(found)


def _entries(expression: tree.Expression | None, title: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """`[x, y]` has the entries x and y; any other output of several entries numbers them."""
    if not shape:
        return (title,)
    match expression:
        case tree.Bracket(items=items) if shape == (len(items),):
            return tuple(quote(item) for item in items)
        case _:
            head = title if title.isidentifier() else ""
            return tuple(f"{head}[{', '.join(map(str, place))}]" for place in np.ndindex(shape))


def times_of(call: Call) -> Array | None:
    """The times of `return … at`: an input, or numbers in the text; None where there are none or they are computed."""
    returned = next(s for s in call.template.definition.body if isinstance(s, tree.Return))
    match returned.at:
        case None:
            return None
        case tree.Name(id=name) if name in call.inputs:
            return call.inputs[name]
        case expression:
            try:
                return read_array(quote(expression), np.random.default_rng())
            except UsageError:
                return None
