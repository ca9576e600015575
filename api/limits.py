"""Checks of values whose limits are settings: the length of titles and contents, the size and form of metadata."""

from __future__ import annotations

import math

import msgspec

from api.fields import text_fault
from api.problems import invalid
from parlor.errors import ContentTooLarge
from parlor.model.messages import JsonObject
from parlor.settings import ApiSettings

_DEPTH_MAX = 16
"""MariaDB's JSON functions stop at 32 levels, and the document of a message needs some of them."""
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1
_encode = msgspec.json.Encoder().encode


def check_title(title: str | None, api: ApiSettings) -> None:
    """Raises ``InvalidRequest``."""
    if title is not None and len(title) > api.title_max:
        raise invalid(("body", "title"), f"The title has {len(title)} characters; at most {api.title_max} are allowed")


def check_content(content: str, api: ApiSettings) -> None:
    """Raises ``ContentTooLarge``."""
    if len(content) > api.content_max:
        raise ContentTooLarge(f"The content has {len(content)} characters; at most {api.content_max} are allowed")


def check_metadata(metadata: JsonObject, api: ApiSettings) -> None:
    """Raises ``InvalidRequest`` for metadata that is too large, or that Redis or the databases cannot hold."""
    if not metadata:
        return
    problem = _unfit(metadata, _DEPTH_MAX)
    if problem is None:
        size = len(_encode(metadata))
        if size <= api.metadata_max:
            return
        problem = f"has {size} bytes; at most {api.metadata_max} are allowed"
    raise invalid(("body", "metadata"), f"The metadata {problem}")


def _unfit(value: object, depth: int) -> str | None:
    """What is wrong with a value from a JSON parser, or None."""
    match value:
        case str():
            fault = text_fault(value)
            return fault and f"has {fault}"
        case bool() | None:
            return None
        case int():
            return None if _INTEGER_MIN <= value <= _INTEGER_MAX else "has an integer of more than 64 bits"
        case float():
            return None if math.isfinite(value) else "has a number that is not finite"
    if depth == 0:
        return f"is nested more than {_DEPTH_MAX} levels deep"
    children: list[object] = [*value.keys(), *value.values()] if isinstance(value, dict) else _items(value)
    return next((found for child in children if (found := _unfit(child, depth - 1)) is not None), None)


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} does not come out of a JSON parser")
    return value
