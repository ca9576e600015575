"""Event streams and their slow readers, and many streams that were opened together."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from fastapi import FastAPI

from parlor.model.messages import Event
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, ROOM
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

DELTA = Event("1795403885042-8", "message.delta", b'{"text":"x"}')


class FixedEntropy:
    """Always the same share of all that is possible."""

    def __init__(self, share: float) -> None:
        self._share = share

    def bits(self, count: int) -> int:
        return int(self._share * (2**count - 1))


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings)}"}


def events(app: FastAPI, headers: dict[str, str]) -> Exchange:
    return Exchange(app, "GET", f"/v1/rooms/{ROOM}/events", headers)


async def reconnect_of(stream: Exchange) -> dict[str, str]:
    _, event, data, *_ = (await stream.chunk()).decode().split("\n")
    assert event == "event: stream.reconnect"
    return msgspec.json.decode(data.removeprefix("data: "), type=dict[str, str])


@pytest.mark.parametrize(("batch", "cursor"), [([DELTA], DELTA.cursor), ([], CURSOR)], ids=["events", "heartbeat"])
async def test_a_slow_client_whose_stream_ends_is_told_how_far_it_got(
    app: FastAPI,
    headers: dict[str, str],
    gateway: FakeGateway,
    clock: FakeClock,
    batch: list[Event],
    cursor: str,
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        stream.reading.clear()
        gateway.subscription.batches.put_nowait(batch)
        await stream.stuck.wait()
        clock.leap(600)
        await asyncio.sleep(0)  # lets the deadline's task end first
        await asyncio.sleep(0)
        stream.reading.set()
        await stream.chunk()
        assert (await reconnect_of(stream))["cursor"] == cursor


async def test_streams_that_were_opened_together_do_not_end_together(
    app: FastAPI, headers: dict[str, str], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened(stream: Exchange, share: float) -> None:
        monkeypatch.setattr(app.state.edge, "entropy", FixedEntropy(share))
        await stream.start()
        await stream.chunk()

    async with events(app, headers) as late:
        await opened(late, 0.0)
        async with events(app, headers) as early:
            await opened(early, 1.0)
            clock.leap(600 * 0.91)
            assert (await reconnect_of(early))["reason"] == "lifetime"
        ending = asyncio.create_task(reconnect_of(late))
        clock.leap(600 * 0.09 - 1)
        await asyncio.sleep(0.01)
        assert not ending.done()
        clock.leap(1)
        assert (await ending)["reason"] == "lifetime"
