"""The audit log in the global database: who did what to whom. Entries are added, and never changed."""

from __future__ import annotations

from typing import Protocol

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.administration import Action, Actor, AuditEntry
from parlor.store.ports import ChatStore

NEWEST = 2**63 - 1
"""Above every entry's id."""


class AuditLog(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def note(self, actor: Actor, action: Action, subject: str, now_ms: int, detail: str = "") -> None:
        """Writes an entry. Called before it is done, so that nothing is done that is not written down."""

    async def page(self, limit: int, below: int = NEWEST) -> list[AuditEntry]:
        """Returns entries, newest first, from the one before the entry ``below``."""


class AuditStore:
    """``AuditLog`` in the global database."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def note(self, actor: Actor, action: Action, subject: str, now_ms: int, detail: str = "") -> None:
        args = (now_ms, actor.way.value, actor.name, action.value, subject, detail)
        await self._store.call_global_procedure("fp_audit_add", args)

    async def page(self, limit: int, below: int = NEWEST) -> list[AuditEntry]:
        found = await self._store.call_global_procedure("fp_audit_get", (below, limit))
        try:
            return [
                msgspec.convert(dict(zip(AuditEntry.__struct_fields__, row, strict=True)), AuditEntry) for row in found
            ]
        except (msgspec.ValidationError, ValueError) as error:
            raise StoreUnavailable(debug=f"a row does not fit AuditEntry: {error}") from error
