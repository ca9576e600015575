"""How a room's owner changes what was said: the scripts of a new attempt and of an edit."""

from __future__ import annotations

from parlor.cache.budgets import asking, refused
from parlor.cache.changes import Change, Revised
from parlor.cache.codes import Code
from parlor.cache.live import Live, RoomAddress, key_of
from parlor.cache.records import encode_doc, text
from parlor.cache.rooms import accepted, queueing
from parlor.errors import IdempotencyMismatch
from parlor.model.ids import Claim
from parlor.model.requests import Idempotency
from parlor.model.states import MessageState

_REOPENED = (
    *("partition", "queue", "generating", "room", "messages", "states", "open", "events"),
    *("account", "rooms", "reserving"),
)
"""The keys of scripts that open a reply's slot again."""


class RevisionCache:
    """The live store of what was said, for a room's owner."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def regenerate(
        self, address: RoomAddress, claim: Claim, nonce: str, reply: Change, idempotency: Idempotency | None = None
    ) -> Revised:
        """Opens the last reply's slot again; its next attempt begins with what ``reply.doc`` says. Raises ``Fenced``,
        ``RoomNotFound``, ``OutOfStep``, ``RoomBusy`` (it is being written), ``IllegalTransition`` (deleted, or not the
        last), ``Overloaded``, ``IdempotencyMismatch``, ``Uncounted``, ``QuotaExceeded``."""
        live = self._live
        answer = await live.attempt(
            "regenerate_reply",
            self._reopened_keys(address, idempotency),
            {
                **queueing(address, claim),
                "message": reply.doc.message_id,
                "seq": reply.seq,
                "nonce": nonce,
                "past": encode_doc(reply.past),
                "past_version": reply.past.version,
                "doc": encode_doc(reply.doc),
                "needed": reply.doc.version + 1,
                **live.repeatable(idempotency),
                "backlog_limit": live.queue.backlog_limit,
                "lease_until": live.lease_until(),
                "budget": asking(live, address.account_id, reply.ask),
            },
        )
        if answer[0] == Code.QUOTA:
            raise refused(live, answer)
        done = accepted(answer, MessageState.COMPOSING)
        return Revised(done, text(answer[1]) != nonce)

    async def edit(
        self,
        address: RoomAddress,
        claim: Claim,
        nonce: str,
        message: Change,
        reply: Change | None,
        idempotency: Idempotency | None = None,
        *,
        waits: bool,
    ) -> Revised:
        """New content for a person's message, and opens its reply's slot again (None: there is no reply to begin anew).
        ``waits``: no reply has read it yet. Raises as ``regenerate``."""
        live = self._live
        answer = await live.attempt(
            "edit_message",
            {**self._reopened_keys(address, idempotency), **live.room_keys(address, "account_events")},
            {
                **queueing(address, claim),
                "message": message.doc.message_id,
                "seq": message.seq,
                "nonce": nonce,
                "waits": "1" if waits else "",
                "past": encode_doc(message.past),
                "past_version": message.past.version,
                "doc": encode_doc(message.doc),
                "version": message.doc.version,
                "reply": reply.doc.message_id if reply else "",
                "reply_seq": reply.seq if reply else "",
                "reply_past": encode_doc(reply.past) if reply else "",
                "reply_past_version": reply.past.version if reply else "",
                "reply_doc": encode_doc(reply.doc) if reply else "",
                "reply_needed": reply.doc.version + 1 if reply else "",
                **live.repeatable(idempotency),
                "backlog_limit": live.queue.backlog_limit,
                "lease_until": live.lease_until(),
                "budget": asking(live, address.account_id, reply.ask if reply else None),
            },
        )
        if answer[0] == Code.QUOTA:
            raise refused(live, answer)
        done = accepted(answer, MessageState.PENDING)
        return Revised(done, text(answer[1]) != nonce, text(answer[2]))

    async def revised_by(
        self, address: RoomAddress, seq: int, nonce: str, idempotency: Idempotency | None = None
    ) -> Revised | None:
        """What became of the ``regenerate`` with this nonce or this key, if it was the last of the message at ``seq``,
        or its key is known. Raises ``IdempotencyMismatch``."""
        live = self._live
        if idempotency is not None:
            key = live.keys.idempotency(address.partition, address.room_id, key_of(idempotency))
            digest, first = await live.read("HMGET", key, "fingerprint", "nonce")
            if digest is not None and text(digest) != idempotency.fingerprint:
                raise IdempotencyMismatch
            if digest is not None:
                return Revised(False, text(first) != nonce)
        states = live.keys.states(address.partition, address.room_id)
        last = text(await live.read("HGET", states, f"n:{seq}")).partition(" ")[0]
        return Revised(False, False) if last == nonce else None

    def _reopened_keys(self, address: RoomAddress, idempotency: Idempotency | None) -> dict[str, str]:
        keys = self._live.room_keys(address, *_REOPENED)
        keys["idempotency"] = self._live.keys.idempotency(address.partition, address.room_id, key_of(idempotency))
        return keys
