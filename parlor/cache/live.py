"""What every part of the live store shares: the pipeline, the key names, the clock, the lifetimes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec

from parlor.cache.cluster import open_pipeline
from parlor.cache.codes import Code, refusal
from parlor.cache.connection import Answer, ScriptPipeline
from parlor.cache.guard import FIELD, Guard
from parlor.cache.keys import Keys, partition_key
from parlor.cache.loader import Argument, load
from parlor.clock import Clock
from parlor.model.ids import AccountId, InstallationId, Partition, RoomId, home_of
from parlor.model.messages import QueuePosition
from parlor.model.requests import Idempotency
from parlor.model.tracing import carried_request, span
from parlor.settings import Settings
from parlor.settings.account_limits import AccountLimits


def milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


def or_empty(number: int | None) -> Argument:
    """A number as a script takes it; empty for none."""
    return "" if number is None else number


def key_of(idempotency: Idempotency | None) -> str:
    """The key in a name; scripts do not look at that of a request without one."""
    return idempotency.key if idempotency else ""


NOTHING_APPLIED = QueuePosition(0, 0)
ACCOUNT = ("account", "rooms", "account_events")
"""The keys of a room's account that a change of its list of rooms touches."""
ROOMS_KNOWN = 4096
"""Rooms whose keys are kept: writing them anew for each script costs more than the script's other arguments."""


class RoomAddress(msgspec.Struct, frozen=True):
    """Where a room is and whose: enough to name every key that a change of it touches."""

    room_id: RoomId
    account_id: AccountId
    account_db_key: int

    @property
    def partition(self) -> Partition:
        return home_of(self.room_id)


class Live:
    """The live store's ground: runs scripts by name."""

    def __init__(self, pipeline: ScriptPipeline, settings: Settings, clock: Clock, guard: Guard | None = None) -> None:
        self.pipeline = pipeline
        self.guard = guard or Guard(settings)
        self.keys = Keys(settings.redis.prefix)
        self.clock = clock
        self.cache = settings.cache
        self.queue = settings.queue
        self.rooms = settings.rooms
        self.limits = AccountLimits(settings.limits)
        self.replicated = settings.redis.servers.replicated
        """Whether servers fail over, so that partitions are open in one history only (I27)."""
        self._known_keys: dict[RoomAddress, dict[str, str]] = {}
        self._event_lifetime: dict[str, Argument] = {
            "event_ttl": milliseconds(settings.cache.event_log_ttl),
            "event_max": settings.cache.events_per_room,
        }

    @classmethod
    def open(cls, settings: Settings, clock: Clock, ask: Callable[[], Awaitable[InstallationId]] | None = None) -> Live:
        """``ask`` gives the installation's id, when the settings do not."""
        guard = Guard(settings, ask)
        return cls(open_pipeline(settings.redis, guard), settings, clock, guard)

    def lease_until(self) -> int:
        """When a room with unfinished replies has to have been heard of again, in ms."""
        return self.clock.now_ms() + milliseconds(self.rooms.reply_lease)

    async def run(
        self,
        name: str,
        keys: dict[str, str],
        arguments: dict[str, Argument],
        rest: Sequence[Argument] = (),
        more: Sequence[str] = (),
    ) -> Answer:
        """Runs a script; raises the typed error of a refusal. ``now``, the request, the event log's limits and the
        installation are filled in (``StoreUnavailable`` when nobody can tell it)."""
        answer = await self.attempt(name, keys, arguments, rest, more)
        if answer[0] < 0:
            raise refusal(answer[0])
        return answer

    async def attempt(
        self,
        name: str,
        keys: dict[str, str],
        arguments: dict[str, Argument],
        rest: Sequence[Argument] = (),
        more: Sequence[str] = (),
    ) -> Answer:
        """Runs a script like ``run``, but returns a refusal instead of raising it."""
        script = load(name, self.replicated)
        if self.replicated and "partition" in script.keys and "partition" not in keys:
            keys["partition"] = partition_key(next(iter(keys.values()))) or ""
        if "now" in script.arguments and "now" not in arguments:
            arguments["now"] = self.clock.now_ms()
        for field in ("event_ttl", "event_max"):
            if field in script.arguments:
                arguments[field] = self._event_lifetime[field]
        if "installation" in script.arguments and "installation" not in arguments:
            arguments["installation"] = await self.guard.installation()
        with span(f"script {name}"):
            if "request" in script.arguments and "request" not in arguments:
                arguments["request"] = carried_request()
            return await self.pipeline.run(script, keys, arguments, rest, more)

    def read(self, *command: Argument) -> Awaitable[Answer]:
        """Runs a command on keys of one partition, or on a key that is in none. Raises ``CacheUnavailable``, also for a
        closed partition."""
        partition = partition_key(str(command[1])) if self.replicated else None
        return self.pipeline.read(*command) if partition is None else self._read_open(partition, command)

    async def _read_open(self, partition: str, command: tuple[Argument, ...]) -> Answer:
        # Of all commands that are read with, only these have more keys than one.
        names = [str(word) for word in (command[1:] if command[0] == "DEL" else command[1:2])]
        answer = await self.run("read_keys", {"partition": partition}, {}, command, names)
        return self.pipeline.shaped(str(command[0]), answer[1])

    def room_keys(self, address: RoomAddress, *names: str) -> dict[str, str]:
        """The named keys of a room, its account and its partition."""
        known = self._known_keys.get(address)
        if known is None:
            if len(self._known_keys) >= ROOMS_KNOWN:
                self._known_keys.clear()
            known = self._known_keys[address] = self._all_keys(address)
        return {name: known[name] for name in names}

    def _all_keys(self, address: RoomAddress) -> dict[str, str]:
        partition, room, account = address.partition, address.room_id, address.account_id
        keys = self.keys
        return {
            "partition": keys.partition(partition),
            "lease": keys.lease(partition),
            "queue": keys.queue(partition),
            "dead": keys.dead(partition),
            "generating": keys.generating(partition),
            "reserving": keys.reserving(partition),
            "room": keys.room(partition, room),
            "messages": keys.messages(partition, room),
            "states": keys.states(partition, room),
            "open": keys.open(partition, room),
            "draft": keys.draft(partition, room),
            "events": keys.events(partition, room),
            "account": keys.account(partition, account),
            "rooms": keys.rooms(partition, account),
            "account_events": keys.account_events(partition, account),
        }

    def repeatable(self, idempotency: Idempotency | None) -> dict[str, Argument]:
        """What a script needs that is done once for each idempotency key."""
        return {
            "fingerprint": idempotency.fingerprint if idempotency else "",
            "idempotency_ttl": milliseconds(self.cache.idempotency_ttl),
        }

    async def init_partition(
        self, partition: Partition, incarnation: int, applied: QueuePosition = NOTHING_APPLIED
    ) -> int:
        """Makes the partition known; returns the incarnation that holds (a higher one may be there already).
        ``applied`` is its shard's watermark. Raises ``ForeignCache``."""
        answer = await self.run(
            "init_partition",
            {"partition": self.keys.partition(partition), "queue": self.keys.queue(partition)},
            {"incarnation": incarnation, "applied": str(applied)},
        )
        return int(answer[1])

    async def own_partition(self, partition: Partition) -> None:
        """Makes the partition this installation's unless it is. Raises ``ForeignCache``."""
        await self.run("own_partition", {"partition": self.keys.partition(partition)}, {})

    async def require_own(self, partition: Partition) -> None:
        """Raises ``ForeignCache`` when the partition is another installation's: before commands on keys that are in no
        partition, which no script can take together with the partition's."""
        held = await self.pipeline.read("HGET", self.keys.partition(partition), FIELD)
        if held and held.decode() != await self.guard.installation():
            raise refusal(Code.FOREIGN)

    async def ping(self) -> None:
        """Raises ``CacheUnavailable`` unless Redis answers."""
        await self.pipeline.read("PING")

    async def close(self) -> None:
        await self.pipeline.close()
