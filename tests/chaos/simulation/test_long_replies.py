"""A reply of 200 steps whose owner is killed every 20 seconds: it says what it would have said, and readers who are cut
off at any byte put together what is stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from api.sse import frame
from parlor.cache.creations import CreationCache
from parlor.cache.events import EventLog, Read
from parlor.cache.live import RoomAddress
from parlor.errors import PartitionUnknown
from parlor.llm.ports import Completion, Context, Part, Persona, ReasoningDelta, TextDelta
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Event, FinishReason, Usage
from parlor.model.requests import ReplyMode, SendRequest
from parlor.model.rooms import NewRoom
from parlor.model.tools import AskedCall, HttpTool, ToolResult
from parlor.rooms.commands import Send, SendDone
from tests.chaos.simulation.installation import PAYERS, SHARD, SimInstallation
from tests.chaos.simulation.loop import VirtualLoop
from tests.chaos.simulation.model import SimModel
from tests.chaos.simulation.tools import ToolServer
from tests.unit.memory_store import Templates, make_templates
from tests.unit.rooms.test_reasoning import folded

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

STEPS = 200
KILLED_EVERY = 20.0
LONGEST = 3600.0
CUTS = 8


class LongModel(SimModel):
    """Uses a tool ``STEPS`` times, one after the other, and thinks and speaks before each."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.max_steps = STEPS

    async def chat(self, persona: str | Persona, context: Context) -> AsyncGenerator[Part, None]:
        step = sum(bool(turn.calls) for turn in context.turns)
        if step % 10 == 0:
            yield ReasoningDelta(f"Thinking of {step}. ")
        await asyncio.sleep(0.2)
        yield TextDelta(f"Step {step}")
        await asyncio.sleep(0.2)
        yield TextDelta(" é.\n")
        calls = (AskedCall("weather", f'{{"ask": "{step}"}}'),) if step < STEPS else ()
        yield Completion(FinishReason.STOP, Usage(1, 1), calls)


class PlainTools(ToolServer):
    """Answers what it was asked."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.asked: list[tuple[str, str]] = []

    async def call(self, tool: HttpTool, arguments: str, key: str) -> ToolResult:
        self.asked.append((arguments, key))
        await asyncio.sleep(0.4)
        return ToolResult(f"Of {arguments}")


class Written(msgspec.Struct, frozen=True):
    """A reply that has ended, and how."""

    parts: list[dict[str, object]]
    events: list[Event]
    """Of its room."""
    later: list[list[Event]]
    """For each cut: what a reader gets who comes back with the cursor of the last event that they had whole."""
    cuts: list[int]
    """The bytes that each had got."""
    asked: list[tuple[str, str]]
    deaths: int


async def written(templates: Templates) -> Written:
    installation = SimInstallation(7, templates, asking=True)
    try:
        payer = PAYERS[0]
        session = Session(payer.account_id, payer.account_db_key, payer.partition, SHARD)
        room_id, message_id = await _asked(installation, session)
        history, died, loop = installation.edge.wiring.internal_history, 0, asyncio.get_running_loop()
        until = loop.time() + LONGEST
        while (message := await history.message(room_id, message_id)).is_streaming:
            assert loop.time() < until, f"not ended after {LONGEST:g} s: {len(message.parts or ())} parts"
            await asyncio.sleep(KILLED_EVERY)
            for number, owner in enumerate(installation.owners):
                if room_id in owner.host.rooms:
                    owner.process.kill()
                    installation.restart_owner(number)
                    died += 1
        log = EventLog(installation.edge.wiring.live).of_room(room_id).read
        events = await _read(log, "0-0")
        whole = b"".join(map(frame, events))
        cuts = sorted(random.Random(1).sample(range(len(whole)), CUTS))
        later = [await _read(log, _last_cursor(whole[:cut])) for cut in cuts]
        assert isinstance(installation.tools, PlainTools)
        end = msgspec.json.decode(events[-1].data)["message"]
        assert end["finish_reason"] == "stop", end
        return Written(end["parts"], events, later, cuts, installation.tools.asked, died)
    finally:
        await installation.close()


async def _asked(installation: SimInstallation, session: Session) -> tuple[RoomId, MessageId]:
    """A room with a question; returns the id of the reply to it."""
    edge = installation.edge.wiring
    room_id = edge.mint.room_id(session.partition)
    address = RoomAddress(room_id, session.account_id, session.account_db_key)
    try:
        await CreationCache(edge.live).create(address, NewRoom("A room", "GPT4O"), "account")
    except PartitionUnknown:
        await edge.loader.open_partition(address.partition)
        await CreationCache(edge.live).create(address, NewRoom("A room", "GPT4O"), "account")
    reply_id = edge.mint.message_id(session.partition)
    request = SendRequest("Go", reply=ReplyMode.AUTO)
    done = await installation.ask(
        Send(session, room_id, "", edge.mint.message_id(session.partition), reply_id, request)
    )
    assert isinstance(done, SendDone)
    return room_id, reply_id


async def _read(log: Read, after: str) -> list[Event]:
    found: list[Event] = []
    while batch := await log(after):
        after = batch[-1][0]
        found += [event for _, event in batch if event is not None]
    return found


def _last_cursor(got: bytes) -> str:
    """Of the last event that is whole in what a reader got."""
    events = got.split(b"\n\n")[:-1]
    return events[-1].split(b"\n")[0].removeprefix(b"id: ").decode() if events else "0-0"


def _told(events: list[Event]) -> list[tuple[str, dict[str, object]]]:
    return [(event.type, msgspec.json.decode(event.data)) for event in events]


def _uninterrupted() -> list[tuple[object, ...]]:
    """What the parts say of a reply that nobody interrupts."""
    said: list[tuple[object, ...]] = []
    for step in range(STEPS + 1):
        if step % 10 == 0:
            said.append(("reasoning", f"Thinking of {step}. ", None, None, None))
        said.append(("text", f"Step {step} é.\n", None, None, None))
        if step < STEPS:
            result = {"content": f'Of {{"ask":"{step}"}}', "is_error": False, "truncated": False}
            said.append(("tool_call", None, {"ask": f"{step}"}, "done", result))
    return said


def test_a_long_reply_survives_the_deaths_of_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.simulation.installation.SimModel", LongModel)
    monkeypatch.setattr("tests.chaos.simulation.installation.ToolServer", PlainTools)
    templates = asyncio.run(make_templates(tmp_path))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        reply = runner.run(written(templates))
    assert reply.deaths >= 8
    fields = ("type", "text", "arguments", "state", "result")
    assert [tuple(part.get(field) for field in fields) for part in reply.parts] == _uninterrupted()
    # A call that was under way when its owner died was made again, with the same key.
    assert len({key for _, key in reply.asked}) == STEPS

    whole = b"".join(map(frame, reply.events))
    assert folded(_told(reply.events)) == reply.parts
    for cut, later in zip(reply.cuts, reply.later, strict=True):
        behind = {event.cursor for event in later}
        had = [event for event in reply.events if event.cursor not in behind]
        assert whole[:cut].startswith(b"".join(map(frame, had)))
        assert folded(_told([*had, *later])) == reply.parts
