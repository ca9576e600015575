"""Tickets for event streams: a browser's EventSource sends no headers, so what lets it in stands in the address.

A ticket is random, and good for one path. It has to be used within ``FIRST_USE``; from then on it is good until the
token ends that it was asked for with, because an EventSource comes back with the same address.
"""

from __future__ import annotations

import re
from datetime import timedelta

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live, milliseconds
from parlor.cache.records import text
from parlor.model.access import Credential, StreamTicket, TicketHolder
from parlor.model.ids import AccountId, IdMint, Partition

FIRST_USE = timedelta(seconds=30)
_FORM = re.compile(r"([0-9]{1,4})-[0-9a-f]{32}")
"""The account's partition, which leads to the key, and 128 random bits."""


class Tickets:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live, mint: IdMint) -> None:
        self._live = live
        self._mint = mint

    async def issue(self, partition: Partition, account: AccountId, path: str, credential: Credential) -> StreamTicket:
        """A ticket for ``path``, whose streams end with the credential."""
        ticket, first_use = f"{partition}-{self._mint.token()}", milliseconds(FIRST_USE)
        await self._live.run(
            "issue_ticket",
            {"partition": self._live.keys.partition(partition), "ticket": self._live.keys.ticket(partition, ticket)},
            {
                "owner": account,
                "path": path,
                "key": credential.key,
                "issued": credential.issued_at,
                "ends": credential.valid_until,
                "lifetime": first_use,
            },
        )
        return StreamTicket(ticket, self._live.clock.now_ms() + first_use)

    async def use(self, ticket: str, path: str) -> TicketHolder | None:
        """Who holds the ticket; None for one that does not exist any more, or is not for this path."""
        found = _FORM.fullmatch(ticket)
        if found is None:
            return None
        key = self._live.keys.ticket(Partition(int(found[1])), ticket)
        answer = await self._live.attempt("use_ticket", {"ticket": key}, {"path": path})
        if answer[0] == Code.MISSING:
            return None
        if answer[0] < 0:
            raise refusal(answer[0])
        return TicketHolder(AccountId(text(answer[1])), Credential(text(answer[2]), int(answer[3]), int(answer[4])))
