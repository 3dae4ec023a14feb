"""implicitdsl: implicit layers for PyTorch, declared as conditions in a small language.

import implicitdsl
models = implicitdsl.load("models.imp")
layer = models.DEQ(n=64, m=784)        # a torch.nn.Module
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from implicitdsl.version import __version__

if TYPE_CHECKING:
    from implicitdsl.diagnostics import ImpError
    from implicitdsl.layers.errors import SolveError
    from implicitdsl.layers.module import Layer
    from implicitdsl.models import Models, load, loads

__all__ = ["ImpError", "Layer", "Models", "SolveError", "__version__", "load", "loads"]

_HOMES = {
    "ImpError": "implicitdsl.diagnostics",
    "SolveError": "implicitdsl.layers.errors",
    "Layer": "implicitdsl.layers.module",
    "Models": "implicitdsl.models",
    "load": "implicitdsl.models",
    "loads": "implicitdsl.models",
}


def __getattr__(name: str) -> Any:
    # Names come on demand, so that `implicitdsl check` and `fmt` do not pay for torch.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'implicitdsl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
