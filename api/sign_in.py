"""The ways in which a replica signs people in on the page, beside one-time codes and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.openid.round_trip import RoundTrips
from api.session_keys import SessionSigner, derived, signs_sessions
from api.this_machine import exposed
from api.tokens import secret_of
from parlor.clock import Clock, Entropy
from parlor.settings import Settings

if TYPE_CHECKING:
    from api.openid.sign_in import OpenIdSignIn


class SignIn:
    """What the settings allow."""

    def __init__(self, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        """Raises ``ValueError`` when the secret is too short, or signing in by name would be open to others."""
        if problem := exposed(settings):
            raise ValueError(f"auth.sign_in_by_name: {problem}")
        self.by_name = settings.auth.sign_in_by_name
        self.title = settings.openid.label
        self.signer = SessionSigner(settings.auth, clock) if signs_sessions(settings) else None
        self.session_key = self.signer.key if self.signer else None
        self.openid: OpenIdSignIn | None = None
        self.trips = RoundTrips(derived(secret_of(settings.auth), "openid round trip"), clock, entropy)
        if settings.openid.issuer:
            # Only then: authlib takes a moment to import.
            from api.openid.issuer import Issuer
            from api.openid.sign_in import OpenIdSignIn

            self.openid = OpenIdSignIn(Issuer(settings.openid, clock), clock, settings.auth.leeway.total_seconds())

    def session(self, account: str, provider: str = "") -> str:
        """The token of a session for somebody who has signed in. Raises ``ValueError`` for what is no account's
        name."""
        if self.signer is None:
            raise RuntimeError("nobody signs in here")
        return self.signer.sign(account, provider)
