"""The configuration that Serve writes, before Parlor adapts it."""

from __future__ import annotations

import pytest

from tests.unit.parlor_cli.haproxy_front import serves_config


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    """That of a node with one application."""
    return serves_config(tmp_path_factory.mktemp("h"))
