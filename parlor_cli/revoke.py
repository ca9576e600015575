"""`parlor revoke`: ends everything that was issued to an account."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from parlor.clock import SystemClock
from parlor.errors import CacheUnavailable
from parlor.model.administration import Action
from parlor.model.ids import AccountId
from parlor.store.access import AccessStore
from parlor.wiring import Wiring
from parlor_cli.audit import note
from parlor_cli.live_stores import ask
from parlor_cli.refusal import Refusal


def run(data_dir: Path, account: str) -> str:
    """Returns since when; raises ``Refusal`` when nothing runs, or a store does not answer."""

    async def work(wiring: Wiring) -> int:
        # An account that was never here may have tokens all the same.
        row = await wiring.store.open_account(AccountId(account))
        await note(wiring, Action.ACCOUNT_REVOKED, account)
        not_before = await AccessStore(wiring.store).revoke_account(row.account_id, SystemClock().now_ms())
        try:
            await wiring.reader.remember_session(await wiring.store.open_account(row.account_id))
        except CacheUnavailable as error:
            raise Refusal(
                f"{account} is revoked, but Redis does not answer, which is asked while the database is away: "
                "repeat this when it does"
            ) from error
        return not_before

    return datetime.fromtimestamp(ask(data_dir, work) / 1000, UTC).isoformat(timespec="milliseconds")
