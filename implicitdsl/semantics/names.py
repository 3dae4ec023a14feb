"""Names with a meaning of their own, and what a misspelt name may have been."""

from __future__ import annotations

from collections.abc import Iterable

#: Names that are numbers everywhere unless a block declares them itself.
CONSTANTS = frozenset({"pi", "inf"})

#: Keywords of a layer in Python; a size is such a keyword too and may not bear their names.
OPTIONS = frozenset(
    {
        "solver",
        "adjoint",
        "rtol",
        "atol",
        "dt",
        "max_steps",
        "seed",
        "on_fail",
        "dtype",
        "device",
        "threads",
        "first_sample",
        "backend",
    }
)

#: Sets by name, with how many arguments each takes; True where membership is tested element by element.
SETS: dict[str, tuple[tuple[str, ...], bool]] = {
    "positive": ((), True),
    "nonneg": ((), True),
    "interval": (("a", "b"), True),
    "simplex": (("n",), False),
    "spd": (("n",), False),
    "psd": (("n",), False),
    "soc": (("n",), False),
    "ordered": ((), False),
    "orthogonal": ((), False),
}

#: Draws by name, with how many arguments each takes at least and at most.
DRAWS: dict[str, tuple[int, int]] = {
    "normal": (0, 2),
    "uniform": (0, 2),
    "glorot": (0, 0),
    "kaiming": (0, 0),
    "identity": (0, 0),
    "zeros": (0, 0),
    "orthogonal": (0, 0),
}

#: Kinds whose unknowns are functions of the time `t`.
TIMED = frozenset({"ode", "dae", "sde", "cde", "bvp"})

#: Public attributes of torch.nn.Module and of a layer: a param, const or use of that name would hide them. Kept as a
#: list, so that checking a text does not import torch; a test compares it with torch.
MODULE_ATTRIBUTES = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules
    mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
    state_dict to to_empty train training type xpu zero_grad
    last prepare parametrizations blueprint _binding _token _guarded
    """.split()
)

#: Private attributes of torch.nn.Module.
MODULE_PRIVATE = frozenset(
    """
    _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict
    _load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules _named_members
    _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook _register_state_dict_hook
    _replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks _state_dict_pre_hooks _version
    _wrapped_call_impl
    """.split()
)


def is_module_attribute(name: str) -> bool:
    """True where a layer cannot have a param, const or use of that name."""
    dunder = name.startswith("__") and name.endswith("__")
    return dunder or name in MODULE_ATTRIBUTES or name in MODULE_PRIVATE


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely a slip of the pen for, or None.

    A slip is an edit distance (Damerau, restricted) of one, or two in names of five letters and more, or another case.
    """
    if len(name) > 64:
        return None
    limit = 2 if len(name) >= 5 else 1
    best: tuple[int, str] | None = None
    for candidate in known:
        if candidate == name or abs(len(candidate) - len(name)) > limit:
            continue
        distance = 0 if candidate.lower() == name.lower() else _distance(name, candidate)
        if (
            distance <= limit
            and distance < max(len(name), len(candidate))
            and (best is None or (distance, candidate) < best)
        ):
            best = (distance, candidate)
    return None if best is None else best[1]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A help line with the nearest known name, or an empty one."""
    found = nearest(name, known)
    return "" if found is None else f"did you mean `{found}`?"


def with_article(word: str) -> str:
    """The word behind `a` or `an`, as it is spoken: an input, an ode, an sde, a use."""
    return f"{'an' if word[0] in 'aeio' or word == 'sde' else 'a'} {word}"


def _distance(left: str, right: str) -> int:
    before: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j - 1] + 1, last[j] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
