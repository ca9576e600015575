"""Errors as OpenAI writes them: ``{"error": {message, type, param, code}}``, with Parlor's code where OpenAI has
none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

ErrorForm: TypeAlias = dict[str, dict[str, str | None]]

OPENAI = "/openai/"
"""Paths that speak OpenAI's dialect."""
_CODES = {
    "unauthenticated": "invalid_api_key",
    "rate-limited": "rate_limit_exceeded",
    "quota-exceeded": "insufficient_quota",
}
"""Of errors that OpenAI has a code for."""
_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


MODEL_NOT_FOUND = "model_not_found"
"""The type of the entry of ``errors`` that says so."""


def error_form(message: str, status: int, code: str, where: Sequence[str | int] = ()) -> ErrorForm:
    """``where`` is what is wrong, as ``("body", "messages", 0, "content")``."""
    fallback = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    kind = "insufficient_quota" if code == "quota-exceeded" else _TYPES.get(HTTPStatus(status), fallback)
    return {"error": {"message": message, "type": kind, "param": _param(where), "code": _CODES.get(code, code)}}


def refusal_form(message: str, status: int, code: str, errors: Sequence[Mapping[str, Any]]) -> tuple[ErrorForm, int]:
    """The error of a refused request and its status; ``errors`` say what is wrong with it, as in a problem."""
    first = errors[0] if errors else {"loc": (), "type": ""}
    if first["type"] == MODEL_NOT_FOUND:
        return error_form(message, HTTPStatus.NOT_FOUND, MODEL_NOT_FOUND, first["loc"]), int(HTTPStatus.NOT_FOUND)
    status = status_of(status)
    return error_form(message, status, code, first["loc"]), status


def status_of(status: int) -> int:
    """OpenAI answers an invalid request with 400."""
    return int(HTTPStatus.BAD_REQUEST) if status == HTTPStatus.UNPROCESSABLE_ENTITY else status


def _param(where: Sequence[str | int]) -> str | None:
    """``messages[0].content`` for the place in a body; None for the body itself, or without a place."""
    name = ""
    for step in where[1:]:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return name or None
