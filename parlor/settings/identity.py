"""The identity provider whose tokens are accepted besides Parlor's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from parlor.settings.section import Section
from parlor.settings.urls import secure_url
from parlor.settings.values import Text, TimeLimit


class IdentitySettings(Section):
    """An identity provider whose tokens are accepted besides Parlor's own (docs/OPERATIONS.md). A token's `sub` is the
    account."""

    jwks_url: Annotated[Text, AfterValidator(secure_url)] = ""
    """Where the provider's public keys are (a JWK Set, RFC 7517); its discovery document calls it `jwks_uri`. Empty: no
    provider."""
    issuer: Text = ""
    """The `iss` of the provider's tokens, as it is spelled in them."""
    audience: Text = ""
    """The `aud` of the provider's tokens that are for Parlor."""
    refresh: Annotated[TimeLimit, Field(ge=timedelta(seconds=30))] = timedelta(minutes=10)
    """How often the keys are read again. A key that the provider no longer has is refused from then on."""
    refresh_min: TimeLimit = timedelta(seconds=30)
    """Shortest time between two attempts to read the keys: a token with an unknown key asks for another one."""
    timeout: TimeLimit = timedelta(seconds=5)
    """Time limit of one attempt."""

    @model_validator(mode="after")
    def _whole(self) -> IdentitySettings:
        missing = [name for name in ("issuer", "audience") if not getattr(self, name)]
        if self.jwks_url and missing:
            raise ValueError(
                f"{' and '.join(missing)} must be set as well: without it any token of the provider is good"
            )
        return self
