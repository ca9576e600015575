"""The shards as the simulation has them: the real procedures on SQLite in memory, behind connections with faults."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from parlor.errors import StoreUnavailable
from parlor.model.ids import RoomId, ShardId
from parlor.store.procedure_store import ProcedureStore
from parlor.store.rows import Args, Row
from tests.unit.memory_store import PARTITIONS, SHARDS, MemoryDatabase, Templates


class Shards:
    """The databases of a run, and how likely each fault of a call is."""

    def __init__(self, templates: Templates, chance: random.Random) -> None:
        self.databases = {ShardId(n): MemoryDatabase(templates[f"shard{n}"]) for n in range(1, SHARDS + 1)}
        self.global_ = MemoryDatabase(templates["global"])
        self.chance = chance
        self.refuse = 0.0
        """Refused before it began; or a deadlock, a lock wait: rolled back."""
        self.lose = 0.0
        """Committed, and the answer is lost."""
        self.slow = 0.0
        """Takes seconds, so that whoever asked may have lost what it held."""
        self.down = False
        self.injected: Counter[str] = Counter()

    def deleted(self, room_id: RoomId) -> bool | None:
        """Whether the room's row is one of a deleted room; None for no row."""
        key = bytes.fromhex(room_id.replace("-", ""))
        for database in self.databases.values():
            found = database._connection.execute("SELECT deleted_at FROM rooms WHERE room_id = ?", (key,)).fetchone()
            if found is not None:
                return found[0] is not None
        return None

    async def close(self) -> None:
        for database in [*self.databases.values(), self.global_]:
            await database.close()


class SimStore(ProcedureStore):
    """A process's connection to the shards."""

    def __init__(self, shards: Shards) -> None:
        super().__init__(dict(shards.databases), shards.global_, partitions=PARTITIONS, default_shard=ShardId(1))
        self._faults = shards

    async def close(self) -> None:
        """The databases are everybody's."""

    async def _call(self, shard: ShardId | None, name: str, args: Args) -> list[Row]:
        faults, chance = self._faults, self._faults.chance
        lot, there, back = chance.random(), chance.uniform(0.001, 0.01), chance.uniform(0.001, 0.01)
        if lot < faults.slow:
            faults.injected["slow"] += 1
            there += chance.uniform(0.5, 12.0)
        await asyncio.sleep(there)
        lot = chance.random()
        if faults.down or lot < faults.refuse:
            faults.injected["refuse"] += 1
            raise StoreUnavailable(debug="refused")
        found = await super()._call(shard, name, args)
        await asyncio.sleep(back)
        if lot > 1 - faults.lose:
            faults.injected["lose"] += 1
            raise StoreUnavailable(debug=f"{name}: the answer was lost")
        return found
