"""The issuer as it describes itself, and its keys; both read when somebody signs in, not more often than allowed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import structlog

from api.key_ring import VerifyingKey
from api.provider import UNREADABLE, KeySource, download
from parlor.clock import Clock
from parlor.errors import ProviderUnavailable
from parlor.settings.openid import OpenIdSettings
from parlor.settings.urls import secure_url

_WELL_KNOWN = "/.well-known/openid-configuration"
_Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
_log = structlog.get_logger(__name__)


class Metadata(msgspec.Struct, frozen=True):
    """What we need of the issuer's description (OpenID Connect Discovery 1.0, section 3, and RP-Initiated Logout 1.0,
    section 2.1)."""

    issuer: str
    authorization_endpoint: _Url
    token_endpoint: _Url
    jwks_uri: _Url
    end_session_endpoint: Annotated[str, msgspec.Meta(max_length=2048)] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    def check(self, issuer: str) -> None:
        """Raises ``ValueError`` for the description of another issuer, and for addresses that are not to be trusted."""
        if self.issuer != issuer:
            raise ValueError(f"it describes the issuer {self.issuer[:100]!r}")
        for url in (self.authorization_endpoint, self.token_endpoint, self.jwks_uri, self.end_session_endpoint):
            if url is not None:
                secure_url(url)


class Issuer:
    """Reads what the settings name."""

    def __init__(self, settings: OpenIdSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read_at: float | None = None
        self._metadata: Metadata | None = None
        self._source = KeySource(self._download_keys, settings.refresh_min, clock, _nothing)

    async def metadata(self) -> Metadata:
        """Raises ``ProviderUnavailable``."""
        wait = self.settings.refresh_min.total_seconds()
        async with self._lock:
            if self._read_at is None or self._clock.monotonic() - self._read_at >= wait:
                self._metadata = await self._read()
                self._read_at = self._clock.monotonic()
        if self._metadata is None:
            raise ProviderUnavailable(retry_after=wait)
        return self._metadata

    async def key(self, kid: str) -> VerifyingKey | None:
        """The key that signed a token of the issuer's; None: it has no such key. Raises ``ProviderUnavailable``."""
        source = self._source
        age = None if source.tried_at is None else self._clock.monotonic() - source.tried_at
        if age is None or age >= self.settings.refresh.total_seconds():
            await source.read(source.tried_at)
        if kid not in source.keys:
            # The issuer itself has just handed out the token, so the key is newer than what was read.
            await self._clock.sleep(source.may_ask_in)
        if kid not in source.keys:
            await source.look_again()
        return source.keys.get(kid)

    async def _read(self) -> Metadata | None:
        url = self.settings.issuer.rstrip("/") + _WELL_KNOWN
        try:
            found = msgspec.json.decode(await download(url, self.settings.timeout), type=Metadata)
            found.check(self.settings.issuer)
        except UNREADABLE as error:
            _log.warning("openid_issuer_not_read", error=type(error).__name__, reason=str(error)[:200])
            return None
        return found

    async def _download_keys(self) -> bytes:
        return await download((await self.metadata()).jwks_uri, self.settings.timeout)


def _nothing() -> None:
    """No session ends with a key of the issuer: Parlor has signed it."""
