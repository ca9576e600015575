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
CUTS = 60


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

    content: str
    parts: list[dict[str, object]]
    events: list[Event]
    """Of its room."""
    later: list[list[Event]]
    """For each cut: what a reader gets who comes back with the cursor of the last event that they had whole."""
    cuts: list[int]
    """The bytes that each had got."""
    asked: list[tuple[str, str]]
    deaths: int


def written(templates: Templates, *, deaths: bool) -> Written:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_written(templates, deaths=deaths))


async def _written(templates: Templates, *, deaths: bool) -> Written:
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
                if deaths and room_id in owner.host.rooms:
                    owner.process.kill()
                    installation.restart_owner(number)
                    died += 1
        log = installation.streams._log.of_room(room_id)
        events = await _read(log, "0-0")
        whole = b"".join(map(frame, events))
        cuts = sorted(random.Random(1).sample(range(len(whole)), CUTS))
        later = [await _read(log, _last_cursor(whole[:cut])) for cut in cuts]
        assert isinstance(installation.tools, PlainTools)
        end = msgspec.json.decode(events[-1].data)["message"]
        assert end["finish_reason"] == "stop", end
        return Written(message.content, end["parts"], events, later, cuts, installation.tools.asked, died)
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


async def _read(log: object, after: str) -> list[Event]:
    found: list[Event] = []
    while batch := await log(after):  # type: ignore[operator]
        after = batch[-1][0]
        found += [event for _, event in batch if event is not None]
    return found


def _last_cursor(got: bytes) -> str:
    """Of the last event that is whole in what a reader got."""
    events = got.split(b"\n\n")[:-1]
    return events[-1].split(b"\n")[0].removeprefix(b"id: ").decode() if events else "0-0"


def _told(events: list[Event]) -> list[tuple[str, dict[str, object]]]:
    return [(event.type, msgspec.json.decode(event.data)) for event in events]


def _said(parts: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """What the parts say, whoever wrote them and how long that took."""
    return [
        (part["type"], part.get("text"), part.get("arguments"), part.get("state"), part.get("result")) for part in parts
    ]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    directory: Path = tmp_path_factory.mktemp("templates")
    return asyncio.run(make_templates(directory))


@pytest.fixture
def interrupted(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setattr("tests.chaos.simulation.installation.SimModel", LongModel)
    monkeypatch.setattr("tests.chaos.simulation.installation.ToolServer", PlainTools)
    return written(templates, deaths=True)


def test_a_long_reply_survives_the_deaths_of_its_owners(interrupted: Written, templates: Templates) -> None:
    uninterrupted = written(templates, deaths=False)
    assert interrupted.deaths >= 8
    assert uninterrupted.deaths == 0
    assert interrupted.content == uninterrupted.content
    assert _said(interrupted.parts) == _said(uninterrupted.parts)
    calls = [part for part in interrupted.parts if part["type"] == "tool_call"]
    assert [call["state"] for call in calls] == ["done"] * STEPS
    # A call that was under way when its owner died was made again, with the same key.
    assert len({key for _, key in interrupted.asked}) == STEPS

    whole = b"".join(map(frame, interrupted.events))
    assert folded(_told(interrupted.events)) == interrupted.parts
    for cut, later in zip(interrupted.cuts, interrupted.later, strict=True):
        got = [event for event in interrupted.events if event.cursor not in {each.cursor for each in later}]
        assert b"".join(map(frame, got)) == whole[: len(b"".join(map(frame, got)))]
        assert len(b"".join(map(frame, got))) <= cut
        assert folded(_told([*got, *later])) == interrupted.parts
