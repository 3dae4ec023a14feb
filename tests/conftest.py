from __future__ import annotations

import pytest

from tests.cost import Cost


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Cost(config), "what the tests cost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cost", action="store_true", help="tell of every file what it made the machine compile")
