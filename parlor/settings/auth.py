"""Settings of tokens and sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr, model_validator

from parlor.settings.section import Section, in_order
from parlor.settings.values import Lifetime, Pause, SigningKey, Text


class AuthSettings(Section):
    """Bearer tokens: JWT."""

    secret: SigningKey = SecretStr("")
    """Signing key of at least 32 bytes (HS256); `parlor up` makes one and keeps it in the data directory."""
    keys_dir: Text = ""
    """Folder of the private signing keys that `parlor keys add` makes (EdDSA). Empty: `keys` in the data directory."""
    issuer: Text = "parlor"
    """The token's `iss`."""
    audience: Text = "parlor-api"
    """The token's `aud`."""
    token_ttl: Lifetime = timedelta(days=30)
    """Lifetime of the tokens that `parlor token` prints, unless it is told another."""
    token_ttl_max: Lifetime = timedelta(days=90)
    """Longest lifetime of a token: one that says it lives longer is refused, whoever signed it."""
    session_ttl: Lifetime = timedelta(days=7)
    """Lifetime of a session of the page, however somebody signed in."""
    session_cookie: Literal["auto", "secure"] = "auto"
    """`secure`: browsers send the session cookie over TLS alone. `auto`: so does one that was set while a proxy said
    `X-Forwarded-Proto: https`."""
    sign_in_by_name: bool = False
    """Whether the page signs in whoever types a name, without any proof: for trying Parlor on one's own machine. It
    starts only with a front end on loopback."""
    leeway: Pause = timedelta(seconds=10)
    """Difference between clocks that is tolerated."""

    @model_validator(mode="after")
    def _tokens_are_accepted(self) -> AuthSettings:
        in_order(self, "token_ttl", "token_ttl_max")
        in_order(self, "session_ttl", "token_ttl_max")
        return self
