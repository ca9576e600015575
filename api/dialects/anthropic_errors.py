"""Errors as Anthropic writes them: ``{"type": "error", "error": {type, message}, "request_id"}``."""

from __future__ import annotations

from http import HTTPStatus

from parlor.model.wire import JsonForm

ANTHROPIC = "/anthropic/"
"""Paths that speak Anthropic's dialect."""
_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "overloaded_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}


def error_form(message: str, status: int, request_id: str | None = None) -> JsonForm:
    """``request_id`` None: an event of a stream, whose headers have it."""
    fallback = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "api_error"
    form: JsonForm = {
        "type": "error",
        "error": {"type": _TYPES.get(HTTPStatus(status), fallback), "message": message},
    }
    return form if request_id is None else {**form, "request_id": request_id}
