"""Tools as ``personas.toml`` declares them: ``[[personas.tools]]`` tables, with the fields of ``HttpEntry`` or
``McpEntry``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from parlor.model.tools import HttpTool, McpServer, Schema

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HttpEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="http"):
    """A table that is a tool."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_\-]{0,63}$")]
    description: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    parameters: Schema
    url: str
    idempotent: bool
    """Whether the same call may be made twice: a call whose answer was lost is made again. Others are not taken yet."""
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""
    headers: dict[str, str] = {}
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    allow_private: bool = False


class McpEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mcp"):
    """A table that is a server of tools."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_\-]{0,31}$")]
    url: str
    idempotent: bool | list[str]
    """Which tools may be called twice: all, none, or these. Others are not offered yet."""
    tools: list[str] | None = None
    trust_hints: bool = False
    headers: dict[str, str] = {}
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    allow_private: bool = False


class ToolError(ValueError):
    """A tool that cannot be used; the message says why."""


def read_tool(table: Mapping[str, object], environment: Mapping[str, str]) -> HttpTool | McpServer:
    """Returns what a table declares. ``${NAME}`` in a header is the environment's. Raises ``ToolError``."""
    try:
        entry = msgspec.convert(table, HttpEntry | McpEntry)
    except msgspec.ValidationError as error:
        raise ToolError(str(error)) from error
    parts = urlsplit(entry.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ToolError(f"field 'url': {entry.url!r} is not an http or https URL without user and password")
    headers = {name: _header(name, value, environment) for name, value in entry.headers.items()}
    return _http_tool(entry, headers) if isinstance(entry, HttpEntry) else _mcp_server(entry, headers)


def _http_tool(entry: HttpEntry, headers: dict[str, str]) -> HttpTool:
    if not entry.idempotent:
        raise ToolError("field 'idempotent': only tools that may be called twice are supported: idempotent = true")
    try:
        Draft202012Validator.check_schema(entry.parameters)
    except SchemaError as error:
        raise ToolError(f"field 'parameters' is not a JSON schema: {error.message}") from error
    if entry.parameters.get("type") != "object":
        raise ToolError("field 'parameters': its type has to be object")
    return HttpTool(
        name=entry.name,
        title=entry.title or entry.name,
        description=entry.description,
        parameters=entry.parameters,
        url=entry.url,
        headers=headers,
        timeout=entry.timeout,
        allow_private=entry.allow_private,
    )


def _mcp_server(entry: McpEntry, headers: dict[str, str]) -> McpServer:
    twice = entry.idempotent
    if not twice and not entry.trust_hints:
        raise ToolError(
            "field 'idempotent': only tools that may be called twice are supported: true, their names, or"
            " trust_hints = true"
        )
    return McpServer(
        name=entry.name,
        url=entry.url,
        headers=headers,
        timeout=entry.timeout,
        allow_private=entry.allow_private,
        only=None if entry.tools is None else tuple(entry.tools),
        idempotent=None if twice is True else tuple(twice or ()),
        trust_hints=entry.trust_hints,
    )


def _header(name: str, value: str, environment: Mapping[str, str]) -> str:
    missing = [found for found in _VARIABLE.findall(value) if found not in environment]
    if missing:
        raise ToolError(f"header {name!r}: the environment has no {missing[0]}")
    filled = _VARIABLE.sub(lambda found: environment[found[1]], value)
    if not _HEADER.fullmatch(name) or not filled.isprintable():
        raise ToolError(f"header {name!r} is not a header, or its value has characters that cannot be sent")
    return filled
