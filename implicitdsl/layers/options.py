"""The keywords that every layer takes beside its sizes."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch

OnFail = Literal["raise", "nan", "warn"]
Backend = Literal["python", "lanes"]
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}


BACKEND = "IMPLICITDSL_BACKEND"
"""The environment variable that names the back end of layers which are told none."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of one layer; None means what the file says, else the default of the kind. Made by `read_options`."""

    solver: str | None = None
    adjoint: str | None = None
    rtol: float | None = None
    atol: float | None = None
    dt: float | None = None
    max_steps: int | None = None
    seed: int | None = None
    on_fail: OnFail = "raise"
    dtype: torch.dtype | None = None
    device: str = "cpu"
    threads: int | None = None
    backend: Backend | None = None


OPTION_NAMES: tuple[str, ...] = tuple(f.name for f in dataclasses.fields(Options))


def read_options(**given: object) -> Options:
    """Checked options. Raises TypeError for an unknown name or a value of a wrong type, ValueError for a value out of
    range; both say what is allowed."""
    for name in given:
        if name not in OPTION_NAMES:
            near = difflib.get_close_matches(name, OPTION_NAMES, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise TypeError(f"`{name}` is no option of a layer{hint} (options: {', '.join(OPTION_NAMES)})")
    checked: dict[str, Any] = {name: _read(name, value) for name, value in given.items()}
    return Options(**checked)


def named_by_environment() -> str | None:
    """The back end of layers that are told none, where the environment names one."""
    return os.environ.get(BACKEND) or None


def inherited(inner: Options, outer: Options) -> Options:
    """The options of a sub-layer: it takes `dtype device on_fail threads backend` of the layer that uses it."""
    taken = ("dtype", "device", "on_fail", "threads", "backend")
    return dataclasses.replace(inner, **{name: getattr(outer, name) for name in taken})


def _read(name: str, value: object) -> object:
    match name:
        case "solver" | "adjoint":
            return None if value is None else _text(name, value)
        case "rtol" | "atol" | "dt":
            return None if value is None else _positive(name, value)
        case "max_steps" | "threads":
            return None if value is None else _count(name, value, least=1)
        case "seed":
            return None if value is None else _count(name, value, least=0)
        case "on_fail":
            if value not in get_args(OnFail):
                raise ValueError(f'on_fail is "raise", "nan" or "warn", not {value!r}')
            return value
        case "backend":
            if value is not None and value not in get_args(Backend):
                known = ", ".join(f'"{name}"' for name in get_args(Backend))
                raise ValueError(f"backend is one of {known}, not {value!r}")
            return value
        case "dtype":
            return None if value is None else read_dtype(value)
        case _:
            return _device(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{name} is a text such as "newton" or "anderson(m = 5)", not {value!r}')
    return value


def _positive(name: str, value: object) -> float:
    try:
        number = float(cast(Any, value))
    except (TypeError, ValueError):
        raise TypeError(f"{name} is a number, not {value!r}") from None
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} is a positive, finite number, not {value!r}")
    return number


def _count(name: str, value: object, *, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    number = int(cast(Any, value))
    if number < least:
        raise ValueError(f"{name} is at least {least}, not {number}")
    return number


def read_dtype(value: object) -> torch.dtype:
    """The torch type named by a torch, NumPy or text type. Raises TypeError unless it is float32 or float64."""
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
    elif isinstance(value, str):
        name = value
    else:
        name = getattr(value, "name", None) or getattr(value, "__name__", None) or repr(value)
    if name not in DTYPES:
        raise TypeError(f"a layer computes in float32 or float64, not in {name}")
    return DTYPES[name]


def _device(value: object) -> str:
    try:
        device = torch.device(cast(Any, value))
    except (TypeError, RuntimeError):
        raise ValueError(f"{value!r} is no device") from None
    if device.type != "cpu":
        raise ValueError(
            f"device={str(device)!r}: layers are solved on the processor only. Leave `device` out, and give inputs on "
            "the CPU (`x.cpu()`); gradients flow through the move"
        )
    return "cpu"
