"""Which dialect a path speaks, and the error of a refused request in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from api.dialects import anthropic_errors, ollama_errors, openai_errors
from api.dialects.anthropic_errors import ANTHROPIC
from api.dialects.ollama_errors import OLLAMA
from api.dialects.openai_errors import MODEL_NOT_FOUND, OPENAI, status_of
from parlor.model.wire import JsonForm


def refusal_form(
    path: str, message: str, status: int, code: str, errors: Sequence[Mapping[str, Any]], request_id: str
) -> tuple[Mapping[str, Any], int] | None:
    """The error and its status; ``errors`` say what is wrong with the request, as in a problem. None for the paths that
    speak no other program's dialect."""
    if path.startswith(OPENAI):
        return openai_errors.refusal_form(message, status, code, errors)
    if not path.startswith((ANTHROPIC, OLLAMA)):
        return None
    is_model = bool(errors) and errors[0]["type"] == MODEL_NOT_FOUND
    status = int(HTTPStatus.NOT_FOUND) if is_model else status_of(status)
    form: JsonForm
    if path.startswith(ANTHROPIC):
        form = anthropic_errors.error_form(message, status, request_id)
    else:
        form = dict(ollama_errors.error_form(message))
    return form, status
