"""Whether nothing is left of the accounts that are deleted (I22)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from parlor.fsck.findings import DeletionFinding
from parlor.model.access import Deletion, Standing
from parlor.model.ids import AccountId
from parlor.store.access import AccessStore
from parlor.store.accounts import AccountStore
from parlor.store.deletions import DeletionStore
from parlor.store.ports import ChatStore

PAGE = 100


async def false_receipts(store: ChatStore, account: AccountId | None) -> list[DeletionFinding]:
    """Finds receipts that do not hold, all of them or one account's. Raises ``StoreUnavailable``."""
    found: list[DeletionFinding] = []
    async for receipt in _receipts(DeletionStore(store), account):
        what = await _left(store, receipt)
        if what:
            found.append(
                DeletionFinding(
                    invariant="I22",
                    kind="account-remains",
                    what=f"receipt {receipt.receipt_id} says that all is gone; there are {', '.join(what)} left",
                    account_id=receipt.account_id,
                    receipt_id=receipt.receipt_id,
                )
            )
    return found


async def _receipts(deletions: DeletionStore, account: AccountId | None) -> AsyncIterator[Deletion]:
    if account is not None:
        one = await deletions.find(account)
        if one is not None and one.finished_at is not None:
            yield one
        return
    after = 0
    while page := await deletions.page(PAGE, after, finished=True):
        for each in page:
            yield each
        after = page[-1].account_db_key


async def _left(store: ChatStore, receipt: Deletion) -> list[str]:
    remains = await DeletionStore(store).remains(await store.shard_of(receipt.partition), receipt.account_db_key)
    counts = {"rooms": remains.rooms, "rows of messages": remains.messages, "rows of use": remains.use}
    counts["files"] = remains.files
    counts["API keys"] = len(await AccessStore(store).api_keys(receipt.account_db_key, PAGE))
    row = await AccountStore(store).find(receipt.account_id)
    counts["ways in"] = int(row is None or row.standing is not Standing.DELETED)
    return [f"{count} {name}" for name, count in counts.items() if count]
