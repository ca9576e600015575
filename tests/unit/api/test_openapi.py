"""The OpenAPI document: what it declares is there, and what it promises can happen."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api import openapi, routes
from api.problems import PUBLIC_ERRORS
from parlor.errors import MethodNotAllowed, Unavailable

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
Call = tuple[str, str]
DIALECTS: set[Call] = {
    ("GET", "/openai/v1/models"),
    ("GET", "/openai/v1/models/{model}"),
    ("POST", "/openai/v1/chat/completions"),
    ("POST", "/openai/v1/responses"),
    ("GET", "/openai/v1/responses/{response_id}"),
    ("DELETE", "/openai/v1/responses/{response_id}"),
    ("POST", "/openai/v1/responses/{response_id}/cancel"),
    ("GET", "/openai/v1/responses/{response_id}/input_items"),
    ("POST", "/openai/v1/conversations"),
    ("GET", "/openai/v1/conversations/{conversation_id}"),
    ("POST", "/openai/v1/conversations/{conversation_id}"),
    ("DELETE", "/openai/v1/conversations/{conversation_id}"),
    ("POST", "/openai/v1/conversations/{conversation_id}/items"),
    ("GET", "/openai/v1/conversations/{conversation_id}/items"),
    ("GET", "/openai/v1/conversations/{conversation_id}/items/{item_id}"),
    ("DELETE", "/openai/v1/conversations/{conversation_id}/items/{item_id}"),
    ("POST", "/anthropic/v1/messages"),
    ("POST", "/anthropic/v1/messages/count_tokens"),
    ("POST", "/api/chat"),
    ("GET", "/api/tags"),
    ("GET", "/api/version"),
}
"""Of other programs."""
SIGN_IN: set[Call] = {
    ("POST", "/v1/session"),
    ("GET", "/v1/session/methods"),
    ("GET", "/v1/session/openid"),
    ("GET", "/v1/session/openid/callback"),
}
"""Everybody may ask for these: they are how one gets a credential. Every other call of the API needs one."""


def calls(document: dict[str, Any]) -> set[Call]:
    """Method and path of every operation."""
    return {(method.upper(), path) for path, found in document["paths"].items() for method in found}


def problems(document: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Status and component of every error response."""
    for found in document["paths"].values():
        for operation in found.values():
            for status, response in operation["responses"].items():
                for component in re.findall(r"#/components/schemas/(\w+Problem)\b", json.dumps(response)):
                    yield int(status), component


def raised(tree: ast.Module) -> Iterator[str]:
    """The names that a module raises, constructs, or maps a script's answer to."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        match node:
            case ast.Raise():
                found = [node.exc]
            case ast.Call():
                found = [node.func]
            case ast.Dict():
                found = list(node.values)
        yield from (
            each.id if isinstance(each, ast.Name) else each.attr
            for each in found
            if isinstance(each, ast.Name | ast.Attribute)
        )


def test_every_route_is_in_the_document(document: dict[str, Any]) -> None:
    room, message = "/v1/rooms/{room_id}", "/v1/rooms/{room_id}/messages/{message_id}"
    assert calls(document) == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/v1/personas"),
        ("POST", "/v1/files"),
        ("GET", "/v1/files"),
        ("GET", "/v1/files/{file_id}"),
        ("DELETE", "/v1/files/{file_id}"),
        ("POST", "/v1/rooms"),
        ("GET", "/v1/rooms"),
        ("GET", room),
        ("PATCH", room),
        ("DELETE", room),
        ("POST", f"{room}/messages"),
        ("GET", f"{room}/messages"),
        ("GET", message),
        ("DELETE", message),
        ("GET", f"{message}/state"),
        ("GET", f"{room}/state"),
        ("GET", f"{room}/events"),
        ("GET", "/v1/events"),
        ("POST", "/v1/events/ticket"),
        ("GET", f"{message}/events"),
        ("GET", f"{room}/export"),
        ("PATCH", message),
        ("POST", f"{message}/stop"),
        ("POST", f"{message}/regenerate"),
        ("POST", f"{message}/continue"),
        ("GET", f"{message}/variants"),
        ("GET", f"{message}/tool-calls"),
        ("POST", f"{message}/tool-calls/{{tool_call_id}}/decision"),
        ("POST", f"{message}/tool-calls/{{tool_call_id}}/result"),
        ("GET", f"{room}/queue"),
        ("GET", f"{room}/memory"),
        ("DELETE", f"{room}/memory"),
        ("GET", "/v1/usage"),
        ("GET", "/v1/search"),
        ("GET", "/v1/approvals"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/{key_id}"),
        ("GET", "/v1/admin/status"),
        ("GET", "/v1/admin/accounts"),
        ("GET", "/v1/admin/accounts/{account_id}"),
        ("PATCH", "/v1/admin/accounts/{account_id}"),
        ("DELETE", "/v1/admin/accounts/{account_id}"),
        ("GET", "/v1/admin/audit"),
        ("GET", "/v1/admin/dead-letters"),
        ("POST", "/v1/admin/dead-letters/{dead_letter_id}/replay"),
        ("POST", "/v1/admin/dead-letters/{dead_letter_id}/drop"),
        ("POST", "/ai-sdk/chat"),
        ("GET", "/ai-sdk/chat/{id}/stream"),
        ("POST", "/ai-sdk/chat/{id}/stop"),
        ("GET", "/v1/session"),
        ("DELETE", "/v1/session"),
        *SIGN_IN,
        *DIALECTS,
    }


def test_operations_are_called_as_a_person_would(document: dict[str, Any]) -> None:
    """Generated clients name their functions after them: a verb and a noun, and no two are the same."""
    names = [operation["operationId"] for found in document["paths"].values() for operation in found.values()]
    assert len(set(names)) == len(names)
    assert [
        name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+){1,3}|healthz|readyz|sign_(in|out)", name)
    ] == []
    assert {"send_message", "list_rooms", "upload_file", "follow_room"} <= set(names)


def test_every_error_is_in_the_document(document: dict[str, Any]) -> None:
    referenced = json.dumps(document["paths"])
    for kind in set(PUBLIC_ERRORS) - {Unavailable, MethodNotAllowed}:
        assert f'"#/components/schemas/{openapi.name(kind)}"' in referenced
        assert document["components"]["schemas"][openapi.name(kind)]["properties"]["code"]["const"] == kind.code
    assert "HTTPValidationError" not in referenced
    for path, found in document["paths"].items():
        for method, operation in found.items():
            speaks = path.startswith(("/v1/", "/openai/", "/anthropic/", "/api/", "/ai-sdk/"))
            needs_one = speaks and (method.upper(), path) not in SIGN_IN
            ways = [way for known in operation["security"] for way in known]
            assert ways[:2] == (["bearer", "session"] if needs_one else []), path


def test_every_error_in_the_document_has_the_status_of_its_class(document: dict[str, Any]) -> None:
    statuses = {openapi.name(kind): kind.http_status for kind in PUBLIC_ERRORS}
    found = set(problems(document))
    assert found
    assert [(status, component) for status, component in found if statuses[component] != status] == []


def test_every_error_in_the_document_is_raised_somewhere(document: dict[str, Any]) -> None:
    """An error that is only planned is not promised."""
    files = [file for folder in ("parlor", "actors", "api") for file in (ROOT / folder).rglob("*.py")]
    names = {name for file in files for name in raised(ast.parse(file.read_text(encoding="utf-8")))}
    promised = {component for _, component in problems(document)} | set(document["components"]["schemas"])
    by_component = {openapi.name(kind): kind.__name__ for kind in PUBLIC_ERRORS}
    assert [component for component in promised if by_component.get(component, "InternalError") not in names] == []


def test_every_route_is_in_the_map(document: dict[str, Any]) -> None:
    """The tables of ARCHITECTURE.md; `.../` stands for the path of the room."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("\n### Requests\n")[2].partition("\n### ")[0]
    rows = re.findall(
        r"^\|.*?`([A-Z]+) (/openai/v1|/v1|/|\.\.\.)(\S*)` \| `(api/routes/\w+\.py)` `(\w+)`", section, re.MULTILINE
    )
    mapped = {
        (method, f"{'/v1/rooms/{room_id}' if prefix == '...' else prefix}{path}"): (file, name)
        for method, prefix, path, file, name in rows
    }
    made = {
        (method, route.path_format): (f"{route.endpoint.__module__.replace('.', '/')}.py", route.endpoint.__name__)
        for module in pkgutil.iter_modules(routes.__path__, "api.routes.")
        for route in import_module(module.name).router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods or ()
    }
    assert made.keys() == calls(document)
    assert mapped == made


def test_what_is_not_in_the_document_is_a_page() -> None:
    """Everybody may read those. Anything else has to be in the document, whose calls are tried with every bad
    credential (test_access_matrix.py)."""
    outside = {
        (method, route.path)
        for module in pkgutil.iter_modules(routes.__path__, "api.routes.")
        for route in import_module(module.name).router.routes
        if not (isinstance(route, APIRoute) and route.include_in_schema)
        for method in getattr(route, "methods", None) or {"any"}
    }
    pages = ("/", "/admin", "/docs", "/docs/errors", "/docs/start.js", "/docs/{name}")
    assert outside == {("GET", path) for path in pages}
