"""Redis as the simulation has it: fakeredis runs the real scripts, in virtual time, behind a network with faults.

``SimServer`` is the server, ``SimClient`` stands in for redis-py's client. The production pipeline and the writers'
queue run above it unchanged, with their own time limits and repetitions.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, Protocol

import fakeredis
from redis import exceptions

from tests.fake_redis import FakeReplica

Command = tuple[Any, ...]
Replies = list[Any]


class NetworkFaults:
    """How likely each fault is, per round trip; all 0 when the network is well."""

    def __init__(self) -> None:
        self.refuse = 0.0
        """The connection breaks before anything was executed."""
        self.lose = 0.0
        """Everything is executed, then the connection breaks."""
        self.halve = 0.0
        """A part of the pipeline is executed, then the connection breaks."""
        self.hang = 0.0
        """Everything is executed, the answer comes after the caller's time limit."""
        self.hold = 0.0
        """As ``hang``, but executed late too: after the caller has gone on."""
        self.down = False
        """The server refuses connections; what it has stays."""


class Subscriber(Protocol):
    channels: dict[bytes, None]

    def publish(self, channel: bytes, data: bytes) -> None: ...

    def break_connection(self) -> None: ...


class _Data:
    """What one server has: keys, scripts, subscriptions."""

    def __init__(self) -> None:
        server = self.server = fakeredis.FakeServer()
        # redis-py does not type what is called on them.
        self.client: Any = fakeredis.FakeRedis(server=server, protocol=2)
        listener = fakeredis.FakeRedis(server=server, protocol=2)
        self.published: Any = listener.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._heard: set[bytes] = set()

    def listen(self, channels: set[bytes]) -> None:
        """Hears these channels and no others. Scripts count who hears one by its name, so a pattern would not do."""
        for channel in sorted(channels - self._heard):
            self.published.subscribe(channel)
            self.published.get_message()  # Its confirmation.
        for channel in sorted(self._heard - channels):
            self.published.unsubscribe(channel)
            self.published.get_message()
        self._heard = channels

    def execute(self, command: Command) -> Any:
        try:
            return self.client.execute_command(*command)
        except exceptions.RedisError as error:
            if "requires the key to exist" in str(error):
                return exceptions.ResponseError("NOGROUP No such key or consumer group")
            return error

    def keyspace(self) -> dict[str, str]:
        """Every key, and what it has."""
        plain = self.client.keys("*")
        return {key.decode(): repr(self.client.dump(key)) for key in sorted(plain)}


class SimServer:
    """One server for all processes of a run, at whose address another one may be for a while."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.faults = NetworkFaults()
        self.injected: Counter[str] = Counter()
        self.changed = asyncio.Event()
        """Set with each script that may have queued something."""
        self.subscribers: list[Subscriber] = []
        self.watchers: list[Callable[[tuple[str, ...]], None]] = []
        """Called after each script on the installation's own server, with its keys."""
        self._ours = _Data()
        self._foreign: _Data | None = None
        self.replica: FakeReplica | None = None
        self._history = 0
        """Counts fail-overs: connections do not outlive them, nor does what is on its way."""

    def execute(self, command: Command) -> Any:
        """One command, now, to whatever is at the address; an error reply is returned as what redis-py would raise."""
        data = self._foreign or self._ours
        if command[0] == "EVALSHA":
            data.listen({channel for subscriber in self.subscribers for channel in subscriber.channels})
        answer = data.execute(command)
        if command[0] != "EVALSHA" or isinstance(answer, Exception):
            return answer
        keys = command[3 : 3 + int(command[2])]
        if data is self._ours:
            for watch in self.watchers:
                watch(keys)
        if any(":queue" in key for key in keys):
            self.changed.set()
            self.changed = asyncio.Event()
        if any(subscriber.channels for subscriber in self.subscribers):
            while (heard := data.published.get_message()) is not None:
                for subscriber in self.subscribers:
                    subscriber.publish(heard["channel"], heard["data"])
        return answer

    @property
    def response_callbacks(self) -> Any:
        """What redis-py makes of bare replies."""
        return self._ours.client.response_callbacks

    def look(self, command: Command) -> Any:
        """Asks the installation's own server, wherever it is."""
        return self._ours.execute(command)

    def flush_scripts(self) -> None:
        (self._foreign or self._ours).client.script_flush()

    def lose_everything(self) -> None:
        """It comes back empty, as from a lost disk."""
        self._ours.client.flushall()
        self._ours.client.script_flush()
        self.break_subscriptions()

    def be_replicated(self) -> None:
        """Has a replica from now on."""
        self.replica = FakeReplica(self._ours.server)

    def fail_over(self) -> None:
        """The replica goes on with what it has."""
        assert self.replica is not None
        self.replica.fail_over()
        self._history += 1
        self._ours.client.script_flush()
        self.break_subscriptions()

    def be_replaced(self, commands: Sequence[Command]) -> dict[str, str] | None:
        """Has another server at the address, filled by these commands; returns its keys. Connections stay, as they do
        when data is swapped within a server: nothing but the scripts can notice. None when there is one already."""
        if self._foreign is not None:
            return None
        self._foreign = _Data()
        for command in commands:
            self._foreign.client.execute_command(*command)
        return self._foreign.keyspace()

    def come_back(self) -> dict[str, str]:
        """Ends the replacement; returns the keys that the other server has by now."""
        assert self._foreign is not None
        found, self._foreign = self._foreign.keyspace(), None
        return found

    def break_subscriptions(self) -> None:
        for subscriber in self.subscribers:
            subscriber.break_connection()

    async def round_trip(self, commands: Sequence[Command]) -> Replies:
        """Sends the commands together. Raises ``redis.exceptions.ConnectionError``; may take long, which is up to the
        caller's time limit."""
        loop = asyncio.get_running_loop()
        chance, faults = self.chance, self.faults
        there, back = chance.uniform(0.0002, 0.004), chance.uniform(0.0002, 0.004)
        fate = self._fate()
        if fate:
            self.injected[fate] += 1
        await asyncio.sleep(there)
        if faults.down or fate == "refuse":
            raise exceptions.ConnectionError("Connection refused")
        if fate == "hold":
            # The network delivers it whatever becomes of the caller.
            loop.call_later(chance.uniform(1.0, 15.0), self._deliver, list(commands), self._history, context=Context())
            await asyncio.sleep(3600)
        count = chance.randint(0, len(commands)) if fate == "halve" else len(commands)
        replies = [self.execute(command) for command in commands[:count]]
        if fate == "hang":
            await asyncio.sleep(3600)
        await asyncio.sleep(back)
        if fate in ("lose", "halve"):
            raise exceptions.ConnectionError("Connection reset by peer")
        return replies

    def _deliver(self, commands: list[Command], history: int) -> None:
        if not self.faults.down and history == self._history:
            for command in commands:
                self.execute(command)

    def _fate(self) -> str:
        faults, lot = self.faults, self.chance.random()
        for name in ("refuse", "lose", "halve", "hang", "hold"):
            lot -= getattr(faults, name)
            if lot < 0:
                return name
        return ""
