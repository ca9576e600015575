"""Users of the domain, who record what they ask and the answers that they get."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress

import msgspec

from parlor.cache.creations import CreationCache
from parlor.cache.live import RoomAddress
from parlor.errors import ParlorError, PartitionUnknown, RoomMoved
from parlor.model.access import Session
from parlor.model.ids import AccountId, MessageId, RoomId
from parlor.model.messages import Message
from parlor.model.parts import ToolCallPart
from parlor.model.requests import Idempotency, ReplyMode, SendRequest
from parlor.model.rooms import NewRoom
from parlor.model.tools import Decision
from parlor.rooms.commands import (
    CallDone,
    Command,
    Decide,
    DeleteDone,
    DeleteMessage,
    Outcome,
    Refused,
    RoomDone,
    Send,
    SendDone,
    UpdateRoom,
)
from parlor.rooms.host import RoomHost
from parlor.tools.arguments import canonical
from parlor.wiring import Wiring
from tests.chaos.history import Kind, Operation, Recorder, Request, Response
from tests.chaos.history import Outcome as RecordedOutcome
from tests.chaos.observed import call_seen, seen

DEADLINE = 30.0
RETRY_PAUSE = 0.02
GIVEN_UP = 0.05
"""Share of the commands that go to another owner while the first one still has them."""
LATE_SECONDS = 0.3
APPROVED, EDITED = 0.7, 0.4
"""Shares of the decisions."""


class Users:
    """They ask every owner of a ``tests.chaos.wrapper.domain.Domain``, through every process's connections."""

    def __init__(self, wirings: list[Wiring], hosts: list[RoomHost], recorder: Recorder, seed: int) -> None:
        self._wirings = wirings
        self._hosts = hosts
        self._recorder = recorder
        self._random = random.Random(seed)
        self._sessions: dict[str, Session] = {}
        self._copies: list[asyncio.Task[None]] = []
        self._count = 0
        self.stale_copies = 0
        """Copies that were refused because the command had gone elsewhere."""

    async def settled(self) -> None:
        """When no copy of a command is under way any more."""
        await asyncio.gather(*self._copies)

    async def settle_in(self, accounts: int, rooms: int) -> list[tuple[Session, RoomId]]:
        """Rooms of new accounts, which are as evenly spread over the partitions as the store spreads them."""
        names = [f"settler-{number}" for number in range(accounts) for _ in range(rooms)]
        made = [(name, await self._create_room(name)) for name in names]
        return [(self._sessions[name], room) for name, room in made]

    async def live_in(self, account: str, rooms: int, steps: int) -> None:
        """One account's person, who does one thing after the other."""
        own = [await self._create_room(account) for _ in range(rooms)]
        sent: list[tuple[RoomId, MessageId]] = []
        for _ in range(steps):
            room = self._random.choice(own)
            match self._random.choices(("send", "ask", "read", "rename", "delete", "decide"), (6, 2, 2, 1, 1, 4))[0]:
                case "send":
                    if (message := await self._send(account, room, ReplyMode.NONE)) is not None:
                        sent.append((room, message))
                case "ask":
                    await self._send(account, room, ReplyMode.AUTO)
                case "read":
                    await self._read(account, room)
                case "rename":
                    title = self._unique("title")
                    command = UpdateRoom(self._sessions[account], room, title, title)
                    await self._do(Kind.RENAME, account, room, Request(title=title), command)
                case "decide":
                    await self._decide(account, room)
                case _:
                    if sent:
                        room, message = sent.pop(self._random.randrange(len(sent)))
                        request, word = Request(message_id=message), DeleteMessage
                        command_ = word(self._sessions[account], room, message, message)
                        await self._do(Kind.DELETE_MESSAGE, account, room, request, command_)

    async def _decide(self, account: str, room: RoomId) -> None:
        """About a call that waits in the room, until it is taken or refused."""
        waiting = [
            (message.message_id, part)
            for message in await self._read(account, room)
            for part in message.parts or ()
            if isinstance(part, ToolCallPart) and part.waits
        ]
        if not waiting:
            return
        message_id, call = self._random.choice(waiting)
        approve = self._random.random() < APPROVED
        editing = approve and call.editable and self._random.random() < EDITED
        edited = canonical({**json.loads(call.arguments), "to": "Bob"}) if editing else ""
        decision = Decision(approve, call.digest, edited or None, "")
        command = Decide(self._sessions[account], room, self._unique("r"), message_id, call.tool_call_id, decision)
        about = Request(
            message_id=message_id,
            call_id=call.tool_call_id,
            tool=call.name,
            digest=call.digest,
            approve=approve,
            arguments=edited,
        )
        while True:
            done = await self._do(Kind.DECIDE, account, room, about, command)
            if done.outcome is not RecordedOutcome.UNKNOWN:
                return
            await asyncio.sleep(RETRY_PAUSE)

    async def _create_room(self, account: str) -> RoomId:
        wiring, session = self._wirings[0], await self._session(account)
        room = wiring.mint.room_id(session.partition)
        address = RoomAddress(room, session.account_id, session.account_db_key)
        title = self._unique("title")
        while True:
            name = self._recorder.begin(Kind.CREATE_ROOM, account, "", Request(title=title), DEADLINE)
            try:
                await self._create(self._random.choice(self._wirings), address, title)
            except ParlorError as error:
                self._recorder.end(name, RecordedOutcome.UNKNOWN, Response(room=room), error.code)
                await asyncio.sleep(RETRY_PAUSE)
                continue
            self._recorder.end(name, RecordedOutcome.OK, Response(room=room, title=title))
            return room

    async def _create(self, wiring: Wiring, address: RoomAddress, title: str) -> None:
        creations = CreationCache(wiring.live)
        try:
            await creations.create(address, NewRoom(title, "GPT4O"), "account")
        except PartitionUnknown:
            await wiring.loader.open_partition(address.partition)
            await creations.create(address, NewRoom(title, "GPT4O"), "account")

    async def _send(self, account: str, room: RoomId, reply: ReplyMode) -> MessageId | None:
        """Asks with the same key and ids until it is taken."""
        session, mint = self._sessions[account], self._wirings[0].mint
        text = self._unique("note")
        request = SendRequest(text, reply=reply, idempotency=Idempotency(text, text))
        while True:
            # A front door mints new ids each time it is asked; the key is what stays.
            reply_id = mint.message_id(session.partition) if reply is ReplyMode.AUTO else None
            command = Send(session, room, text, mint.message_id(session.partition), reply_id, request)
            done = await self._do(Kind.SEND, account, room, Request(content=text, key=text), command)
            if done.outcome is RecordedOutcome.OK:
                return MessageId(done.response.messages[0].message_id)
            if done.outcome is RecordedOutcome.FAIL:
                return None
            await asyncio.sleep(RETRY_PAUSE)

    async def _do(self, kind: Kind, account: str, room: RoomId, request: Request, command: Command) -> Operation:
        """Asks one owner after another until one serves it, as the gateway does; now and then two, when the first one
        was given up too early."""
        name = self._recorder.begin(kind, account, room, request, DEADLINE)
        while True:
            try:
                ticket = await self._random.choice(self._wirings).reader.claims(room)
            except ParlorError as error:
                return self._recorder.end(name, RecordedOutcome.UNKNOWN, error=error.code)
            copy = msgspec.structs.replace(command, ticket=ticket)
            first, second = self._random.sample(self._hosts, 2)
            if self._random.random() < GIVEN_UP:
                self._copies.append(asyncio.create_task(self._late(first, copy)))
                first = second
            outcome = (await first.execute([copy], activate=True))[0]
            if not (isinstance(outcome, Refused) and outcome.error.kind == RoomMoved.__name__):
                return self._told(name, outcome)

    async def _late(self, host: RoomHost, command: Command) -> None:
        """What nobody waits for any more."""
        await asyncio.sleep(self._random.uniform(0, LATE_SECONDS))
        self.stale_copies += isinstance((await host.execute([command], activate=True))[0], Refused)

    def _told(self, name: str, outcome: Outcome) -> Operation:
        match outcome:
            case Refused(error):
                found = ParlorError.from_wire(error)
                return self._recorder.end(
                    name,
                    RecordedOutcome.UNKNOWN if found.http_status >= 500 else RecordedOutcome.FAIL,
                    error=found.code,
                )
            case SendDone(receipt):
                messages = [seen(one) for one in (receipt.message, receipt.reply) if one is not None]
                return self._recorder.end(name, RecordedOutcome.OK, Response(messages=messages, cursor=receipt.cursor))
            case RoomDone(room):
                return self._recorder.end(name, RecordedOutcome.OK, Response(title=room.title))
            case CallDone(call):
                return self._recorder.end(name, RecordedOutcome.OK, Response(call=call_seen(call)))
            case DeleteDone():
                return self._recorder.end(name, RecordedOutcome.OK)
            case _:
                raise AssertionError(f"{outcome} answers something else")

    async def _read(self, account: str, room: RoomId) -> list[Message]:
        name = self._recorder.begin(Kind.READ_PAGE, account, room, Request(), DEADLINE)
        history = self._random.choice(self._wirings).history
        try:
            page = await history.page(room, AccountId(account), limit=50)
        except ParlorError as error:
            self._recorder.end(
                name, RecordedOutcome.UNKNOWN if error.http_status >= 500 else RecordedOutcome.FAIL, error=error.code
            )
            return []
        messages = [seen(message) for message in page.messages]
        self._recorder.end(name, RecordedOutcome.OK, Response(messages=messages, cursor=page.cursor))
        return page.messages

    async def _session(self, account: str) -> Session:
        while account not in self._sessions:
            store = self._wirings[0].store
            with suppress(ParlorError):
                row = await store.open_account(AccountId(account))
                shard = await store.shard_of(row.partition)
                self._sessions[account] = Session(row.account_id, row.account_db_key, row.partition, shard)
        return self._sessions[account]

    def _unique(self, what: str) -> str:
        self._count += 1
        return f"{what} {self._count:06d} {self._random.getrandbits(48):012x}"
