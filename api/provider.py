"""The keys of an identity provider, fetched from its JWK Set.

They are kept by their ids and read again at an interval, in the background: no request waits for the provider, but for
the first one with a key that is not known yet. While the provider does not answer, the keys that are known stay good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import jwt
import structlog

from api.callers import Caller, OpenStreams
from api.key_ring import VerifyingKey
from parlor.clock import Clock
from parlor.errors import ProviderUnavailable
from parlor.settings.identity import IdentitySettings

PREFIX = "provider:"
"""What the credential of a provider's token begins with; then comes its key's id."""
_SIZE_MAX = 256 * 1024
_KEYS_MAX = 100
_KID_MAX = 256
_RSA_BITS_MIN = 2048
_log = structlog.get_logger(__name__)

Fetch = Callable[[], Awaitable[bytes]]
UNREADABLE = (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TimeoutError, OSError)
"""What reading a provider's document may raise."""


class ProviderKeys:
    """The keys that are known, by id."""

    def __init__(self) -> None:
        self._keys: dict[str, VerifyingKey] = {}

    def load(self, key_set: bytes) -> int:
        """Replaces what is known, returns how many there are. A key that cannot be used is left out. Raises
        ``ValueError`` for what is no key set; then what is known stays."""
        try:
            found = jwt.PyJWKSet.from_json(key_set.decode())
        except (jwt.PyJWTError, AttributeError, TypeError) as error:
            raise ValueError(type(error).__name__) from error
        usable = {key.key_id: verifying for key in found.keys[:_KEYS_MAX] if (verifying := _verifying(key)) is not None}
        if not usable:
            raise ValueError("no key in it can be used")
        self._keys = {str(kid): key for kid, key in usable.items()}
        return len(self._keys)

    def get(self, kid: str) -> VerifyingKey | None:
        return self._keys.get(kid)

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys


def _verifying(key: jwt.PyJWK) -> VerifyingKey | None:
    """The key with the one algorithm that it is for; None for one of another kind, or for another use."""
    raw = key._jwk_data  # noqa: SLF001 - PyJWK has no property for most members
    if raw.get("use", "sig") != "sig" or not isinstance(key.key_id, str) or not 1 <= len(key.key_id) <= _KID_MAX:
        return None
    match raw.get("kty"), raw.get("crv"):
        case "RSA", _:
            algorithm = "RS256" if key.key.key_size >= _RSA_BITS_MIN else ""
        case "EC", "P-256":
            algorithm = "ES256"
        case "OKP", "Ed25519":
            algorithm = "EdDSA"
        case _:
            algorithm = ""
    return VerifyingKey(algorithm, key) if algorithm and raw.get("alg", algorithm) == algorithm else None


class KeySource:
    """Keys that are read from a provider, not more often than allowed."""

    def __init__(self, fetch: Fetch, refresh_min: timedelta, clock: Clock, changed: Callable[[], None]) -> None:
        self.keys = ProviderKeys()
        self.failing = True
        """Whether the last attempt failed, or there was none."""
        self.tried_at: float | None = None
        self._fetch = fetch
        self._refresh_min = refresh_min.total_seconds()
        self._clock = clock
        self._changed = changed
        self._lock = asyncio.Lock()
        self._told = False

    @property
    def may_ask_in(self) -> float:
        """Seconds until the provider may be asked again."""
        if self.tried_at is None:
            return 0.0
        return max(0.0, self.tried_at + self._refresh_min - self._clock.monotonic())

    async def look_again(self) -> None:
        """Reads the keys now, unless that was tried a moment ago. Raises ``ProviderUnavailable`` when they could not be
        read: then nobody knows whether the key is good."""
        if not self.may_ask_in:
            await self.read(self.tried_at)
        else:
            async with self._lock:  # an attempt that is under way may bring the key
                pass
        if self.failing:
            raise ProviderUnavailable(retry_after=self._refresh_min)

    async def read(self, tried_at: float | None) -> None:
        """Reads the keys, unless that was tried since ``tried_at``."""
        async with self._lock:
            if self.tried_at != tried_at:
                return  # another caller has just done it
            self.tried_at = self._clock.monotonic()
            try:
                count = self.keys.load(await self._fetch())
            except UNREADABLE as error:
                self.failing = True
                if not self._told:
                    _log.warning("provider_keys_not_read", error=type(error).__name__, reason=str(error)[:200])
                self._told = True
                return
            if self.failing:
                _log.info("provider_keys_read", keys=count)
            self.failing = self._told = False
            self._changed()


class Provider:
    """Keeps the keys up to date; ``run`` it."""

    def __init__(
        self, settings: IdentitySettings, streams: OpenStreams, clock: Clock, fetch: Fetch | None = None
    ) -> None:
        self.settings = settings
        self._streams = streams
        self._clock = clock
        self._source = KeySource(fetch or self._download, settings.refresh_min, clock, self._end_streams)
        self.keys = self._source.keys
        self.look_again = self._source.look_again

    async def run(self) -> None:
        """Reads the keys at the interval, until it is cancelled; after a failure, at the shortest one."""
        while True:
            await self._source.read(self._source.tried_at)
            pause = self.settings.refresh_min if self._source.failing else self.settings.refresh
            await self._clock.sleep(pause.total_seconds())

    def _end_streams(self) -> None:
        self._streams.end(self._is_of_removed_key, "token-revoked")

    def _is_of_removed_key(self, caller: Caller) -> bool:
        key = caller.credential.key
        return key.startswith(PREFIX) and key.removeprefix(PREFIX) not in self.keys

    async def _download(self) -> bytes:
        return await download(self.settings.jwks_url, self.settings.timeout)


async def download(url: str, timeout: timedelta) -> bytes:
    """A document of a provider. Raises one of ``UNREADABLE``."""
    async with asyncio.timeout(timeout.total_seconds()):
        # No redirect is followed: it would lead to whom the operator did not name.
        async with httpx2.AsyncClient() as http, http.stream("GET", url) as answer:
            if answer.status_code != httpx2.codes.OK:
                raise ValueError(f"status {answer.status_code}")
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _SIZE_MAX:
                    raise ValueError(f"more than {_SIZE_MAX} bytes")
            return content
