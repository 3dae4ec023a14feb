"""`layer.last`: what the last call found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from implicitdsl.layers.bodies import Record
from implicitdsl.layers.errors import message
from implicitdsl.solvers.status import NOTES, note_names


@dataclass(frozen=True, eq=False)
class Last:
    """Facts per sample, as tensors in the shape of the batch: `status` (int32, 0 is success), `notes` (int64, a bit
    set), `steps` (int64, steps or iterations, those of inner layers added), and further ones by name (`t_end`) where
    the kind has them. `seed` is the noise's, None without noise. `names[k]` is the layer that samples with `where ==
    k` failed in."""

    status: Tensor
    notes: Tensor
    steps: Tensor
    where: Tensor
    names: tuple[str, ...]
    seed: int | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def __getattr__(self, name: str) -> Tensor:
        extras: Mapping[str, Tensor] = self.__dict__.get("extras", {})
        if name in extras:
            return extras[name]
        raise AttributeError(
            f"the last call has no `{name}`; it has status, notes, steps, seed{''.join(f', {e}' for e in extras)}"
        )

    def failed(self) -> Tensor:
        """A bool tensor in the shape of the batch: which samples failed."""
        return self.status != 0

    def message(self, sample: int | tuple[int, ...] = 0) -> str:
        """A sentence on one sample: the layer, its status, what to try, and its notes. `sample` is an index into the
        batch's shape, or a flat one."""
        place = (
            sample
            if isinstance(sample, tuple)
            else tuple(int(i) for i in np.unravel_index(sample, self.status.shape or (1,)))
        )
        place = place if self.status.ndim else ()
        text = message(self.names[int(self.where[place])], int(self.status[place]))
        bits = int(self.notes[place])
        if bits:
            sentences = [f"{name}: {meaning}" for _, name, meaning in NOTES if name in note_names(bits)]
            text += f" (notes: {'; '.join(sentences)})"
        return text


def summarise(records: Sequence[Record], layer: str) -> Last | None:
    """One `Last` of all solves of a call: the first failure of a sample counts, notes are united, steps added."""
    if not records:
        return None
    shape = np.broadcast_shapes(*(r.shape for r in records))
    status, where = np.zeros(shape, np.int32), np.zeros(shape, np.int64)
    notes, steps = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    names: list[str] = [layer]
    extras: dict[str, Any] = {}
    for record in records:
        own = record.status.reshape(record.shape)
        fresh = (status == 0) & (own != 0)
        if fresh.any():
            names.append(record.layer)
            where[fresh] = len(names) - 1
        status = np.where(status == 0, own, status).astype(np.int32)
        notes, steps = notes | record.notes.reshape(record.shape), steps + record.steps.reshape(record.shape)
        extras |= {name: value.reshape((*record.shape, *value.shape[1:])) for name, value in record.extras.items()}
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in extras.items()}
    facts = [torch.from_numpy(np.array(fact)) for fact in (status, notes, steps, where)]
    return Last(facts[0], facts[1], facts[2], facts[3], tuple(names), records[0].seed, tensors)
