"""The keys that verify tokens, by their ids.

Each key has one algorithm, and a token's header does not choose another one: a public key is never taken for an HMAC's
secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import jwt
import msgspec
import structlog

from parlor.store.access import SigningKey

SECRET = "secret"  # noqa: S105 - the name of a key
"""The id of the configured secret. Tokens that it signs carry no ``kid``."""
SECRET_ALGORITHM = "HS256"  # noqa: S105
SESSION = "session"
"""The id of the key that replicas sign sessions with, where people sign in on the page itself (ADR 0040)."""
ALGORITHM = "EdDSA"
"""What ``parlor keys add`` makes: the public half cannot sign, so it can be where every replica finds it."""
_log = structlog.get_logger(__name__)


class VerifyingKey(msgspec.Struct, frozen=True):
    algorithm: str
    key: bytes | jwt.PyJWK


class Keys(Protocol):
    """Keys by id."""

    def get(self, kid: str) -> VerifyingKey | None: ...

    def __contains__(self, kid: str) -> bool: ...


class KeyRing:
    """The keys that are not retired."""

    def __init__(self, secret: bytes, session: bytes | None = None) -> None:
        """``session``: the key that replicas sign sessions with, if they do."""
        self._configured = {SECRET: VerifyingKey(SECRET_ALGORITHM, secret)}
        if session is not None:
            self._configured[SESSION] = VerifyingKey(SECRET_ALGORITHM, session)
        self._keys = dict(self._configured)

    def load(self, rows: Iterable[SigningKey]) -> None:
        """Replaces what is known."""
        keys = dict(self._configured)
        for row in rows:
            if row.retired_at is not None:
                keys.pop(row.kid, None)
            elif (key := _verifying(row)) is not None:
                keys[row.kid] = key
        self._keys = keys

    def get(self, kid: str) -> VerifyingKey | None:
        return self._keys.get(kid)

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys


def _verifying(row: SigningKey) -> VerifyingKey | None:
    if row.kid in (SECRET, SESSION) or row.algorithm != ALGORITHM:
        _log.warning("signing_key_ignored", kid=row.kid, algorithm=row.algorithm)  # a newer program's
        return None
    try:
        return VerifyingKey(ALGORITHM, jwt.PyJWK.from_json(row.jwk, algorithm=ALGORITHM))
    except (jwt.PyJWTError, ValueError) as error:
        _log.error("signing_key_unreadable", kid=row.kid, error=type(error).__name__)
        return None
