"""Calls of tools, as a room's owner changes them: one script each."""

from __future__ import annotations

from parlor.cache.changes import CallChange, LateCall, Parking, PartChange
from parlor.cache.codes import Code, refusal
from parlor.cache.live import ACCOUNT, Live, RoomAddress
from parlor.cache.loader import Argument
from parlor.cache.records import encode_doc, encode_layout, encode_part, text
from parlor.cache.rooms import owned, queueing
from parlor.errors import AlreadyDecided, DigestMismatch, IllegalTransition
from parlor.model.ids import Claim, MessageId
from parlor.model.parts import ToolCallPart
from parlor.model.tools import ToolState

_KEPT = ("partition", "queue", "generating", "room", "messages", "states")
"""Keys of what writes the row that keeps a reply's slot."""


class CallCache:
    """The live store of a reply's calls, for its room's owner. ``IllegalTransition``: the attempt is not live any more,
    or the call does not come to this state from where it is."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def record(
        self, address: RoomAddress, claim: Claim, message_id: MessageId, seq: int, attempt: int, change: PartChange
    ) -> None:
        """Raises ``Fenced``, ``RoomNotFound``, ``IllegalTransition``."""
        await self._live.run(
            "record_part",
            self._live.room_keys(address, "partition", "generating", "room", "states", "events"),
            {
                **owned(address, claim),
                **_changed(message_id, seq, attempt, change),
                "ended": b"" if change.ended is None else encode_part(change.ended),
                "state": change.part.state,
                "lease_until": self._live.lease_until(),
            },
        )

    async def dispatch(
        self, address: RoomAddress, claim: Claim, message_id: MessageId, seq: int, attempt: int, change: PartChange
    ) -> None:
        """The call may be sent when this has returned; ``change.dispatch`` says how. Raises ``Fenced``,
        ``RoomNotFound``, ``IllegalTransition``."""
        dispatch = change.dispatch
        if dispatch is None:
            raise ValueError("not a dispatch")
        await self._live.run(
            "dispatch_call",
            self._live.room_keys(address, *_KEPT, "events", "account", "rooms"),
            {
                **queueing(address, claim),
                **_changed(message_id, seq, attempt, change),
                "key": dispatch.key,
                "nonce": dispatch.nonce,
                "again": "1" if dispatch.again else "",
                "version": dispatch.doc.version if dispatch.doc else "",
                "doc": encode_doc(dispatch.doc) if dispatch.doc else "",
                "lease_until": self._live.lease_until(),
            },
        )

    async def park(self, address: RoomAddress, claim: Claim, seq: int, attempt: int, parking: Parking) -> None:
        """Raises ``Fenced``, ``RoomNotFound``, ``IllegalTransition``."""
        rest: list[Argument] = []
        for index, part in parking.parts:
            call = [part.tool_call_id, part.digest, part.state] if isinstance(part, ToolCallPart) else ["", "", ""]
            rest += [index, *call, encode_part(part)]
        await self._live.run(
            "park_reply",
            self._live.room_keys(address, *_KEPT, "draft", "events", *ACCOUNT),
            {
                **queueing(address, claim),
                "message": parking.doc.message_id,
                "seq": seq,
                "attempt": attempt,
                "version": parking.doc.version,
                "doc": encode_doc(parking.doc),
                "deadline": parking.deadline,
                "input": parking.usage.input_tokens,
                "output": parking.usage.output_tokens,
                "cost": parking.cost,
            },
            rest,
        )

    async def decide(self, address: RoomAddress, claim: Claim, change: CallChange) -> bool:
        """False when the same was decided before. Raises ``AlreadyDecided``, ``DigestMismatch``, ``MessageNotFound``
        (the reply has ended), ``OutOfStep``, ``Fenced``, ``RoomNotFound``."""
        part = change.part
        answer = await self._live.attempt(
            "decide_call",
            self._live.room_keys(address, *_KEPT, "events", *ACCOUNT),
            {
                **queueing(address, claim),
                "message": change.doc.message_id,
                "seq": change.seq,
                "attempt": change.attempt,
                "call": part.tool_call_id,
                "digest": change.digest,
                "to": part.state,
                "by_then": change.by_then,
                "decision": part.request,
                "new_digest": part.digest,
                "version": change.doc.version,
                "doc": encode_doc(change.doc),
                "index": change.index,
                "part": encode_part(part),
                "still_waits": "1" if change.still_waits else "",
                "remember": "1" if change.remember else "",
                "lease_until": self._live.lease_until(),
            },
        )
        if answer[0] == Code.DECIDED:
            raise AlreadyDecided(extra={"state": text(answer[1])})
        if answer[0] == Code.DIGEST:
            raise DigestMismatch(extra={"digest": text(answer[1])})
        if answer[0] == Code.ILLEGAL:
            raise IllegalTransition
        if answer[0] < 0:
            raise refusal(answer[0])
        return bool(answer[0] == Code.OK)

    async def settle_late(self, address: RoomAddress, claim: Claim, late: LateCall) -> None:
        """Raises ``AlreadyDecided`` (the reply is gone, or begun anew), ``OutOfStep``, ``Fenced``, ``RoomNotFound``."""
        usage = late.doc.usage
        answer = await self._live.attempt(
            "settle_late",
            self._live.room_keys(address, *_KEPT, "open", "events", "account", "rooms"),
            {
                **queueing(address, claim),
                "message": late.doc.message_id,
                "seq": late.seq,
                "attempt": late.doc.attempt,
                "past_version": late.past_version,
                "version": late.doc.version,
                "doc": encode_doc(late.doc),
                "index": late.index,
                "part": encode_part(late.part),
                "before_input": usage.input_tokens if usage else 0,
                "before_output": usage.output_tokens if usage else 0,
                "lease_until": self._live.lease_until(),
            },
        )
        if answer[0] == Code.ILLEGAL:
            raise AlreadyDecided(extra={"state": ToolState.UNKNOWN})
        if answer[0] < 0:
            raise refusal(answer[0])


def _changed(message_id: MessageId, seq: int, attempt: int, change: PartChange) -> dict[str, Argument]:
    return {
        "message": message_id,
        "seq": seq,
        "attempt": attempt,
        "number": change.number,
        "index": change.index,
        "part": encode_part(change.part),
        "layout": encode_layout(change.layout),
        "call": change.part.tool_call_id,
        "digest": change.part.digest,
    }
