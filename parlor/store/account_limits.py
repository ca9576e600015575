"""The limits that operators have set for single accounts, in the global database, and how processes follow them."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import structlog

from parlor.clock import Clock
from parlor.errors import ParlorError, StoreUnavailable
from parlor.model.ids import AccountId
from parlor.settings.account_limits import AccountLimits
from parlor.store.ports import ChatStore
from parlor.store.rows import Row

INTERVAL = 2.0
"""Seconds between two questions: with the time of the question itself, a change is everywhere within five."""
PAGE = 1000
"""Accounts of one question."""
OwnLimits: TypeAlias = dict[str, float | int | str]
Changes: TypeAlias = dict[str, float | int | str | None]
"""Limits that are to be set; None: the setting's again. ``off``: not limited."""
_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(OwnLimits).decode


class LimitRow(msgspec.Struct, frozen=True):
    """What an account has of its own, as of a revision."""

    account_id: AccountId
    limits: OwnLimits
    revision: int


class AccountLimitStore:
    """Raises ``StoreUnavailable`` throughout."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def change(self, account: AccountId, changes: Changes, now_ms: int) -> OwnLimits | None:
        """Changes these limits and leaves the account's others; returns what it has then, None for an account that
        there is not, or that was deleted."""
        args = (account, _encode(changes).decode(), now_ms)
        found = await self._store.call_global_procedure("fp_account_limits_change", args)
        return _row(found[0]).limits if found else None

    async def find(self, account: AccountId) -> OwnLimits:
        found = await self._store.call_global_procedure("fp_account_limits_find", (account,))
        return _row(found[0]).limits if found else {}

    async def changed(self, after: int) -> tuple[int, list[LimitRow]]:
        """Returns the database's revision, and the first accounts whose limits changed after this one."""
        found = await self._store.call_global_procedure("fp_account_limits_get", (after, PAGE))
        if not found or not isinstance(found[0][0], int):
            raise StoreUnavailable(debug="the global database has no access_head row: run `parlor migrate`")
        return found[0][0], [_row(row[1:]) for row in found if row[1] is not None]


class LimitFollower:
    """Keeps the limits that a process knows up to date."""

    def __init__(self, limits: AccountLimits, store: ChatStore, clock: Clock) -> None:
        self._limits = limits
        self._store = AccountLimitStore(store)
        self._clock = clock
        self._revision = 0
        """Of the last change that was followed."""
        self._failing = False

    async def run(self) -> None:
        """Follows until it is cancelled. While the global database does not answer, what is known holds."""
        while True:
            try:
                await self.follow()
                self._failing = False
            except ParlorError as error:
                if not self._failing:
                    _log.warning("limits_not_followed", code=error.code, debug=error.debug)
                self._failing = True
            await self._clock.sleep(INTERVAL)

    async def follow(self) -> None:
        """Takes over what has changed. Raises ``StoreUnavailable``."""
        while True:
            head, rows = await self._store.changed(self._revision)
            if head < self._revision:
                # The database was restored from a backup.
                self._limits.forget()
                self._revision = 0
                continue
            for row in rows:
                self._take(row)
            if not rows:
                return

    def _take(self, row: LimitRow) -> None:
        self._revision = row.revision
        try:
            self._limits.set(row.account_id, row.limits)
        except ValueError as error:
            # Of a newer program, which allows more.
            _log.warning("limits_not_known", account=row.account_id, error=str(error))


def _row(row: Row) -> LimitRow:
    try:
        account, limits, revision = row
        return msgspec.convert({"account_id": account, "limits": _decode(str(limits)), "revision": revision}, LimitRow)
    except (msgspec.DecodeError, ValueError) as error:
        raise StoreUnavailable(debug=f"a row does not fit LimitRow: {error}") from error
