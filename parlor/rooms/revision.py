"""How a room's owner changes what was said: stop, regenerate, continue, edit, and making way for a new turn.

These are steps on the reply queue and the scripts; the room serves them one at a time, like any other command.
"""

from __future__ import annotations

from msgspec import structs

from parlor.cache.changes import Change, Unwanted
from parlor.cache.live import RoomAddress
from parlor.cache.records import view
from parlor.cache.revisions import RevisionCache
from parlor.clock import Clock
from parlor.errors import IllegalTransition, InvalidRequest, LimitReached, OutOfStep, ParlorError, RoomBusy
from parlor.model.ids import Claim, MessageId
from parlor.model.messages import CONTINUABLE, Message, MessageDoc, SenderType, next_reserved
from parlor.model.parts import Said, with_content
from parlor.model.requests import EditReceipt, OnBusy
from parlor.model.states import GONE_MESSAGES, MessageState
from parlor.model.wire import timestamp
from parlor.reading.internal import InternalHistory
from parlor.rooms.commands import Continue, Edit, MessageDone, Regenerate, Stop
from parlor.rooms.estimates import Estimates
from parlor.rooms.reply_job import ReplyJob
from parlor.rooms.reply_queue import ReplyQueue
from parlor.rooms.turns import job_of
from parlor.settings.account_limits import AccountLimits

EDIT_ATTEMPTS = 3
"""A reply may begin between the read and the edit; it is then stopped and the edit tried again."""


class Revision:
    """Every method raises what the scripts and the history raise, and ``OutOfStep`` when Redis has unfinished replies
    that are missing from the queue."""

    def __init__(
        self,
        cache: RevisionCache,
        history: InternalHistory,
        clock: Clock,
        claim: Claim,
        replies: ReplyQueue,
        estimates: Estimates,
        reply_max: int,
        limits: AccountLimits,
    ) -> None:
        """``reply_max`` is the most characters of a reply."""
        self._cache = cache
        self._history = history
        self._clock = clock
        self._claim = claim
        self._replies = replies
        self._estimates = estimates
        self._reply_max = reply_max
        self._limits = limits

    async def stop(self, address: RoomAddress, command: Stop) -> Message:
        """Stops a reply and returns it as it ended. Raises ``InvalidRequest`` for a message that is not a reply."""
        await self._replies.stop(command.message_id, command.attempt)
        message = await self._history.message(address.room_id, command.message_id)
        _require(message, SenderType.AI, "Only a reply can be stopped")
        if message.is_streaming and command.attempt in (None, message.attempt):
            raise OutOfStep
        return message

    async def regenerate(self, address: RoomAddress, command: Regenerate) -> MessageDone:
        """Begins a new attempt and returns the reply at its beginning. Raises ``RoomBusy`` while the reply is being
        written, ``IllegalTransition`` if it is not the last one or was deleted, and ``InvalidRequest`` for a message
        that is not a reply, and ``LimitReached`` when it has all the versions that it may have."""
        message = await self._history.message(address.room_id, command.message_id)
        _require(message, SenderType.AI, "Only a reply can be regenerated")
        if self._replies.waits(command.message_id):
            done = await self._cache.revised_by(address, message.seq, command.nonce, command.idempotency)
            if done is not None:
                return MessageDone(message, done.replayed)
            # It waits for people: its calls are cancelled.
            await self._replies.stop(command.message_id)
        change = await self._anew(address, message.seq, command.ai_persona)
        await self._require_free_versions(address, command, change)
        return await self._open(address, command, change)

    async def go_on(self, address: RoomAddress, command: Continue) -> MessageDone:
        """Begins a new attempt with the text that the reply has, and returns the reply at its beginning. Raises as
        ``regenerate``, ``IllegalTransition`` for a reply that ended whole, and ``LimitReached`` for one that may not
        become longer."""
        message = await self._history.message(address.room_id, command.message_id)
        _require(message, SenderType.AI, "Only a reply can be continued")
        refusal = _not_continuable(message, self._reply_max)
        if refusal is not None:
            # This command may have been done before, and the reply may have gone on to its end since.
            found = await self._cache.revised_by(address, message.seq, command.nonce, command.idempotency)
            if found is not None:
                return MessageDone(await self._begun(address, message.message_id), found.replayed)
            raise refusal
        change = await self._anew(address, message.seq)
        await self._require_free_versions(address, command, change)
        kept = structs.replace(change.doc, content=change.past.content, parts=change.past.parts)
        change = structs.replace(change, doc=kept)
        return await self._open(address, command, change)

    async def _open(self, address: RoomAddress, command: Regenerate | Continue, change: Change) -> MessageDone:
        found = await self._cache.regenerate(address, self._claim, command.nonce, change, command.idempotency)
        if found.done:
            return MessageDone(self._begin(address, change))
        return MessageDone(await self._begun(address, command.message_id), found.replayed)

    async def edit(self, address: RoomAddress, command: Edit) -> EditReceipt:
        """Changes a person's message, and begins the reply to it again. Raises ``IllegalTransition`` unless it is the
        last message of a person or waits for its turn, ``InvalidRequest`` for a reply, and ``LimitReached`` as
        ``regenerate``."""
        room_id = address.room_id
        for _ in range(EDIT_ATTEMPTS):
            message = await self._history.message(room_id, command.message_id)
            _require(message, SenderType.USER, "Only a person's message can be edited")
            waits = await self._history.waits(room_id, message.seq)
            answering = await self._reply_to(message)
            reply = None if waits else answering
            past = await self._history.doc(room_id, message.seq)
            anew = await self._anew(address, reply.seq) if reply else None
            edited = {**past.metadata, "edited_at": timestamp(self._clock.now_ms())}
            if anew is not None:
                edited["answered_from"] = anew.doc.attempt
            doc = structs.replace(
                past,
                content=command.content,
                version=past.version + 1,
                metadata=edited,
                parts=with_content(command.content, past.parts),
            )
            change = Change(message.seq, past, doc)
            await self._require_free_versions(address, command, change, anew)
            try:
                found = await self._cache.edit(
                    address, self._claim, command.nonce, change, anew, command.idempotency, waits=waits
                )
            except RoomBusy:
                if reply is not None:
                    await self._replies.stop(reply.message_id)
                    if reply.message_id in self._replies:
                        raise
                continue
            if found.done:
                shown = view(room_id, message.seq, MessageState.PENDING, doc)
                return EditReceipt(shown, self._begin(address, anew) if anew else answering, found.cursor)
            now = await self._begun(address, answering.message_id) if answering else None
            return EditReceipt(message, now, found.cursor, found.replayed)
        raise OutOfStep

    def making_way(
        self, on_busy: OnBusy, current: ReplyJob | None, *, reply: bool
    ) -> tuple[list[Unwanted], list[ReplyJob]]:
        """Returns what a new turn removes, and which replies stay; see the table in docs/adr/0012. ``current`` is the
        reply that is being written. ``reply`` says whether the turn has a reply, which then also answers the messages
        whose replies are removed."""
        waiting = [job for job in self._replies.jobs if job is not current]
        goes, stays = (waiting, []) if reply else ([], waiting)
        unwanted = [_reply_of(job) for job in goes]
        if current is not None and on_busy is OnBusy.ROLLBACK:
            unwanted += [_reply_of(current), *_question_of(current)]
        elif current is not None and on_busy is OnBusy.MERGE:
            stays = [current, *stays]
        return unwanted, stays

    async def _reply_to(self, message: Message) -> Message | None:
        page = await self._history.page(message.room_id, limit=1, after=message.seq)
        found = page.messages[0] if page.messages else None
        if found is None or found.parent_message_id != message.message_id or found.state in GONE_MESSAGES:
            return None
        return found

    async def _anew(self, address: RoomAddress, seq: int, persona: str | None = None) -> Change:
        past = await self._history.doc(address.room_id, seq)
        attempt = max(1, past.attempt) + 1
        doc = MessageDoc(
            message_id=past.message_id,
            sender_type=SenderType.AI,
            content="",
            timestamp=past.timestamp,
            version=next_reserved(past.version),
            attempt=attempt,
            ai_persona=persona or past.ai_persona,
            parent_message_id=past.parent_message_id,
        )
        return Change(seq, past, doc, self._estimates.of_reply(doc.ai_persona or ""))

    async def _require_free_versions(
        self,
        address: RoomAddress,
        command: Regenerate | Continue | Edit,
        change: Change,
        reply: Change | None = None,
    ) -> None:
        """Raises ``LimitReached`` when the message, or the reply that begins anew with it, has all the versions that it
        may have, unless the command, or another one with its idempotency key, has been done before."""
        had = max(_versions(each) for each in (change, reply) if each is not None)
        most = self._limits.of(address.account_id).versions
        if most is None or had < most:
            return
        if await self._cache.revised_by(address, change.seq, command.nonce, command.idempotency) is None:
            raise LimitReached(f"The message has {had} versions; more are not allowed")

    def _begin(self, address: RoomAddress, change: Change) -> Message:
        self._replies.add(address, job_of(change.doc, change.seq, change.doc.attempt))
        return view(address.room_id, change.seq, MessageState.COMPOSING, change.doc)

    async def _begun(self, address: RoomAddress, reply: MessageId) -> Message:
        """Returns the reply as it is now, for a repeated command that has been done before."""
        now = await self._history.message(address.room_id, reply)
        if now.is_streaming and now.message_id not in self._replies:
            raise OutOfStep
        return now


def _versions(change: Change) -> int:
    """How many versions the message has before the change."""
    return (change.doc.attempt if change.doc.sender_type is SenderType.AI else change.doc.version) - 1


def _not_continuable(message: Message, limit: int) -> ParlorError | None:
    if message.is_streaming:
        return None  # The script knows whether this command has begun it.
    if message.finish_reason not in CONTINUABLE:
        ends = ", ".join(sorted(CONTINUABLE))
        return IllegalTransition(
            f"Only a reply that ended by one of {ends} can be continued",
            extra={"from": message.state, "to": MessageState.COMPOSING},
        )
    size = Said(message.content, message.parts).characters
    if size >= limit:
        return LimitReached(f"The reply has {size} characters, {limit} are allowed")
    return None


def _require(message: Message, sender: SenderType, otherwise: str) -> None:
    if message.sender_type is not sender:
        raise InvalidRequest(otherwise)


def _reply_of(job: ReplyJob) -> Unwanted:
    tombstone = MessageDoc(
        message_id=job.message_id,
        sender_type=SenderType.AI,
        content="",
        timestamp=job.timestamp,
        version=job.version - 1,
        parent_message_id=job.parent_message_id,
    )
    return Unwanted(job.seq, tombstone, job.message_id)


def _question_of(job: ReplyJob) -> list[Unwanted]:
    """The message that the reply answers, which has the slot before it."""
    if job.parent_message_id is None:
        return []
    tombstone = MessageDoc(
        message_id=job.parent_message_id, sender_type=SenderType.USER, content="", timestamp=job.timestamp
    )
    return [Unwanted(job.seq - 1, tombstone, job.message_id)]
