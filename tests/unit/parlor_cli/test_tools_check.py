"""What `parlor up` says of the servers of tools that personas name."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor.settings import Settings
from parlor_cli import configuration, tools_check
from tests.mcp_server import McpService, mcp_serving
from tests.unit.llm.test_declared_tools import SERVER
from tests.unit.llm.test_personas import GOOD

pytestmark = pytest.mark.unit


def settings(directory: Path, *servers: str) -> Settings:
    file = directory / "personas.toml"
    file.write_text(GOOD + "".join(servers), encoding="utf-8")
    return configuration.load({"llm": {"personas_file": str(file), "default_persona": "A"}})


def test_each_server_is_asked_once(tmp_path: Path) -> None:
    other = SERVER.replace('"sea"', '"land"')
    named = tools_check.servers(settings(tmp_path, SERVER, other))
    assert [server.name for server in named] == ["sea", "land"]
    assert tools_check.servers(configuration.load({})) == [], "the personas that are shipped have none"


def test_what_is_wrong_with_a_server_is_named() -> None:
    with mcp_serving(McpService()) as service:
        away = service.declared(name="away", url="http://127.0.0.1:1/mcp")
        inside = service.declared(name="inside", allow_private=False)
        none = service.declared(name="none", only=("another",))
        tools, wrong = tools_check.ask([service.declared(), away, inside, none], seconds=20)
    assert tools == 2
    assert wrong == [
        "away: The tool's server cannot be reached",
        "inside: The tool's address is not allowed",
        "none: it has no tool that may be used",
    ]
