"""States in Redis: single steps, their logs, and the owner's smart delete."""

from __future__ import annotations

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.connection import Answer
from parlor.cache.live import Live, RoomAddress
from parlor.cache.loader import Argument
from parlor.cache.records import decode_doc, encode_doc, read_log, text, tombstone
from parlor.model.ids import Claim, MessageId, RoomId, home_of
from parlor.model.messages import MessageDoc
from parlor.model.requests import DeleteOutcome, Transition
from parlor.model.states import MessageState, RoomState


class Step(msgspec.Struct, frozen=True):
    """What became of an attempted transition."""

    done: bool
    state: str | None
    """The state that holds now; None when Redis does not know one."""


class Deleted(msgspec.Struct, frozen=True):
    state: MessageState
    outcome: DeleteOutcome


DELETE_KEYS = (
    *("partition", "queue", "generating", "room", "messages", "states", "open", "draft", "events"),
    *("account", "rooms", "account_events"),
)
"""Keys of what deletes a message or a room."""


class StateCache:
    """States of rooms and messages. Everything raises ``CacheUnavailable``."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def room_state(self, room_id: RoomId) -> tuple[RoomState, list[Transition]] | None:
        found = await self._live.read("HMGET", self._room(room_id), "state", "log")
        return (RoomState(text(found[0])), read_log(found[1])) if found[0] else None

    async def find_message(self, room_id: RoomId, message_id: MessageId) -> int | None:
        """The message's seq."""
        found = await self._live.read("HGET", self._states(room_id), f"i:{message_id}")
        return int(found) if found else None

    async def message_state(self, room_id: RoomId, seq: int) -> tuple[MessageState, list[Transition]] | None:
        found = await self._live.read("HMGET", self._states(room_id), f"s:{seq}", f"l:{seq}")
        return (MessageState(text(found[0])), read_log(found[1])) if found[0] else None

    async def message_doc(self, room_id: RoomId, seq: int) -> MessageDoc | None:
        partition = home_of(room_id)
        found = await self._live.read("HGET", self._live.keys.messages(partition, room_id), f"d:{seq}")
        return decode_doc(found) if found else None

    async def transition_room(self, room_id: RoomId, expected: RoomState | None, to: RoomState, by: str) -> Step:
        answer = await self._live.attempt(
            "transition_room", {"room": self._room(room_id)}, {"to": to, "by": by}, _expected(expected)
        )
        return _step(answer)

    async def transition_message(
        self, room_id: RoomId, seq: int, expected: MessageState | None, to: MessageState, by: str
    ) -> Step:
        answer = await self._live.attempt(
            "transition_message",
            {"states": self._states(room_id)},
            {"seq": seq, "to": to, "by": by},
            _expected(expected),
        )
        return _step(answer)

    async def delete_message(
        self, address: RoomAddress, claim: Claim, seq: int, doc: MessageDoc, *, stored: bool, by: str
    ) -> Deleted:
        """Raises ``Fenced``, ``OutOfStep``, ``RoomNotFound``, ``MessageNotFound``."""
        answer = await self._live.attempt(
            "delete_message",
            self._live.room_keys(address, *DELETE_KEYS),
            {"claim": claim.token, **deletion(address, seq, doc, stored=stored, by=by)},
        )
        return read_deleted(answer)

    def _room(self, room_id: RoomId) -> str:
        partition = home_of(room_id)
        return self._live.keys.room(partition, room_id)

    def _states(self, room_id: RoomId) -> str:
        partition = home_of(room_id)
        return self._live.keys.states(partition, room_id)


def _expected(state: RoomState | MessageState | None) -> list[Argument]:
    return [] if state is None else [state]


def deletion(address: RoomAddress, seq: int, doc: MessageDoc, *, stored: bool, by: str) -> dict[str, Argument]:
    """What a smart delete says, whoever asks for it."""
    return {
        "room": address.room_id,
        "owner": address.account_id,
        "db_key": address.account_db_key,
        "by": by,
        "message": doc.message_id,
        "seq": seq,
        "stored": "1" if stored else "",
        "tombstone": encode_doc(tombstone(doc)),
    }


def read_deleted(answer: Answer) -> Deleted:
    """What became of a smart delete; raises its refusal."""
    if answer[0] < 0:
        raise refusal(answer[0])
    outcome = DeleteOutcome.ALREADY_DELETED if answer[0] == Code.DUPLICATE else DeleteOutcome(text(answer[2]))
    return Deleted(MessageState(text(answer[1])), outcome)


def _step(answer: list[bytes | int]) -> Step:
    code = Code(int(answer[0]))
    if code in (Code.OK, Code.ILLEGAL):
        return Step(code is Code.OK, text(answer[1]) or None)
    return Step(False, None)
