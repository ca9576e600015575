"""Tools as ``personas.toml`` declares them: ``[[personas.tools]]`` tables, with the fields of ``HttpEntry``,
``McpEntry`` or ``ClientEntry``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from parlor.model.tools import Approval, ClientTool, DeclaredTool, HttpTool, McpServer, Schema

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_\-]{0,63}$")]
Title = Annotated[str, msgspec.Meta(max_length=200)]
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class HttpEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="http"):
    """A table that is a URL."""

    name: Name
    description: Description
    parameters: Schema
    url: str
    idempotent: bool
    """Whether the same call may be made twice: a call whose answer was lost is made again. One that may not is sent
    once, and then nobody knows what became of it."""
    title: Title = ""
    headers: dict[str, str] = {}
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    allow_private: bool = False
    approval: Approval = "never"
    editable: bool = False


class ClientEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="client"):
    """A table that is a tool of whoever reads the events."""

    name: Name
    description: Description
    parameters: Schema
    title: Title = ""
    approval: Approval = "never"
    editable: bool = False


class McpEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mcp"):
    """A table that is a server of tools."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_\-]{0,31}$")]
    url: str
    idempotent: bool | list[str]
    """Which tools may be called twice: all, none, or these. A call of any other is sent once."""
    tools: list[str] | None = None
    trust_hints: bool = False
    headers: dict[str, str] = {}
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    allow_private: bool = False
    approval: Approval = "never"
    """Of all its tools."""
    editable: bool = False


class ToolError(ValueError):
    """A tool that cannot be used; the message says why."""


def read_tool(table: Mapping[str, object], environment: Mapping[str, str]) -> DeclaredTool | McpServer:
    """Returns what a table declares. ``${NAME}`` in a header is the environment's. Raises ``ToolError``."""
    try:
        entry = msgspec.convert(table, HttpEntry | McpEntry | ClientEntry)
    except msgspec.ValidationError as error:
        raise ToolError(str(error)) from error
    if entry.editable and entry.approval == "never":
        raise ToolError("field 'editable': only a call that a person approves can be edited: approval = \"always\"")
    if isinstance(entry, ClientEntry):
        _check_parameters(entry.parameters)
        title = entry.title or entry.name
        return ClientTool(entry.name, title, entry.description, entry.parameters, entry.approval, entry.editable)
    parts = urlsplit(entry.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ToolError(f"field 'url': {entry.url!r} is not an http or https URL without user and password")
    headers = {name: _header(name, value, environment) for name, value in entry.headers.items()}
    return _http_tool(entry, headers) if isinstance(entry, HttpEntry) else _mcp_server(entry, headers)


def _check_parameters(parameters: Schema) -> None:
    try:
        Draft202012Validator.check_schema(parameters)
    except SchemaError as error:
        raise ToolError(f"field 'parameters' is not a JSON schema: {error.message}") from error
    if parameters.get("type") != "object":
        raise ToolError("field 'parameters': its type has to be object")


def _http_tool(entry: HttpEntry, headers: dict[str, str]) -> HttpTool:
    _check_parameters(entry.parameters)
    return HttpTool(
        name=entry.name,
        title=entry.title or entry.name,
        description=entry.description,
        parameters=entry.parameters,
        url=entry.url,
        headers=headers,
        timeout=entry.timeout,
        allow_private=entry.allow_private,
        idempotent=entry.idempotent,
        approval=entry.approval,
        editable=entry.editable,
    )


def _mcp_server(entry: McpEntry, headers: dict[str, str]) -> McpServer:
    twice = entry.idempotent
    return McpServer(
        name=entry.name,
        url=entry.url,
        headers=headers,
        timeout=entry.timeout,
        allow_private=entry.allow_private,
        only=None if entry.tools is None else tuple(entry.tools),
        idempotent=None if twice is True else tuple(twice or ()),
        trust_hints=entry.trust_hints,
        approval=entry.approval,
        editable=entry.editable,
    )


def _header(name: str, value: str, environment: Mapping[str, str]) -> str:
    missing = [found for found in _VARIABLE.findall(value) if found not in environment]
    if missing:
        raise ToolError(f"header {name!r}: the environment has no {missing[0]}")
    filled = _VARIABLE.sub(lambda found: environment[found[1]], value)
    if not _HEADER.fullmatch(name) or not filled.isprintable():
        raise ToolError(f"header {name!r} is not a header, or its value has characters that cannot be sent")
    return filled
