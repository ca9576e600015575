"""Mixed load: people who write, read, rename and delete, and write down what they asked for and what they got.

A person who is not answered asks again with the same idempotency key, as a client is told to. How long a message takes
from the first attempt to its acknowledgement is what an outage means to people; the table is made of these times.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tests.chaos.history import Kind, ObservedMessage, Operation, Outcome, Recorder, Request, Response, calls_of
from tests.chaos.system.http_client import Answer, Connection, NoAnswer

DEADLINE = 30.0
"""Seconds in which every request is to be answered, during a fault too. A send is routed four times, five seconds
each (``actors/routing.py``, ``actors/channel.py``), and a persisted one waits 15 s for its commit."""
RETRY_PAUSE = 0.1
"""Seconds before the same thing is asked again; less than ``Retry-After`` says, to measure finely."""
GIVE_UP = 150.0
"""Seconds after which a message that nobody takes is given up, and counted as such."""
LATE = 1.0
"""Seconds that a person catches up with; what is more was not offered."""
NOTE_LENGTH = 200

WEIGHTS = {
    "note": 64,
    "ask": 12,
    "persisted": 4,
    "continue": 2,
    "page": 8,
    "delete_message": 4,
    "rename": 2,
    "rooms": 2,
    "trespass": 1,
    "replace_room": 1,
}
"""Of 100 things that are done: a message without a reply, one with, one whose commit is waited for, one whose reply is
stopped and then goes on, ..."""
SENDS = ("note", "ask", "persisted", "continue")
ANSWERS = {"ask": " [[tokens=6 delay=10ms]]", "continue": " [[tokens=40 delay=20ms]]"}
"""What the demo model is told to answer with."""


class Delivery(msgspec.Struct, frozen=True):
    """One message on its way; times of ``time.monotonic``."""

    room: str
    asked_at: float
    taken_at: float | None
    """None: given up."""
    persisted: bool
    refusals: list[str] = []
    """Why it was not taken at once: codes and failed connections."""


class KnownRoom:
    """A room as its account knows it."""

    def __init__(self, room_id: str) -> None:
        self.room_id = room_id
        self.messages: list[str] = []
        """Ids of messages that may be deleted."""


class Account:
    def __init__(self, name: str, token: str) -> None:
        self.name = name
        self.token = token
        self.rooms: list[KnownRoom] = []


class Load:
    """People on an installation. ``run`` returns when ``stop`` was called and everybody has finished."""

    def __init__(
        self,
        address: tuple[str, int],
        recorder: Recorder,
        accounts: list[Account],
        seed: int,
        *,
        persisted: int = WEIGHTS["persisted"],
    ) -> None:
        self.accounts = accounts
        self.deliveries: list[Delivery] = []
        self.offered = 0
        self.answered = 0
        self._address = address
        self._recorder = recorder
        self._random = random.Random(seed)
        self.waiting: dict[str, float] = {}
        """Content of each message that is not taken yet, and when it was asked for."""
        self._stopping = False
        self._count = 0
        self._choices = list(WEIGHTS)
        self._weights = list((WEIGHTS | {"persisted": persisted}).values())

    async def furnish(self, accounts: Sequence[Account], rooms: int) -> None:
        """So many rooms for each of these accounts."""
        for account in accounts:
            connection = self.connect(account)
            try:
                for _ in range(rooms):
                    await self._create_room(connection, account)
            finally:
                await connection.close()

    async def run(self, rate: float, users: int) -> None:
        """``users`` share ``rate`` operations a second among them, and take turns through the accounts."""
        pause = users / rate
        async with asyncio.TaskGroup() as group:
            for number in range(users):
                group.create_task(self._user(self.accounts[number % len(self.accounts)], pause))

    def stop(self) -> None:
        self._stopping = True

    def waiting_since(self, moment: float) -> bool:
        """Whether somebody has been waiting since before then."""
        return any(asked_at < moment for asked_at in self.waiting.values())

    def connect(self, account: Account) -> Connection:
        return Connection(*self._address, account.token)

    async def _user(self, account: Account, pause: float) -> None:
        connection = self.connect(account)
        due = time.monotonic() + self._random.random() * pause
        try:
            while not self._stopping:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                due = max(due + pause, time.monotonic() - LATE)
                self.offered += 1
                await self._do(self._random.choices(self._choices, self._weights)[0], connection, account)
        finally:
            await connection.close()

    async def _do(self, what: str, connection: Connection, account: Account) -> None:
        room = self._random.choice(account.rooms)
        match what:
            case "note" | "ask" | "persisted":
                await self.deliver(what, connection, account, room)
            case "continue":
                await self._stop_and_continue(connection, account, room)
            case "page":
                await self._read_page(connection, account, room.room_id)
            case "delete_message":
                if room.messages:
                    chosen = room.messages.pop(self._random.randrange(len(room.messages)))
                    path = f"/v1/rooms/{room.room_id}/messages/{chosen}"
                    request = Request(message_id=chosen)
                    await self.ask(connection, Kind.DELETE_MESSAGE, account, room.room_id, request, "DELETE", path)
            case "rename":
                title = self._unique("title")
                request, body = Request(title=title), {"title": title}
                await self.ask(
                    connection, Kind.RENAME, account, room.room_id, request, "PATCH", f"/v1/rooms/{room.room_id}", body
                )
            case "rooms":
                await self.ask(connection, Kind.LIST_ROOMS, account, "", Request(), "GET", "/v1/rooms?limit=50")
            case "trespass":
                other = self._random.choice([found for found in self.accounts if found is not account])
                await self._read_page(connection, account, self._random.choice(other.rooms).room_id)
            case _:
                await self._replace_room(connection, account, room)

    async def _replace_room(self, connection: Connection, account: Account, room: KnownRoom) -> None:
        if not await self._create_room(connection, account):
            return
        if len(account.rooms) > 1 and account.rooms[0] is room:
            account.rooms.remove(room)
            path = f"/v1/rooms/{room.room_id}"
            await self.ask(connection, Kind.DELETE_ROOM, account, room.room_id, Request(), "DELETE", path)
        else:
            account.rooms.pop()

    async def _create_room(self, connection: Connection, account: Account) -> bool:
        """Whether it was acknowledged."""
        title = self._unique("title")
        done = await self.ask(
            connection, Kind.CREATE_ROOM, account, "", Request(title=title), "POST", "/v1/rooms", {"title": title}
        )
        if done.outcome is not Outcome.OK:
            return False
        account.rooms.append(KnownRoom(done.response.room))
        return True

    async def _stop_and_continue(self, connection: Connection, account: Account, room: KnownRoom) -> None:
        """The second is refused where another turn has come meanwhile, or where the reply was over."""
        sent = await self.deliver("continue", connection, account, room)
        if sent is None:
            return
        reply, room_id = sent.response.messages[1].message_id, room.room_id
        path, request = f"/v1/rooms/{room_id}/messages/{reply}", Request(message_id=reply)
        stopped = await self.ask(connection, Kind.STOP_REPLY, account, room_id, request, "POST", f"{path}/stop")
        if stopped.outcome is Outcome.OK:
            await self.ask(connection, Kind.CONTINUE, account, room_id, request, "POST", f"{path}/continue")

    async def deliver(
        self, what: str, connection: Connection, account: Account, room: KnownRoom, directive: str = ""
    ) -> Operation | None:
        """Sends a message until it is taken, or refused for good (None). ``directive`` is the demo model's."""
        directive = directive or ANSWERS.get(what, "")
        content = self._unique("note").ljust(NOTE_LENGTH, ".") + directive
        request = Request(content=content, key=content[:40])
        headers = {"Idempotency-Key": f'"{request.key}"'}
        if what == "persisted":
            headers["Prefer"] = "durability=persisted"
        body = {"content": content, "reply": "auto" if directive else "none"}
        path = f"/v1/rooms/{room.room_id}/messages"
        asked_at, refusals = time.monotonic(), list[str]()
        self.waiting[content] = asked_at
        while True:
            done = await self.ask(connection, Kind.SEND, account, room.room_id, request, "POST", path, body, headers)
            taken = done.completed_at if done.outcome is Outcome.OK else None
            if done.outcome is Outcome.UNKNOWN:
                refusals.append(done.error or done.transport)
                if time.monotonic() - asked_at < GIVE_UP:
                    await asyncio.sleep(RETRY_PAUSE)
                    continue
            del self.waiting[content]
            if done.outcome is not Outcome.FAIL:
                persisted = what == "persisted"
                self.deliveries.append(Delivery(room.room_id, asked_at, taken, persisted, refusals))
            if taken is not None and what == "note":
                room.messages = [*room.messages[-50:], done.response.messages[0].message_id]
            return done if taken is not None else None

    async def _read_page(self, connection: Connection, account: Account, room: str) -> None:
        path = f"/v1/rooms/{room}/messages?limit=50"
        await self.ask(connection, Kind.READ_PAGE, account, room, Request(), "GET", path)

    async def ask(
        self,
        connection: Connection,
        kind: Kind,
        account: Account,
        room: str,
        request: Request,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Operation:
        name = self._recorder.begin(kind, account.name, room, request, DEADLINE)
        try:
            answer = await connection.ask(method, path, body, headers, seconds=DEADLINE)
        except NoAnswer as failure:
            return self._recorder.end(name, Outcome.UNKNOWN, transport=failure.how)
        self.answered += 1
        outcome = outcome_of(answer)
        if outcome is Outcome.OK:
            persisted = "durability=persisted" in (headers or {}).get("Prefer", "")
            return self._recorder.end(name, outcome, _READERS[kind](answer, persisted))
        # A proxy with no replica behind it answers by itself; it knows no codes.
        code = str(answer.body.get("code", ""))
        return self._recorder.end(name, outcome, error=code, transport="" if code else f"http {answer.status}")

    def _unique(self, what: str) -> str:
        self._count += 1
        return f"{what} {self._count:07d} {self._random.getrandbits(48):012x}"


def outcome_of(answer: Answer) -> Outcome:
    if 200 <= answer.status < 300:
        return Outcome.OK
    return Outcome.UNKNOWN if answer.status >= 500 or answer.status == 429 else Outcome.FAIL


def seen(message: Mapping[str, Any]) -> ObservedMessage:
    """A message of the HTTP interface."""
    state = str(message["state"])
    return ObservedMessage(
        seq=int(str(message["seq"])),
        message_id=str(message["message_id"]),
        sender=str(message["sender_type"]),
        content=str(message["content"]),
        deleted=state in ("DELETING", "DELETED"),
        open=state == "COMPOSING",
        calls=calls_of(message["parts"]),
    )


def _sent(answer: Answer, persisted: bool) -> Response:
    given = [answer.body["message"], answer.body["reply"]]
    messages = [seen(message) for message in given if message is not None]
    return Response(messages=messages, cursor=answer.body["cursor"], persisted=persisted)


def _page(answer: Answer, _persisted: bool) -> Response:
    return Response(messages=[seen(message) for message in answer.body["messages"]], cursor=answer.body["cursor"])


def _room(answer: Answer, _persisted: bool) -> Response:
    return Response(room=answer.body["room_id"], title=answer.body["title"])


def _rooms(answer: Answer, _persisted: bool) -> Response:
    return Response(rooms=[room["room_id"] for room in answer.body["rooms"]])


def _stopped(answer: Answer, _persisted: bool) -> Response:
    return Response(messages=[seen(answer.body)])


def _continued(answer: Answer, _persisted: bool) -> Response:
    return Response(messages=[msgspec.structs.replace(seen(answer.body), attempt=int(answer.body["attempt"]))])


def _decided(answer: Answer, _persisted: bool) -> Response:
    return Response(call=calls_of([answer.body])[0])


def _nothing(_answer: Answer, _persisted: bool) -> Response:
    return Response()


_READERS: dict[Kind, Callable[[Answer, bool], Response]] = {
    Kind.CREATE_ROOM: _room,
    Kind.RENAME: _room,
    Kind.DELETE_ROOM: _nothing,
    Kind.SEND: _sent,
    Kind.DELETE_MESSAGE: _nothing,
    Kind.STOP_REPLY: _stopped,
    Kind.CONTINUE: _continued,
    Kind.DECIDE: _decided,
    Kind.READ_PAGE: _page,
    Kind.LIST_ROOMS: _rooms,
}
