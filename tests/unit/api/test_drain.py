"""A replica that is being stopped: readers of its streams go on elsewhere, requests end in their own time."""

from __future__ import annotations

import inspect
import warnings
from datetime import timedelta

import pytest
from fastapi import FastAPI

from api.callers import Caller, OpenStreams
from parlor.model.access import Credential, Session
from parlor.model.ids import AccountId, Partition, ShardId
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.samples import CURSOR
from tests.unit.api.sockets import Socket
from tests.unit.api.test_sse import events, reconnect_of
from tests.unit.fake_clock import FakeClock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from ray.serve._private.replica import Replica

    from api import drain

pytestmark = pytest.mark.unit


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings, ttl=timedelta(hours=1))}"}


async def test_streams_say_where_to_go_on(app: FastAPI, headers: dict[str, str]) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        app.state.edge.leave()
        assert (await reconnect_of(stream))[1] == {"cursor": CURSOR, "reason": "drain"}
        await stream.finished()


async def test_so_does_one_that_begins_late(app: FastAPI, headers: dict[str, str]) -> None:
    async with events(app, headers) as first:
        await first.start()
        await first.chunk()
        app.state.edge.leave()
        await first.finished()
        async with events(app, headers) as stream:
            await stream.start()
            await stream.chunk()
            assert (await reconnect_of(stream))[1]["reason"] == "drain"


async def test_sockets_close_as_going_away(app: FastAPI, headers: dict[str, str]) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "ping"})
        await socket.frame()
        app.state.edge.leave()
        assert await socket.closed() == (1001, "drain")


async def test_a_stream_that_nobody_can_resume_ends_in_its_own_time(clock: FakeClock) -> None:
    streams = OpenStreams(clock)
    session = Session(AccountId("alice"), 5, Partition(17), ShardId(1))
    caller = Caller(session, Credential("secret", 0, 1))
    with streams.watch(caller, resumable=False) as other, streams.watch(caller) as resumable:
        streams.leave()
        assert (other.done(), resumable.result()) == (False, "drain")
        streams.end(lambda _: True, "token-revoked")
        assert other.result() == "token-revoked"
    with streams.watch(caller, resumable=False) as late:
        assert late.result() == "token-revoked"


class Stopping:
    """A replica of Serve, as far as it matters here."""

    def __init__(self, book: list[str]) -> None:
        self.book = book


async def test_serve_tells_before_it_waits_for_open_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(replica: Stopping, period: float, *, check_immediately: bool) -> None:
        replica.book.append(f"waits {period} {check_immediately}")

    monkeypatch.setattr(Replica, drain.WAITS, None)  # put back at the end
    monkeypatch.setattr(drain, "_wait", waits)
    book: list[str] = []
    drain.install(lambda: book.append("leaves"))
    await getattr(Replica, drain.WAITS)(Stopping(book), 1.0, check_immediately=True)
    assert book == ["leaves", "waits 1.0 True"]


def test_serve_still_waits_there_when_new_requests_go_elsewhere() -> None:
    source = inspect.getsource(Replica._drain_behind_haproxy)
    assert source.index("self._stop_accepting_direct_ingress()") < source.index(f"self.{drain.WAITS}(")
