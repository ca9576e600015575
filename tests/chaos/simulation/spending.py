"""What accounts use and reserve during a run, for the checker."""

from __future__ import annotations

import asyncio

from parlor.model.budgets import Payer, Period
from parlor.model.ids import AccountId
from tests.chaos.budget_rules import Spending
from tests.chaos.simulation.installation import EPOCH, PAYERS, SimInstallation


class Watch:
    """``watch`` until the end; then ``spending``."""

    def __init__(self, installation: SimInstallation) -> None:
        self._installation = installation
        self._peaks: dict[AccountId, int] = {}

    async def watch(self) -> None:
        """Sees what is used and reserved, several times in each second."""
        while True:
            for payer in PAYERS:
                used, reserved = self._counted(payer)
                peak = self._peaks.get(payer.account_id, 0)
                self._peaks[payer.account_id] = max(peak, (used or 0) + reserved)
            await asyncio.sleep(0.2)

    async def spending(self) -> list[Spending]:
        """What each account has used of its budget, when everything has come to rest."""
        budget, loader = self._installation.budget, self._installation.edge.wiring.loader
        if budget is None:
            return []
        found = []
        for payer in PAYERS:
            used, reserved = self._counted(payer)
            stored = await loader.used(payer, Period.at(round(EPOCH * 1000)))
            peak = self._peaks.get(payer.account_id, 0)
            found.append(Spending(payer.account_id, budget, peak, used, reserved, stored.day_tokens))
        return found

    def _counted(self, payer: Payer) -> tuple[int | None, int]:
        key = self._installation.edge.wiring.live.keys.account(payer.partition, payer.account_id)
        fields = ("budget_day", "day_tokens", "held:day_tokens")
        day, used, reserved = self._installation.server.execute(("HMGET", key, *fields))
        return (int(used), int(reserved)) if day is not None else (None, 0)
