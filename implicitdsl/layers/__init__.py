"""The torch side: modules, operators, sets and draws."""

from implicitdsl.layers.blueprint import (
    Blueprint,
    CallPiece,
    DrawSpec,
    EnginePiece,
    InputSpec,
    ParamSpec,
    Piece,
    SetSpec,
)
from implicitdsl.layers.errors import SolveError
from implicitdsl.layers.last import Last
from implicitdsl.layers.module import Layer
from implicitdsl.layers.options import OPTION_NAMES, Options, inherited, read_options

__all__ = [
    "OPTION_NAMES",
    "Blueprint",
    "CallPiece",
    "DrawSpec",
    "EnginePiece",
    "InputSpec",
    "Last",
    "Layer",
    "Options",
    "ParamSpec",
    "Piece",
    "SetSpec",
    "SolveError",
    "inherited",
    "read_options",
]
