"""Failures of a language model, as ``LlmError``.

The detail is one of the sentences below, never the provider's own message, which may contain part of the key, an
address or the prompt. That message goes into ``debug``, shortened and without the key. ``extra["retryable"]`` says
whether a retry can help; ``retry_after`` is the delay in seconds that the provider asks for.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import openai

from parlor.errors import AnswerFiltered, LlmError

DEBUG_MAX = 500
"""Characters of a provider's message that are kept for the log."""

_NAME_MAX = 64
_LOOKED_AT = 10_000
"""Characters of a message in which a reason is looked for."""
_RETRYABLE = frozenset({408, 409, 425, 429})
"""Besides 5xx. 409 is OpenAI's lock timeout; the openai package retries the same."""
_STATUS_MIN = 400
_QUOTA, _TOO_LONG, _FILTERED = "quota", "too long", "filtered"
_NAMES: dict[str, str | int] = {
    **dict.fromkeys(("insufficient_quota", "billing_hard_limit_reached", "billing_error"), _QUOTA),
    **dict.fromkeys(("context_length_exceeded", "exceed_context_size_error", "request_too_large"), _TOO_LONG),
    **dict.fromkeys(("content_filter", "content_policy_violation", "responsibleaipolicyviolation"), _FILTERED),
    **dict.fromkeys(("data_inspection_failed", "datainspectionfailed", "sensitive"), _FILTERED),
    **dict.fromkeys(("invalid_api_key", "authentication_error", "unauthenticated"), 401),
    **dict.fromkeys(("permission_error", "permission_denied"), 403),
    **dict.fromkeys(("model_not_found", "not_found_error", "not_found"), 404),
    **dict.fromkeys(("rate_limit_error", "rate_limit_exceeded", "resource_exhausted", "too_many_requests"), 429),
    **dict.fromkeys(("overloaded_error", "overloaded", "unavailable", "service_unavailable"), 503),
    **dict.fromkeys(("timeout_error", "deadline_exceeded"), 504),
}
"""What the codes, types and states of errors mean, of OpenAI, Azure, Anthropic, Google, DashScope and llama.cpp: a
reason, or the HTTP status that it stands for."""
_SENTENCES = {
    _QUOTA: "The language model's quota is used up",
    _TOO_LONG: "The conversation is too long for the language model",
}
"""Reasons that say more than the status; no retry helps."""
_TOO_LONG_MESSAGE = re.compile(
    r"context (length|size|window)|prompt is too long|input token count|too large for model|reduce the length"
    r"|`inputs` tokens",
    re.IGNORECASE,
)
"""What servers without a code of their own for it (vLLM, SGLang, TGI, Mistral, Google, Anthropic) say of a prompt."""
_REQUEST_STATUSES = frozenset({None, 400, 413, 422, 500})
"""Statuses of an error that may be about the length of a prompt."""
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
    debug = f"HTTP {error.status_code} request_id={error.request_id}: {provider_message(error.body or error.message)}"
    return _failure(error.body or error.message, error.status_code, debug, _retry_after(error, now))


def reported_error(error: object) -> LlmError:
    """Returns the ``LlmError`` for an error object where an answer was expected, after HTTP status 200."""
    return _failure(error, None, provider_message(error), None)


def _failure(error: object, status: int | None, debug: str, retry_after: float | None) -> LlmError:
    reason, named = _meaning(error)
    status = status or named
    message = error.get("message") if isinstance(error, dict) else error
    if not reason and status in _REQUEST_STATUSES and _TOO_LONG_MESSAGE.search(str(message)[:_LOOKED_AT]):
        reason = _TOO_LONG
    if reason == _FILTERED:
        return AnswerFiltered(debug=debug[:DEBUG_MAX], extra={"retryable": False})
    if reason:
        return llm_error(_SENTENCES[reason], debug=debug, retry_after=retry_after, status=status)
    if status is None:
        return llm_error("The language model reported an error while it answered", debug=debug, retryable=True)
    retryable = status in _RETRYABLE or status >= 500
    return llm_error(_sentence(status), debug=debug, retryable=retryable, retry_after=retry_after, status=status)


def _meaning(error: object) -> tuple[str, int | None]:
    """Returns the reason that an error object names ("" if none), and its HTTP status: proxies put the one of the
    server behind them there."""
    if not isinstance(error, dict):
        return "", None
    reason, status = "", None
    inner = error.get("innererror")  # Azure's
    told = [error.get(field) for field in ("code", "type", "status", "status_code", "http_status")]
    for found in [*told, inner.get("code") if isinstance(inner, dict) else None]:
        name = str(found)[:_NAME_MAX].lower()
        means = int(name) if name.isdecimal() and len(name) == len("500") else _NAMES.get(name)
        if isinstance(means, str):
            reason = reason or means
        elif means is not None and means >= _STATUS_MIN:
            status = status or means
    return reason, status


def _sentence(status: int) -> str:
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
            seconds = float(value.strip().removesuffix("s")) * scale
        except ValueError:
            try:
                seconds = max(parsedate_to_datetime(value).timestamp() - now, 0.0)
            except (ValueError, OverflowError):
                continue
        if 0 <= seconds < RETRY_AFTER_LIMIT:
            return seconds
    return None
