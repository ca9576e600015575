"""What the browser keeps while a person is at the issuer: a cookie, sealed so that only our replicas write and read it.

It is Lax, because the way back is a navigation that the issuer's page begins; the session's own cookie stays Strict.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.datastructures import Headers

from api import session_cookie
from parlor.clock import Clock, Entropy
from parlor.errors import Unauthenticated
from parlor.model.ids import InstallationId

PATH = "/v1/session/openid"
SECONDS = 600
"""For signing in at the issuer."""
_NONCE_BYTES = 12
NOT_BEGUN = "The sign-in was not begun in this browser, or took longer than ten minutes; begin it again"


class RoundTrip(msgspec.Struct, frozen=True):
    """One sign-in that is under way."""

    state: str
    nonce: str
    verifier: str
    """PKCE's (RFC 7636)."""
    redirect_uri: str
    until: int
    """Unix milliseconds."""


class RoundTrips:
    """Begins them, and finds them again in cookies."""

    def __init__(self, key: bytes, clock: Clock, entropy: Entropy) -> None:
        self._cipher = AESGCM(key)
        self._clock = clock
        self._entropy = entropy

    def begin(self, redirect_uri: str) -> RoundTrip:
        state, nonce, verifier = (f"{self._entropy.bits(256):064x}" for _ in range(3))
        return RoundTrip(state, nonce, verifier, redirect_uri, self._clock.now_ms() + SECONDS * 1000)

    def cookie(self, installation: InstallationId, trip: RoundTrip, *, secure: bool) -> str:
        """The ``Set-Cookie`` of one."""
        nonce = self._entropy.bits(8 * _NONCE_BYTES).to_bytes(_NONCE_BYTES, "big")
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.json.encode(trip), installation.encode())
        return _set_cookie(installation, base64.urlsafe_b64encode(sealed).decode().rstrip("="), SECONDS, secure=secure)

    def of(self, installation: InstallationId, headers: Headers) -> RoundTrip:
        """The one that the browser is back from. Raises ``Unauthenticated``."""
        texts = session_cookie.tokens_in(headers).get(_name(installation), [])
        if len(texts) != 1:
            # Of two, one was put there by a page of another host of the domain.
            raise Unauthenticated(NOT_BEGUN, debug=f"{len(texts)} cookies")
        text = texts[0]
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            opened = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], installation.encode())
            trip = msgspec.json.decode(opened, type=RoundTrip)
        except (binascii.Error, InvalidTag, msgspec.DecodeError, ValueError) as error:
            raise Unauthenticated(NOT_BEGUN, debug=type(error).__name__) from None
        if trip.until <= self._clock.now_ms():
            raise Unauthenticated(NOT_BEGUN, debug="too late")
        return trip


def no_cookie(installation: InstallationId, *, secure: bool) -> str:
    """The ``Set-Cookie`` that has the browser forget it."""
    return _set_cookie(installation, "", 0, secure=secure)


def _name(installation: InstallationId) -> str:
    return f"{session_cookie.name_of(installation)}_openid"


def _set_cookie(installation: InstallationId, value: str, seconds: int, *, secure: bool) -> str:
    parts = [f"{_name(installation)}={value}", f"Path={PATH}", f"Max-Age={seconds}", "HttpOnly", "SameSite=Lax"]
    return "; ".join([*parts, "Secure"] if secure else parts)
