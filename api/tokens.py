"""Bearer tokens: JWT signed with HS256 (RFC 7519, hardened after RFC 8725).

The algorithm is pinned; `exp`, `iss`, `aud` and `sub` are required. Times are checked against the injected clock, so
PyJWT's own checks of them are off.
"""

from __future__ import annotations

import binascii
import hashlib
import math
import re
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
from jwt.utils import base64url_decode, base64url_encode

from parlor.clock import Clock
from parlor.errors import Unauthenticated
from parlor.settings import AuthSettings
from parlor.settings.values import SIGNING_KEY_MIN

_ALGORITHM = "HS256"
_ACCOUNT_MAX = 128
_TOKEN_MAX = 4096
_CACHE_MAX = 10_000
_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)  # RFC 7515 section 3.1: base64url without padding


class Claims(msgspec.Struct, frozen=True):
    """The claims of a verified token that Parlor uses."""

    account_id: str
    valid_until_ms: int
    """Unix milliseconds: `exp` plus the leeway. Streams that were opened with the token end then."""


def issue(auth: AuthSettings, account: str, ttl: timedelta | None, now: datetime) -> str:
    """A token for ``account``, valid for ``ttl`` from ``now``; None: for the configured time.

    Raises ``ValueError`` for an account name that is not valid, a ttl that is not positive, or a short secret.
    """
    if not _sane_account(account):
        raise ValueError(f"an account name has 1 to {_ACCOUNT_MAX} printable characters, without a space at either end")
    lifetime = auth.token_ttl if ttl is None else ttl
    if lifetime <= timedelta(0):
        raise ValueError("the time to live of a token must be positive")
    claims = {
        "sub": account,
        "iss": auth.issuer,
        "aud": auth.audience,
        "iat": int(now.timestamp()),
        "exp": math.ceil((now + lifetime).timestamp()),
    }
    return jwt.encode(claims, _key(auth), algorithm=_ALGORITHM)


class TokenVerifier:
    """Verifies tokens, and remembers those that are valid."""

    def __init__(self, auth: AuthSettings, clock: Clock) -> None:
        """Raises ``ValueError`` when the secret is shorter than 32 bytes."""
        self._auth = auth
        self._key = _key(auth)
        self._leeway_ms = round(auth.leeway.total_seconds() * 1000)
        self._clock = clock
        self._verified: dict[bytes, Claims] = {}

    def verify(self, token: str) -> Claims:
        """Raises ``Unauthenticated``."""
        if len(token) > _TOKEN_MAX:
            raise Unauthenticated("The token is too long")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        claims = self._verified.pop(digest, None) or self._decode(token)
        if claims.valid_until_ms <= self._clock.now_ms():
            raise Unauthenticated("The token has expired")
        self._verified[digest] = claims  # reinserted last, so the first entry is the least recently used
        if len(self._verified) > _CACHE_MAX:
            del self._verified[next(iter(self._verified))]
        return claims

    def _decode(self, token: str) -> Claims:
        if not _is_canonical(token):
            raise Unauthenticated("The token is not valid")
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=self._auth.issuer,
                audience=self._auth.audience,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError) as error:
            # PyJWT's messages may quote the token, so only the class is logged.
            raise Unauthenticated("The token is not valid", debug=type(error).__name__) from None
        account, expires = payload["sub"], _seconds(payload["exp"])
        not_before = _seconds(payload.get("nbf", 0))
        if not isinstance(account, str) or not _sane_account(account):
            raise Unauthenticated("The token's subject is not an account name")
        if expires is None or not_before is None:
            raise Unauthenticated("The token's times are not numbers")
        if not_before * 1000 > self._clock.now_ms() + self._leeway_ms:
            raise Unauthenticated("The token is not valid yet")
        return Claims(account, int(expires * 1000) + self._leeway_ms)


def _key(auth: AuthSettings) -> bytes:
    key = auth.secret.get_secret_value().encode()
    if len(key) < SIGNING_KEY_MIN:
        raise ValueError(f"auth.secret has {len(key)} bytes; it needs at least {SIGNING_KEY_MIN}")
    return key


def _is_canonical(token: str) -> bool:
    """Whether the token is spelled as its issuer spelled it. The signature covers header and payload, but could itself
    be padded, or end in bits that mean nothing."""
    if _JWS.fullmatch(token) is None:
        return False
    signature = token.rpartition(".")[2]
    try:
        return base64url_encode(base64url_decode(signature)).decode() == signature
    except binascii.Error:
        return False


def _sane_account(account: str) -> bool:
    return 1 <= len(account) <= _ACCOUNT_MAX and account.isprintable() and account == account.strip()


def _seconds(value: object) -> float | None:
    """A NumericDate, or None when the value is not one (2**40 s is the year 36812)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        return None
    return float(value)
