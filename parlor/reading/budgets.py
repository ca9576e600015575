"""Budgets for whoever calls the language model outside of a turn: reserved before the call, settled after it; and the
sweep that finds what nobody settles any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from parlor.cache.budgets import ALIVE_MS, BudgetCache
from parlor.cache.live import Live
from parlor.errors import CacheUnavailable, ParlorError, PartitionUnknown, Uncounted
from parlor.model.budgets import Ask, Payer, Reservation
from parlor.model.ids import IdMint, Partition
from parlor.model.messages import Usage
from parlor.reading.loading import Loader

ACCOUNTS_AT_ONCE = 100
"""Accounts of one partition that one sweep looks at."""

_log = structlog.get_logger(__name__)


class Budgets:
    """Every method raises ``CacheUnavailable``."""

    def __init__(self, live: Live, loader: Loader, mint: IdMint) -> None:
        self._live = live
        self._loader = loader
        self._cache = BudgetCache(live)
        self._mint = mint

    async def reserve(self, payer: Payer, ask: Ask) -> Reservation:
        """Reserves what a call may use. ``renew`` it while the call lasts, and ``settle`` it. Raises
        ``QuotaExceeded``, and ``StoreUnavailable`` when what the account has used is known to nobody else."""
        call = self._mint.message_id(payer.partition)
        try:
            return await self._cache.reserve(payer, call, ask)
        except (Uncounted, PartitionUnknown):
            await self._loader.open_partition(payer.partition)
            await self._loader.load_budget(payer)
        return await self._cache.reserve(payer, call, ask)

    async def renew(self, reservation: Reservation, usage: Usage) -> None:
        """A sign of life, with what was used so far: after ``ALIVE_MS`` without one the sweep settles it."""
        await self._cache.renew(reservation, usage)

    async def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Counts what was used and gives back the rest; once, however often it is called."""
        try:
            await self._cache.settle(reservation, usage)
        except PartitionUnknown:
            # Redis came back empty, and the reservation with it.
            _log.warning("use_lost", account=reservation.payer.account_id)

    @asynccontextmanager
    async def call(self, payer: Payer, ask: Ask, used: Callable[[], Usage | None]) -> AsyncIterator[Reservation]:
        """A reservation that lives as long as the block, and is settled with what ``used`` says at its end."""
        reservation = await self.reserve(payer, ask)
        alive = asyncio.create_task(self._keep_alive(reservation, used))
        try:
            yield reservation
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
            await self.settle(reservation, used() or Usage(0, 0))

    async def sweep(self, partitions: Sequence[Partition]) -> int:
        """Settles reservations that nothing needs any more; returns how many. A partition that cannot be read now is
        left to the next sweep."""
        found = await asyncio.gather(*map(self._sweep, partitions), return_exceptions=True)
        for answer in found:
            if isinstance(answer, ParlorError):
                _log.warning("budgets_not_swept", code=answer.code, debug=answer.debug)
            elif isinstance(answer, BaseException):
                raise answer
        return sum(answer for answer in found if isinstance(answer, int))

    async def _sweep(self, partition: Partition) -> int:
        done = 0
        for payer in await self._cache.due(partition, ACCOUNTS_AT_ONCE):
            held = await self._cache.held(payer)
            if not held:
                await self._cache.unlist(payer)
            done += sum(await asyncio.gather(*map(self._cache.sweep, held)))
        if done:
            _log.info("reservations_settled", partition=partition, count=done)
        return done

    async def _keep_alive(self, reservation: Reservation, used: Callable[[], Usage | None]) -> None:
        while True:
            await self._live.clock.sleep(ALIVE_MS / 3000)
            try:
                await self.renew(reservation, used() or Usage(0, 0))
            except CacheUnavailable as error:
                _log.warning("reservation_not_renewed", debug=error.debug)
