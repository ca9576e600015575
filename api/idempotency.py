"""The ``Idempotency-Key`` header (draft-ietf-httpapi-idempotency-key-header-07) and a request's fingerprint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from api.problems import invalid
from api.schemas import ChatMessageSendRequest

_KEY_MAX = 128
_BARE = re.compile(r"[!#-\[\]-~]+")  # printable ASCII without space, quote and backslash
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a structured-field string, RFC 8941 section 3.3.3
_encode = msgspec.json.Encoder(order="deterministic").encode


def parse_idempotency_key(headers: Sequence[str]) -> str | None:
    """The key, quoted or bare; None without the header. Raises ``InvalidRequest``."""
    if not headers:
        return None
    if len(headers) > 1:
        raise _refusal("is given more than once")
    text = headers[0].strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise _refusal("is neither a quoted string nor a bare word of printable ASCII")
    if not 1 <= len(key) <= _KEY_MAX:
        raise _refusal(f"has {len(key)} characters; 1 to {_KEY_MAX} are allowed")
    return key


def fingerprint(body: ChatMessageSendRequest) -> str:
    """A digest of the validated body: spelling and order of the JSON do not matter, values do."""
    values = (body.content, body.ai_persona, body.metadata, body.on_busy.value, body.reply.value)
    return hashlib.blake2b(_encode(values), digest_size=16).hexdigest()


def _refusal(reason: str) -> Exception:
    return invalid(("header", "Idempotency-Key"), f"The key {reason}")
