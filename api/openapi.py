"""The OpenAPI document. Its error responses are made from the error classes."""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.dialects.anthropic_errors import ANTHROPIC
from api.dialects.ollama_errors import OLLAMA
from api.dialects.openai_errors import OPENAI
from api.event_documents import event_components, stream_content
from api.examples import body_example, error_example, example_of
from api.problems import MEDIA_TYPE, PUBLIC_ERRORS
from parlor.errors import (
    CacheUnavailable,
    ContentTooLarge,
    Forbidden,
    InternalError,
    InvalidRequest,
    LimitReached,
    Overloaded,
    ParlorError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    StoreUnavailable,
    Unauthenticated,
    UnsupportedMediaType,
)
from parlor.settings import ApiSettings

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's type for documented responses."""

EVERYWHERE: tuple[type[ParlorError], ...] = (
    Unauthenticated,
    Forbidden,
    InvalidRequest,
    InternalError,
    LimitReached,
    Overloaded,
    RateLimited,
    QuotaExceeded,
    CacheUnavailable,
    StoreUnavailable,
    ProviderUnavailable,
)
"""Errors that every call under /v1 may answer."""
WITH_BODY: tuple[type[ParlorError], ...] = (ContentTooLarge, UnsupportedMediaType)
"""Errors that every call with a body may answer."""

_BODIES = ("ChatMessageSendRequest", "ChatMessageEditRequest", "ChatRoomCreateRequest", "ChatRoomUpdateRequest")
"""The bodies with texts whose lengths are settings."""
_TYPES: dict[str, dict[str, Any]] = {
    "from": {"type": "string"},
    "to": {"type": "string"},
    "oldest_cursor": {"type": "string"},
    "limit": {"type": "string"},
    "account_id": {"type": "string"},
    "errors": {"type": "array", "items": {"type": "object"}},
}
_EXTRA = {
    "IllegalTransition": ["from", "to"],
    "InvalidRequest": ["errors"],
    "StreamExpired": ["oldest_cursor"],
    "QuotaExceeded": ["limit"],
    "AnotherAccount": ["account_id"],
}

_DIALECTS_EVENT = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
}
"""An event of another program's dialect, which documents its data itself."""


def refusals(*classes: type[ParlorError]) -> Responses:
    """The documented error responses of a call: ``classes``, and those of every call."""
    by_status: defaultdict[int, list[type[ParlorError]]] = defaultdict(list)
    for found in dict.fromkeys((*classes, *EVERYWHERE)):
        by_status[found.http_status].append(found)
    return {status: _response(status, found) for status, found in sorted(by_status.items())}


def event_stream(description: str, events: tuple[str, ...] = ()) -> dict[str, Any]:
    """The documented 200 of an event stream; without ``events`` it is one of another program's dialect."""
    content = stream_content(events) if events else {"text/event-stream": {"schema": _DIALECTS_EVENT}}
    return {"description": description, "content": content}


def document(app: FastAPI) -> dict[str, Any]:
    """The document; it is built once, later calls return the same object."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {}).update({name(found): _schema(found) for found in PUBLIC_ERRORS})
        components["schemas"].update(event_components())
        components["examples"] = {name(found): {"value": _example(found)} for found in PUBLIC_ERRORS}
        _show_limits(components["schemas"], app.state.edge.settings)
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "parlor_<installation>",
                "description": "Set by `POST /v1/session`; the name has the installation's id. What changes something "
                "needs `Sec-Fetch-Site: same-origin` or an `Origin` that is the host's, as browsers send them.",
            },
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key or a token"},
            "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
        }
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                needs_one = path.startswith(("/v1/", OPENAI, ANTHROPIC, OLLAMA, "/ai-sdk/"))
                known: list[dict[str, list[str]]] = [{"bearer": []}, {"session": []}] if needs_one else []
                operation.setdefault("security", known)
                _exemplify(operation, components["schemas"])
                if path.startswith(ANTHROPIC):
                    operation["security"].append({"key": []})
                if any(parameter["name"] == "ticket" for parameter in operation.get("parameters", ())):
                    operation["security"].append({"ticket": []})
        app.openapi_schema = schema
    return app.openapi_schema


def name(error: type[ParlorError]) -> str:
    """The name of the component that describes the error."""
    return f"{error.__name__}Problem"


def _response(status: int, classes: list[type[ParlorError]]) -> dict[str, Any]:
    references = [{"$ref": f"#/components/schemas/{name(found)}"} for found in classes]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    response: dict[str, Any] = {
        "description": ", ".join(f"`{found.code}`" for found in classes),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": _examples(classes)}},
    }
    headers = {}
    if any(found.retryable for found in classes):
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    if headers:
        response["headers"] = headers
    return response


def _examples(classes: list[type[ParlorError]]) -> dict[str, Any]:
    return {found.code: {"$ref": f"#/components/examples/{name(found)}"} for found in classes}


def _example(error: type[ParlorError]) -> Any:
    values: dict[str, Any] = {
        "from": "SENT",
        "to": "DELETED",
        "oldest_cursor": "1763892000000-0",
        "limit": "tokens_per_day",
        "account_id": "ada",
        "errors": [{"loc": ["body", "content"], "msg": "Field required", "type": "missing"}],
    }
    return error_example(error, {member: values[member] for member in _EXTRA.get(error.__name__, [])})


def _exemplify(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Gives the operation its examples: of its parameters, its body, and each answer that is JSON."""
    for parameter in operation.get("parameters", ()):
        if parameter["required"]:
            parameter["example"] = example_of(parameter["schema"], schemas, parameter["name"])
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        body["example"] = body_example(operation["operationId"], body["schema"], schemas)
    for response in operation["responses"].values():
        content = response.get("content", {}).get("application/json")
        if content is not None and not content.keys() & {"example", "examples"}:
            content["example"] = example_of(content["schema"], schemas)


def _show_limits(schemas: dict[str, Any], settings: ApiSettings) -> None:
    """Writes the limits that are settings into the schemas of the bodies that they are of."""
    for member, longest in (("content", settings.content_max), ("title", settings.title_max)):
        for found in _BODIES:
            schema = schemas[found]["properties"].get(member, {})
            for text in (schema, *schema.get("anyOf", ())):
                if text.get("type") == "string":
                    text.update(minLength=1, maxLength=longest)


def _schema(error: type[ParlorError]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "type": {"type": "string", "const": f"/docs/errors#{error.code}"},
        "title": {"type": "string", "const": error.title},
        "status": {"type": "integer", "const": error.http_status},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errorCode": {"type": "integer", "const": error.error_code},
        "code": {"type": "string", "const": error.code},
        "request_id": {"type": "string"},
    }
    required = list(properties)
    properties |= {member: _TYPES[member] for member in _EXTRA.get(error.__name__, [])}
    if error.retryable:
        properties["retry_after_seconds"] = {"type": "integer", "minimum": 0}
        required.append("retry_after_seconds")
    return {
        "type": "object",
        "title": name(error),
        "description": (error.__doc__ or "").strip(),
        "properties": properties,
        "required": required,
    }
