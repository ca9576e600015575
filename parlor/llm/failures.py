"""Failures of a language model, as ``LlmError``.

The detail is one of the sentences below, never the provider's own message, which may contain part of the key, an
address or the prompt. That message goes into ``debug``, shortened and without the key. ``extra["retryable"]`` says
whether a retry can help; ``retry_after`` is the delay in seconds that the provider asks for.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import openai

from parlor.errors import LlmError

DEBUG_MAX = 500
"""Characters of a provider's message that are kept for the log."""

_RETRYABLE = frozenset({408, 409, 425, 429})
"""Besides 5xx. 409 is OpenAI's lock timeout; the openai package retries the same."""
_STATUS_MIN = 400
_CODES = {
    "insufficient_quota": "The language model's quota is used up",
    "context_length_exceeded": "The conversation is too long for the language model",
}
"""Codes that say more than the status; no retry helps."""
RETRY_AFTER_LIMIT = 86_400.0
"""A delay of a day or more, in seconds, is taken for a fault."""


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


def refusal(error: openai.APIStatusError, now: float) -> LlmError:
    """Returns the ``LlmError`` for a response with an error status. ``now`` is in unix seconds."""
    status, code = error.status_code, error.code or ""
    debug = f"HTTP {status} request_id={error.request_id}: {provider_message(error.body or error.message)}"
    return llm_error(
        _sentence(status, code),
        debug=debug,
        retryable=_is_retryable(status, code),
        retry_after=_retry_after(error, now),
        status=status,
    )


def reported_error(error: object) -> LlmError:
    """Returns the ``LlmError`` for an error object where an answer was expected, after HTTP status 200."""
    found = error.get("code") if isinstance(error, dict) else None
    code = str(found or "")
    # Proxies put the status of the server behind them there.
    status = int(code) if code.isdecimal() and len(code) == len("500") and int(code) >= _STATUS_MIN else None
    known = status is not None or code in _CODES
    return llm_error(
        _sentence(status or 0, code) if known else "The language model reported an error while it answered",
        debug=provider_message(error),
        retryable=_is_retryable(status, code) if status is not None else code not in _CODES,
        status=status,
    )


def _is_retryable(status: int, code: str) -> bool:
    return (status in _RETRYABLE or status >= 500) and code not in _CODES


def _sentence(status: int, code: str) -> str:
    if code in _CODES:
        return _CODES[code]
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


def _retry_after(error: openai.APIStatusError, now: float) -> float | None:
    """Returns the seconds in ``retry-after-ms`` (OpenAI) or ``Retry-After``, which may also be a date."""
    headers = error.response.headers
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (value := headers.get(name)) is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = max(parsedate_to_datetime(value).timestamp() - now, 0.0)
            except ValueError:
                continue
        if 0 <= seconds < RETRY_AFTER_LIMIT:
            return seconds
    return None
