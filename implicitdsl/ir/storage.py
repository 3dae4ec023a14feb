"""Values that hold nodes of the IR, as bytes and back: a graph is written as a list, so its depth meets no limit."""

from __future__ import annotations

import io
import pickle
from typing import Any

from implicitdsl.ir import node as nodes
from implicitdsl.ir.node import Node, walk

_Row = tuple[str, tuple[Any, ...], tuple[int, ...], tuple[int, ...]]
"""Class, key, places of the arguments, and shape of a node."""


class _Writer(pickle.Pickler):
    """Writes a node as its place in a list."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.rows: list[_Row] = []
        self._places: dict[Node, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, Node):
            return None
        if obj not in self._places:
            for node in walk((obj,)):
                if node not in self._places:
                    self._places[node] = len(self.rows)
                    args = tuple(self._places[a] for a in node.args)
                    self.rows.append((type(node).__name__, node.key, args, node.shape))
        return self._places[obj]


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, found: list[Node]) -> None:
        super().__init__(file)
        self._found: list[Node] = found

    def persistent_load(self, pid: int) -> Node:
        return self._found[pid]


def dumps(value: object) -> bytes:
    """The bytes of a value; only bytes that this program wrote itself may be read again, as with every pickle."""
    body = io.BytesIO()
    writer = _Writer(body)
    writer.dump(value)
    return pickle.dumps((writer.rows, body.getvalue()), protocol=5)


def loads(data: bytes) -> Any:
    """The value again: its nodes are interned, so equal graphs are the same objects."""
    rows: list[_Row]
    rows, body = pickle.loads(data)
    found: list[Node] = []
    for name, key, args, shape in rows:
        found.append(Node.__new__(getattr(nodes, name), key, tuple(found[a] for a in args), shape))
    value: Any = _Reader(io.BytesIO(body), found).load()
    return value
