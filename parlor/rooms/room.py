"""A room as its owner serves it: a mailbox of commands, and the replies that are to be written.

Commands are served one at a time, in the order of arrival, in the room's own task. Each is done under the room's claim
(``claim.py``); when another owner has claimed the room it is *lost*, and its owner drops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import structlog
from msgspec import structs

from parlor.cache.changes import Appended, Claimed, Turn
from parlor.cache.live import RoomAddress
from parlor.cache.records import view
from parlor.errors import (
    CacheUnavailable,
    InternalError,
    OutOfStep,
    Overloaded,
    ParlorError,
    RoomBusy,
    RoomMoved,
    RoomNotFound,
    Unavailable,
)
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import FinishReason, Message
from parlor.model.requests import DeleteOutcome, DeleteReceipt, OnBusy, SendReceipt
from parlor.model.states import MessageState
from parlor.model.tracing import span, work_for
from parlor.rooms.approvals import Approvals
from parlor.rooms.claim import Ownership
from parlor.rooms.commands import (
    CallDone,
    Command,
    Continue,
    Decide,
    DeleteDone,
    DeleteMessage,
    DeleteRoom,
    Done,
    Edit,
    EditDone,
    MessageDone,
    PostResult,
    Regenerate,
    ResetMemory,
    Result,
    RoomDone,
    Send,
    SendDone,
    Stop,
    UpdateRoom,
    Wake,
)
from parlor.rooms.estimates import Estimates
from parlor.rooms.reply_job import ReplyJob
from parlor.rooms.reply_queue import ReplyQueue
from parlor.rooms.revision import Revision
from parlor.rooms.room_ports import RoomPorts
from parlor.rooms.turns import adopted_job, job_of, turn_of

_log = structlog.get_logger(__name__)

RELOAD_PAUSE = 1.0
"""Seconds between attempts to load a room whose reply was cut off by Redis forgetting it."""


class Room:
    """``on_lost`` is called once, when the room is not this owner's any more."""

    def __init__(self, ports: RoomPorts, room_id: RoomId, on_lost: Callable[[RoomId], None]) -> None:
        self.room_id = room_id
        self._ports = ports
        self._on_lost = on_lost
        self._clock = ports.reply.clock
        self._settings = ports.reply.settings.rooms
        self._own = Ownership(
            room_id,
            ports.mint.claim(ports.cluster),
            ports.cache,
            ports.reader,
            ports.loader,
            take_up=self._take_up,
            on_stale_write=lambda: ports.reply.metrics.stale_write_refused("room"),
            on_lost=self._drop,
        )
        self._mailbox: asyncio.Queue[tuple[Command, asyncio.Future[Result]]] = asyncio.Queue()
        self._replies = ReplyQueue(ports.reply, self._own.claim, self._own.lose, self._reload)
        self._estimates = Estimates(ports.reply.model, ports.reply.settings)
        self._revision = Revision(
            ports.revisions,
            ports.history,
            self._clock,
            self._own.claim,
            self._replies,
            self._estimates,
            ports.reply.settings.llm.reply_max,
            ports.limits,
        )
        reply = ports.reply
        self._approvals = Approvals(
            reply.calls, ports.history, reply.model, reply.toolbox, self._clock, self._own.claim, self._replies
        )
        self._serving = False
        self.served = 0
        """Commands, since it is here."""
        self.forwarded = 0
        """How many of the last commands came from another cluster, one after the other."""
        self._used_at = self._clock.monotonic()
        self._tasks = [asyncio.create_task(self._serve_mailbox()), asyncio.create_task(self._replies.run())]

    @property
    def busy(self) -> bool:
        """Whether a command or a reply is under way."""
        return self._serving or not self._mailbox.empty() or len(self._replies) > 0

    @property
    def writing(self) -> bool:
        """Whether a reply is being written now."""
        return self._replies.writing

    def between_replies(self) -> AbstractContextManager[None]:
        """Begins no reply inside the ``with`` block."""
        return self._replies.held()

    @property
    def idle_seconds(self) -> float:
        """Since the last command or reply; 0 while there is one."""
        return 0.0 if self.busy else self._clock.monotonic() - max(self._used_at, self._replies.used_at)

    def submit(self, command: Command) -> asyncio.Future[Result]:
        """Takes a command; its future is set when the command has been served in its turn, also when nobody waits for
        it any more. It is not to be cancelled. Raises ``Overloaded``, and ``RoomMoved``, which asks the caller to look
        for the room's place again; so may the future."""
        if self._own.lost:
            raise RoomMoved
        if self._mailbox.qsize() >= self._settings.mailbox_limit:
            raise Overloaded("Too many commands wait for this room", retry_after=1.0)
        if not isinstance(command, Wake):
            self.forwarded = self.forwarded + 1 if command.forwarded else 0
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._mailbox.put_nowait((command, answer))
        return answer

    async def execute(self, command: Command) -> Result:
        """Submits a command and waits for its result. Raises the error that the command ends with."""
        # A caller that is cancelled leaves; the command is served all the same.
        return await asyncio.shield(self.submit(command))

    def end_replies(self, reason: FinishReason) -> None:
        """Ends the reply in progress early and begins no other; what waits is left to the room's next owner."""
        self._replies.end(reason)

    async def close(self) -> None:
        """Lets go: no command is taken any more, those that wait are sent elsewhere, the claim is given up."""
        held = self._own.address is not None and not self._own.lost
        self._own.lose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._send_elsewhere()
        if held:
            try:
                await self._own.release()
            except CacheUnavailable as error:
                # The next owner's claim takes it over anyhow.
                _log.warning("claim_not_released", room_id=self.room_id, debug=error.debug)

    # Commands

    async def _serve_mailbox(self) -> None:
        while True:
            command, answer = await self._mailbox.get()
            self._serving = True
            work_for(command.request_id)
            what = type(command).__name__
            try:
                with span(f"command {what}", room_id=self.room_id):
                    answer.set_result(await self._serve(command))
                _log.debug("command_served", room_id=self.room_id, command=what)
            except asyncio.CancelledError:
                answer.set_exception(RoomMoved())
                raise
            except ParlorError as error:
                _log.debug("command_refused", room_id=self.room_id, command=what, code=error.code, debug=error.debug)
                answer.set_exception(error)
            except Exception as error:  # noqa: BLE001 - the room lives on: one command's fault is not another's
                _log.exception("command_failed", room_id=self.room_id, command=what)
                answer.set_exception(InternalError(debug=repr(error)))
            finally:
                self._serving = False
                self.served += 1
                self._used_at = self._clock.monotonic()
                # Nobody may be listening any more; an exception nobody retrieves is not news.
                if answer.done() and not answer.cancelled():
                    answer.exception()

    async def _serve(self, command: Command) -> Result:
        await self._own.admit(command.ticket)
        match command:
            case Send():
                return SendDone(await self._send(command))
            case UpdateRoom():
                return await self._update_room(command)
            case DeleteRoom():
                return await self._delete_room(command.session)
            case DeleteMessage():
                return await self._delete_message(command)
            case Stop():
                return MessageDone(await self._own.run(command.session, lambda at: self._revision.stop(at, command)))
            case Regenerate():
                return await self._own.run(command.session, lambda at: self._revision.regenerate(at, command))
            case Continue():
                return await self._own.run(command.session, lambda at: self._revision.go_on(at, command))
            case Edit():
                return EditDone(await self._own.run(command.session, lambda at: self._revision.edit(at, command)))
            case Decide():
                return CallDone(await self._own.run(command.session, lambda at: self._approvals.decide(at, command)))
            case PostResult():
                return CallDone(await self._own.run(command.session, lambda at: self._approvals.post(at, command)))
            case ResetMemory():
                await self._own.run(command.session, lambda at: self._ports.summaries.reset(at, self._own.claim))
                return Done()
            case Wake():
                # Perhaps a reply was reserved whose answer never came here: only a new claim tells.
                self._own.doubt()
                await self._own.run(command.session, self._approvals.expire)
                return Done()

    async def _take_up(self, claimed: Claimed) -> Callable[[], None]:
        """The replies that an earlier owner left unfinished, found out before the room counts as owned; and those that
        are here and have ended."""
        unfinished: list[ReplyJob] = []
        for message_id in claimed.open_replies:
            waits = message_id == claimed.parked
            # One that waits here, and there no more: this owner did not hear that its decision was taken.
            if message_id not in self._replies or (self._replies.waits(message_id) and not waits):
                is_live = message_id == claimed.live_message
                message = await self._ports.history.message(self.room_id, message_id)
                cut_off = claimed.live_attempt if is_live else None
                since = claimed.live_since if is_live else 0
                unfinished.append(await self._adopted(message, since, cut_off, claimed.persona, waits=waits))

        def begin() -> None:
            self._replies.forget_ended(claimed.open_replies)
            self._queue(*unfinished)

        return begin

    async def _adopted(
        self, reply: Message, since: int, cut_off: int | None, persona: str, *, waits: bool = False
    ) -> ReplyJob:
        """``since`` is the attempt that recorded the last step, 0 for none: what counts is how often a reply was cut
        off since."""
        row = await self._ports.history.doc(self.room_id, reply.seq)
        job = adopted_job(reply, row, max(1, row.attempt, since), cut_off, persona, self._settings, waits=waits)
        _log.info("reply_adopted", room_id=self.room_id, message_id=job.message_id, attempt=job.attempt, ends=job.ends)
        return job

    async def _send(self, command: Send) -> SendReceipt:
        """The answer is made after the script has returned, from what it returned (I4)."""
        began = self._clock.monotonic()
        metrics = self._ports.reply.metrics
        try:
            appended, turn = await self._own.run(command.session, lambda at: self._append(at, command))
        except ParlorError as error:
            metrics.send(error.code)
            raise
        metrics.append_seconds(self._clock.monotonic() - began)
        metrics.send("duplicate" if appended.duplicate else "ok")
        if appended.duplicate:
            return await self._replayed(command, appended)
        message = view(self.room_id, appended.seq, MessageState.PENDING, turn.message)
        reply: Message | None = None
        self._own.last_seq = appended.seq
        for gone in turn.unwanted:
            self._replies.withdraw(gone.tombstone.message_id)
        if turn.reply is not None:
            self._own.last_seq += 1
            reply = view(self.room_id, self._own.last_seq, MessageState.COMPOSING, turn.reply)
            self._queue(job_of(turn.reply, self._own.last_seq, attempt=1))
        return SendReceipt(message, reply, appended.cursor, replayed=False)

    async def _append(self, address: RoomAddress, command: Send) -> tuple[Appended, Turn]:
        """Raises ``RoomBusy`` when the sender does not want to wait for a reply in progress."""
        on_busy = command.request.on_busy
        first = self._own.last_seq == 0
        turn = turn_of(command, self._own.persona, self._clock.now_ms(), self._estimates, first=first)
        if on_busy is OnBusy.ENQUEUE or on_busy is OnBusy.REJECT:
            return await self._ports.cache.append(address, self._own.claim, self._own.last_seq, turn), turn
        with self._replies.held():
            current = self._replies.current
            while True:
                unwanted, stays = self._revision.making_way(on_busy, current, reply=turn.reply is not None)
                turn = structs.replace(turn, unwanted=unwanted, stays=[job.message_id for job in stays])
                try:
                    return await self._ports.cache.append(address, self._own.claim, self._own.last_seq, turn), turn
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
        self._own.last_seq = max(self._own.last_seq, last.seq)
        if reply is not None and reply.is_streaming and reply.message_id not in self._replies:
            self._queue(await self._adopted(reply, reply.attempt, reply.attempt or None, self._own.persona))
        return SendReceipt(message, reply, appended.cursor, replayed=appended.message_id != command.message_id)

    async def _delete_message(self, command: DeleteMessage) -> DeleteDone:
        async def delete(message_id: MessageId, at: RoomAddress) -> DeleteReceipt:
            receipt = await self._ports.states.owner_delete_message(at, self._own.claim, message_id, by="account")
            if receipt.outcome is DeleteOutcome.STOPPED_AND_DELETED:
                self._replies.withdraw(message_id)
            return receipt

        # First a reply to it that has not ended: there is nothing to answer any more. It cannot come back (I10), so a
        # caller who does not hear of the rest just asks again.
        for reply in self._replies.answering(command.message_id):
            await self._own.run(command.session, partial(delete, reply))
        return DeleteDone(await self._own.run(command.session, partial(delete, command.message_id)))

    async def _update_room(self, command: UpdateRoom) -> RoomDone:
        title, persona, metadata = command.title, command.ai_persona, command.metadata
        update = self._ports.cache.update
        await self._own.run(command.session, lambda at: update(at, self._own.claim, title, persona, metadata))
        # Replies that wait keep the persona that they were asked of.
        self._own.persona = persona or self._own.persona
        return await self._room_done(command.session)

    async def _delete_room(self, session: Session | None) -> RoomDone:
        try:
            await self._own.run(session, lambda at: self._ports.cache.delete(at, self._own.claim, "account"))
        except RoomNotFound:
            # Perhaps it is on its way already: then asking again is harmless.
            return await self._room_done(session)
        done = await self._room_done(session)
        self.end_replies(FinishReason.STOPPED)
        self._own.lose(gone=True)
        return done

    async def _room_done(self, session: Session | None) -> RoomDone:
        found = await self._ports.reader.room(self.room_id)
        if found is None or (session is not None and found.account_id != session.account_id):
            raise RoomNotFound
        return RoomDone(found.room)

    def _queue(self, *jobs: ReplyJob) -> None:
        address = self._own.address
        assert address is not None  # noqa: S101 - only an owner has replies to write
        for job in jobs:
            self._replies.add(address, job)

    async def _reload(self) -> None:
        """Loads the room again, which takes up its unfinished replies; however long its shard takes to answer."""
        self._own.doubt()
        while not self._own.lost:
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

    def _drop(self) -> None:
        """The room is lost: replies end here, and waiting callers look for its place again. When there is no such room,
        no place has it: the commands that wait are served, and each is told so."""
        self.end_replies(FinishReason.INTERRUPTED)
        if not self._own.gone:
            self._send_elsewhere()
        self._on_lost(self.room_id)

    def _send_elsewhere(self) -> None:
        while not self._mailbox.empty():
            _, answer = self._mailbox.get_nowait()
            if not answer.done():
                answer.set_exception(RoomMoved())
                answer.exception()
