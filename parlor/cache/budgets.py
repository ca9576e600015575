"""Budgets of accounts: what is used and reserved, counted in the account's partition by the scripts that append, start,
end and delete (``lua/include/budget.lua``, ``settle.lua``), and the reservations of calls that belong to no turn."""

from __future__ import annotations

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.connection import Answer
from parlor.cache.live import Live, milliseconds
from parlor.cache.records import text
from parlor.errors import ParlorError, QuotaExceeded
from parlor.model.budgets import BILLION, Ask, Budget, Payer, Period, Reservation
from parlor.model.ids import AccountId, MessageId, Partition, RoomId
from parlor.model.messages import QueuePosition, Usage
from parlor.settings.limits import LimitSettings

SETTLING = 5.0
"""Seconds after which a refusal may be another answer that is only due to what others have reserved."""
ALIVE_MS = 30_000
"""How long a call counts as alive after it was heard of."""
PATIENCE_MS = 20_000
"""How long a turn that is not open may keep what it has reserved, and between two looks at a reservation."""
_KINDS = ("day_tokens", "month_tokens", "day_cost", "month_cost")
"""As in ``budget.lua``."""
_NAMES = ("tokens_per_day", "tokens_per_month", "cost_per_day", "cost_per_month")


class Sums(msgspec.Struct, frozen=True):
    """What an account has used, by its shard."""

    day_tokens: int
    month_tokens: int
    day_cost: int
    month_cost: int


class Held(msgspec.Struct, frozen=True):
    """A reservation, as the sweep looks at it. ``room_id`` is the call's own id for one that belongs to no turn."""

    payer: Payer
    room_id: RoomId
    message_id: MessageId


def limits_of(settings: LimitSettings) -> tuple[int | None, ...]:
    """The limits in the order of the scripts; costs in billionths."""
    costs = (settings.cost_per_day, settings.cost_per_month)
    return (
        settings.tokens_per_day,
        settings.tokens_per_month,
        *(None if cost is None else round(cost * BILLION) for cost in costs),
    )


def asking(live: Live, account: AccountId, ask: Ask | None) -> str:
    """The scripts' argument ``budget``: empty when the account has none, or nothing is asked for."""
    limits = limits_of(live.limits.of(account))
    if ask is None or limits == (None,) * len(limits):
        return ""
    period = Period.at(live.clock.now_ms())
    words = ["-" if limit is None else limit for limit in limits]
    return " ".join(map(str, (period.day, period.month, *words, *msgspec.structs.astuple(ask))))


def refused(live: Live, answer: Answer) -> ParlorError:
    """The error of a script that takes a budget."""
    if answer[0] != Code.QUOTA:
        return refusal(answer[0])
    kind, later = text(answer[1]), bool(answer[2])
    name, now = _NAMES[_KINDS.index(kind)], live.clock.now_ms()
    period = Period.at(now)
    ends = period.day_ends if kind.startswith("day") else period.month_ends
    if later:
        detail, wait = "what replies that are not finished have reserved leaves too little", SETTLING
    else:
        detail, wait = "what is left is too little", (ends - now) / 1000
    return QuotaExceeded(f"The account's budget {name}: {detail}", retry_after=wait, extra={"limit": name})


class BudgetCache:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def load(self, payer: Payer, period: Period, sums: Sums, incarnation: int, applied: QueuePosition) -> None:
        """Puts the counters back unless they are there. ``incarnation`` and ``applied`` are the partition's from before
        the sums were read. Raises ``PartitionUnknown``, and ``OutOfStep`` when something that counts is missing from
        the sums."""
        await self._live.run(
            "load_budget",
            self._keys(payer, "partition", "account"),
            {
                "incarnation": incarnation,
                "applied": str(applied),
                "day": period.day,
                "month": period.month,
                **msgspec.structs.asdict(sums),
                "account_ttl": milliseconds(self._live.cache.record_ttl),
            },
        )

    async def standings(self, payer: Payer) -> list[Budget] | None:
        """Where the limits stand; None when Redis does not know what was used."""
        key = self._keys(payer, "account")["account"]
        fields = ("budget_day", "budget_month", *_KINDS, *(f"held:{kind}" for kind in _KINDS))
        day, month, *found = await self._live.read("HMGET", key, *fields)
        now = Period.at(self._live.clock.now_ms())
        if day is None or int(day) > now.day + 1:
            return None
        # A day that nothing was used on yet is not in the counters.
        current = (int(day) >= now.day, int(month) >= now.month) * 4
        numbers = [int(number or 0) if counted else 0 for number, counted in zip(found, current, strict=True)]
        return standings_of(self._live.limits.of(payer.account_id), now, Sums(*numbers[:4]), Sums(*numbers[4:]))

    # Calls that belong to no turn

    async def reserve(self, payer: Payer, call: MessageId, ask: Ask) -> Reservation:
        """Raises ``Uncounted``, ``QuotaExceeded``, ``PartitionUnknown``."""
        live = self._live
        answer = await live.attempt(
            "reserve_call",
            self._keys(payer, "partition", "account", "reserving"),
            {
                **_whose(payer),
                "message": call,
                "budget": asking(live, payer.account_id, ask),
                "alive_until": live.clock.now_ms() + ALIVE_MS,
                "account_ttl": milliseconds(live.cache.record_ttl),
                "patience": PATIENCE_MS,
            },
        )
        if answer[0] < 0:
            raise refused(live, answer)
        may = None if answer[1] in (b"", "") else int(answer[1])
        return Reservation(payer, call, may, ask.input_price, ask.output_price)

    async def renew(self, reservation: Reservation, usage: Usage) -> None:
        """A sign of life, with what is used so far; to be given every ``ALIVE_MS`` / 3 at least."""
        await self._live.attempt(
            "renew_call",
            self._keys(reservation.payer, "account"),
            {
                "message": reservation.call,
                "alive_until": self._live.clock.now_ms() + ALIVE_MS,
                **_used(reservation, usage),
            },
        )

    async def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Counts what was used, once, and gives the rest back. Raises ``PartitionUnknown``."""
        payer = reservation.payer
        await self._live.run(
            "settle_call",
            self._room_keys(payer, RoomId(reservation.call), "partition", "queue"),
            {
                "room": reservation.call,
                **_whose(payer),
                "message": reservation.call,
                **_used(reservation, usage),
            },
        )

    # The sweep

    async def due(self, partition: Partition, limit: int) -> list[Payer]:
        """Accounts whose reservations are to be looked at."""
        key = self._live.keys.reserving(partition)
        now = self._live.clock.now_ms()
        found = await self._live.read("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, limit)
        payers = (text(member).partition(" ") for member in found)
        return [Payer(AccountId(account), int(db_key), partition) for db_key, _, account in payers]

    async def held(self, payer: Payer) -> list[Held]:
        """The account's reservations."""
        key = self._keys(payer, "account")["account"]
        names = [text(name) for name in await self._live.read("HKEYS", key)]
        calls = {name[2:] for name in names if name.startswith("l:")}
        turns = [name[2:] for name in names if name.startswith("r:") and name[2:] not in calls]
        told = await self._live.read("HMGET", key, *(f"r:{turn}" for turn in turns)) if turns else []
        rooms = {turn: text(each).split(" ")[1] for turn, each in zip(turns, told, strict=True) if each}
        return [
            Held(payer, RoomId(room), MessageId(message))
            for message, room in sorted((rooms | {call: call for call in calls}).items())
        ]

    async def sweep(self, held: Held) -> bool:
        """Settles the reservation if nothing needs it any more; whether it did. Raises ``PartitionUnknown``."""
        return await self._look(held.payer, held.room_id, held.message_id)

    async def unlist(self, payer: Payer) -> None:
        """Takes the account off the list of those to look at, unless it has reserved something. Raises
        ``PartitionUnknown``."""
        await self._look(payer, RoomId("none"), "")

    async def _look(self, payer: Payer, room: RoomId, message: str) -> bool:
        answer = await self._live.run(
            "sweep_reservation",
            self._room_keys(payer, room, "partition", "queue", "open", "reserving"),
            {"room": room, **_whose(payer), "message": message, "patience": PATIENCE_MS},
        )
        return bool(answer[0] == Code.DUPLICATE)

    def _keys(self, payer: Payer, *names: str) -> dict[str, str]:
        keys, partition = self._live.keys, payer.partition
        every = {
            "partition": keys.partition(partition),
            "queue": keys.queue(partition),
            "account": keys.account(partition, payer.account_id),
            "rooms": keys.rooms(partition, payer.account_id),
            "reserving": keys.reserving(partition),
        }
        return {name: every[name] for name in names}

    def _room_keys(self, payer: Payer, room: RoomId, *names: str) -> dict[str, str]:
        keys, partition = self._live.keys, payer.partition
        of_room = {
            "room": keys.room(partition, room),
            "messages": keys.messages(partition, room),
            "states": keys.states(partition, room),
        }
        of_account = self._keys(payer, *(name for name in names if name != "open"), "account", "rooms")
        return {**of_room, **of_account, **({"open": keys.open(partition, room)} if "open" in names else {})}


def standings_of(settings: LimitSettings, period: Period, used: Sums, reserved: Sums) -> list[Budget]:
    """Each limit with what counts against it."""
    ends = (period.day_ends, period.month_ends) * 2
    of_used, of_reserved = msgspec.structs.astuple(used), msgspec.structs.astuple(reserved)
    every = zip(_NAMES, limits_of(settings), of_used, of_reserved, ends, strict=True)
    return [Budget(*each) for each in every]


def _whose(payer: Payer) -> dict[str, str | int | bytes]:
    return {"owner": payer.account_id, "db_key": payer.account_db_key}


def _used(reservation: Reservation, usage: Usage) -> dict[str, str | int | bytes]:
    cost = usage.input_tokens * reservation.input_price + usage.output_tokens * reservation.output_price
    return {"input": usage.input_tokens, "output": usage.output_tokens, "cost": cost}
