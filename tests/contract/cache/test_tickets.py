"""Tickets for event streams: used in time, for one path, until their end."""

from __future__ import annotations

import pytest

from parlor.cache.tickets import FIRST_USE, Tickets
from parlor.model.access import Credential, TicketHolder
from parlor.model.ids import AccountId
from tests.contract.cache.fixtures import CacheFixtures

pytestmark = pytest.mark.contract

ADA = AccountId("ada")
PATH, OTHER = "/v1/rooms/r/events", "/v1/events"
HOUR_MS = 3_600_000


def until(end: int) -> Credential:
    return Credential("2026-a", 5, end)


@pytest.fixture
async def now(fixtures: CacheFixtures) -> int:
    """The server's own time, by which tickets expire."""
    seconds, microseconds = await fixtures.redis.time()
    fixtures.clock.ms = int(seconds) * 1000 + int(microseconds) // 1000
    return fixtures.clock.ms


@pytest.fixture
def tickets(fixtures: CacheFixtures) -> Tickets:
    return Tickets(fixtures.live, fixtures.mint)


async def lifetime(fixtures: CacheFixtures, ticket: str) -> int:
    """Milliseconds; -2 when it is gone."""
    return int(await fixtures.redis.pttl(fixtures.keys.ticket(fixtures.partition, ticket)))


async def test_a_ticket_opens_its_stream_again_and_again_until_its_end(
    fixtures: CacheFixtures, tickets: Tickets, now: int
) -> None:
    issued = await tickets.issue(fixtures.partition, ADA, PATH, until(now + HOUR_MS))
    assert issued.expires_at == now + 30_000
    for _ in range(3):
        assert await tickets.use(issued.ticket, PATH) == TicketHolder(ADA, until(now + HOUR_MS))
    assert HOUR_MS - 60_000 < await lifetime(fixtures, issued.ticket) <= HOUR_MS


async def test_a_ticket_that_is_not_used_in_time_is_gone(fixtures: CacheFixtures, tickets: Tickets, now: int) -> None:
    issued = await tickets.issue(fixtures.partition, ADA, PATH, until(now + HOUR_MS))
    first_use = FIRST_USE.total_seconds() * 1000
    assert first_use - 20_000 < await lifetime(fixtures, issued.ticket) <= first_use
    await fixtures.redis.pexpire(fixtures.keys.ticket(fixtures.partition, issued.ticket), 0)
    assert await tickets.use(issued.ticket, PATH) is None


async def test_a_ticket_opens_no_other_path_and_does_not_live_longer_for_it(
    fixtures: CacheFixtures, tickets: Tickets, now: int
) -> None:
    issued = await tickets.issue(fixtures.partition, ADA, PATH, until(now + HOUR_MS))
    assert await tickets.use(issued.ticket, OTHER) is None
    assert await lifetime(fixtures, issued.ticket) <= FIRST_USE.total_seconds() * 1000


async def test_a_ticket_ends_with_its_token(fixtures: CacheFixtures, tickets: Tickets, now: int) -> None:
    issued = await tickets.issue(fixtures.partition, ADA, PATH, until(now + 1000))
    fixtures.clock.ms += 999
    assert await tickets.use(issued.ticket, PATH) is not None
    fixtures.clock.ms += 1
    assert await tickets.use(issued.ticket, PATH) is None
    assert await lifetime(fixtures, issued.ticket) <= 1000


async def test_what_was_never_issued_opens_nothing(fixtures: CacheFixtures, tickets: Tickets, now: int) -> None:
    issued = (await tickets.issue(fixtures.partition, ADA, PATH, until(now + HOUR_MS))).ticket
    partition, _, random = issued.partition("-")
    for other in ("", "x", random, f"{partition}-{'0' * 32}", f"{int(partition) ^ 1}-{random}", f"{issued} ", "9" * 99):
        assert await tickets.use(other, PATH) is None
    assert random not in repr(await fixtures.redis.keys("*")), "who lists keys has no ticket"
