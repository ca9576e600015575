"""Parlor's domain in one process, as tests use it: what they send to its rooms, and what they read.

Everything waits in the event loop only, so ``settle`` knows when no task can continue by itself, and no test waits for
real time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from parlor.model.access import Session
from parlor.model.ids import MessageId, Partition, RoomId, home_of
from parlor.model.messages import Message, MessagePage, MessageRow
from parlor.model.requests import DeleteReceipt, EditReceipt, Idempotency, OnBusy, ReplyMode, SendReceipt, SendRequest
from parlor.model.rooms import Room as RoomView
from parlor.persistence.writer import ShardWriterLoop
from parlor.rooms.commands import (
    Continue,
    DeleteDone,
    DeleteMessage,
    DeleteRoom,
    Edit,
    EditDone,
    MessageDone,
    Regenerate,
    RoomDone,
    Send,
    SendDone,
    Stop,
    UpdateRoom,
    Wake,
)
from parlor.rooms.room import Room
from tests.unit.fake_clock import settle
from tests.unit.memory_store import PARTITIONS, SHARDS
from tests.unit.wired_domain import HOME, NEIGHBOUR, OTHER_SHARD, SHARD, WiredDomain, crash

_T = TypeVar("_T")


class Domain(WiredDomain):
    """A whole domain for one async test; the fixture closes it."""

    # Commands

    def send_command(
        self,
        room_id: RoomId,
        text: str = "Hello",
        *,
        session: Session | None = None,
        reply: ReplyMode = ReplyMode.AUTO,
        on_busy: OnBusy = OnBusy.ENQUEUE,
        key: str | None = None,
        fingerprint: str = "digest",
        urgent: bool = False,
    ) -> Send:
        home = home_of(room_id)
        idempotency = None if key is None else Idempotency(key, fingerprint)
        request = SendRequest(text, on_busy=on_busy, reply=reply, idempotency=idempotency, urgent=urgent)
        reply_id = self.mint.message_id(home) if reply is ReplyMode.AUTO else None
        return Send(session or self.ada, room_id, "request", self.mint.message_id(home), reply_id, request)

    async def send(self, room: Room, text: str = "Hello", **options: Any) -> SendReceipt:
        return await self.do_send(room, self.send_command(room.room_id, text, **options))

    async def do_send(self, room: Room, command: Send) -> SendReceipt:
        done = await room.execute(command)
        assert isinstance(done, SendDone)
        return done.receipt

    async def say(self, room: Room, text: str = "Hello") -> Message:
        return (await self.send(room, text, reply=ReplyMode.NONE)).message

    async def answer(self, talk: int, text: str) -> None:
        await settle()
        self.model.talks[talk].say(text)
        self.model.talks[talk].finish()
        await self.clock.advance(0.1)

    async def rename(self, room: Room, title: str, session: Session | None = None) -> RoomView:
        return await self.update_room(room, title=title, session=session)

    async def update_room(
        self, room: Room, *, title: str | None = None, persona: str | None = None, session: Session | None = None
    ) -> RoomView:
        done = await room.execute(UpdateRoom(session or self.ada, room.room_id, "request", title, persona))
        assert isinstance(done, RoomDone)
        return done.room

    async def delete_room(self, room: Room, session: Session | None = None) -> RoomView:
        done = await room.execute(DeleteRoom(session or self.ada, room.room_id, "request"))
        assert isinstance(done, RoomDone)
        return done.room

    async def delete_message(self, room: Room, message_id: MessageId, session: Session | None = None) -> DeleteReceipt:
        done = await room.execute(DeleteMessage(session or self.ada, room.room_id, "request", message_id))
        assert isinstance(done, DeleteDone)
        return done.receipt

    async def stop(self, room: Room, message_id: MessageId, attempt: int | None = None) -> Message:
        done = await room.execute(Stop(self.ada, room.room_id, "request", message_id, attempt))
        assert isinstance(done, MessageDone)
        return done.message

    async def regenerate(self, room: Room, message_id: MessageId, nonce: str = "") -> Message:
        done = await room.execute(Regenerate(self.ada, room.room_id, "request", message_id, nonce or self.mint.token()))
        assert isinstance(done, MessageDone)
        return done.message

    async def go_on(self, room: Room, message_id: MessageId, nonce: str = "") -> Message:
        done = await room.execute(Continue(self.ada, room.room_id, "request", message_id, nonce or self.mint.token()))
        assert isinstance(done, MessageDone)
        return done.message

    async def edit(self, room: Room, message_id: MessageId, content: str, nonce: str = "") -> EditReceipt:
        done = await room.execute(
            Edit(self.ada, room.room_id, "request", message_id, content, nonce or self.mint.token())
        )
        assert isinstance(done, EditDone)
        return done.receipt

    async def wake(self, room: Room) -> None:
        await room.execute(Wake(None, room.room_id, "sweep"))

    # Writing

    async def write_all(self, *partitions: Partition) -> None:
        """Writes everything that is queued into its shard, with a new writer."""
        for shard in self.store.shard_ids():
            homes = [partition for partition in partitions or (HOME,) if partition % SHARDS + 1 == shard]
            if homes:
                await self.finish_writing(self.writer(*homes, name="write-all", shard=shard))

    async def finish_writing(self, writer: ShardWriterLoop) -> None:
        """Runs a writer until everything that is queued is in its shard."""
        task = self.spawn(writer.run())
        await settle()
        await writer.stop()
        for _ in range(100):
            if task.done():
                break
            await self.clock.advance(0.1)
        await task

    # Reads

    async def page(self, room_id: RoomId, *, session: Session | None = None, **window: Any) -> MessagePage:
        account = (session or self.ada).account_id
        return await self.history.page(room_id, account, **{"limit": 100, **window})

    async def texts(self, room_id: RoomId) -> list[tuple[int, str]]:
        return [(message.seq, message.content) for message in (await self.page(room_id)).messages]

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message:
        return await self.internal_history.message(room_id, message_id)

    async def rows(self, room_id: RoomId) -> list[MessageRow]:
        shard = await self.store.shard_of(home_of(room_id))
        return await self.store.messages_get(shard, room_id, limit=10_000, newest=False)

    async def events(self, room_id: RoomId) -> list[tuple[str, dict[str, Any]]]:
        """Returns the room's event log, as its readers get it."""
        stream = self.live.keys.events(home_of(room_id), room_id)
        found = [await self.log.room_event(room_id, entry) for entry in await self.log.entries(stream, "0-0")]
        return [(event.type, json.loads(event.data)) for event in found if event is not None]

    async def kinds(self, room_id: RoomId) -> list[str]:
        return [kind for kind, _ in await self.events(room_id)]

    async def queued(self, partition: Partition = HOME) -> int:
        return (await self.queue.depth(partition))[0]

    async def forget_room(self, room_id: RoomId) -> None:
        """Removes one room from Redis, and nothing else."""
        partition, keys = home_of(room_id), self.live.keys
        names = (keys.room, keys.messages, keys.states, keys.open, keys.events)
        await self.redis.delete(*(name(partition, room_id) for name in names))


async def gathered(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T | BaseException]:
    return await asyncio.gather(*work, return_exceptions=True)


DomainMaker = Callable[..., Domain]
__all__ = ["HOME", "NEIGHBOUR", "OTHER_SHARD", "PARTITIONS", "SHARD", "Domain", "DomainMaker", "crash", "settle"]
