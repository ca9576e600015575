"""What goes wrong in a run, drawn from its seed: one fault after the other, some of them at the same time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from parlor.cache.keys import Keys
from tests.chaos.checker import Foreign, Lost
from tests.chaos.simulation.clusters import PARTITIONS
from tests.chaos.simulation.installation import EPOCH, SKEW_MAX, SimInstallation
from tests.chaos.simulation.moves import Moves
from tests.chaos.simulation.redis_server import Command
from tests.chaos.simulation.users import Users

_log = structlog.get_logger(__name__)

STOP_SECONDS = (0.5, 20.0)
"""How long a process is stopped: up to several leases (3 and 6 s)."""
JUMP_SECONDS = 3600.0
"""How far a wall clock jumps at the most, ahead or back."""
FOREIGN_SECONDS = (0.5, 15.0)
"""How long another installation's Redis is at the address: from no call at all to several leases."""
BEHIND_SECONDS = 3.0
"""What a replica lacks at the most when it is promoted."""
DRAIN_SECONDS = 20.0
"""For the replies of a cluster that is drained."""
STRANGER = "00000000-0000-4000-8000-00000000000b"
"""Whose it is."""


def strangers(keys: Keys) -> list[Command]:
    """What the stranger's Redis has: the same partitions, further than ours, with something queued."""
    made: list[Command] = []
    for partition in PARTITIONS:
        known = ("installation", STRANGER, "incarnation", 9, "next", 3, "applied", "9-2")
        made.append(("HSET", keys.partition(partition), *known))
        made.append(("XADD", keys.queue(partition), "9-3", "op", "CHAT_ROOM_DELETE"))
    return made


class Nemesis:
    """``work`` until ``rest``, which heals everything."""

    def __init__(
        self,
        installation: SimInstallation,
        users: Users,
        chance: random.Random,
        *,
        may_lose: bool,
        may_jump: bool,
        may_swap: bool,
        may_give_away: bool,
        moves: Moves | None = None,
        may_fail_over: bool = False,
        clustered: bool = False,
        calm: bool = False,
    ) -> None:
        """``calm``: processes and clusters die, and nothing else goes wrong."""
        self._installation = installation
        self._users = users
        self._chance = chance
        self._healing: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        self.lost: list[Lost] = []
        self.foreign: list[Foreign] = []
        self._faults: list[Callable[[], Awaitable[None]]] = [
            self._stop_owner,
            self._stop_owner,
            self._stop_writer,
            self._stop_writer,
            self._kill_owner,
            self._kill_writer,
            self._misplace_rooms,
            self._misplace_rooms,
            self._bad_network,
            self._bad_network,
            self._bad_store,
            self._bad_store,
            self._redis_away,
            self._store_away,
            self._forget_scripts,
            self._break_subscriptions,
        ]
        if may_lose:
            self._faults += [self._lose_redis] * 3
        if may_jump:
            self._faults += [self._jump] * 4
        if may_swap:
            self._faults += [self._foreign_redis] * 4
        self._moves = moves
        if moves is not None:
            self._faults += [self._move_partition] * 8
            self._faults += [self._kill_writer] * 3
        if may_give_away:
            self._faults += [self._give_rooms_away] * 6
        if may_fail_over:
            self._faults += [self._fail_over] * 6
        self._promoting = False
        self._changing = False
        if clustered:
            self._have_clusters(calm)

    def _have_clusters(self, calm: bool) -> None:
        if calm:
            self._faults = [self._kill_owner, self._forget_scripts, self._break_subscriptions]
        else:
            self._faults += [self._stop_supervisor] * 2
        self._faults += [self._kill_cluster, self._drain_cluster] * 2 + [self._shift_traffic] * 3

    async def work(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.3, 4.0))
            fault = self._chance.choice(self._faults)
            name = fault.__name__.lstrip("_")
            self.done[name] += 1
            _log.info(name)
            healing = asyncio.ensure_future(fault())
            self._healing.add(healing)
            healing.add_done_callback(self._healing.discard)

    async def rest(self) -> None:
        """Lets what has begun come to its end, which heals it."""
        if self._healing:
            await asyncio.wait(set(self._healing))
        if self._moves is not None:
            await self._moves.finish()

    async def _stop_owner(self) -> None:
        process = self._chance.choice(self._installation.owners).process
        process.stop()
        await asyncio.sleep(self._chance.uniform(*STOP_SECONDS))
        process.resume()

    async def _stop_writer(self) -> None:
        process = self._chance.choice(self._installation.writers).process
        process.stop()
        await asyncio.sleep(self._chance.uniform(*STOP_SECONDS))
        process.resume()

    async def _kill_owner(self) -> None:
        number = self._chance.randrange(len(self._installation.owners))
        owner = self._installation.owners[number]
        owner.process.kill()
        await asyncio.sleep(self._chance.uniform(0.2, 3.0))
        if self._installation.owners[number] is owner and self._has_cluster(number):
            self._installation.restart_owner(number)

    async def _kill_writer(self) -> None:
        number = self._chance.randrange(len(self._installation.writers))
        writer = self._installation.writers[number]
        writer.process.kill()
        await asyncio.sleep(self._chance.uniform(0.2, 3.0))
        if self._installation.writers[number] is writer and self._has_cluster(number):
            self._installation.restart_writer(number)

    def _has_cluster(self, number: int) -> bool:
        """Whether the cluster of this owner or writer is there, which starts it again."""
        clusters = self._installation.clusters
        return not clusters[number % len(clusters)].supervisor.process.killed

    async def _kill_cluster(self) -> None:
        await self._change_cluster(kill=True)

    async def _drain_cluster(self) -> None:
        await self._change_cluster(kill=False)

    async def _change_cluster(self, *, kill: bool) -> None:
        """Its requests go to the other one, and a new cluster comes in its place; one after the other."""
        installation = self._installation
        if self._changing:
            return
        self._changing = True
        number = self._chance.randrange(2)
        installation.traffic = 1 - number
        if kill:
            installation.kill_cluster(number)
        else:
            await installation.clusters[number].drain(DRAIN_SECONDS)
        await asyncio.sleep(self._chance.uniform(0.2, 10.0))
        installation.new_cluster(number)
        installation.traffic = None
        self._changing = False

    async def _stop_supervisor(self) -> None:
        process = self._chance.choice(self._installation.clusters).supervisor.process
        process.stop()
        await asyncio.sleep(self._chance.uniform(*STOP_SECONDS))
        process.resume()

    async def _shift_traffic(self) -> None:
        """All requests go to one cluster, for long enough that its rooms follow, and to both again."""
        if self._changing:
            return
        self._installation.traffic = self._chance.randrange(2)
        await asyncio.sleep(self._chance.uniform(1.0, 20.0))
        if not self._changing:
            self._installation.traffic = None

    async def _misplace_rooms(self) -> None:
        for room_id in self._users.rooms:
            self._installation.misplace(room_id)

    async def _give_rooms_away(self) -> None:
        await asyncio.gather(*(self._installation.give_away(room_id) for room_id in self._users.rooms))

    async def _move_partition(self) -> None:
        assert self._moves is not None
        await self._moves.one()

    async def _bad_network(self) -> None:
        """Each kind at its own rate, for all processes."""
        faults = self._installation.server.faults
        names = self._chance.sample(["refuse", "lose", "halve", "hang", "hold"], 3)
        for name in names:
            setattr(faults, name, self._chance.uniform(0.02, 0.15))
        await asyncio.sleep(self._chance.uniform(2.0, 10.0))
        for name in names:
            setattr(faults, name, 0.0)

    async def _bad_store(self) -> None:
        shards = self._installation.shards
        shards.refuse, shards.lose = self._chance.uniform(0, 0.3), self._chance.uniform(0, 0.3)
        shards.slow = self._chance.uniform(0, 0.2)
        await asyncio.sleep(self._chance.uniform(2.0, 12.0))
        shards.refuse = shards.lose = shards.slow = 0.0

    async def _redis_away(self) -> None:
        faults = self._installation.server.faults
        faults.down = True
        self._installation.server.break_subscriptions()
        await asyncio.sleep(self._chance.uniform(0.2, 5.0))
        faults.down = False

    async def _foreign_redis(self) -> None:
        """A Redis that serves another installation is at the address."""
        server = self._installation.server
        before = server.be_replaced(strangers(self._installation.edge.wiring.live.keys))
        if before is None:
            return
        await asyncio.sleep(self._chance.uniform(*FOREIGN_SECONDS))
        self.foreign.append(Foreign(before, server.come_back()))

    async def _store_away(self) -> None:
        self._installation.shards.down = True
        await asyncio.sleep(self._chance.uniform(0.5, 10.0))
        self._installation.shards.down = False

    async def _jump(self) -> None:
        """Somebody sets a clock, and perhaps finds out."""
        name = self._chance.choice(sorted(self._installation.skews))
        before = self._installation.skews[name]
        self._installation.skews[name] = self._chance.uniform(-JUMP_SECONDS, JUMP_SECONDS)
        if self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.uniform(0.5, 10.0))
            self._installation.skews[name] = before

    async def _forget_scripts(self) -> None:
        self._installation.server.flush_scripts()

    async def _break_subscriptions(self) -> None:
        self._installation.server.break_subscriptions()

    async def _lose_redis(self) -> None:
        """What is not stored by now is gone: everything that was acknowledged since the oldest queued operation."""
        now = asyncio.get_running_loop().time()
        oldest = [at / 1000 - EPOCH - SKEW_MAX for at in self._installation.queued_since()]
        self._installation.server.lose_everything()
        self.lost.append(Lost(min([now, *oldest]), now))

    async def _fail_over(self) -> None:
        """The primary dies when its replica had not heard of the last moments; what was neither there nor stored is
        gone."""
        server, loop = self._installation.server, asyncio.get_running_loop()
        if self._promoting or server.replica is None:
            return
        self._promoting = True
        server.replica.replicate()
        since = loop.time()
        await asyncio.sleep(self._chance.uniform(0.0, BEHIND_SECONDS))
        server.faults.down = True
        await asyncio.sleep(self._chance.uniform(0.5, 5.0))
        server.fail_over()
        server.faults.down = self._promoting = False
        self.lost.append(Lost(since, loop.time()))
