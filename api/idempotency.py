"""Requests that are safe to repeat: the header ``Idempotency-Key``, and the digest of what it came with."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from fastapi import Header, Request

from api.headers import parse_idempotency_key
from parlor.model.requests import Idempotency

REPLAYED = {"Idempotent-Replayed": "true"}
"""The header of an answer to a repeated request."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Makes a repeat harmless: the same key and request get the first answer again, for 24 hours",
    ),
]
"""Only for the document: ``idempotency_of`` reads and checks it."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def idempotency_of(request: Request, *asked: object) -> Idempotency | None:
    """The request's key with a digest of what is ``asked`` for; None without the header. Raises ``InvalidRequest``."""
    key = parse_idempotency_key(request.headers.getlist("idempotency-key"))
    return None if key is None else Idempotency(key, digest(*asked))


def digest(*asked: object) -> str:
    """A digest of values; the spelling and order of their JSON do not matter."""
    return hashlib.blake2b(_encode(asked), digest_size=16).hexdigest()
