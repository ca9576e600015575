"""Commands to one RoomActor in shared calls."""

from __future__ import annotations

import asyncio

import pytest

from actors import channel
from actors.channel import RoomChannel
from parlor.commands import Command, Done, Outcome, Wake
from parlor.ids import RoomId

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_what_is_asked_for_right_after_an_answer_is_sent_too(
    monkeypatch: pytest.MonkeyPatch, in_flight: int
) -> None:
    """While the last sender has not quite ended it still counts: what comes then must not wait for ever."""
    monkeypatch.setattr(channel, "CALLS_IN_FLIGHT", in_flight)
    made = RoomChannel("rooms-000", "test")

    async def served(commands: list[Command], *, activate: bool) -> list[Outcome]:
        assert not activate
        await asyncio.sleep(0)
        return [Done() for _ in commands]

    monkeypatch.setattr(made, "_call", served)

    async def one_after_the_other() -> int:
        for _ in range(5):
            assert await made.execute(Wake(None, RoomId("room"), "")) == Done()
        return 5

    async with asyncio.timeout(2):
        assert sum(await asyncio.gather(one_after_the_other(), one_after_the_other())) == 10
    await made.close()
