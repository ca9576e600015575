"""Readers of event streams, who are cut off, come back with their cursor, and write down what they heard."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import httpx2
import msgspec

from tests.chaos.history import Heard, Kind, Outcome, Recorder, Request, Response, calls_of, thought_of
from tests.chaos.system.load import Account

STAY = (3.0, 12.0)
"""Seconds after which a reader hangs up, at random."""
OPEN_SECONDS = 30.0
"""In which a stream has to begin, or be refused."""
RETRY_PAUSE = 0.5


async def read_events(
    base_url: str,
    recorder: Recorder,
    account: Account,
    stop: asyncio.Event,
    seed: int,
    on_reconnect: Callable[[], None] = lambda: None,
) -> None:
    """Follows one room after another of the account, each through several streams that continue one another.
    ``on_reconnect`` is called when a stream says that it should be opened again."""
    chance = random.Random(seed)
    headers = {"Authorization": f"Bearer {account.token}", "Accept": "text/event-stream"}
    timeout = httpx2.Timeout(OPEN_SECONDS)
    async with httpx2.AsyncClient(base_url=base_url, headers=headers, timeout=timeout, verify=False) as http:
        while not stop.is_set():
            room, cursor = chance.choice(account.rooms).room_id, ""
            for _ in range(chance.randint(2, 6)):
                found = await _stream(http, recorder, account, room, cursor, chance.uniform(*STAY), stop, on_reconnect)
                if found is None:
                    await asyncio.sleep(RETRY_PAUSE)
                    break
                cursor = found


async def _stream(
    http: httpx2.AsyncClient,
    recorder: Recorder,
    account: Account,
    room: str,
    after: str,
    seconds: float,
    stop: asyncio.Event,
    on_reconnect: Callable[[], None],
) -> str | None:
    """Where the stream was left; None when it was refused."""
    heard: list[Heard] = []
    name = recorder.begin(Kind.EVENTS, account.name, room, Request(after=after), seconds + OPEN_SECONDS)
    until = time.monotonic() + seconds
    refused, failed = "", ""
    try:
        async with asyncio.timeout(seconds + OPEN_SECONDS):
            params = {"after": after} if after else {}
            async with http.stream("GET", f"/v1/rooms/{room}/events", params=params) as response:
                if response.status_code != httpx2.codes.OK:
                    raw = await response.aread()
                    refused = _code(raw)
                    failed = "" if refused else f"http {response.status_code}"
                else:
                    await _listen(response, heard, until, stop, on_reconnect)
    except TimeoutError:
        failed = "silent"
    except httpx2.ConnectError:
        failed = "refused"
    except httpx2.HTTPError:
        failed = "cut"
    if refused or (failed and not heard):
        final = refused in ("room-not-found", "stream-expired")
        recorder.end(name, Outcome.FAIL if final else Outcome.UNKNOWN, error=refused, transport=failed)
        return None if final or not after else after
    recorder.end(name, Outcome.OK, Response(heard=heard))
    return heard[-1].cursor if heard else after


async def _listen(
    response: httpx2.Response, heard: list[Heard], until: float, stop: asyncio.Event, on_reconnect: Callable[[], None]
) -> None:
    """Until the stream ends or it is time to hang up; a silent stream is left at its next heartbeat or at ``until``."""
    fields: dict[str, str] = {}
    rest = b""
    chunks = response.aiter_bytes()
    while not stop.is_set():
        try:
            async with asyncio.timeout(max(0.01, until - time.monotonic())):
                chunk = await anext(chunks)
        except (TimeoutError, StopAsyncIteration):
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line and not line.startswith(b":"):
                field, _, value = line.decode().partition(": ")
                fields[field] = value
            elif not line and fields:
                if fields["event"] == "stream.reconnect":
                    on_reconnect()
                else:
                    heard.append(_heard(fields))
                fields = {}


def _heard(fields: dict[str, str]) -> Heard:
    data = msgspec.json.decode(fields["data"])
    message = data.get("message") or {}
    return Heard(
        cursor=fields["id"],
        type=fields["event"],
        message_id=data.get("message_id") or message.get("message_id", ""),
        seq=data.get("seq") or message.get("seq", 0),
        attempt=data.get("attempt") or message.get("attempt", 0),
        offset=data.get("offset", 0),
        text=data.get("text") or data.get("part", {}).get("text") or message.get("content", ""),
        thought=thought_of(message),
        calls=calls_of([data["part"]] if "part" in data else message.get("parts", ())),
    )


def _code(raw: bytes) -> str:
    try:
        return str(msgspec.json.decode(raw).get("code", ""))
    except msgspec.DecodeError:
        return ""
