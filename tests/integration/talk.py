"""Somebody who sends to a room without a pause while something happens to it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from uuid import uuid4

import httpx2

from parlor.client import AsyncClient
from tests.integration.user import User, of
from tests.integration.waiting import eventually, patience

TAKEN_WITHIN = 2.0
"""Seconds in which every send is taken."""


class Talk:
    """Sends to a room without a pause, as a client does it: the same key again after a refusal. ``async with`` it."""

    def __init__(self, user: User, room: str) -> None:
        self.user, self.room = user, room
        self.taken: dict[int, str] = {}
        self.late: list[str] = []
        self.began = asyncio.Event()
        self._ends = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def __aenter__(self) -> Talk:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ends.set()
        if kind is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        else:
            await self._task

    async def _run(self) -> None:
        while not self._ends.is_set():
            await self._send(f"number {len(self.taken)}")
            await asyncio.sleep(0.1)

    async def _send(self, content: str) -> None:
        headers = {"Idempotency-Key": uuid4().hex}
        began, refused = asyncio.get_running_loop().time(), list[str]()

        async def look() -> httpx2.Response:
            body = {"content": content, "reply": "none"}
            answer = await self.user.http.post(f"{of(self.room)}/messages", json=body, headers=headers)
            if not answer.is_success:
                refused.append(answer.text)
            return answer

        answer = await eventually(look, lambda found: found.is_success, 30.0)
        took = asyncio.get_running_loop().time() - began
        if took > patience(TAKEN_WITHIN):
            self.late.append(f"{content} after {took:.1f} s: {refused}")
        seq = answer.json()["message"]["seq"]
        assert seq not in self.taken
        self.taken[seq] = content
        self.began.set()


class Followed(NamedTuple):
    """A reply as a client saw it, and as it was stored."""

    text: str
    resets: int
    """How often it began again."""
    stored: str
    finish_reason: str | None


async def follow(client: AsyncClient, content: str) -> Followed:
    """Asks in a new room, and follows the reply to its end."""
    room = (await client.create_room("Followed")).room_id
    reply = await client.ask(room, content)
    text, resets = "", 0
    async for delta in reply:
        resets += delta.type == "reset"
        text = "" if delta.type == "reset" else text + delta.text
    stored = await client.get_message(room, reply.message_id)
    return Followed(text, resets, stored.content, stored.finish_reason)
