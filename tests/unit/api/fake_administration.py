"""What operators may do, over accounts and dead letters in memory."""

from __future__ import annotations

from datetime import date
from typing import Any

from parlor.cache.dead_letters import DeadLetter
from parlor.cache.live import RoomAddress
from parlor.cache.queue import QueueEntry
from parlor.errors import AccountNotFound, DeadLetterNotFound
from parlor.model.access import AccountRow, DailyUse, Deletion, Standing
from parlor.model.administration import (
    AccountReport,
    Action,
    Actor,
    ActorLine,
    AuditEntry,
    Overview,
    ShardLine,
)
from parlor.model.ids import AccountId, Partition, RoomId
from parlor.model.messages import QueuePosition
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from parlor.store.account_limits import Changes, OwnLimits
from parlor.store.audit_log import NEWEST
from tests.unit.api.fake_access import FakeAccess

ROOM = RoomId("019ed0f0-2362-8011-8000-00000000002a")


def dead_letter(number: int) -> DeadLetter:
    entry = QueueEntry(
        position=QueuePosition(1, number),
        partition=Partition(17),
        op="CHAT_MESSAGE_SAVE",
        address=RoomAddress(ROOM, AccountId("alice"), 5),
        seq=number,
    )
    return DeadLetter(f"1795403885042-{number}", "Data too long for column", 1_795_403_885_042, entry)


class FakeAdministration:
    """Alice and bob, and two dead letters; ``calls`` has the changes."""

    def __init__(self, access: FakeAccess) -> None:
        self._access = access
        self.calls: list[tuple[Any, ...]] = []
        self.limits = AccountLimits(LimitSettings())
        self.own_limits: dict[str, OwnLimits] = {}
        self.numbers = {"alice": 5, "bob": 7}
        self.parked = [dead_letter(1), dead_letter(2)]
        self.deleted_at: int | None = None
        self.fails: Exception | None = None

    async def overview(self) -> Overview:
        if self.fails is not None:
            raise self.fails
        actor = ActorLine("rooms-000", "RoomActor", True, 3, "", 40, "node", replies=1, sends=70, replied=60)
        return Overview({"redis": "ok"}, [actor], [ShardLine(1, 4, 0.5, 2, "")])

    async def accounts(self, limit: int, after: int) -> list[AccountRow]:
        return [self._row(name) for name, number in self.numbers.items() if number > after][:limit]

    async def account(self, account: AccountId, first: date, last: date) -> AccountReport:
        use = [DailyUse(5, last.isoformat(), 1, 2, 3), DailyUse(5, first.isoformat(), 10, 20, 30, 750_000_000)]
        return AccountReport(self._row(account), 4, 1, use, self.own_limits.get(account, {}))

    async def revoke(self, account: AccountId, not_before: int) -> None:
        self._row(account)
        self.calls.append(("revoke", account, not_before))
        await self._access.revoke_account(account, not_before)

    async def set_disabled(self, account: AccountId, disabled: bool) -> None:
        self._row(account)
        self.calls.append(("set_disabled", account, disabled))
        standing = Standing.DISABLED if disabled else Standing.ACTIVE
        self._access.standings[account] = standing
        self._access.tell(f"account-{standing}", account)

    async def set_limits(self, account: AccountId, changes: Changes) -> None:
        self._row(account)
        self.calls.append(("set_limits", account, changes))
        merged = {**self.own_limits.get(account, {}), **changes}
        self.own_limits[account] = {name: value for name, value in merged.items() if value is not None}
        self.limits.set(account, self.own_limits[account])

    async def delete(self, account: AccountId) -> Deletion:
        row = self._row(account)
        self.calls.append(("delete", account))
        self._access.standings[account] = Standing.DELETED
        self._access.tell("account-deleted", account)
        return Deletion(account, row.account_db_key, row.partition, "receipt", 1_795_403_885_042, self.deleted_at, 4)

    async def dead_letters(self, limit: int, after: str | None) -> list[DeadLetter]:
        return [one for one in self.parked if after is None or one.id > after][:limit]

    async def replay(self, dead_letter_id: str) -> None:
        self._found(dead_letter_id)
        self.calls.append(("replay", dead_letter_id))

    async def drop(self, dead_letter_id: str) -> str:
        self._found(dead_letter_id)
        self.calls.append(("drop", dead_letter_id))
        return "its message is deleted"

    def _row(self, account: str) -> AccountRow:
        if account not in self.numbers:
            raise AccountNotFound
        standing = self._access.standings.get(account, Standing.ACTIVE)
        since = 0 if standing is Standing.ACTIVE else 1_795_403_885_042
        not_before = self._access.not_before.get(account, 0)
        return AccountRow(AccountId(account), self.numbers[account], Partition(17), not_before, standing, since)

    def _found(self, dead_letter_id: str) -> None:
        if dead_letter_id not in [one.id for one in self.parked]:
            raise DeadLetterNotFound


class FakeAuditLog:
    """Entries in memory; ``fails`` is raised by each."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.fails: Exception | None = None

    async def note(self, actor: Actor, action: Action, subject: str, now_ms: int, detail: str = "") -> None:
        if self.fails is not None:
            raise self.fails
        number = len(self.entries) + 1
        self.entries.append(AuditEntry(number, now_ms, actor.way, actor.name, action, subject, detail))

    async def page(self, limit: int, below: int = NEWEST) -> list[AuditEntry]:
        return [entry for entry in reversed(self.entries) if entry.entry_id < below][:limit]
