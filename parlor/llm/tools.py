"""Tools as ``personas.toml`` declares them: ``[[personas.tools]]`` tables, with the fields of ``Entry``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from parlor.model.tools import HttpTool, Schema

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[personas.tools]]`` table."""

    kind: Literal["http"]
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


class ToolError(ValueError):
    """A tool that cannot be used; the message says why."""


def read_tool(table: Mapping[str, object], environment: Mapping[str, str]) -> HttpTool:
    """Returns the tool that a table declares. ``${NAME}`` in a header is the environment's. Raises ``ToolError``."""
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        raise ToolError(str(error)) from error
    if not entry.idempotent:
        raise ToolError("field 'idempotent': only tools that may be called twice are supported: idempotent = true")
    parts = urlsplit(entry.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ToolError(f"field 'url': {entry.url!r} is not an http or https URL without user and password")
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
        headers={name: _header(name, value, environment) for name, value in entry.headers.items()},
        timeout=entry.timeout,
        allow_private=entry.allow_private,
    )


def _header(name: str, value: str, environment: Mapping[str, str]) -> str:
    missing = [found for found in _VARIABLE.findall(value) if found not in environment]
    if missing:
        raise ToolError(f"header {name!r}: the environment has no {missing[0]}")
    filled = _VARIABLE.sub(lambda found: environment[found[1]], value)
    if not _HEADER.fullmatch(name) or not filled.isprintable():
        raise ToolError(f"header {name!r} is not a header, or its value has characters that cannot be sent")
    return filled
