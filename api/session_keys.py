"""The key that replicas sign sessions with, where people sign in on the page itself (ADR 0040).

It is derived from the configured secret, so that every replica has it and nothing new has to be kept. It is another key
than the secret: retiring that one does not end it, and what it signs is never an operator's.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.key_ring import SECRET_ALGORITHM, SESSION
from api.tokens import Signer, issue, secret_of
from parlor.clock import Clock
from parlor.settings import AuthSettings, Settings

_BYTES = 32


def derived(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose (RFC 5869): whoever has it has neither the secret nor another purpose's."""
    return HKDF(SHA256(), _BYTES, None, f"parlor {purpose}".encode()).derive(secret)


class SessionSigner:
    """Signs sessions of people who have signed in."""

    def __init__(self, auth: AuthSettings, clock: Clock) -> None:
        """Raises ``ValueError`` when the secret is too short."""
        self._auth = auth
        self._clock = clock
        self.key = derived(secret_of(auth), "session")

    def sign(self, account: str, provider: str = "") -> str:
        """Returns the token of a session; ``provider`` is the issuer that has signed the person in. Raises
        ``ValueError`` for what is no account's name."""
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        signer = Signer(SESSION, self.key, SECRET_ALGORITHM)
        return issue(self._auth, account, self._auth.session_ttl, now, signer, provider=provider)


def signs_sessions(settings: Settings) -> bool:
    """Whether anybody signs in on the page itself."""
    return bool(settings.openid.issuer) or settings.auth.sign_in_by_name
