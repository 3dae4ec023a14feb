from __future__ import annotations

import gc
import os
from collections.abc import Generator
from typing import Any

import pytest

from implicitdsl.backends.lanes import machine_code
from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.layers.options import BACKEND
from tests.cost import Cost
from tests.outcomes import Outcomes

FIRST = (
    "tests/lanes/test_stiff_engine.py",
    "tests/adjoints/test_reference_cases.py",
    "tests/reference/test_explicit_methods.py",
    "tests/reference/test_ode_events.py",
    "tests/adjoints/",
    "tests/reference/test_dae_events.py",
    "tests/artifacts/",
    "tests/integration/",
    "tests/reference/test_ode_solutions.py",
    "tests/reference/test_sparse_solutions.py",
    "tests/examples/",
    "tests/docs/",
    "tests/benchmarks/",
    "tests/reference/",
    "tests/lanes/",
)
"""What compiles for longest begins first: a worker that began with it at the end would end alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cost", action="store_true", help="tell of every file what it made the machine compile")


def pytest_configure(config: pytest.Config) -> None:
    # Each solver once instead of once a model: the tests have several hundred models. Both ways have the same bits, as
    # `lanes/test_apart.py` shows; with the variable set to `whole` all tests run the other way.
    os.environ.setdefault(LINK, "apart")
    # Code that pays once a part has run for long is what no test with a slow oracle means; those that do
    # (`lanes/test_minimum_engine.py`, `lanes/test_whole_later.py`) say so.
    machine_code.PATIENCE = 1e9
    config.pluginmanager.register(Cost(config), "what the tests cost")
    config.pluginmanager.register(Outcomes(), "what the back ends gave")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((k for k, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST)))


def pytest_collection_finish() -> None:
    _keep_what_is_left()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    try:
        return (yield)
    finally:
        if nextitem is not None and nextitem.path != item.path:
            _keep_what_is_left()


def _keep_what_is_left() -> None:
    """What is left at the end of a file is left for good: modules and caches. The collector of cycles need not go
    through it again and again, which takes it seconds each time by the end of a run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["lanes", "python"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each back end in turn, as that of all layers that are told none."""
    monkeypatch.setenv(BACKEND, request.param)
    return request.param
