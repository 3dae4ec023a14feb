"""Models that `linking.py` compiles beside those of the works: kinds of solvers, and sizes, that no work is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MODELS = Path(__file__).parent / "models"
SAMPLES = 16


@dataclass(frozen=True)
class Edit:
    """What is written in place of a part of a model's text."""

    old: str
    new: str


@dataclass(frozen=True)
class LinkedModel:
    """A layer of a file and how it is called: `arguments` are those of one sample, from which others differ by up to a
    twentieth."""

    file: str
    layer: str
    arguments: tuple[list[float], ...]
    edit: Edit
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    twice: bool = False
    """Whether the gradient is differentiated too."""

    @property
    def path(self) -> Path:
        """The file of the model as it is."""
        return MODELS / self.file

    def calls(self, path: Path) -> list[Callable[[], Any]]:
        """Values, a gradient, and the gradient of one where that is asked for, of the model in a file."""
        import torch

        import implicitdsl

        layer = getattr(implicitdsl.load(path), self.layer)(dtype=torch.float64, **self.options)
        draws = np.random.default_rng(1)
        args = [
            torch.tensor(np.array(a) * (1 + 0.05 * draws.random((SAMPLES, len(a))))).squeeze(-1).requires_grad_()
            for a in self.arguments
        ]

        def gradient(*, again: bool = False) -> Any:
            return torch.autograd.grad(layer(*args).square().sum(), args, create_graph=again)

        def second() -> Any:
            return torch.autograd.grad(sum(g.square().sum() for g in gradient(again=True)), args)

        with torch.no_grad():
            found: list[Callable[[], Any]] = [lambda: layer(*args), gradient]
        return [*found, second] if self.twice else found


ROBERTSON = [0.04, 3e7, 1e4]
HIRES = [1.71, 0.43, 8.32, 0.0007, 0.69, 0.035, 280.0, 1.81]
POLLUTION = [
    0.35, 26.6, 12300.0, 8.6e-4, 8.2e-4, 15000.0, 1.3e-4, 24000.0, 16500.0, 9000.0, 0.022, 12000.0, 1.88, 16300.0,
    4.8e6, 3.5e-4, 0.0175, 1e8, 4.44e11, 1240.0, 2.1, 5.78, 0.0474, 1780.0, 3.12,
]  # fmt: skip
_THREE = Edit("let r2 = k[1]*b^2", "let r2 = k[1]*b^2/(1 + b)")
_EIGHT = Edit("let both = k[6]*f*h", "let both = k[6]*f*h/(1 + h)")

LINKED: dict[str, LinkedModel] = {
    "lv, second derivatives": LinkedModel(
        "precision.imp",
        "LotkaVolterra",
        ([1.0, 1.0, 1.0, 1.0],),
        Edit("k[0]*x - k[1]*x*y", "k[0]*x*(1 - x/50) - k[1]*x*y"),
        {"solver": "dopri5"},
        twice=True,
    ),
    "robertson, second derivatives": LinkedModel(
        "precision.imp", "Robertson", (ROBERTSON,), _THREE, {"solver": "rodas5p"}, twice=True
    ),
    "robertson, bdf": LinkedModel("precision.imp", "Robertson", (ROBERTSON,), _THREE, {"solver": "bdf"}),
    "robertson, kvaerno5": LinkedModel("precision.imp", "Robertson", (ROBERTSON,), _THREE, {"solver": "kvaerno5"}),
    "hires, 8 states": LinkedModel("precision.imp", "Hires", (HIRES,), _EIGHT, {"solver": "rodas5p"}),
    "hires, bdf": LinkedModel("precision.imp", "Hires", (HIRES,), _EIGHT, {"solver": "bdf"}),
    "pollution, 20 states": LinkedModel(
        "precision.imp",
        "Pollution",
        (POLLUTION,),
        Edit("let r2 = k[1]*y[1]*y[3]", "let r2 = k[1]*y[1]*y[3]/(1 + y[1])"),
        {"solver": "rodas5p"},
    ),
    "pleiades, 28 states": LinkedModel(
        "precision.imp",
        "Pleiades",
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],),
        Edit("eye(7))^1.5", "1.01*eye(7))^1.5"),
        {"solver": "dopri5", "max_steps": 100_000},
    ),
    "ball, bdf": LinkedModel(
        "ball.imp",
        "ThirdBounce",
        ([10.0], [1.0], [9.81], [0.8], [0.1]),
        Edit("dv/dt = -g", "dv/dt = -g - 0.01*v"),
        {"solver": "bdf"},
    ),
    "phases, sines": LinkedModel(
        "oscillators.imp",
        "Phases",
        ([1.0, 1.3, 1.7], [0.5]),
        Edit("da/dt = w[0]", "da/dt = 1.01*w[0]"),
        {"solver": "tsit5"},
    ),
    "membrane, exponentials": LinkedModel(
        "oscillators.imp",
        "Membrane",
        ([10.0], [120.0, 36.0, 0.3]),
        Edit("0.07*exp", "0.071*exp"),
        {"solver": "rodas5p"},
    ),
    "delay": LinkedModel(
        "mackey_glass.imp", "MackeyGlass", ([1.2], [17.0]), Edit("- 0.1*x", "- 0.1*x^2"), {"solver": "dopri5"}
    ),
    "roots, 8 unknowns": LinkedModel(
        "roots.imp", "Tridiagonal", ([0.1] * 8,), Edit("(3 - 2*z)*z", "(3 - 2*z - 0.01*z^2)*z")
    ),
}
"""By the names of the table."""
