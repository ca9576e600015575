"""What is written into a room behind its conversation: the summary of its older turns, and its first title.

The room's hash has the summary as one JSON document (``summary``, absent or '' for none) and a counter of its versions
(``summary_version``), which goes up with each summary, each reset, and each message that is deleted or edited.
"""

from __future__ import annotations

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live, RoomAddress
from parlor.cache.records import text as plain
from parlor.errors import OutOfStep, RoomNotFound
from parlor.model.ids import AccountId, Claim, RoomId, home_of
from parlor.model.rooms import RoomMemory
from parlor.model.states import GONE, RoomState


class _Summary(msgspec.Struct, frozen=True):
    text: str
    through_seq: int
    updated_at: int | None


_ENCODER = msgspec.json.Encoder()
_SUMMARY = msgspec.json.Decoder(_Summary)


class CachedMemory(msgspec.Struct, frozen=True):
    account_id: AccountId
    memory: RoomMemory


class SummaryCache:
    """Raises ``CacheUnavailable`` throughout; writes raise ``Fenced``, ``RoomNotFound``, ``OutOfStep`` (Redis does not
    have the room) and ``PartitionUnknown``."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def read(self, room_id: RoomId) -> CachedMemory | None:
        """None when Redis does not have the room. Raises ``RoomNotFound`` for one that was deleted."""
        key = self._live.keys.room(home_of(room_id), room_id)
        fields = ("account", "state", "summary", "summary_version")
        account, state, summary, version = await self._live.read("HMGET", key, *fields)
        if state is None:
            return None
        if RoomState(plain(state)) in GONE:
            raise RoomNotFound
        known = _SUMMARY.decode(summary) if summary else _Summary("", 0, None)
        memory = RoomMemory(known.text, known.through_seq, known.updated_at, int(version or 0))
        return CachedMemory(AccountId(plain(account)), memory)

    async def set(self, address: RoomAddress, claim: Claim, version: int, text: str, through_seq: int) -> bool:
        """A summary that was made from the one of ``version`` and covers the room up to ``through_seq``. False when it
        must not stand: something that it may tell of was deleted, edited or reset since."""
        now = self._live.clock.now_ms()
        answer = await self._live.attempt(
            "set_summary",
            self._live.room_keys(address, "partition", "queue", "room", "messages", "states", "account", "rooms"),
            {
                **_owned(address, claim),
                "now": now,
                "version": version,
                "summary": _ENCODER.encode(_Summary(text, through_seq, now)),
                "text": text,
                "through": through_seq,
            },
        )
        if answer[0] == Code.OUT_OF_STEP:
            return False
        if answer[0] < 0:
            raise refusal(answer[0])
        return True

    async def reset(self, address: RoomAddress, claim: Claim) -> None:
        """Forgets the summary. Harmless when repeated."""
        await self._live.run(
            "reset_summary",
            self._live.room_keys(address, "partition", "queue", "room", "messages", "states", "account", "rooms"),
            _owned(address, claim),
        )

    async def title_version(self, address: RoomAddress) -> int | None:
        """The version that a title would be made from, to be read before the messages; None when the room has a title
        that is no stand-in. Raises ``RoomNotFound`` for a room that was deleted, ``OutOfStep`` when Redis does not have
        it."""
        key = self._live.keys.room(address.partition, address.room_id)
        fields = ("title", "stand_in", "state", "summary_version")
        title, stand_in, state, version = await self._live.read("HMGET", key, *fields)
        if state is None:
            raise OutOfStep
        if RoomState(plain(state)) in GONE:
            raise RoomNotFound
        stands_in = stand_in is not None and plain(stand_in).partition(" ")[2] == plain(title)
        return int(version or 0) if not title or stands_in else None

    async def give_title(
        self, address: RoomAddress, claim: Claim, version: int, title: str, quoted: int | None = None
    ) -> bool:
        """A title for a room that needs one, made from the messages of ``version``. ``quoted`` is the seq of the
        message whose first words they are: such a title stands in for one, and goes with the message. False when the
        room keeps the title that it has by now, or when a message was deleted or edited since."""
        answer = await self._live.attempt(
            "give_title",
            self._live.room_keys(
                address,
                *("partition", "queue", "room", "messages", "states", "events"),
                *("account", "rooms", "account_events"),
            ),
            {
                **_owned(address, claim),
                "version": version,
                "title": title,
                "quoted": "" if quoted is None else quoted,
            },
        )
        if answer[0] < 0 and answer[0] != Code.OUT_OF_STEP:
            raise refusal(answer[0])
        return bool(answer[0] == Code.OK)


def _owned(address: RoomAddress, claim: Claim) -> dict[str, str | int | bytes]:
    return {
        "room": address.room_id,
        "owner": address.account_id,
        "db_key": address.account_db_key,
        "claim": claim.token,
    }
