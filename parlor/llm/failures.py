"""Failures of a language model, as ``LlmError``.

The detail is one of the sentences below, never the provider's own message, which may contain part of the key, an
address or the prompt. That message goes into ``debug``, shortened and without the key. ``extra["retryable"]`` says
whether a retry can help; ``retry_after`` is the delay in seconds that the provider asks for.
"""

from __future__ import annotations

import openai

from parlor.errors import LlmError

DEBUG_MAX = 500
"""Characters of a provider's message that are kept for the log."""

_RETRYABLE = frozenset({408, 409, 425, 429})
"""Besides 5xx. 409 is OpenAI's lock timeout; the openai package retries the same."""


def llm_error(
    detail: str,
    *,
    debug: str = "",
    retryable: bool = False,
    retry_after: float | None = None,
    status: int | None = None,
) -> LlmError:
    """Returns an ``LlmError``. ``status`` is the provider's HTTP status, for logs and metrics."""
    extra: dict[str, int | bool] = {"retryable": retryable}
    if status is not None:
        extra["status"] = status
    return LlmError(detail, debug=debug[:DEBUG_MAX], retry_after=retry_after, extra={**extra})


def provider_message(body: object) -> str:
    """Returns the message of an error body in OpenAI's form, or the whole body if it has another form."""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if isinstance(body, dict):
        return " ".join(str(body[field]) for field in ("type", "code", "message") if body.get(field))
    return str(body)


def refusal(error: openai.APIStatusError) -> LlmError:
    """Returns the ``LlmError`` for a response with an error status."""
    status, code = error.status_code, error.code or ""
    debug = f"HTTP {status} request_id={error.request_id}: {provider_message(error.body or error.message)}"
    retryable = (status in _RETRYABLE or status >= 500) and code != "insufficient_quota"
    return llm_error(
        _sentence(status, code),
        debug=debug,
        retryable=retryable,
        retry_after=_retry_after(error) if retryable else None,
        status=status,
    )


def _sentence(status: int, code: str) -> str:
    if code == "insufficient_quota":
        return "The language model's quota is used up"
    if code == "context_length_exceeded":
        return "The conversation is too long for the language model"
    sentences = {
        401: "The language model refused the API key",
        402: "The language model's quota is used up",
        403: "The language model refused the API key",
        404: "The language model's endpoint or model name is not known there",
        408: "The language model took too long",
        413: "The conversation is too long for the language model",
        429: "The language model has too many requests",
        504: "The language model took too long",
    }
    if status in sentences:
        return sentences[status]
    if status >= 500:
        return f"The language model failed (HTTP {status})"
    return f"The language model refused the request (HTTP {status})"


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Returns the seconds in ``retry-after-ms`` (OpenAI) or ``Retry-After``. A date is ignored; providers send
    seconds."""
    headers = error.response.headers
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None
