"""What a room's owner writes: one script each."""

from __future__ import annotations

from collections.abc import Sequence

from parlor.cache.budgets import asking, refused
from parlor.cache.changes import NOTHING_KEPT, Appended, Claimed, Opening, Piece, Turn
from parlor.cache.codes import Code, refusal
from parlor.cache.connection import Answer
from parlor.cache.live import ACCOUNT, Live, RoomAddress, key_of, milliseconds, or_empty
from parlor.cache.loader import Argument
from parlor.cache.records import (
    calls_stored,
    encode_doc,
    encode_layout,
    encode_part,
    stored_state,
    stored_summary,
    text,
)
from parlor.errors import IllegalTransition, LimitReached
from parlor.model.budgets import Ask
from parlor.model.ids import AccountId, Claim, MessageId, RoomId, home_of
from parlor.model.messages import MessageDoc, MessageRow, Usage, ended_version
from parlor.model.parts import Part, TextPart
from parlor.model.rooms import RoomRow
from parlor.model.states import MessageState, RoomState

NOTHING_USED = Usage(0, 0)
_ENDED = ("partition", "queue", "generating", "room", "messages", "states", "open", "draft", "events", *ACCOUNT)
"""Keys of what may end a reply."""
_STARTED = (
    *("partition", "queue", "generating", "room", "messages", "states", "draft", "events"),
    *("account", "rooms", "reserving"),
)


class RoomCache:
    """The live store of rooms, for their owners."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def claim(self, room_id: RoomId, claim: Claim, ticket: int) -> Claimed | None:
        """None when Redis does not have the room. Raises ``PartitionUnknown``, ``RoomNotFound``, and ``Fenced`` when
        another claim has a higher number than the ticket (``CacheReader.claims``, read before)."""
        keys, partition = self._live.keys, home_of(room_id)
        answer = await self._live.attempt(
            "claim_room",
            {
                "partition": keys.partition(partition),
                "generating": keys.generating(partition),
                "room": keys.room(partition, room_id),
                "states": keys.states(partition, room_id),
                "open": keys.open(partition, room_id),
            },
            {"room": room_id, "claim": claim.token, "ticket": ticket},
        )
        if answer[0] == Code.MISSING:
            return None
        if answer[0] < 0:
            raise refusal(answer[0])
        flat = answer[5]
        live_message, _, live_attempt = text(answer[6]).partition(":")
        return Claimed(
            last_seq=answer[1],
            account_id=AccountId(text(answer[2])),
            account_db_key=int(answer[3]),
            persona=text(answer[4]),
            open_replies=[MessageId(text(flat[i])) for i in range(0, len(flat), 2)],
            live_message=live_message,
            live_attempt=int(live_attempt or 0),
            number=answer[7],
            live_since=answer[8],
            parked=text(answer[9]),
        )

    async def load(
        self,
        address: RoomAddress,
        row: RoomRow,
        tail: list[MessageRow],
        last_seq: int,
        incarnation: int,
        quoted: int | None = None,
    ) -> None:
        """Puts a room back from its shard, unless it is here by now; replies that have not ended are open again.
        ``last_seq`` may be beyond the tail's: the queue had more. ``incarnation`` is the partition's from before the
        shard was read. ``quoted`` is the seq of a message whose first words the title is. Raises
        ``PartitionUnknown``; ``OutOfStep`` when the partition has another one by now."""
        rest: list[str | int | bytes] = []
        for stored in tail:
            doc = stored.doc
            state = stored_state(stored)
            rest += [stored.seq, doc.message_id, state, encode_doc(doc), doc.version]
            rest += ["", ""] if state is not MessageState.COMPOSING else calls_stored(doc)
        await self._live.run(
            "load_room",
            self._live.room_keys(address, "partition", "generating", "room", "messages", "states", "open"),
            {
                "room": address.room_id,
                "owner": row.account_id,
                "db_key": row.account_db_key,
                "title": row.title,
                "persona": row.ai_persona,
                "external": row.external_id or "",
                "metadata": row.metadata or "",
                "created": row.created_at,
                "active": row.last_message_at if row.last_message_at is not None else "",
                "count": row.message_count,
                "seq": last_seq,
                "persisted": row.last_seq,
                "version": row.version,
                **stored_summary(row),
                "quoted": "" if quoted is None else quoted,
                "incarnation": incarnation,
                "room_ttl": milliseconds(self._live.cache.record_ttl),
                "message_ttl": milliseconds(self._live.cache.message_list_ttl),
            },
            rest,
        )

    async def release(self, address: RoomAddress, claim: Claim) -> None:
        """Gives the claim up if it is still the caller's."""
        await self._live.attempt("release_room", self._live.room_keys(address, "room"), {"claim": claim.token})

    async def append(self, address: RoomAddress, claim: Claim, expected_seq: int, turn: Turn) -> Appended:
        """Raises ``Fenced``, ``OutOfStep``, ``RoomNotFound``, ``RoomNotActive``, ``RoomBusy``, ``Overloaded``,
        ``IdempotencyMismatch``, ``LimitReached``, ``PartitionUnknown``, ``Uncounted``, ``QuotaExceeded``."""
        live = self._live
        waiting = live.limits.of(address.account_id).waiting_turns
        keys = live.room_keys(address, *_ENDED, "reserving")
        rest: list[str | int | bytes] = []
        for each in turn.unwanted:
            rest += [each.seq, each.tombstone.message_id, encode_doc(each.tombstone), each.reply]
        keys["idempotency"] = live.keys.idempotency(address.partition, address.room_id, key_of(turn.idempotency))
        answer = await live.attempt(
            "append_turn",
            keys,
            {
                **queueing(address, claim),
                "expected_seq": expected_seq,
                "message": turn.message.message_id,
                "doc": encode_doc(turn.message),
                "reply": turn.reply.message_id if turn.reply else "",
                "reply_doc": encode_doc(turn.reply) if turn.reply else "",
                **live.repeatable(turn.idempotency),
                "strict": "1" if turn.strict else "",
                "stays": " ".join(turn.stays),
                "urgent": "1" if turn.urgent else "",
                "backlog_limit": live.queue.backlog_limit,
                "waiting_limit": or_empty(waiting),
                "lease_until": live.lease_until(),
                "budget": asking(live, address.account_id, turn.ask),
            },
            rest,
        )
        if answer[0] == Code.LIMIT:
            raise LimitReached(f"{waiting} turns wait in this room; more are not allowed")
        if answer[0] < 0:
            raise refused(live, answer)
        return Appended(
            seq=int(answer[1]),
            cursor=text(answer[2]),
            message_id=MessageId(text(answer[3])),
            reply_id=MessageId(text(answer[4])) if answer[4] else None,
            duplicate=answer[0] == Code.DUPLICATE,
        )

    async def start_attempt(
        self,
        address: RoomAddress,
        claim: Claim,
        message_id: MessageId,
        seq: int,
        attempt: int,
        opening: Opening = NOTHING_KEPT,
        had: int = 0,
        ask: Ask | None = None,
        *,
        version: int | None = None,
        woken: bool = False,
    ) -> int | None:
        """``version`` is what it ends with, ``woken``: it waited for people, and goes on. ``opening`` is what the
        attempt begins with, ``had`` the tokens of what one had said whose owner died: that one is charged. Returns
        the tokens that the answer may have, None for any number. Raises ``Fenced``, ``RoomNotFound``,
        ``IllegalTransition`` (the reply has ended or was deleted), ``Uncounted``, ``QuotaExceeded``."""
        live = self._live
        answer = await live.attempt(
            "start_attempt",
            live.room_keys(address, *_STARTED),
            {
                **queueing(address, claim),
                "message": message_id,
                "seq": seq,
                "attempt": attempt,
                "version": ended_version(attempt) if version is None else version,
                "text": opening.draft,
                "length": len(opening.draft),
                "layout": encode_layout(opening.layout),
                "had": had,
                "woken": "1" if woken else "",
                "lease_until": live.lease_until(),
                "budget": asking(live, address.account_id, ask),
            },
            _standing(opening.parts),
        )
        if answer[0] < 0:
            raise refused(live, answer)
        return int(answer[1]) if answer[1] not in (b"", "") else None

    async def append_delta(
        self, address: RoomAddress, claim: Claim, message_id: MessageId, attempt: int, piece: Piece
    ) -> None:
        """Raises ``Fenced``, ``RoomNotFound``, ``IllegalTransition`` (not live any more)."""
        await self._live.run(
            "append_delta",
            self._live.room_keys(address, "partition", "generating", "room", "draft", "events"),
            {
                **owned(address, claim),
                "message": message_id,
                "attempt": attempt,
                "at": piece.at,
                "length": len(piece.text),
                "text": piece.text,
                "event": "message.reasoning" if piece.reasoning else "message.delta",
                "index": piece.index,
                "offset": piece.offset,
                "layout": encode_layout(piece.layout),
                "ended": b"" if piece.ended is None else encode_part(piece.ended),
                "lease_until": self._live.lease_until(),
            },
        )

    async def reserve_step(
        self, address: RoomAddress, claim: Claim, message_id: MessageId, attempt: int, ask: Ask
    ) -> int | None:
        """Reserves ``ask`` for the reply, instead of what it had; returns the tokens that all its answers may have
        (None: any number). Raises ``QuotaExceeded``, ``Uncounted``, ``Fenced``, ``RoomNotFound``,
        ``IllegalTransition``."""
        live = self._live
        budget = asking(live, address.account_id, ask)
        if not budget:
            return None
        answer = await live.attempt(
            "reserve_step",
            live.room_keys(address, "partition", "room", "account", "reserving"),
            {**queueing(address, claim), "message": message_id, "attempt": attempt, "budget": budget},
        )
        if answer[0] < 0:
            raise refused(live, answer)
        return int(answer[1]) if answer[1] not in (b"", "") else None

    async def renew_reply(self, address: RoomAddress, claim: Claim) -> None:
        """A sign of life for a room with unfinished replies. Raises ``Fenced``, ``RoomNotFound``."""
        await self._live.run(
            "renew_reply",
            self._live.room_keys(address, "partition", "generating", "room", "open", "events"),
            {
                **owned(address, claim),
                "lease_until": self._live.lease_until(),
            },
        )

    async def complete_reply(
        self,
        address: RoomAddress,
        claim: Claim,
        seq: int,
        doc: MessageDoc,
        event: str,
        cost: int = 0,
        had: int | None = None,
        before: Usage = NOTHING_USED,
        withdrawn: Sequence[Part] = (),
    ) -> None:
        """Ends a reply; harmless when it has ended. What ``doc`` says that it used, and its cost, are counted, without
        what was counted ``before``; ``had`` is the tokens of what an attempt had written whose owner died, when it ends
        that one; ``withdrawn`` are calls that waited for people. Raises ``Fenced``, ``RoomNotFound``,
        ``IllegalTransition`` (deleted)."""
        live = self._live
        used = doc.usage or before
        await live.run(
            "complete_reply",
            live.room_keys(address, *_ENDED),
            {
                **queueing(address, claim),
                "message": doc.message_id,
                "seq": seq,
                "version": doc.version,
                "doc": encode_doc(doc),
                "event": event,
                "lease_until": live.lease_until(),
                "input": used.input_tokens - before.input_tokens,
                "output": used.output_tokens - before.output_tokens,
                "cost": cost,
                "had": or_empty(had),
                "before_input": before.input_tokens,
                "before_output": before.output_tokens,
            },
            [encode_part(part) for part in withdrawn],
        )

    async def update(
        self,
        address: RoomAddress,
        claim: Claim,
        title: str | None,
        persona: str | None,
        metadata: str | None = None,
    ) -> None:
        """A new title, persona or metadata; None leaves it. Harmless when repeated. Raises ``Fenced``,
        ``RoomNotFound``."""
        live = self._live
        await live.run(
            "update_room",
            live.room_keys(address, "partition", "queue", "room", "messages", "states", "events", *ACCOUNT),
            {
                **queueing(address, claim),
                "title": title or "",
                "persona": persona or "",
                "metadata": metadata or "",
            },
        )

    async def delete(self, address: RoomAddress, claim: Claim, by: str) -> None:
        """Harmless when repeated. Raises ``Fenced``, ``OutOfStep`` (Redis does not have the room),
        ``IllegalTransition``."""
        live = self._live
        answer = await live.attempt(
            "delete_room",
            live.room_keys(address, *_ENDED),
            {
                **queueing(address, claim),
                "by": by,
            },
        )
        accepted(answer, RoomState.DELETING)


def _standing(parts: Sequence[Part]) -> list[Argument]:
    """An event for each part that stands: its type, index, offset, and the text or the whole part."""
    events: list[Argument] = []
    offset = 0
    for index, part in enumerate(parts):
        if isinstance(part, TextPart):
            events += ["message.delta", index, offset, part.text]
            offset += len(part.text)
        else:
            events += ["message.part", index, "", encode_part(part)]
    return events


def owned(address: RoomAddress, claim: Claim) -> dict[str, Argument]:
    """The arguments of every script of an owner."""
    return {"room": address.room_id, "claim": claim.token}


def queueing(address: RoomAddress, claim: Claim) -> dict[str, Argument]:
    """What also goes into the entries of the writer's queue."""
    return {**owned(address, claim), "owner": address.account_id, "db_key": address.account_db_key}


def accepted(answer: Answer, to: RoomState | MessageState) -> bool:
    """False for what had been done before. Raises the refusal; ``IllegalTransition`` with the two states."""
    if answer[0] == Code.ILLEGAL:
        raise IllegalTransition(extra={"from": text(answer[1]), "to": to.value})
    if answer[0] < 0:
        raise refusal(answer[0])
    return bool(answer[0] == Code.OK)
