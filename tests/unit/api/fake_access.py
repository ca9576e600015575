"""Credentials in memory."""

from __future__ import annotations

import asyncio

import msgspec

from parlor.model.access import Standing
from parlor.model.ids import AccountId
from parlor.store.access import AccessChange, AccessChanges, ApiKey, ApiKeyOwner, SigningKey


class FakeAccess:
    """Keys in memory; ``fails`` is raised by every call."""

    def __init__(self) -> None:
        self.keys: dict[str, SigningKey] = {}
        self.api_key_rows: dict[str, tuple[ApiKey, str]] = {}
        """All of alice."""
        self.looked_up: list[str] = []
        self.uses: list[tuple[str, int]] = []
        self.not_before: dict[str, int] = {}
        self.standings: dict[str, Standing] = {}
        self.log: list[AccessChange] = []
        self.lost = 0
        """How many of the first changes are gone."""
        self.asked = 0
        self.questions = asyncio.Event()
        """Set by each question for changes."""
        self.fails: Exception | None = None

    def tell(self, kind: str, subject: str, at: int = 0) -> None:
        self.log.append(AccessChange(len(self.log) + 1, kind, subject, at))

    async def signing_keys(self) -> list[SigningKey]:
        self._called()
        return list(self.keys.values())

    async def add_signing_key(self, key: SigningKey) -> None:
        self._called()
        self.keys.setdefault(key.kid, key)
        self.tell("signing-keys", key.kid)

    async def retire_signing_key(self, kid: str, now_ms: int) -> None:
        self._called()
        known = self.keys.get(kid, SigningKey(kid, "", "", now_ms))
        self.keys[kid] = msgspec.structs.replace(known, retired_at=now_ms)
        self.tell("signing-keys", kid)

    async def revoke_account(self, account: AccountId, not_before: int) -> int:
        self._called()
        self.not_before[account] = max(not_before, self.not_before.get(account, 0))
        self.tell("account-revoked", account, not_before)
        return self.not_before[account]

    async def add_api_key(self, account_db_key: int, key: ApiKey, digest: str, most: int) -> bool:
        self._called()
        if len(self.api_key_rows) >= most:
            return False
        self.api_key_rows[key.key_id] = (key, digest)
        return True

    async def api_keys(self, account_db_key: int, limit: int, after: str = "") -> list[ApiKey]:
        self._called()
        rows = sorted(self.api_key_rows.items())
        return [key for key_id, (key, _) in rows if key_id > after][:limit]

    async def find_api_key(self, key_id: str) -> ApiKeyOwner | None:
        self._called()
        self.looked_up.append(key_id)
        found = self.api_key_rows.get(key_id)
        if found is None:
            return None
        key, digest = found
        owner = AccountId("alice")
        return ApiKeyOwner(key_id, owner, digest, key.scopes, key.created_at, key.expires_at, key.used_at)

    async def end_api_key(self, account_db_key: int, key_id: str, now_ms: int) -> bool:
        self._called()
        if self.api_key_rows.pop(key_id, None) is None:
            return False
        self.tell("api-key-ended", key_id, now_ms)
        return True

    async def note_api_key_use(self, key_id: str, now_ms: int) -> None:
        self._called()
        self.uses.append((key_id, now_ms))

    async def changes(self, after: int) -> AccessChanges:
        self._called()
        self.asked += 1
        self.questions.set()
        kept = self.log[self.lost :]
        return AccessChanges(len(self.log), [change for change in kept if change.revision > after])

    def _called(self) -> None:
        if self.fails is not None:
            raise self.fails
