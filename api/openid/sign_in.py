"""The two ends of a sign-in: sending somebody to the issuer, and finding out who came back; and signing out there."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any

import jwt
import structlog
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from api.openid.issuer import Issuer, Metadata
from api.openid.round_trip import RoundTrip
from api.provider import UNREADABLE
from api.tokens import is_account_name
from parlor.clock import Clock
from parlor.errors import Forbidden, ProviderUnavailable, Unauthenticated
from parlor.settings.openid import EMAIL

_TOKEN_MAX = 64 * 1024
_PASSING = frozenset({"server_error", "temporarily_unavailable"})
"""Errors of the issuer's that are not about the person (RFC 6749 section 4.1.2.1)."""
FAILED = "The identity provider's answer does not prove who you are; begin the sign-in again"
_log = structlog.get_logger(__name__)


class OpenIdSignIn:
    """Speaks with the issuer, as its client."""

    def __init__(self, issuer: Issuer, clock: Clock, leeway: float) -> None:
        """``leeway``: seconds by which clocks may differ."""
        self._issuer = issuer
        self._settings = issuer.settings
        self._clock = clock
        self._leeway = leeway

    @property
    def issuer(self) -> str:
        return self._settings.issuer

    async def address(self, trip: RoundTrip) -> str:
        """Where the person signs in. Raises ``ProviderUnavailable``."""
        metadata = await self._issuer.metadata()
        client = OAuth2Client(
            None,
            self._settings.client_id,
            scope=self._settings.scopes,
            redirect_uri=trip.redirect_uri,
            code_challenge_method="S256",
        )
        url, _ = client.create_authorization_url(
            metadata.authorization_endpoint, state=trip.state, nonce=trip.nonce, code_verifier=trip.verifier
        )
        return str(url)

    async def sign_out_address(self, page: str) -> str | None:
        """Where the person signs out of the issuer, which then sends the browser to ``page`` (RP-Initiated Logout 1.0);
        None: it has no such address. Raises ``ProviderUnavailable``."""
        endpoint = (await self._issuer.metadata()).end_session_endpoint
        if endpoint is None:
            return None
        query = [("client_id", self._settings.client_id), ("post_logout_redirect_uri", page)]
        return str(add_params_to_uri(endpoint, query))

    async def account(self, trip: RoundTrip, returned: Mapping[str, str]) -> str:
        """Whose account it is, by the query of the way back. Raises ``Unauthenticated``, ``Forbidden`` or
        ``ProviderUnavailable``."""
        if not hmac.compare_digest(returned.get("state", "").encode(), trip.state.encode()):
            raise Unauthenticated(FAILED, debug="state")
        metadata = await self._issuer.metadata()
        _check_issuer(metadata, returned)
        if error := returned.get("error"):
            raise self._refusal(error)
        if not (code := returned.get("code", "")):
            raise Unauthenticated(FAILED, debug="no code")
        token = await self._exchange(metadata, trip, code)
        return self._name(await self._verified(metadata, token, trip))

    def _client(self, metadata: Metadata, trip: RoundTrip) -> AsyncOAuth2Client:
        secret = self._settings.client_secret.get_secret_value()
        methods = metadata.token_endpoint_auth_methods_supported
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            self._settings.client_id,
            secret or None,
            token_endpoint_auth_method=method if secret else "none",
            redirect_uri=trip.redirect_uri,
            timeout=self._settings.timeout.total_seconds(),
            follow_redirects=False,
        )

    async def _exchange(self, metadata: Metadata, trip: RoundTrip, code: str) -> dict[str, Any]:
        """Returns the token response for a code."""
        try:
            async with (
                asyncio.timeout(self._settings.timeout.total_seconds()),
                self._client(metadata, trip) as client,
            ):
                found: dict[str, Any] = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=trip.verifier,
                )
        except OAuthError as error:
            raise self._refusal(error.error) from None
        except UNREADABLE as error:
            _log.warning("openid_token_not_read", error=type(error).__name__, reason=str(error)[:200])
            raise ProviderUnavailable from None
        return found

    def _refusal(self, error: str) -> Unauthenticated | Forbidden | ProviderUnavailable:
        if error == "access_denied":
            return Forbidden("The identity provider did not let you in")
        if error == "invalid_grant":
            return Unauthenticated(FAILED, debug=error)
        if error not in _PASSING:
            # It is about us: the client id or secret, the redirect URI, the scopes.
            _log.error("openid_refused", error=error[:100], client_id=self._settings.client_id)
        return ProviderUnavailable("The identity provider cannot sign anybody in right now", debug=error[:100])

    async def _verified(self, metadata: Metadata, token: Mapping[str, Any], trip: RoundTrip) -> CodeIDToken:
        """The claims of the ID token (OpenID Connect Core 1.0, section 3.1.3.7). Raises ``Unauthenticated`` or
        ``ProviderUnavailable``."""
        text = token.get("id_token")
        if not isinstance(text, str) or len(text) > _TOKEN_MAX:
            raise Unauthenticated(FAILED, debug="no id_token")
        try:
            header = jwt.get_unverified_header(text)
            found = await self._issuer.key(str(header.get("kid", "")))
            if found is None:
                raise Unauthenticated(FAILED, debug="unknown key")
            # The key says the algorithm; authlib checks the claims, against our clock.
            claims = jwt.decode(text, found.key, algorithms=[found.algorithm], options=_SIGNATURE_ALONE)
            client, expected = self._settings.client_id, {"essential": True, "value": metadata.issuer}
            options = {"iss": expected, "aud": {"essential": True, "value": client}}
            params = {"nonce": trip.nonce, "client_id": client, "access_token": token.get("access_token")}
            verified = CodeIDToken(claims, header, options, params)
            verified.validate(now=self._clock.now_ms() // 1000, leeway=self._leeway)
        except (jwt.PyJWTError, JoseError, ValueError) as error:
            # Messages may quote the token.
            raise Unauthenticated(FAILED, debug=type(error).__name__) from None
        return verified

    def _name(self, claims: Mapping[str, Any]) -> str:
        """Raises ``Forbidden``."""
        claim = self._settings.account_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not is_account_name(name):
            raise Forbidden(f"The identity provider says nothing in `{claim}` that could be an account's name")
        if claim == EMAIL and claims.get("email_verified") is not True:
            raise Forbidden("The identity provider has not verified your email address")
        return name


_SIGNATURE_ALONE: Any = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}


def _check_issuer(metadata: Metadata, returned: Mapping[str, str]) -> None:
    """Raises ``Unauthenticated`` for the answer of another issuer (RFC 9207)."""
    said = returned.get("iss")
    missing = said is None and metadata.authorization_response_iss_parameter_supported
    if missing or said not in (None, metadata.issuer):
        raise Unauthenticated(FAILED, debug="iss")
