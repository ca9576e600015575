"""Requests and responses about the page's session, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from api.fields import Timestamp, _Answer, _Body


class SessionCreateRequest(_Body):
    code: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A one-time code, as in the link that `parlor sign-in` prints."""
    account_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """With a code: the account that it has to be of."""
    token: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A bearer token, instead of a code. An API key is none."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The name of an account, instead of a code: only where `GET /v1/session/methods` says so."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.code, self.token, self.name].count(None) != 2:
            raise ValueError("give a code, a token or a name")
        if self.account_id is not None and self.code is None:
            raise ValueError("account_id is for a code")
        return self


class SessionResponse(_Answer):
    account_id: str
    scopes: list[str]
    """What the credential allows: `read`, `write`."""
    expires_at: Timestamp | None
    """null: it does not end by itself, as an API key without an end."""


class OpenIdMethod(_Body):
    title: str
    """What the page calls the identity provider."""
    path: str
    """Where signing in begins: an address to open, not to fetch."""


class SignInMethodsResponse(_Answer):
    code: bool
    """By a one-time code, as `parlor sign-in` prints it."""
    openid: OpenIdMethod | None
    """By OpenID Connect; null: not configured."""
    name: bool
    """By a name alone, without any proof: for trying Parlor on one's own machine."""
