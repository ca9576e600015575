"""The audit log, as every store keeps it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from parlor.model.administration import Action, Actor, Way
from parlor.store.audit_log import AuditStore
from parlor.store.ports import ChatStore, RowRefused

pytestmark = pytest.mark.contract

NOW = 1_795_403_885_042


async def test_entries_are_read_newest_first_in_pages(store: ChatStore) -> None:
    log, subject = AuditStore(store), f"Ädä {uuid4()}"
    olga = Actor(Way.HTTP, "Ölga ")
    for number, action in enumerate((Action.ACCOUNT_DISABLED, Action.ACCOUNT_ENABLED, Action.ACCOUNT_DELETED)):
        await log.note(olga, action, subject, NOW + number, f"detail {number}")
    page = await log.page(2)
    assert [(entry.at, entry.way, entry.actor, entry.action, entry.subject, entry.detail) for entry in page] == [
        (NOW + 2, "http", "Ölga ", "account-deleted", subject, "detail 2"),
        (NOW + 1, "http", "Ölga ", "account-enabled", subject, "detail 1"),
    ]
    (oldest,) = await log.page(1, page[-1].entry_id)
    assert (oldest.action, oldest.subject) == ("account-disabled", subject)


async def test_entries_that_come_together_are_all_there(store: ChatStore) -> None:
    log, subject = AuditStore(store), f"{uuid4()}"
    actor = Actor(Way.COMMAND, "root")
    await asyncio.gather(*(log.note(actor, Action.API_KEY_MADE, subject, NOW, str(n)) for n in range(20)))
    found = [entry for entry in await log.page(100) if entry.subject == subject]
    assert sorted(int(entry.detail) for entry in found) == list(range(20))


@pytest.mark.parametrize("name", ["x" * 256, "\ud800"])
async def test_a_name_that_does_not_fit_is_refused(store: ChatStore, name: str) -> None:
    with pytest.raises(RowRefused):
        await AuditStore(store).note(Actor(Way.HTTP, name), Action.SIGNED_IN, "x", NOW)
