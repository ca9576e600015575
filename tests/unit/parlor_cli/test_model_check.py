"""What `parlor up` says of the language model: who answers, where, and what its server says when it is asked."""

from __future__ import annotations

import json
import socket
import time

import pytest

from parlor.settings import Settings
from parlor_cli import configuration, model_check
from tests.unit.parlor_cli.json_server import serving

pytestmark = pytest.mark.unit


def settings(**llm: str) -> Settings:
    return configuration.load({"llm": dict(llm)})


def listing(*names: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in names]}).encode()


def test_the_models_and_the_address_are_named() -> None:
    assert model_check.title(settings(api_key="sk")) == "gpt-4o, gpt-4o-mini at https://api.openai.com/v1"
    own = settings(base_url="http://me:hunter2@h:1/v1?x=y", model="llama3")
    assert model_check.title(own) == "llama3 at http://me:***@h:1/v1?x=y"
    other = settings(provider="tests.unit.llm.echo_model:EchoModel", model="echo")
    assert model_check.title(other) == "echo by tests.unit.llm.echo_model:EchoModel"


def test_the_default_personas_model_comes_first() -> None:
    assert model_check.models(settings(api_key="sk", default_persona="BRIEF"))[0] == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, listing("llama3", "other"), None),
        (200, listing("llama3:latest"), None),
        (200, listing(), None),
        (200, listing("a", "b"), "it does not list llama3; it lists a, b"),
        (200, listing(*"abcdefg"), "it does not list llama3; it lists a, b, c, d, e and 2 more"),
        (200, b"<html>", "GET /models is not answered as OpenAI's API does"),
        (200, b'{"data": 5}', "GET /models is not answered as OpenAI's API does"),
        (401, b"", "it refuses the API key (401)"),
        (403, b"", "it refuses the API key (403)"),
        (404, b"", "it has no GET /models (404)"),
        (500, b"", "it answers GET /models with 500"),
    ],
)
def test_what_its_server_says_is_passed_on(status: int, body: bytes, said: str | None) -> None:
    with serving(status, body) as url:
        found = model_check.warning(settings(base_url=f"{url}/v1", model="llama3"), seconds=20)
    assert found == said if said is None else (found or "").startswith(said)


def test_it_is_asked_once_with_key_and_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    heard: list[tuple[str, str | None]] = []
    with serving(200, listing("m"), heard) as url:
        given = settings(base_url=f"{url}/v1/?api-version=1", model="m", api_key="sk-1")
        assert model_check.warning(given, seconds=20) is None
        user = settings(base_url=f"{url.replace('://', '://me:p%40ss@')}/v1", model="m", api_key="sk-1")
        assert model_check.warning(user, seconds=20) is None
    assert heard == [("/v1/models?api-version=1", "Bearer sk-1"), ("/v1/models", "Basic bWU6cEBzcw==")]


def test_a_server_that_is_not_there_is_a_warning() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        found = model_check.warning(settings(base_url=f"http://{address}/v1"), seconds=20)
    assert found is not None
    assert found.startswith("it does not answer: ")


def test_a_server_that_hangs_is_not_waited_for() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        found = model_check.warning(settings(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1"), seconds=0.2)
        assert time.monotonic() - began < 10
    assert found is not None
    assert "answer" in found


def test_a_provider_of_ones_own_is_not_asked() -> None:
    assert model_check.warning(settings(provider="tests.unit.llm.echo_model:EchoModel")) is None
