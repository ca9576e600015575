"""`parlor rooms`: lists the active rooms."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from parlor.cache.records import CachedRoom
from parlor.model.ids import RoomId
from parlor.wiring import Wiring
from parlor_cli.live_stores import ask
from parlor_cli.running import running
from parlor_cli.status import ask_actors, nothing_runs
from parlor_cli.tables import Plain, write


class ActiveRoom(msgspec.Struct, frozen=True):
    """A room that a RoomActor holds."""

    room_id: str
    account_id: str
    state: str
    """The state in Redis; `-` when Redis no longer has the room."""
    messages: int
    persisted_seq: int
    actor: str
    pid: int
    node: str


def show(data_dir: Path, *, as_json: bool, wide: bool) -> int:
    """Prints the rooms; returns the exit code, 3 when nothing runs. Raises ``Refusal`` without an answer."""
    found = running(data_dir)
    if found is None:
        return nothing_runs(data_dir, as_json=as_json)
    status = ask_actors(*found)
    held = [(RoomId(room), actor) for actor in status.actors for room in actor.rooms]

    async def look(wiring: Wiring) -> list[CachedRoom | None]:
        return await asyncio.gather(*(wiring.reader.room(room_id) for room_id, _ in held))

    rooms = [
        ActiveRoom(
            room_id=room_id,
            account_id=cached.account_id if cached else "-",
            state=cached.room.state if cached else "-",
            messages=cached.room.message_count if cached else 0,
            persisted_seq=cached.room.persisted_seq if cached else 0,
            actor=actor.name,
            pid=actor.pid,
            node=actor.node,
        )
        for (room_id, actor), cached in zip(held, ask(data_dir, look), strict=True)
    ]
    lines: list[Plain] = msgspec.to_builtins(sorted(rooms, key=lambda room: (room.actor, room.room_id)))
    write({"rooms": lines}, as_json=as_json, wide=wide)
    return 0
