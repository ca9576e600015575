"""A room as its owner holds it: a mailbox, a claim, and the replies that are to be written.

One command at a time, in the order of arrival, in the room's own task. Safety does not rest on this object: every
write carries the claim, and a stale owner is refused (I3). Then the room is *lost*: its owner drops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
import structlog
from msgspec import structs

from parlor.cache.live import RoomAddress
from parlor.cache.reads import CacheReader
from parlor.cache.records import view
from parlor.cache.rooms import Appended, RoomCache, Turn
from parlor.cache.summaries import SummaryCache
from parlor.errors import (
    CacheUnavailable,
    Fenced,
    InternalError,
    OutOfStep,
    Overloaded,
    ParlorError,
    PartitionUnknown,
    RoomBusy,
    RoomMoved,
    RoomNotFound,
    Unavailable,
)
from parlor.ids import IdMint, MessageId, RoomId, home_of
from parlor.model import DeleteOutcome, DeleteReceipt, FinishReason, Message, OnBusy, SendReceipt, Session
from parlor.reading.internal import InternalHistory
from parlor.reading.loading import Loader
from parlor.rooms.commands import (
    Command,
    DeleteDone,
    DeleteMessage,
    DeleteRoom,
    Done,
    Edit,
    EditDone,
    MessageDone,
    Regenerate,
    Rename,
    ResetMemory,
    Result,
    RoomDone,
    Send,
    SendDone,
    Stop,
    Wake,
)
from parlor.rooms.reply import ReplyJob, ReplyPorts
from parlor.rooms.reply_queue import ReplyQueue
from parlor.rooms.revision import Revision
from parlor.rooms.turns import adopted_job, job_of, turn_of
from parlor.state_machine import ChatStateMachine
from parlor.states import MessageState

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)

CLAIM_ATTEMPTS = 3
"""How often a room that is out of step is loaded again before the caller is told to come back."""
RELOAD_PAUSE = 1.0
"""Seconds between attempts to load a room whose reply was cut off by Redis forgetting it."""


class RoomPorts(msgspec.Struct, frozen=True):
    """What a room works with."""

    reply: ReplyPorts
    cache: RoomCache
    reader: CacheReader
    loader: Loader
    history: InternalHistory
    states: ChatStateMachine
    summaries: SummaryCache
    mint: IdMint


class Room:
    """``on_lost`` is called once, when the room is not this owner's any more."""

    def __init__(self, ports: RoomPorts, room_id: RoomId, on_lost: Callable[[RoomId], None]) -> None:
        self.room_id = room_id
        self._ports = ports
        self._on_lost = on_lost
        self._clock = ports.reply.clock
        self._settings = ports.reply.settings.rooms
        self._claim = ports.mint.claim()
        self._ticket: int | None = None
        """What it claims with: the number of its own claim, or the ticket of the command that it is serving."""
        self._address: RoomAddress | None = None
        self._in_step = False
        """Whether what is known here is what Redis has; if not, the room is claimed again first."""
        self._persona = ""
        self._last_seq = 0
        self._mailbox: asyncio.Queue[tuple[Command, asyncio.Future[Result]]] = asyncio.Queue()
        self._replies = ReplyQueue(ports.reply, self._claim, self._lose, self._reload)
        self._revision = Revision(ports.cache, ports.history, self._clock, self._claim, self._replies)
        self._lost = False
        self._serving = False
        self._used_at = self._clock.monotonic()
        self._tasks = [asyncio.create_task(self._serve_mailbox()), asyncio.create_task(self._replies.run())]

    @property
    def busy(self) -> bool:
        """Whether a command or a reply is under way."""
        return self._serving or not self._mailbox.empty() or len(self._replies) > 0

    @property
    def idle_seconds(self) -> float:
        """Since the last command or reply; 0 while there is one."""
        return 0.0 if self.busy else self._clock.monotonic() - max(self._used_at, self._replies.used_at)

    def submit(self, command: Command) -> asyncio.Future[Result]:
        """Takes a command; its future is set when the command has been served in its turn, also when nobody waits for
        it any more. It is not to be cancelled. Raises ``Overloaded``, and ``RoomMoved``, which asks the caller to look
        for the room's place again; so may the future."""
        if self._lost:
            raise RoomMoved
        if self._mailbox.qsize() >= self._settings.mailbox_limit:
            raise Overloaded("Too many commands wait for this room", retry_after=1.0)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._mailbox.put_nowait((command, answer))
        return answer

    async def execute(self, command: Command) -> Result:
        """As ``submit``, and waits. Raises the error that the command ends with."""
        # A caller that is cancelled leaves; the command is served all the same.
        return await asyncio.shield(self.submit(command))

    def end_replies(self, reason: FinishReason) -> None:
        """Ends the reply in progress early and begins no other; what waits is left to the room's next owner."""
        self._replies.end(reason)

    async def close(self) -> None:
        """Lets go: no command is taken any more, those that wait are sent elsewhere, the claim is given up."""
        held = self._address is not None and not self._lost
        self._lose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if held and self._address is not None:
            try:
                await self._ports.cache.release(self._address, self._claim)
            except CacheUnavailable as error:
                # The next owner's claim takes it over anyhow.
                _log.warning("claim_not_released", room_id=self.room_id, debug=error.debug)

    # Commands

    async def _serve_mailbox(self) -> None:
        while True:
            command, answer = await self._mailbox.get()
            self._serving = True
            try:
                answer.set_result(await self._serve(command))
            except asyncio.CancelledError:
                answer.set_exception(RoomMoved())
                raise
            except ParlorError as error:
                answer.set_exception(error)
            except Exception as error:  # noqa: BLE001 - the room lives on: one command's fault is not another's
                _log.exception("command_failed", room_id=self.room_id, request_id=command.request_id)
                answer.set_exception(InternalError(debug=repr(error)))
            finally:
                self._serving = False
                self._used_at = self._clock.monotonic()
                # Nobody may be listening any more; an exception nobody retrieves is not news.
                if answer.done() and not answer.cancelled():
                    answer.exception()

    async def _serve(self, command: Command) -> Result:
        await self._admit(command.ticket)
        match command:
            case Send():
                return SendDone(await self._send(command))
            case Rename():
                await self._owned(command.session, lambda at: self._ports.cache.rename(at, self._claim, command.title))
                return await self._room_done(command.session)
            case DeleteRoom():
                return await self._delete_room(command.session)
            case DeleteMessage():
                return await self._delete_message(command)
            case Stop():
                return MessageDone(await self._owned(command.session, lambda at: self._revision.stop(at, command)))
            case Regenerate():
                return MessageDone(
                    await self._owned(command.session, lambda at: self._revision.regenerate(at, command))
                )
            case Edit():
                return EditDone(await self._owned(command.session, lambda at: self._revision.edit(at, command)))
            case ResetMemory():
                await self._owned(command.session, lambda at: self._ports.summaries.reset(at, self._claim))
                return Done()
            case Wake():
                # Perhaps a reply was reserved whose answer never came here: only a new claim tells.
                self._in_step = False
                await self._owned(command.session, _nothing)
                return Done()

    async def _admit(self, ticket: int | None) -> None:
        """Has the command served under a claim that is newer than its ticket, which refuses its other copies
        (ADR 0013). Raises ``RoomMoved`` for a copy from before the claim that this owner took the room over from."""
        if ticket is None:
            return
        if self._ticket is not None and ticket < self._ticket - 1:
            if await self._ports.reader.claims(self.room_id) >= self._ticket:
                raise RoomMoved
            self._ticket = None  # Redis came back without its memory: numbers begin anew
        if self._ticket is None or ticket >= self._ticket:
            self._ticket = ticket
            self._in_step = False

    async def _owned(self, session: Session | None, action: Callable[[RoomAddress], Awaitable[_T]]) -> _T:
        """Does it as the room's owner, claimed and loaded again as often as it takes."""
        for _ in range(CLAIM_ATTEMPTS):
            if self._lost:
                raise RoomMoved
            try:
                address = self._address if self._in_step and self._address else await self._activate()
                if session is None or session.account_id == address.account_id:
                    return await action(address)
            except (OutOfStep, PartitionUnknown):
                self._in_step = False
            except Fenced as error:
                self._ports.reply.metrics.stale_write_refused("room")
                self._lose()
                raise RoomMoved from error
            except RoomNotFound:
                # There is no such room, or no more: nothing to hold, whatever ids are asked for.
                self._lose()
                raise
            else:
                raise RoomNotFound
        raise CacheUnavailable(debug="the room stays out of step", retry_after=1.0)

    async def _activate(self) -> RoomAddress:
        """Makes this object the room's owner; the claim stays the same, so that a reply that it is writing goes on."""
        cache, loader = self._ports.cache, self._ports.loader
        if self._ticket is None:
            self._ticket = await self._ports.reader.claims(self.room_id)
        try:
            claimed = await cache.claim(self.room_id, self._claim, self._ticket)
        except PartitionUnknown:
            await loader.open_partition(home_of(self.room_id))
            claimed = await cache.claim(self.room_id, self._claim, self._ticket)
        if claimed is None:
            await loader.load_room(self.room_id)
            claimed = await cache.claim(self.room_id, self._claim, self._ticket)
        if claimed is None:
            raise OutOfStep
        self._ticket = claimed.number
        unfinished: list[ReplyJob] = []
        for message_id, first in claimed.open_replies:
            if message_id not in self._replies:
                cut_off = claimed.live_attempt if message_id == claimed.live_message else None
                message = await self._ports.history.message(self.room_id, message_id)
                unfinished.append(self._adopted(message, first, cut_off, claimed.persona))
        # Last: whoever cannot find out what there is to do is not the owner yet, and tries again.
        self._address = RoomAddress(self.room_id, claimed.account_id, claimed.account_db_key)
        self._persona = claimed.persona
        self._last_seq = claimed.last_seq
        self._in_step = True
        for job in unfinished:
            self._queue(job)
        return self._address

    def _adopted(self, reply: Message, first: int, cut_off: int | None, persona: str) -> ReplyJob:
        job = adopted_job(reply, first, cut_off, persona, self._settings)
        _log.info("reply_adopted", room_id=self.room_id, message_id=job.message_id, attempt=job.attempt, ends=job.ends)
        return job

    async def _send(self, command: Send) -> SendReceipt:
        """The answer is made after the script has returned, from what it returned (I4)."""
        began = self._clock.monotonic()
        metrics = self._ports.reply.metrics
        try:
            appended, turn = await self._owned(command.session, lambda at: self._append(at, command))
        except ParlorError as error:
            metrics.send(error.code)
            raise
        metrics.append_seconds(self._clock.monotonic() - began)
        metrics.send("duplicate" if appended.duplicate else "ok")
        if appended.duplicate:
            return await self._replayed(command, appended)
        message = view(self.room_id, appended.seq, MessageState.PENDING, turn.message)
        reply: Message | None = None
        self._last_seq = appended.seq
        for gone in turn.unwanted:
            self._replies.withdraw(gone.tombstone.message_id)
        if turn.reply is not None:
            self._last_seq += 1
            reply = view(self.room_id, self._last_seq, MessageState.COMPOSING, turn.reply)
            self._queue(job_of(turn.reply, self._last_seq, attempt=1))
        return SendReceipt(message, reply, appended.cursor, replayed=False)

    async def _append(self, address: RoomAddress, command: Send) -> tuple[Appended, Turn]:
        """Raises ``RoomBusy`` when the sender does not want to wait for a reply in progress."""
        on_busy = command.request.on_busy
        turn = turn_of(command, self._persona, self._clock.now_ms())
        if on_busy is OnBusy.ENQUEUE or on_busy is OnBusy.REJECT:
            return await self._ports.cache.append(address, self._claim, self._last_seq, turn), turn
        with self._replies.held():
            current = self._replies.current
            while True:
                unwanted, stays = self._revision.making_way(on_busy, current, reply=turn.reply is not None)
                turn = structs.replace(turn, unwanted=unwanted, stays=[job.message_id for job in stays])
                try:
                    return await self._ports.cache.append(address, self._claim, self._last_seq, turn), turn
                except RoomBusy:
                    if on_busy is not OnBusy.INTERRUPT or current is None:
                        raise OutOfStep from None
                # Only now, when it is known that the turn is new and would be taken. Its end comes before the turn.
                await self._replies.stop(current.message_id)
                current = None

    async def _replayed(self, command: Send, appended: Appended) -> SendReceipt:
        """The turn was there: by its idempotency key, or because the answer to our first attempt was lost."""
        history = self._ports.history
        message = await history.message(self.room_id, appended.message_id)
        reply = await history.message(self.room_id, appended.reply_id) if appended.reply_id else None
        last = reply or message
        self._last_seq = max(self._last_seq, last.seq)
        if reply is not None and reply.is_streaming and reply.message_id not in self._replies:
            self._queue(self._adopted(reply, max(1, reply.attempt), reply.attempt or None, self._persona))
        return SendReceipt(message, reply, appended.cursor, replayed=appended.message_id != command.message_id)

    async def _delete_message(self, command: DeleteMessage) -> DeleteDone:
        async def delete(message_id: MessageId, at: RoomAddress) -> DeleteReceipt:
            receipt = await self._ports.states.owner_delete_message(at, self._claim, message_id, by="account")
            if receipt.outcome is DeleteOutcome.STOPPED_AND_DELETED:
                self._replies.withdraw(message_id)
            return receipt

        # First a reply to it that has not ended: there is nothing to answer any more. It cannot come back (I10), so a
        # caller who does not hear of the rest just asks again.
        for reply in self._replies.answering(command.message_id):
            await self._owned(command.session, partial(delete, reply))
        return DeleteDone(await self._owned(command.session, partial(delete, command.message_id)))

    async def _delete_room(self, session: Session | None) -> RoomDone:
        try:
            await self._owned(session, lambda at: self._ports.cache.delete(at, self._claim, "account"))
        except RoomNotFound:
            # Perhaps it is on its way already: then asking again is harmless.
            return await self._room_done(session)
        done = await self._room_done(session)
        self.end_replies(FinishReason.STOPPED)
        self._lose()
        return done

    async def _room_done(self, session: Session | None) -> RoomDone:
        found = await self._ports.reader.room(self.room_id)
        if found is None or (session is not None and found.account_id != session.account_id):
            raise RoomNotFound
        return RoomDone(found.room)

    def _queue(self, job: ReplyJob) -> None:
        assert self._address is not None  # noqa: S101 - only an owner has replies to write
        self._replies.add(self._address, job)

    async def _reload(self) -> None:
        """Loads the room again, which takes up its unfinished replies; however long its shard takes to answer."""
        self._in_step = False
        while not self._lost:
            try:
                await self.execute(Wake(None, self.room_id, ""))
            except (Overloaded, Unavailable) as error:
                _log.warning("reload_delayed", room_id=self.room_id, code=error.code, debug=error.debug)
                await self._clock.sleep(RELOAD_PAUSE)
            except ParlorError:
                # Another's by now, or deleted.
                return
            else:
                return

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = True
        self.end_replies(FinishReason.INTERRUPTED)
        while not self._mailbox.empty():
            _, answer = self._mailbox.get_nowait()
            if not answer.done():
                answer.set_exception(RoomMoved())
                answer.exception()
        self._on_lost(self.room_id)


async def _nothing(address: RoomAddress) -> None:
    """Activation is all that is asked for."""
