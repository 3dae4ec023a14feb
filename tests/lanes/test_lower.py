"""What becomes of a solver's Python: the numbers that Python itself gives, and a sentence for what is outside."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl.backends.lanes import ode_solver
from implicitdsl.backends.lanes.element import INT, element, pointer
from implicitdsl.backends.lanes.inference import LoweringError
from implicitdsl.backends.lanes.lower import lower
from implicitdsl.solvers.vocabulary import any_, buffer, fma, select
from tests.lanes.probes import Type, aligned, compile_probes

SIZE = 24
TINY = 2.0**-30


def counted(n, x):
    """Loops of every kind."""
    at = 0
    for i in range(n):
        for j in range(n, -3, -2):
            if j == i:
                break
            at = at + i * j
        x[0] = x[0] + at
    x[1] = i
    for i in range(5, n, 3):
        i = i + 100
        x[2] = x[2] * 0.5 + i
    x[3] = i
    rest = n
    while not (rest <= 0 or rest == 2):
        rest -= 1
        if rest % 3 == 1:
            continue
        x[4] = x[4] + rest
    for place in (2, 7, 5):
        if place == 5:
            break
        x[5] = x[5] * 10 + place
    return at


def divided(n, x):
    """Whole numbers, which are rounded to minus infinity, and those that become floats."""
    at = 0
    for i in range(-n, n + 1):
        if i != 0:
            x[0] = x[0] * 0.5 + (7 * n) // i + 3 * (n % i)
            x[1] = x[1] + n / i
    step = 1
    for i in range(n):
        step = max(2 * step, 7) - min(i, 3)
        at = at + step
    x[2] = at
    x[3] = 0.1 * (1 if n > 3 or n == 1 else 0.25) + float(n) - int(-2.5 * n)
    x[4] = TINY - 2.0**-3
    return at


def pair(x, count):
    """Two numbers at once."""
    if count % 2 == 0:
        return x, count
    return -x, count + 0.5


def applied(f, x, count):
    """A function that is given another."""
    return f(x, count)


def chosen(n, x):
    """Elements."""
    size = 0.0
    y = 1
    rest = buffer(x, n)
    for i in range(n):
        y = select(x[i] > 0.5 * y, x[i], y)
        rest[i] = fma(y, 2, -x[i])
        if any_(rest[i] >= 1e30) or any_(size == n):
            return 7
        size = rest[i] * rest[i] + size
    a, b = applied(pair, y, 2)
    c, d = applied(pair, size, 3)
    x[0], x[1] = a + b, x[0]
    x[2] = c if n > 2 else d
    return n


FUNCTIONS = {"counted": counted, "divided": divided, "chosen": chosen}


@cache
def compiled() -> dict[tuple[str, Type], Any]:
    return compile_probes(FUNCTIONS, [("float64", 2)])


def run(name: str, n: int, x: np.ndarray) -> tuple[int, np.ndarray]:
    """What the compiled function gives for one sample in each of two lanes, and what it leaves in x."""
    places = aligned(np.repeat(x[:, None], 2, axis=1))
    told = compiled()[name, ("float64", 2)](n, places.ctypes.data)
    assert places[:, 0].tobytes() == places[:, 1].tobytes()
    return told, places[:, 0]


@pytest.mark.parametrize("n", [1, 4, 9])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_compiled_function_computes_what_python_does(name: str, n: int) -> None:
    given = np.random.default_rng(n).standard_normal(SIZE)
    wanted = given.copy()
    told, found = run(name, n, given)
    assert told == FUNCTIONS[name](n, wanted)
    np.testing.assert_array_equal(found, wanted)


def numbers_in_masks(n, x):
    if x[0] > 0.0:
        return 1
    return 0


def a_list(n, x):
    return [n]


def a_word_of_python(n, x):
    return round(n)


def two_kinds(n, x):
    y = n
    if n > 2:
        y = x[0] > 0.0
    x[0] = y
    return n


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (numbers_in_masks, "numbers_in_masks: `if x[0] > 0.0:`: `x[0] > 0.0` may differ between samples"),
        (a_list, "solvers have no `[n]`"),
        (a_word_of_python, "solvers have no `round(n)`"),
        (two_kinds, "y is now"),
    ],
)
def test_what_solvers_may_not_be_written_in_is_named(function: Any, words: str) -> None:
    with pytest.raises(LoweringError) as error:
        lower(function, (INT, pointer(element("float64", 2))), INT, "entry")
    assert words in str(error.value)


def test_a_solver_calls_nothing_that_its_sources_do_not_list() -> None:
    with pytest.raises(LoweringError, match=r"applied is of .*test_lower, which is no source of this solver"):
        lower(chosen, (INT, pointer(element("float64", 2))), INT, "entry", modules=())


@pytest.mark.parametrize("part", ["solve", "pull"])
def test_a_text_defines_its_entry_and_leaves_the_model_open(part: ode_solver.Part) -> None:
    text = ode_solver._make(part, "heun", "float64", 4, written_out=True, far=False, events=False)
    assert f'@"imp_{part}"(' in text
    assert 'declare void @"imp_rhs' in text
