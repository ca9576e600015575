"""A reply that is being written, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from parlor.client import calls
from parlor.client.async_transport import AsyncTransport
from parlor.client.errors import BadAnswer, ReplyDeleted, StreamExpired
from parlor.client.fold import Delta, Fold, Gap
from parlor.client.models import Event, Message, Part

GAPS_MAX = 3
"""How often a reply is read from its start because something was missing."""


class AsyncReply:
    """A reply, as far as it was read. Iterating gives what is new, through cuts and new attempts, until the reply has
    ended; then ``text`` is exactly what is stored. An iteration that was given up may be taken up again."""

    def __init__(
        self, transport: AsyncTransport, room_id: str, message_id: str, cursor: str | None = None, attempt: int = 0
    ) -> None:
        self.room_id = room_id
        self.message_id = message_id
        self.cursor = cursor
        self._transport = transport
        self._fold = Fold(message_id, attempt)

    @property
    def text(self) -> str:
        return self._fold.text

    @property
    def reasoning(self) -> str:
        return self._fold.reasoning

    @property
    def parts(self) -> dict[int, Part]:
        """What is neither text nor reasoning, by its place in the message."""
        return self._fold.parts

    @property
    def attempt(self) -> int:
        return self._fold.attempt

    @property
    def message(self) -> Message | None:
        """The whole message, when it has ended."""
        return self._fold.message

    async def __aiter__(self) -> AsyncGenerator[Delta]:
        gaps = 0
        while not self._fold.has_ended():
            try:
                async with aclosing(self._events()) as events:
                    async for event in events:
                        deltas = self._fold.apply(event)
                        self.cursor = event.id
                        for delta in deltas:
                            yield delta
                        if self._fold.has_ended():
                            break
            except StreamExpired:
                # Away for too long. The message is there, or its whole attempt is.
                self.cursor = None
                message = await self._transport.call(calls.get_message(self.room_id, self.message_id))
                for delta in self._fold.restart() if message.is_streaming else self._fold.end(message):
                    yield delta
            except Gap:
                gaps += 1
                if gaps > GAPS_MAX:
                    raise BadAnswer("the events of the reply do not join on to each other") from None
                self.cursor = None
                for delta in self._fold.restart():
                    yield delta
        if self._fold.is_deleted:
            raise ReplyDeleted("the reply was deleted")

    async def result(self) -> Message:
        """The whole message, when it has ended."""
        async for _ in self:
            pass
        message = self._fold.message
        if message is None:
            raise ReplyDeleted("the reply was deleted")
        return message

    async def stop(self) -> Message:
        """Ends the reply; its text stays."""
        return await self._transport.call(calls.stop(self.room_id, self.message_id, self.attempt or None))

    def _events(self) -> AsyncGenerator[Event]:
        path = f"{calls.message_path(self.room_id, self.message_id)}/events"
        return self._transport.events(path, self.cursor)
