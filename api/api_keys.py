"""API keys: what an account's programs come in with.

A key is ``parlor_<key_id>_<secret>``. The id is no secret: lists show it, with ``parlor_`` in front, and the key is
found by it. Of the rest Parlor keeps the SHA-256. The secret has 256 random bits, so nobody finds it by trying, and a
slow hash, as for passwords, would protect nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Iterable

from parlor.clock import Clock, Entropy
from parlor.errors import Unauthenticated
from parlor.model.access import Credential
from parlor.store.access import Access, ApiKey, ApiKeyOwner

PREFIX = "parlor_"
KEYS_MAX = 100
"""Of one account."""
NEVER = 2**53 - 1
"""The end of what has none, in unix milliseconds."""
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_ID = 16
"""Characters of an id: the time in 45 bits, then 35 random ones, so that ids sort by time."""
_FORM = re.compile(rf"{PREFIX}([{_DIGITS}]{{{_ID}}})_[0-9a-f]{{64}}")
_CACHE_MAX = 10_000
_LOOKUPS = 2
"""Keys that a replica looks up at a time: half of its connections to the global database, so that made-up keys leave
the other half to everybody else."""
_USE_INTERVAL_MS = 3_600_000
"""How exact the last use is."""


def new_key(
    name: str, scopes: Iterable[str], expires_at: int | None, clock: Clock, entropy: Entropy
) -> tuple[ApiKey, str]:
    """Returns a key as it is kept, and the key itself, which is shown once."""
    now = clock.now_ms()
    number = now << 35 | entropy.bits(35)
    key_id = "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_ID)))
    return ApiKey(key_id, name, " ".join(sorted(scopes)), now, expires_at), f"{PREFIX}{key_id}_{entropy.bits(256):064x}"


def is_key_id(text: str) -> bool:
    return re.fullmatch(rf"[{_DIGITS}]{{{_ID}}}", text) is not None


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def is_api_key(credential: Credential) -> bool:
    """Whether it is the credential of an API key, not of a token."""
    return credential.key.startswith(PREFIX)


class ApiKeys:
    """The keys that a replica has looked up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, ApiKeyOwner] = {}
        self._forgotten = 0
        """How often something was forgotten."""
        self._used: dict[str, int] = {}
        """When each key was last noted as used."""
        self._to_note: set[str] = set()
        self._lookups = asyncio.Semaphore(_LOOKUPS)

    async def verify(self, access: Access, key: str) -> ApiKeyOwner:
        """Raises ``Unauthenticated`` or ``StoreUnavailable``."""
        form = _FORM.fullmatch(key)
        found = await self._find(access, form[1]) if form else None
        if found is None or not hmac.compare_digest(found.digest, digest_of(key)):
            raise Unauthenticated("The API key is not valid, or was ended")
        if found.expires_at is not None and found.expires_at <= self._clock.now_ms():
            raise Unauthenticated("The API key has expired")
        self._note(found)
        return found

    def knows(self, key: str) -> bool:
        """Whether it was looked up before, and is remembered."""
        form = _FORM.fullmatch(key)
        found = self._known.get(form[1]) if form else None
        return found is not None and hmac.compare_digest(found.digest, digest_of(key))

    async def accepts(self, access: Access, credential: Credential) -> bool:
        """Whether the key of a credential was not ended."""
        return await self._find(access, credential.key.removeprefix(PREFIX)) is not None

    def forget(self, key_id: str) -> None:
        self._known.pop(key_id, None)
        self._used.pop(key_id, None)
        self._forgotten += 1

    def forget_all(self) -> None:
        self._known.clear()
        self._forgotten += 1

    async def write_uses(self, access: Access) -> None:
        """Writes down when keys were used. Raises ``StoreUnavailable``; what is not written is tried again."""
        while self._to_note:
            key_id = next(iter(self._to_note))
            await access.note_api_key_use(key_id, self._used.get(key_id, self._clock.now_ms()))
            self._to_note.discard(key_id)

    async def _find(self, access: Access, key_id: str) -> ApiKeyOwner | None:
        known = self._known.pop(key_id, None)
        if known is None:
            forgotten = self._forgotten
            async with self._lookups:
                known = await access.find_api_key(key_id)
            if known is None or forgotten != self._forgotten:
                return known  # it may have been read before it was ended
        self._known[key_id] = known
        if len(self._known) > _CACHE_MAX:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._used.pop(oldest, None)
        return known

    def _note(self, key: ApiKeyOwner) -> None:
        now = self._clock.now_ms()
        if now - self._used.get(key.key_id, key.used_at or 0) >= _USE_INTERVAL_MS:
            self._used[key.key_id] = now
            self._to_note.add(key.key_id)


def credential_of(key: ApiKeyOwner) -> Credential:
    return Credential(PREFIX + key.key_id, key.created_at, NEVER if key.expires_at is None else key.expires_at)
