"""A partition moves to another shard under load: in peace, or while the command and a writer are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from parlor.model.ids import Partition, RoomId, home_of
from parlor.store.partition_moves import Step
from parlor_cli import processes
from tests.chaos.system.faults import Blow
from tests.chaos.system.load import Delivery
from tests.installation import Installation
from tests.stored_rows import select

COMMAND_SECONDS = 1800.0
"""Longest run of one command: it copies as fast as the machine lets it."""
KILLED_AT: Sequence[Step] = (Step.COPYING, Step.CATCHING_UP, Step.FENCED, Step.OPENED, Step.CLEANING)
"""Those that the command names when it begins them, of a move that nobody interrupts."""


class MovePartition(Blow):
    """The partition with the most messages goes to another shard."""

    name = "move-partition"
    random_choice: ClassVar[bool] = False

    async def aim(self) -> None:
        installation = Installation(self.target.kind, self.target.data_dir)
        messages: Counter[tuple[Partition, int]] = Counter()
        shards = installation.shards
        for number, address in enumerate(shards, start=1):
            for room, count in await select(address, "SELECT room_id, message_count FROM rooms"):
                partition = int.from_bytes(bytes(room)[6:8], "big") & 0xFFF
                messages[Partition(partition), number] += int(count) + 1
        by_size = [place for place, _ in messages.most_common()]
        self.partition, home = self.chance.choice(by_size) if self.random_choice else by_size[0]
        self.to = self.chance.choice([number for number in range(1, len(shards) + 1) if number != home])

    async def apply(self) -> None:
        moved = await self._command()
        assert moved is not None
        self.notes = (
            f"partition {self.partition} to shard {self.to}: {moved['rows']} rows, nothing stored there for "
            f"{moved['fenced_ms']} ms by the command's clock"
        )

    def say_of(self, felt: Sequence[Delivery], applied_at: float) -> str:
        """How long those waited who asked for a commit: in the partition that moves, and in others."""
        waited: dict[bool, list[float]] = {True: [], False: []}
        for one in felt:
            if one.persisted and one.taken_at is not None:
                here = home_of(RoomId(one.room)) == self.partition
                waited[here].append(one.taken_at - max(one.asked_at, applied_at))
        own, others = ([round(max(times, default=0.0), 2), len(times)] for times in (waited[True], waited[False]))
        return (
            f"{self.notes}; persisted sends waited {own[0]} s at most there (of {own[1]}), "
            f"{others[0]} s elsewhere (of {others[1]})"
        )

    async def _command(self, kill_at: Step | None = None) -> dict[str, Any] | None:
        """Gives the command; None: it was killed when it began that step, or ended before. Raises ``RuntimeError``."""
        words = ("move-partition", str(self.partition), str(self.to), "--json", "--data-dir", str(self.target.data_dir))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PARLOR_", "RAY_"))}
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("parlor")),
            *words,
            cwd="/",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        said: list[str] = []
        async with asyncio.timeout(COMMAND_SECONDS):
            async for line in process.stderr:
                said.append(line.decode())
                if kill_at is not None and said[-1].rstrip().endswith(f": {kill_at}"):
                    process.send_signal(signal.SIGKILL)
            printed = await process.stdout.read()
            code = await process.wait()
        if code == -signal.SIGKILL and kill_at is not None:
            return None
        if code != 0:
            raise RuntimeError(f"parlor {' '.join(words)} ended with {code}: {''.join(said)}")
        moved: dict[str, Any] = msgspec.json.decode(printed)
        return moved


class KillMove(MovePartition):
    """kill -9 of the command as it begins a step, and of a writer; then the command is given again."""

    name = "kill-move"
    random_choice = True

    async def apply(self) -> None:
        self._step = self.chance.choice(KILLED_AT)
        self._moved = await self._command(self._step)
        writers = self.target.workers("ShardWriter")
        if writers:
            processes.send(self.chance.choice(writers), signal.SIGKILL)
        self.notes = f"killed at {self._step}"

    async def heal(self) -> None:
        if self._moved is not None:
            return
        moved = await self._command()
        assert moved is not None
        self.notes += f", then {moved['rows']} rows"

    async def is_healed(self) -> bool:
        return bool(self.target.workers("ShardWriter"))
