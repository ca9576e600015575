"""The load of a run: a few people who send, stop, edit, read, rename and delete at random, each operation recorded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec

from parlor.cache.creations import CreationCache
from parlor.cache.live import RoomAddress
from parlor.errors import ParlorError, PartitionUnknown
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId, home_of
from parlor.model.messages import Event
from parlor.model.requests import EditReceipt, Idempotency, OnBusy, ReplyMode, SendReceipt, SendRequest
from parlor.model.rooms import NewRoom
from parlor.rooms.commands import (
    Command,
    Continue,
    DeleteMessage,
    DeleteRoom,
    Edit,
    EditDone,
    MessageDone,
    Outcome,
    Refused,
    Regenerate,
    RoomDone,
    Send,
    SendDone,
    Stop,
    UpdateRoom,
)
from tests.chaos.history import Heard, Kind, ObservedMessage, Recorder, Request, Response, calls_of, thought_of
from tests.chaos.history import Outcome as End
from tests.chaos.observed import seen
from tests.chaos.simulation.deciders import Deciders
from tests.chaos.simulation.installation import PAYERS, SHARD, SimInstallation

DEADLINE = 60.0
"""Seconds (virtual): twice what an edge's longest way takes, through owners that are stopped and a store that hangs."""
REFUSALS = frozenset(
    {
        "room-not-found",
        "message-not-found",
        "room-busy",
        "room-not-active",
        "illegal-transition",
        "limit-reached",
        "quota-exceeded",
        "stream-expired",
        "already-decided",
        "digest-mismatch",
        "invalid-request",
    }
)
"""Codes after which an operation did not happen and will not."""


class Left(Exception):
    """Whoever asked did not wait for the answer."""


class Users:
    """``work`` plays ``count`` people with ``operations`` each."""

    def __init__(
        self,
        installation: SimInstallation,
        recorder: Recorder,
        chance: random.Random,
        *,
        revising: bool,
        looking_back: bool,
        deciding: bool = False,
    ) -> None:
        """``revising``: they also stop, regenerate and edit, and double text in every way. ``looking_back``: they also
        ask for what was said before (all events, and sends that were answered) and continue replies. ``deciding``: they
        also decide about calls of tools."""
        self._installation = installation
        self._recorder = recorder
        self._chance = chance
        self._sessions = [Session(payer.account_id, payer.account_db_key, payer.partition, SHARD) for payer in PAYERS]
        self.rooms: dict[RoomId, Session] = {}
        self._messages: dict[RoomId, list[MessageId]] = {}
        self._replies: dict[RoomId, list[MessageId]] = {}
        self._revising = revising
        self._cursors: dict[RoomId, str] = {}
        self._first: dict[RoomId, str] = {}
        """The first cursor of each room that is known."""
        self._keys: dict[RoomId, list[tuple[str, str]]] = {}
        """Texts that were sent with a key, and their keys."""
        self._number = 0
        self._doing: list[tuple[int, Callable[[Session, RoomId], Awaitable[None]]]] = [
            (40, self._send),
            (8, self._send_with_key),
            (12, self._delete_message),
            (12, self._rename),
            (14, self._read),
            (8, self._listen),
            (2, self._delete_room),
            (2, self._create),
            (4, self._intrude),
        ]
        if revising:
            self._doing += [(10, self._stop), (8, self._regenerate), (8, self._edit)]
        if looking_back:
            self._doing += [(10, self._delete_message), (30, self._look_back), (10, self._send_again)]
            self._doing += [(12, self._continue)]
        if deciding:
            self._doing += [(120, Deciders(installation, chance, self._do, self._ask).decide)]

    async def work(self, count: int, operations: int, pace: float) -> None:
        """``pace``: mean seconds between two operations of one person."""
        for session in self._sessions:
            await self._create(session, RoomId(""))
        await asyncio.gather(*(self._user(operations, pace) for _ in range(count)))

    async def _user(self, operations: int, pace: float) -> None:
        weights = [weight for weight, _ in self._doing]
        for _ in range(operations):
            await asyncio.sleep(self._chance.expovariate(1 / pace))
            if not self.rooms:
                await self._create(self._chance.choice(self._sessions), RoomId(""))
                continue
            room_id, session = self._chance.choice(list(self.rooms.items()))
            ((_, act),) = self._chance.choices(self._doing, weights)
            await act(session, room_id)

    # What they do

    async def _create(self, session: Session, _: RoomId) -> None:
        edge = self._installation.edge.wiring
        title = self._unique("title")
        metadata = noted(title) if self._number % 2 else ""
        room_id = edge.mint.room_id(session.partition)
        address = RoomAddress(room_id, session.account_id, session.account_db_key)
        creations = CreationCache(edge.live)

        async def create() -> Response:
            for last in (False, True):
                try:
                    await creations.create(address, NewRoom(title, "GPT4O", metadata=metadata), "account")
                except PartitionUnknown:
                    if last:
                        raise
                    await edge.loader.open_partition(address.partition)
                else:
                    break
            self.rooms[room_id] = session
            return Response(room=room_id, title=title)

        # The room's id is the caller's own: known whatever becomes of the answer.
        await self._do(Kind.CREATE_ROOM, session, room_id, Request(title=title, metadata=metadata), create)

    async def _send(self, session: Session, room_id: RoomId) -> None:
        await self._post(session, room_id, self._unique("text"), "")

    async def _send_with_key(self, session: Session, room_id: RoomId) -> None:
        """Twice, whatever the first answer is."""
        text, key = self._unique("text"), self._unique("key")
        self._keys.setdefault(room_id, []).append((text, key))
        for _ in range(2):
            await self._post(session, room_id, text, key)

    async def _send_again(self, session: Session, room_id: RoomId) -> None:
        """Long after the first time."""
        if known := self._keys.get(room_id):
            text, key = self._chance.choice(known)
            await self._post(session, room_id, text, key)

    async def _post(self, session: Session, room_id: RoomId, text: str, key: str) -> None:
        mint, home = self._installation.edge.wiring.mint, home_of(room_id)
        mode = ReplyMode.AUTO if self._chance.random() < 0.6 else ReplyMode.NONE
        if self._revising:
            on_busy = self._chance.choice(list(OnBusy))
        else:
            on_busy = OnBusy.REJECT if self._chance.random() < 0.1 else OnBusy.ENQUEUE
        request = SendRequest(
            text,
            on_busy=on_busy,
            reply=mode,
            idempotency=Idempotency(key, text) if key else None,
            urgent=self._chance.random() < 0.1,
        )
        reply_id = mint.message_id(home) if mode is ReplyMode.AUTO else None
        command = Send(session, room_id, "", mint.message_id(home), reply_id, request)

        async def send() -> Response:
            done = await self._ask(command)
            assert isinstance(done, SendDone)
            receipt = done.receipt
            self._messages.setdefault(room_id, []).append(receipt.message.message_id)
            self._cursors[room_id] = receipt.cursor
            self._first.setdefault(room_id, receipt.cursor)
            if receipt.reply is not None:
                self._messages[room_id].append(receipt.reply.message_id)
                self._replies.setdefault(room_id, []).append(receipt.reply.message_id)
            return Response(messages=_given(receipt), cursor=receipt.cursor)

        await self._do(Kind.SEND, session, room_id, Request(content=text, key=key, on_busy=on_busy), send)

    async def _delete_message(self, session: Session, room_id: RoomId) -> None:
        known = self._messages.get(room_id)
        if not known:
            return
        message_id = self._chance.choice(known[-4:])

        async def delete() -> Response:
            await self._ask(DeleteMessage(session, room_id, "", message_id))
            return Response()

        await self._do(Kind.DELETE_MESSAGE, session, room_id, Request(message_id=message_id), delete)

    async def _stop(self, session: Session, room_id: RoomId) -> None:
        if known := self._replies.get(room_id):
            message_id = self._chance.choice(known[-3:])
            await self._revise(Kind.STOP_REPLY, Stop(session, room_id, "", message_id, None), "")

    async def _regenerate(self, session: Session, room_id: RoomId) -> None:
        if known := self._replies.get(room_id):
            command = Regenerate(session, room_id, "", known[-1], self._installation.edge.wiring.mint.token())
            await self._revise(Kind.REGENERATE, command, "")

    async def _continue(self, session: Session, room_id: RoomId) -> None:
        if known := self._replies.get(room_id):
            command = Continue(session, room_id, "", known[-1], self._installation.edge.wiring.mint.token())
            await self._revise(Kind.CONTINUE, command, "")

    async def _edit(self, session: Session, room_id: RoomId) -> None:
        replies = self._replies.get(room_id, [])
        if known := [message_id for message_id in self._messages.get(room_id, []) if message_id not in replies]:
            text, nonce = self._unique("edit"), self._installation.edge.wiring.mint.token()
            await self._revise(Kind.EDIT_MESSAGE, Edit(session, room_id, "", known[-1], text, nonce), text)

    async def _revise(self, kind: Kind, command: Stop | Regenerate | Continue | Edit, text: str) -> None:
        assert command.session is not None

        async def revise() -> Response:
            done = await self._ask(command)
            if isinstance(done, EditDone):
                return Response(messages=_given(done.receipt))
            assert isinstance(done, MessageDone)
            told = seen(done.message)
            if kind is Kind.CONTINUE:
                told = msgspec.structs.replace(told, attempt=done.message.attempt)
            return Response(messages=[told])

        request = Request(content=text, message_id=command.message_id)
        await self._do(kind, command.session, command.room_id, request, revise)

    async def _rename(self, session: Session, room_id: RoomId) -> None:
        """A title, metadata or both, by turns."""
        unique = self._unique("title")
        turn = self._number % 3
        title, metadata = unique if turn else "", noted(unique) if turn != 1 else ""

        async def rename() -> Response:
            done = await self._ask(UpdateRoom(session, room_id, "", title or None, metadata=metadata or None))
            assert isinstance(done, RoomDone)
            return Response(title=done.room.title)

        await self._do(Kind.RENAME, session, room_id, Request(title=title, metadata=metadata), rename)

    async def _delete_room(self, session: Session, room_id: RoomId) -> None:
        async def delete() -> Response:
            await self._ask(DeleteRoom(session, room_id, ""))
            return Response()

        await self._do(Kind.DELETE_ROOM, session, room_id, Request(), delete)

    async def _read(self, session: Session, room_id: RoomId) -> None:
        async def read() -> Response:
            page = await self._installation.edge.wiring.history.page(room_id, session.account_id, limit=200)
            return Response(messages=[seen(message) for message in page.messages], cursor=page.cursor)

        await self._do(Kind.READ_PAGE, session, room_id, Request(), read)

    async def _intrude(self, session: Session, room_id: RoomId) -> None:
        """Somebody else tries."""
        other = next(one for one in self._sessions if one is not session)
        act = self._chance.choice([self._read, self._rename, self._send, self._delete_room, self._listen])
        await act(other, room_id)

    async def _listen(self, session: Session, room_id: RoomId) -> None:
        """For some seconds, from the last cursor that is known, or from now."""
        after = self._cursors.get(room_id) if self._chance.random() < 0.7 else None
        await self._follow(session, room_id, after, self._chance.uniform(1.0, 12.0))

    async def _look_back(self, session: Session, room_id: RoomId) -> None:
        """For a moment, from the first cursor that is known."""
        if first := self._first.get(room_id):
            await self._follow(session, room_id, first, self._chance.uniform(0.2, 3.0))

    async def _follow(self, session: Session, room_id: RoomId, after: str | None, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        events: list[Heard] = []
        entered = False

        async def listen() -> Response:
            nonlocal entered
            try:
                async with (
                    asyncio.timeout_at(until),
                    self._installation.streams.room(room_id, session.account_id, after) as subscription,
                ):
                    entered = True
                    async for batch in subscription:
                        events.extend(heard(event) for event in batch)
            except TimeoutError:
                # The reader goes away; perhaps before it was told anything.
                if not entered:
                    raise Left from None
            return Response(heard=events)

        await self._do(Kind.EVENTS, session, room_id, Request(after=after or ""), listen)
        if events:
            self._cursors[room_id] = events[-1].cursor

    # How it is recorded

    async def _do(
        self, kind: Kind, session: Session, room_id: RoomId, request: Request, act: Callable[[], Awaitable[Response]]
    ) -> None:
        name = self._recorder.begin(kind, session.account_id, room_id, request, DEADLINE)
        try:
            response = await act()
        except ParlorError as error:
            # A message that is gone by now may have been decided about by an earlier copy.
            unsure = kind is Kind.DECIDE and error.code == "message-not-found"
            outcome = End.FAIL if error.code in REFUSALS and not unsure else End.UNKNOWN
            self._recorder.end(name, outcome, error=error.code)
            if error.code == "room-not-found" and self.rooms.get(room_id) is session:
                self.rooms.pop(room_id)
        except Left:
            self._recorder.end(name, End.UNKNOWN, transport="left")
        else:
            self._recorder.end(name, End.OK, response)

    async def _ask(self, command: Command) -> Outcome:
        outcome = await self._installation.ask(command)
        if isinstance(outcome, Refused):
            raise ParlorError.from_wire(outcome.error)
        return outcome

    def _unique(self, what: str) -> str:
        self._number += 1
        return f"{what} {self._number}"


def noted(what: str) -> str:
    """Metadata that nobody else gives."""
    return msgspec.json.encode({"noted": what}).decode()


def _given(receipt: SendReceipt | EditReceipt) -> list[ObservedMessage]:
    return [seen(message) for message in (receipt.message, receipt.reply) if message is not None]


def heard(event: Event) -> Heard:
    data = msgspec.json.decode(event.data)
    about = data.get("message", data)
    return Heard(
        cursor=event.cursor,
        type=event.type,
        message_id=event.message_id or "",
        seq=about.get("seq", 0),
        attempt=about.get("attempt", 0),
        offset=data.get("offset", 0),
        text=data.get("text") or data.get("part", about).get("text") or about.get("content", ""),
        thought=thought_of(about),
        calls=calls_of([data["part"]] if "part" in data else about.get("parts", ())),
    )
