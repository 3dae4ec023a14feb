"""The NumPy text of a Contract: `@`, `*` and `sum` where they are the same thing, einsum elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir.node import Contract


def contraction_text(node: Contract, operands: Sequence[str]) -> str:
    """A NumPy expression of the contraction; operands are texts of contiguous arrays or scalars, in whole shape."""
    terms = list(zip(node.ins, operands, strict=True))
    scalars = [text for letters, text in terms if not letters]
    arrays = [(letters, text) for letters, text in terms if letters]
    present = set("".join(letters for letters, _ in arrays))
    kept = "".join(c for c in node.out if c in present)
    if not arrays:
        value = " * ".join(scalars)
        return value if node.out == "" else f"np.full({node.shape}, {value}, dtype)"
    value = _core(arrays, kept)
    for scalar in scalars:
        value = f"{value} * {scalar}"
    if kept != node.out:
        if not kept:
            return f"np.full({node.shape}, {value}, dtype)"
        places = ", ".join(":" if c in present else "None" for c in node.out)
        return f"np.ascontiguousarray(np.broadcast_to(({value})[{places}], {node.shape}))"
    return value


def _core(arrays: list[tuple[str, str]], out: str) -> str:
    if len(arrays) == 1:
        return _single(*arrays[0], out)
    if len(arrays) == 2:
        text = _pair(arrays[0], arrays[1], out)
        if text is not None:
            return text
    return _general(arrays, out)


def _single(letters: str, text: str, out: str) -> str:
    axes = tuple(k for k, c in enumerate(letters) if c not in out)
    rest = "".join(c for c in letters if c in out)
    value = f"np.add.reduce({text}, axis={axes})" if axes else text
    if rest == out:
        return value
    return f"np.ascontiguousarray({value}.transpose({tuple(rest.index(c) for c in out)}))"


def _pair(first: tuple[str, str], second: tuple[str, str], out: str) -> str | None:
    (a, x), (b, y) = first, second
    if set(a) | set(b) == set(out):
        return f"{_aligned(a, x, out)} * {_aligned(b, y, out)}"
    shared = [c for c in a if c in b and c not in out]
    if len(shared) != 1 or any(c in a and c in b for c in out):
        return None
    left, right = a.replace(shared[0], ""), b.replace(shared[0], "")
    if set(left + right) != set(out) or len(a) > 2 or len(b) > 2:
        return None
    if left + right == out:
        return f"{x if a == left + shared[0] else x + '.T'} @ {y if b == shared[0] + right else y + '.T'}"
    # right + left == out: the product the other way round
    return f"{y if b == right + shared[0] else y + '.T'} @ {x if a == shared[0] + left else x + '.T'}"


def _aligned(letters: str, text: str, out: str) -> str:
    """The operand with its axes in the order of `out` and 1 where it has none."""
    order = [letters.index(c) for c in out if c in letters]
    value = text if order == sorted(order) else f"{text}.transpose({tuple(order)})"
    if len(letters) == len(out):
        return value
    places = [":" if c in letters else "None" for c in out]
    lead = next(k for k, p in enumerate(places) if p == ":")
    # leading axes broadcast by themselves
    return value if ":" not in places or "None" not in places[lead:] else f"{value}[{', '.join(places[lead:])}]"


def _general(arrays: list[tuple[str, str]], out: str) -> str:
    naming: dict[str, str] = {}
    for c in "".join(letters for letters, _ in arrays):
        naming.setdefault(c, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[len(naming)])
    spec = ",".join("".join(naming[c] for c in letters) for letters, _ in arrays)
    spec += "->" + "".join(naming[c] for c in out)
    optimise = ", optimize=True" if len(arrays) > 2 else ""
    return f"np.einsum({spec!r}, {', '.join(text for _, text in arrays)}{optimise})"
