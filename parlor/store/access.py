"""Who may come in: the keys that sign tokens, and what ended before its time, in the global database.

Processes keep what they have read. ``changes`` tells them what to forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.ids import AccountId
from parlor.store.ports import ChatStore

BEFORE_ANY = 2**62
"""A revision that no change reaches: ``changes`` after it gives the head alone."""
PAGE = 1000
"""Changes of one call."""


class SigningKey(msgspec.Struct, frozen=True):
    """A key that signs tokens, as everybody may know it."""

    kid: str
    algorithm: str
    jwk: str
    """The public half (RFC 7517); empty for a key that was never made known."""
    created_at: int
    """Unix milliseconds, like ``retired_at``."""
    retired_at: int | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """A key of an account, as its owner sees it. Times are Unix milliseconds."""

    key_id: str
    name: str
    scopes: str
    """Words between blanks: ``read``, ``write``."""
    created_at: int
    expires_at: int | None
    used_at: int | None = None
    """When it was last used, to the hour."""


class ApiKeyOwner(msgspec.Struct, frozen=True):
    """What a key that is shown is compared with."""

    key_id: str
    account_id: AccountId
    digest: str
    """The SHA-256 of the whole key, in hexadecimal."""
    scopes: str
    created_at: int
    expires_at: int | None
    used_at: int | None


class ChangeKind(StrEnum):
    """What changed. A newer program may write others."""

    SIGNING_KEYS = "signing-keys"
    API_KEY_ENDED = "api-key-ended"
    ACCOUNT_REVOKED = "account-revoked"
    """What was issued to the account before ``changed_at`` has ended."""
    ACCOUNT_ACTIVE = "account-active"
    """A disabled account is let in again."""
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_DELETED = "account-deleted"
    ACCOUNT_LIMITS = "account-limits"
    """See ``parlor.store.account_limits``."""


class AccessChange(msgspec.Struct, frozen=True):
    revision: int
    kind: str
    subject: str
    """The account or the key."""
    changed_at: int


class AccessChanges(msgspec.Struct, frozen=True):
    """A page of changes, ascending."""

    head: int
    """The last revision that there is."""
    changes: list[AccessChange]


class Access(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def signing_keys(self) -> list[SigningKey]:
        """Returns all of them, oldest first, retired ones too."""

    async def add_signing_key(self, key: SigningKey) -> None:
        """Makes a key known; harmless when it is, and a retired one stays retired."""

    async def retire_signing_key(self, kid: str, now_ms: int) -> None: ...

    async def revoke_account(self, account: AccountId, not_before: int) -> int:
        """Ends what was issued to an account before a time (Unix milliseconds); returns the time that holds."""

    async def add_api_key(self, account_db_key: int, key: ApiKey, digest: str, most: int) -> bool:
        """Adds a key; returns False when the account has ``most`` already."""

    async def api_keys(self, account_db_key: int, limit: int, after: str = "") -> list[ApiKey]:
        """Returns a page of an account's keys, oldest first, from the one after the id ``after``."""

    async def find_api_key(self, key_id: str) -> ApiKeyOwner | None: ...

    async def end_api_key(self, account_db_key: int, key_id: str, now_ms: int) -> bool:
        """Ends a key; returns False when the account has none with this id."""

    async def note_api_key_use(self, key_id: str, now_ms: int) -> None: ...

    async def changes(self, after: int) -> AccessChanges:
        """Returns the first changes after a revision."""


class AccessStore:
    """``Access`` in the global database."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def signing_keys(self) -> list[SigningKey]:
        found = await self._store.call_global_procedure("fp_signing_keys_get", ())
        return [_read(SigningKey, row) for row in found]

    async def add_signing_key(self, key: SigningKey) -> None:
        args = (key.kid, key.algorithm, key.jwk, key.created_at)
        await self._store.call_global_procedure("fp_signing_key_add", args)

    async def retire_signing_key(self, kid: str, now_ms: int) -> None:
        await self._store.call_global_procedure("fp_signing_key_retire", (kid, now_ms))

    async def revoke_account(self, account: AccountId, not_before: int) -> int:
        found = await self._store.call_global_procedure("fp_account_revoke", (account, not_before))
        if not found or not isinstance(found[0][0], int):
            raise StoreUnavailable(debug="fp_account_revoke found no account")
        return found[0][0]

    async def add_api_key(self, account_db_key: int, key: ApiKey, digest: str, most: int) -> bool:
        args = (key.key_id, account_db_key, key.name, digest, key.scopes, key.created_at, key.expires_at, most)
        return bool((await self._store.call_global_procedure("fp_api_key_add", args))[0][0])

    async def api_keys(self, account_db_key: int, limit: int, after: str = "") -> list[ApiKey]:
        found = await self._store.call_global_procedure("fp_api_keys_get", (account_db_key, after, limit))
        return [_read(ApiKey, row) for row in found]

    async def find_api_key(self, key_id: str) -> ApiKeyOwner | None:
        found = await self._store.call_global_procedure("fp_api_key_find", (key_id,))
        return _read(ApiKeyOwner, found[0]) if found else None

    async def end_api_key(self, account_db_key: int, key_id: str, now_ms: int) -> bool:
        args = (account_db_key, key_id, now_ms)
        return bool((await self._store.call_global_procedure("fp_api_key_delete", args))[0][0])

    async def note_api_key_use(self, key_id: str, now_ms: int) -> None:
        await self._store.call_global_procedure("fp_api_key_used", (key_id, now_ms))

    async def changes(self, after: int) -> AccessChanges:
        found = await self._store.call_global_procedure("fp_access_changes_get", (after, PAGE))
        if not found:
            raise StoreUnavailable(debug="the global database has no access_head row: run `parlor migrate`")
        head, first = found[0][0], found[0][1]
        if not isinstance(head, int):
            raise StoreUnavailable(debug=f"fp_access_changes_get answered {type(head).__name__}")
        return AccessChanges(head, [] if first is None else [_read(AccessChange, row[1:]) for row in found])


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def _read(kind: type[_Struct], row: Sequence[object]) -> _Struct:
    try:
        return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise StoreUnavailable(debug=f"a row does not fit {kind.__name__}: {error}") from error
