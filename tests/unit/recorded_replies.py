"""Replies as rooms write them: the events of each in the room's log, and the message that is stored in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from parlor.errors import LlmError
from parlor.model.ids import MessageId, home_of
from parlor.model.messages import Event, FinishReason, Message
from parlor.model.tools import ToolResult
from parlor.model.wire import JsonForm, encode, message_form
from parlor.rooms.room import Room
from tests.unit.domain import Domain, crash, settle
from tests.unit.memory_store import Templates
from tests.unit.scripted_model import Talk
from tests.unit.scripted_tools import tool

WORDS = "Grüner Tee 🍵\n\n"


class RecordedReply(NamedTuple):
    events: Sequence[Event]
    """From the reply's turn on, in order; other messages' are among them."""
    message: Message
    """As it is stored."""

    @property
    def reply_id(self) -> MessageId:
        return self.message.message_id

    @property
    def form(self) -> JsonForm:
        """The message as a client gets it."""
        found: JsonForm = msgspec.json.decode(encode(message_form(self.message)))
        return found

    @property
    def is_deleted(self) -> bool:
        return self.events[-1].type in ("message.deleted", "room.deleted")

    @property
    def resets(self) -> bool:
        """Whether it begins anew after something was told."""
        attempts = {event.attempt for event in self.events if event.type in ("message.delta", "message.reasoning")}
        return len(attempts) > 1

    def seen_after(self, cut: int) -> list[Event]:
        """What a reader is told who opens a stream from the start when the log has ``cut`` events: nothing of earlier
        attempts at the reply than the one that there is then."""
        mine = [event for event in self.events if event.message_id == self.reply_id and event.attempt is not None]
        there = {id(event) for event in self.events[:cut]}
        attempt = max((event.attempt or 0 for event in mine if id(event) in there), default=0)
        skipped = {id(event) for event in mine if (event.attempt or 0) < attempt}
        return [event for event in self.events if id(event) not in skipped]

    def views(self) -> list[list[Event]]:
        """What a reader is told from the start, whenever it comes: the first ones are told all, late ones less."""
        found: dict[int, list[Event]] = {}
        for there in range(len(self.events) + 1):
            events = self.seen_after(there)
            found.setdefault(len(events), events)
        return list(found.values())


class Stage:
    """A room whose only reply is being written."""

    def __init__(self, domain: Domain, room: Room, reply_id: MessageId) -> None:
        self.domain = domain
        self.room = room
        self.reply_id = reply_id

    @property
    def talk(self) -> Talk:
        return self.domain.model.talks[-1]

    async def pass_time(self) -> None:
        await self.domain.clock.advance(1)
        await settle()

    async def say(self, *texts: str) -> None:
        """Each as an event of its own."""
        for text in texts:
            self.talk.say(text)
            await self.pass_time()

    async def think(self, *texts: str) -> None:
        for text in texts:
            self.talk.think(text)
            await self.pass_time()

    async def call(self) -> None:
        self.talk.call(("weather", '{"city": "Kiel"}'))
        await self.pass_time()

    async def finish(self, reason: FinishReason = FinishReason.STOP) -> None:
        self.talk.finish(reason)
        await self.pass_time()

    async def fail(self) -> None:
        self.talk.fail(LlmError("tired"))
        await self.pass_time()

    async def take_over(self) -> None:
        """The owner dies, and another one goes on."""
        await crash(self.room)
        self.room = self.domain.room(self.room.room_id)
        await self.domain.wake(self.room)
        await self.pass_time()

    async def stop(self) -> None:
        await self.domain.stop(self.room, self.reply_id)
        await self.pass_time()


Script: TypeAlias = Callable[[Stage], Awaitable[None]]


async def plain(stage: Stage) -> None:
    await stage.say(WORDS, "macht ", "wach.")
    await stage.domain.say(stage.room, "Meanwhile")
    await stage.finish()


async def thoughtful(stage: Stage) -> None:
    await stage.think("Hm, ", "🤔")
    await stage.say(WORDS)
    await stage.think("Wait")
    await stage.say("or coffee")
    await stage.finish(FinishReason.LENGTH)


async def with_tools(stage: Stage) -> None:
    await stage.think("Look")
    await stage.say("Let me see. ")
    await stage.call()
    await stage.call()
    await stage.say("Sunny.")
    await stage.finish()


async def begun_anew(stage: Stage) -> None:
    await stage.think("Lost")
    await stage.say("lost ", "words")
    await stage.take_over()
    await stage.think("Kept")
    await stage.say(WORDS, "kept")
    await stage.finish()


async def begun_anew_before_a_word(stage: Stage) -> None:
    await stage.take_over()
    await stage.say("All of it")
    await stage.finish()


async def taken_over_with_tools(stage: Stage) -> None:
    await stage.think("Look")
    await stage.say("First. ")
    await stage.call()
    await stage.say("lost")
    await stage.take_over()
    await stage.think("Well")
    await stage.say("Sunny.")
    await stage.finish()


async def stopped(stage: Stage) -> None:
    await stage.say(WORDS, "ma")
    await stage.stop()


async def stopped_before_a_word(stage: Stage) -> None:
    await stage.stop()


async def stopped_while_a_tool_runs(stage: Stage) -> None:
    await stage.say("Let me see. ")
    stage.domain.tools.gate = asyncio.Event()
    await stage.call()
    await stage.stop()


async def failed(stage: Stage) -> None:
    await stage.think("Hm")
    await stage.say(WORDS)
    await stage.fail()


async def failed_before_a_word(stage: Stage) -> None:
    await stage.fail()


async def deleted(stage: Stage) -> None:
    await stage.say("A secret")
    await stage.domain.delete_message(stage.room, stage.reply_id)
    await stage.pass_time()


SCRIPTS: dict[str, Script] = {
    script.__name__: script
    for script in (
        plain,
        thoughtful,
        with_tools,
        begun_anew,
        begun_anew_before_a_word,
        taken_over_with_tools,
        stopped,
        stopped_before_a_word,
        stopped_while_a_tool_runs,
        failed,
        failed_before_a_word,
        deleted,
    )
}


def recorded_replies(templates: Templates) -> dict[str, RecordedReply]:
    """All of them, by name."""

    async def record() -> dict[str, RecordedReply]:
        return {name: await recorded(templates, script) for name, script in SCRIPTS.items()}

    return asyncio.run(record())


async def recorded(templates: Templates, script: Script) -> RecordedReply:
    domain = Domain(templates)
    try:
        domain.model.tools = (tool("weather", city=""),)
        domain.tools.results["weather"] = ToolResult("Sun")
        room = domain.room(await domain.new_room())
        receipt = await domain.send(room, "Which tea?")
        await settle()
        assert receipt.reply is not None
        await script(Stage(domain, room, receipt.reply.message_id))
        stream = domain.live.keys.events(home_of(room.room_id), room.room_id)
        entries = await domain.log.entries(stream, "0-0")
        events = [event for entry in entries if (event := await domain.log.room_event(room.room_id, entry)) is not None]
        message = await domain.internal_history.message(room.room_id, receipt.reply.message_id)
        return RecordedReply([event for event in events if event.type != "room.updated"], message)
    finally:
        await domain.close()
