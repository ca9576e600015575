"""One account's view of the HTTP interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import httpx2

from tests.installation import Installation
from tests.integration.sse import EventReader, reading
from tests.integration.waiting import eventually

Json: TypeAlias = dict[str, Any]

PERSISTED = {"Prefer": "durability=persisted"}
"""The answer comes after the commit."""
EVENTS = {"Accept": "text/event-stream"}


class User:
    """Asks with a token. Methods assert that the call succeeds; ``http`` is for everything else."""

    def __init__(self, http: httpx2.AsyncClient, account: str) -> None:
        self.http = http
        self.account = account

    async def create_room(self, title: str | None = None, persona: str | None = None) -> str:
        body = {"title": title, "ai_persona": persona}
        answer = await self.http.post("/v1/rooms", json={name: value for name, value in body.items() if value})
        return str(succeeded(answer, 201)["room_id"])

    async def send(
        self, room: str, content: str, *, headers: dict[str, str] | None = None, status: int = 201, **body: Any
    ) -> Json:
        answer = await self.http.post(f"{of(room)}/messages", json={"content": content, **body}, headers=headers)
        return succeeded(answer, status)

    async def note(self, room: str, content: str, *, persisted: bool = False) -> Json:
        """A message that asks for no reply."""
        sent = await self.send(room, content, reply="none", headers=PERSISTED if persisted else None)
        assert sent["reply"] is None
        message: Json = sent["message"]
        return message

    async def converse(self, room: str, content: str) -> Json:
        """Sends and waits for the whole reply; returns both."""
        sent = await self.send(room, content, headers={"Prefer": "wait=30"})
        assert not sent["reply"]["is_streaming"], sent
        return sent

    async def get(self, path: str, **params: str | int) -> Json:
        return succeeded(await self.http.get(path, params=params), 200)

    async def messages(self, room: str, **params: int) -> Json:
        return await self.get(f"{of(room)}/messages", **params)

    async def history(self, room: str) -> list[Json]:
        """The whole room, read forwards in pages."""
        found: list[Json] = []
        while True:
            page = await self.messages(room, limit=200, after=found[-1]["seq"] if found else 0)
            found += page["messages"]
            if not page["has_more"]:
                return found

    async def message(self, room: str, message_id: str) -> Json:
        return await self.get(f"{of(room)}/messages/{message_id}")

    async def state(self, room: str, message_id: str | None = None) -> Json:
        return await self.get(f"{of(room)}/messages/{message_id}/state" if message_id else f"{of(room)}/state")

    async def delete_message(self, room: str, message_id: str) -> Json:
        return succeeded(await self.http.delete(f"{of(room)}/messages/{message_id}"), 200)

    async def edit_message(self, room: str, message_id: str, content: str) -> Json:
        answer = await self.http.patch(f"{of(room)}/messages/{message_id}", json={"content": content})
        return succeeded(answer, 200)

    async def stop(self, room: str, message_id: str, attempt: int | None = None) -> Json:
        body = None if attempt is None else {"attempt": attempt}
        return succeeded(await self.http.post(f"{of(room)}/messages/{message_id}/stop", json=body), 200)

    async def regenerate(self, room: str, message_id: str) -> Json:
        return succeeded(await self.http.post(f"{of(room)}/messages/{message_id}/regenerate"), 202)

    async def variants(self, room: str, message_id: str) -> list[Json]:
        """What the message said before, and what it says now."""
        page = await self.get(f"{of(room)}/messages/{message_id}/variants", limit=100)
        assert page["next_cursor"] is None
        found: list[Json] = page["variants"]
        return found

    async def flush(self) -> None:
        """Returns when all that the account did is in its shard: a writer takes its partition's queue in order, and at
        once for a sender who waits."""
        await self.note(await self.create_room("Aside"), "the last of all", persisted=True)

    async def ended(self, room: str, message_id: str) -> Json:
        """The reply, when it has ended."""
        return await eventually(partial(self.message, room, message_id), lambda found: not found["is_streaming"])

    def stream(
        self, room: str, content: str, headers: dict[str, str] | None = None, **body: Any
    ) -> AbstractAsyncContextManager[EventReader]:
        """Sends and reads the turn's events."""
        given = {**EVENTS, **(headers or {})}
        return reading(self.http, "POST", f"{of(room)}/messages", json={"content": content, **body}, headers=given)

    def events(self, path: str, after: str | None = None) -> AbstractAsyncContextManager[EventReader]:
        return reading(self.http, "GET", f"{path}/events", params={"after": after} if after else {}, headers=EVENTS)


def of(room: str) -> str:
    return f"/v1/rooms/{room}"


def succeeded(answer: httpx2.Response, status: int) -> Json:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    body: Json = answer.json()
    assert body.pop("errorCode") == 0
    return body


@asynccontextmanager
async def signed_in(installation: Installation, account: str, base_url: str | None = None) -> AsyncIterator[User]:
    """``base_url``: of another front door than the installation's own."""
    headers = {"Authorization": f"Bearer {installation.token(account)}"}
    url = base_url or installation.base_url
    # verify=False: reading the machine's certificates takes longer than a request, and there is no TLS here.
    # Every open stream holds a connection.
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30.0, verify=False, limits=limits) as http:
        yield User(http, account)
