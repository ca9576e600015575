"""The OpenAPI document shows how each call is made and answered. A route that is new cannot forget it."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from api import openapi, routes
from api.event_documents import EVENTS, component
from api.problems import MEDIA_TYPE
from parlor.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
JSON = "application/json"


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for found in document["paths"].values():
        yield from found.values()


def faults(document: dict[str, Any], content: dict[str, Any]) -> list[str]:
    """What is wrong with the example of a content."""
    if "example" not in content:
        return ["no example"]
    validator = Draft202012Validator({**content["schema"], "components": document["components"]})
    return [error.message for error in validator.iter_errors(content["example"])]


def test_every_body_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"][JSON]
        for operation in operations(document)
        if JSON in operation.get("requestBody", {}).get("content", {})
    }
    assert {name: found for name, body in bodies.items() if (found := faults(document, body))} == {}
    assert "ai_persona" not in bodies["send_message"]["example"], "one that is made up is refused"


def test_every_answer_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    wrong = [
        (operation["operationId"], status, fault)
        for operation in operations(document)
        for status, response in operation["responses"].items()
        if JSON in response.get("content", {})
        for fault in faults(document, response["content"][JSON])
    ]
    assert wrong == []


def test_every_error_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for response in operation["responses"].values():
            content = response.get("content", {}).get(MEDIA_TYPE)
            if content is None:
                continue
            references = [found["$ref"] for found in content["schema"].get("oneOf", [content["schema"]])]
            shown = [found["$ref"] for found in content["examples"].values()]
            assert [found.rpartition("/")[2] for found in shown] == [found.rpartition("/")[2] for found in references]
    components = document["components"]
    for name, example in components["examples"].items():
        problem = Draft202012Validator({**components["schemas"][name], "components": components})
        assert [error.message for error in problem.iter_errors(example["value"])] == []


def test_whatever_a_call_needs_in_its_path_has_an_example(document: dict[str, Any]) -> None:
    needed = [
        parameter
        for found in operations(document)
        for parameter in found.get("parameters", ())
        if parameter["required"]
    ]
    assert needed
    assert all("example" in parameter for parameter in needed)


def test_headers_that_a_call_reads_are_parameters(document: dict[str, Any]) -> None:
    declared = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", ())}
        for operation in operations(document)
    }
    reading = {
        route.name
        for module in pkgutil.iter_modules(routes.__path__, "api.routes.")
        for route in import_module(module.name).router.routes
        if isinstance(route, APIRoute) and "idempotency_of(" in inspect.getsource(route.endpoint)
    }
    assert {"create_room", "edit_message"} <= reading
    assert [name for name in reading | {"send_message"} if "Idempotency-Key" not in declared[name]] == []
    assert "Prefer" in declared["send_message"]


def test_every_event_has_a_schema(document: dict[str, Any]) -> None:
    files = [file for pattern in ("parlor/**/*.py", "parlor/**/*.lua") for file in ROOT.glob(pattern)]
    written = {
        name
        for file in files
        for name in re.findall(
            r"""["']((?:message|room|approval|stream)\.[a-z]+)["']""", file.read_text(encoding="utf-8")
        )
    }
    assert {"message.delta", "room.updated"} <= written <= EVENTS.keys()
    for name in EVENTS:
        schema = document["components"]["schemas"][component(name)]
        Draft202012Validator.check_schema(schema)
    for operation in operations(document):
        found = operation["responses"].get("200", {}).get("content", {}).get("text/event-stream")
        if found is not None and operation["tags"][0] in ("events", "messages"):
            assert len(found["schema"]["oneOf"]) > 3
            assert found["example"].startswith("id: ")


def test_limits_that_are_settings_are_in_the_schemas(app: FastAPI, settings: Settings) -> None:
    document = openapi.document(app)
    schemas = document["components"]["schemas"]
    (text, _) = schemas["ChatMessageSendRequest"]["properties"]["content"]["anyOf"]
    assert (text["minLength"], text["maxLength"]) == (1, settings.api.content_max)
    assert schemas["ChatMessageEditRequest"]["properties"]["content"]["maxLength"] == settings.api.content_max
    (title, _) = schemas["ChatRoomCreateRequest"]["properties"]["title"]["anyOf"]
    assert title["maxLength"] == settings.api.title_max


async def test_the_page_of_errors_can_be_read(client: httpx2.AsyncClient) -> None:
    text = (await client.get("/docs/errors")).text
    assert not re.search(r"`|\bextra\b", text)
    assert "<code>errors</code>" in text
