"""Tools in personas.toml, and what is wrong with one."""

from __future__ import annotations

import pytest

from parlor.llm.personas import PersonasError, parse_personas
from parlor.model.tools import ClientTool, HttpTool
from tests.unit.llm.test_personas import GOOD

pytestmark = pytest.mark.unit

TOOL = """
[[personas.tools]]
kind = "http"
name = "weather"
description = "Tells the weather"
url = "https://weather.test/v1"
idempotent = true
parameters = { type = "object", properties = { city = { type = "string" } } }
"""


def test_a_tool_is_declared_below_its_persona(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_KEY", "s3cret")
    more = 'headers = { Authorization = "Bearer ${WEATHER_KEY}" }\ntimeout = 5\ntitle = "Weather"\n'
    (persona,) = parse_personas(f"{GOOD}max_steps = 3\n{TOOL}{more}", "f")
    (tool,) = persona.tools
    assert isinstance(tool, HttpTool)
    assert persona.max_steps == 3
    assert (tool.name, tool.title, tool.url, tool.timeout) == ("weather", "Weather", "https://weather.test/v1", 5.0)
    assert tool.headers == {"Authorization": "Bearer s3cret"}
    assert tool.parameters["properties"] == {"city": {"type": "string"}}
    assert not tool.allow_private


def test_a_tool_says_how_it_may_be_called() -> None:
    how = 'idempotent = false\napproval = "always"\neditable = true'
    (persona,) = parse_personas(GOOD + TOOL.replace("idempotent = true", how), "f")
    (tool,) = persona.tools
    assert isinstance(tool, HttpTool)
    assert (tool.idempotent, tool.approval, tool.editable) == (False, "always", True)


def test_a_clients_tool_has_no_url() -> None:
    table = TOOL.replace('"http"', '"client"').replace('url = "https://weather.test/v1"\nidempotent = true\n', "")
    (persona,) = parse_personas(GOOD + table + 'approval = "first"\n', "f")
    (tool,) = persona.tools
    assert isinstance(tool, ClientTool)
    assert (tool.name, tool.approval) == ("weather", "first")
    with pytest.raises(PersonasError, match="url"):
        parse_personas(GOOD + TOOL.replace('"http"', '"client"'), "f")


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ('idempotent = true\napproval = "often"', "idempotent = true", "approval"),
        ("idempotent = true\neditable = true", "idempotent = true", "editable"),
        ("", "idempotent = true", "idempotent"),
        ('kind = "shell"', 'kind = "http"', "shell"),
        ('name = "a b"', 'name = "weather"', "name"),
        ('url = "file:///etc/passwd"', 'url = "https://weather.test/v1"', "url"),
        ('url = "https://user:pw@weather.test"', 'url = "https://weather.test/v1"', "url"),
        ('url = "https:///x"', 'url = "https://weather.test/v1"', "url"),
        ('type = "array"', 'type = "object"', "object"),
        ('type = "objekt"', 'type = "object"', "not a JSON schema"),
        ("idempotent = true\ncolour = 1", "idempotent = true", "colour"),
        ("idempotent = true\ntimeout = 0", "idempotent = true", "timeout"),
        ('idempotent = true\nheaders = { A = "${NOT_THERE}" }', "idempotent = true", "NOT_THERE"),
        ('idempotent = true\nheaders = { "A b" = "c" }', "idempotent = true", "not a header"),
        ('idempotent = true\nheaders = { A = "b\\r\\nC: d" }', "idempotent = true", "cannot be sent"),
    ],
)
def test_a_tool_that_cannot_be_used_is_refused_at_the_start(wrong: str, right: str, words: str) -> None:
    assert right in TOOL
    with pytest.raises(PersonasError, match=words) as caught:
        parse_personas(GOOD + TOOL.replace(right, wrong), "f")
    assert "entry 1 (A): tool 1" in str(caught.value)


def test_two_tools_have_two_names() -> None:
    with pytest.raises(PersonasError, match="already used"):
        parse_personas(GOOD + TOOL + TOOL, "f")


SERVER = """
[[personas.tools]]
kind = "mcp"
name = "sea"
url = "https://sea.test/mcp"
idempotent = true
"""


def test_a_server_of_tools_is_declared_below_its_persona(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEA_KEY", "s3cret")
    more = 'headers = { Authorization = "Bearer ${SEA_KEY}" }\ntools = ["tides"]\ntrust_hints = true\n'
    (persona,) = parse_personas(GOOD + TOOL + SERVER.replace("= true", '= ["tides"]') + more, "f")
    (server,) = persona.servers
    assert [tool.name for tool in persona.tools] == ["weather"]
    assert (server.name, server.url, server.timeout) == ("sea", "https://sea.test/mcp", 30.0)
    assert server.headers == {"Authorization": "Bearer s3cret"}
    assert (server.only, server.idempotent, server.trust_hints) == (("tides",), ("tides",), True)
    (persona,) = parse_personas(GOOD + SERVER, "f")
    assert (persona.servers[0].only, persona.servers[0].idempotent) == (None, None)
    (persona,) = parse_personas(GOOD + SERVER.replace("= true", "= false"), "f")
    assert (persona.servers[0].idempotent, persona.servers[0].trust_hints) == ((), False)


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ("", "idempotent = true", "idempotent"),
        ('idempotent = "all"', "idempotent = true", "idempotent"),
        ('name = "a.b"', 'name = "sea"', "name"),
        ('url = "stdio:server"', 'url = "https://sea.test/mcp"', "url"),
        ("idempotent = true\nparameters = {}", "idempotent = true", "parameters"),
        ('idempotent = true\nheaders = { A = "${NOT_THERE}" }', "idempotent = true", "NOT_THERE"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused_at_the_start(wrong: str, right: str, words: str) -> None:
    assert right in SERVER
    with pytest.raises(PersonasError, match=words):
        parse_personas(GOOD + SERVER.replace(right, wrong), "f")
