"""Signing in on the page by OpenID Connect."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from parlor.settings.section import Section
from parlor.settings.urls import secure_url
from parlor.settings.values import Secret, Text, TimeLimit

EMAIL = "email"


def _scopes(text: str) -> str:
    if "openid" not in text.split():
        raise ValueError("`openid` has to be among them: without it the issuer says nothing about who signs in")
    return text


class OpenIdSettings(Section):
    """Signing in on the page by OpenID Connect (docs/SIGN_IN.md)."""

    issuer: Annotated[Text, AfterValidator(secure_url)] = ""
    """The issuer, as it spells itself; what else there is to know is read from
    `<issuer>/.well-known/openid-configuration`. Empty: nobody signs in this way."""
    client_id: Text = ""
    """What the issuer calls this installation."""
    client_secret: Secret = SecretStr("")
    """The secret that came with the client id. Empty for a public client, which PKCE alone protects."""
    title: Text = ""
    """What the page calls the issuer: "Sign in with ...". Empty: its host."""
    scopes: Annotated[Text, AfterValidator(_scopes)] = "openid"
    """What is asked for, with blanks between: `openid email`, when `account_claim` needs it."""
    account_claim: Text = "sub"
    """The claim of the ID token that is the account's name. Whoever can choose its value at the issuer can be anybody.
    `email` counts only with `email_verified`."""
    timeout: TimeLimit = timedelta(seconds=5)
    """Time limit of one answer of the issuer."""
    refresh: TimeLimit = timedelta(minutes=10)
    """Age at which the issuer's keys are read again for the next sign-in."""
    refresh_min: Annotated[TimeLimit, Field(le=timedelta(seconds=10))] = timedelta(seconds=1)
    """Shortest time between two attempts to read one of the issuer's documents. A sign-in that needs a newer key waits
    for it."""

    @property
    def label(self) -> str:
        """What the page calls the issuer."""
        return self.title or urlsplit(self.issuer).netloc

    @model_validator(mode="after")
    def _whole(self) -> OpenIdSettings:
        if self.issuer and not self.client_id:
            raise ValueError("client_id must be set as well: the issuer knows us by it")
        return self
