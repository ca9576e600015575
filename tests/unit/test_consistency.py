"""Whatever happens in whatever order: what was acknowledged is stored once, in order, and what was deleted stays so."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from parlor.errors import RoomMoved, Unavailable
from parlor.model.ids import MessageId
from parlor.model.requests import ReplyMode
from parlor.model.states import MessageState
from parlor.rooms.commands import Command, DeleteDone, DeleteMessage, Result, SendDone
from tests.unit.domain import HOME, Domain, crash, settle
from tests.unit.memory_store import Templates

pytestmark = pytest.mark.unit

Step = tuple[str, int]

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["say", "ask", "say", "ask", "delete"]), st.integers(0, 5)),
        st.tuples(
            st.sampled_from(
                [
                    "time passes",
                    "writer starts",
                    "second writer",
                    "writer dies",
                    "owner dies",
                    "another owner",
                    "shard down",
                    "shard up",
                    "redis down",
                    "redis up",
                    "room forgotten",
                    "commit unheard",
                ]
            ),
            st.integers(0, 3),
        ),
        st.tuples(
            st.sampled_from(
                [
                    "lose append_turn",
                    "lose complete_reply",
                    "lose append_delta",
                    "lose begin_batch",
                    "lose finish_batch",
                    "lose delete_message",
                    "lose claim_room",
                ]
            ),
            st.integers(1, 2),
        ),
    ),
    max_size=25,
)


class Story:
    """One room, and what its user was answered."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.said: dict[MessageId, str] = {}
        """Acknowledged messages."""
        self.deleted: set[MessageId] = set()
        """Acknowledged deletes."""
        self.doubtful: set[MessageId] = set()
        """Deletes that were asked for and not answered."""
        self.order: list[MessageId] = []
        self.writers: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        self.room_id = await self.domain.new_room()
        self.room = self.domain.room(self.room_id)
        self.domain.model.auto = ["a", "b", "c"]

    async def ask(self, command: Command) -> Result | None:
        """Asks until the command is answered, as a gateway does; None when Redis or the shard is down."""
        for _ in range(6):
            try:
                return await self.room.execute(command)
            except RoomMoved:
                self.room = self.domain.room(self.room_id)
            except Unavailable:
                if not self.domain.server.connected or self.domain.store.down:
                    return None
        raise AssertionError("no answer although everything is up")

    async def send(self, text: str, reply: ReplyMode) -> None:
        command = self.domain.send_command(self.room_id, text, reply=reply)
        done = await self.ask(command)
        if done is None:
            return
        assert isinstance(done, SendDone)
        assert done.receipt.message.message_id == command.message_id
        self.said[command.message_id] = text
        self.order.append(command.message_id)

    async def delete(self, message_id: MessageId) -> None:
        done = await self.ask(DeleteMessage(self.domain.ada, self.room_id, "", message_id))
        if done is None:
            self.doubtful.add(message_id)
            return
        assert isinstance(done, DeleteDone)
        self.deleted.add(message_id)

    async def do(self, step: str, number: int) -> None:
        match step.split(" "):
            case ["say"]:
                await self.send(f"said {len(self.said)}", ReplyMode.NONE)
            case ["ask"]:
                await self.send(f"asked {len(self.said)}", ReplyMode.AUTO)
            case ["delete"] if self.order:
                await self.delete(self.order[-1 - number % len(self.order)])
            case ["time", "passes"]:
                await self.domain.clock.advance([0.02, 0.3, 3.2, 12.0][number])
            case ["owner", "dies"]:
                await crash(self.room)
                self.room = self.domain.room(self.room_id)
            case ["another", "owner"]:
                self.room = self.domain.room(self.room_id)
            case ["writer", _] | [_, "writer"]:
                await self.do_to_writers(step, number)
            case _:
                await self.do_to_servers(step, number)

    async def do_to_writers(self, step: str, number: int) -> None:
        domain = self.domain
        match step:
            case "writer starts":
                await self.start_writer("writer")
            case "second writer" if domain.server.connected:
                # The first one was paused for too long, and goes on as if nothing had happened.
                await domain.redis.delete(domain.live.keys.lease(HOME))
                await self.start_writer(f"writer {number}")
            case "writer dies" if self.writers:
                # It says no goodbye.
                domain.pipeline.refuse["release_lease"] = 1
                task = self.writers.pop(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                domain.pipeline.refuse.clear()

    async def do_to_servers(self, step: str, number: int) -> None:
        domain = self.domain
        match step.split(" "):
            case ["shard", state]:
                domain.store.down = state == "down"
            case ["redis", state]:
                domain.server.connected = state == "up"
            case ["room", "forgotten"] if domain.server.connected and await domain.queued() == 0:
                # As when it expires, or Redis comes back empty; what has operations queued does not expire.
                await domain.forget_room(self.room_id)
            case ["commit", "unheard"]:
                domain.store.lost.append("fp_writer_apply")
            case ["lose", script]:
                domain.pipeline.lose[script] = number

    async def start_writer(self, name: str) -> None:
        self.writers.append(self.domain.spawn(self.domain.writer(name=name).run()))
        await settle()

    async def end(self) -> None:
        """Everything works again, and enough time passes."""
        domain = self.domain
        domain.store.down, domain.server.connected = False, True
        domain.store.lost.clear()
        domain.pipeline.lose.clear()
        for writer in self.writers:
            writer.cancel()
        await asyncio.gather(*self.writers, return_exceptions=True)
        await domain.redis.delete(domain.live.keys.lease(HOME))
        await domain.write_all()
        self.room = domain.room(self.room_id)
        await domain.wake(self.room)
        await domain.clock.advance(10)
        assert not self.room.busy
        await domain.write_all()

    async def check(self) -> None:
        domain = self.domain
        assert await domain.queued() == 0
        rows = await domain.rows(self.room_id)
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        stored = {row.doc.message_id: row for row in rows}
        assert len(stored) == len(rows), "nothing is stored twice"
        for message_id, text in self.said.items():
            row = stored[message_id]
            if row.deleted:
                assert message_id in self.deleted | self.doubtful
                assert row.doc.content == ""
            else:
                assert row.doc.content == text
        assert all(stored[message_id].deleted for message_id in self.deleted)
        places = [stored[message_id].seq for message_id in self.order]
        assert places == sorted(places)
        replies = [row for row in rows if row.doc.parent_message_id is not None and not row.deleted]
        for row in replies:
            assert row.doc.finish_reason is not None, "every reply came to its end"
            assert row.doc.content in ("abc", "") or row.doc.finish_reason == "interrupted"
        page = await domain.page(self.room_id)
        assert [(message.seq, message.message_id, message.content) for message in page.messages] == [
            (row.seq, row.doc.message_id, row.doc.content) for row in rows
        ]
        assert {message.state for message in page.messages} <= {MessageState.SENT, MessageState.DELETED}
        assert page.persisted_seq == len(rows)
        (_, _, dead) = await domain.queue.depth(HOME)
        assert dead == 0


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(steps)
def test_what_was_acknowledged_is_stored_whatever_happens(templates: Templates, taken: list[Step]) -> None:
    async def run() -> None:
        domain = Domain(templates)
        try:
            story = Story(domain)
            await story.begin()
            for step, number in taken:
                await story.do(step, number)
            await story.end()
            await story.check()
        finally:
            await domain.close()

    asyncio.run(run())
