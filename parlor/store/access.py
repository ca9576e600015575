"""Who may come in: the keys that sign tokens, and what ended before its time, in the global database.

Processes keep what they have read. ``changes`` tells them what to forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from parlor.errors import StoreUnavailable
from parlor.ids import AccountId
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


class ChangeKind(StrEnum):
    """What changed. A newer program may write others."""

    SIGNING_KEYS = "signing-keys"
    ACCOUNT_REVOKED = "account-revoked"
    """What was issued to the account before ``changed_at`` has ended."""


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
