"""A room with as many messages as a benchmark wants, written into its shard directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncmy

_LAST = "SELECT last_seq FROM rooms WHERE room_id = %s"
_COPY = (
    "INSERT INTO messages (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata)"
    " SELECT room_id, seq + %s, CONCAT(LEFT(message_id, 8), UNHEX(CONCAT('80', LPAD(HEX(seq + %s), 14, '0')))),"
    " sender_type, content, sent_at, version, attempt, metadata FROM messages WHERE room_id = %s AND seq <= %s"
)
_GROW = "UPDATE rooms SET last_seq = %s, message_count = %s WHERE room_id = %s"


async def enlarge(databases: Sequence[dict[str, Any]], room: str, messages: int) -> None:
    """Copies the messages of the room until it has so many. ``databases`` are arguments of ``asyncmy.connect``. Raises
    ``RuntimeError`` when none of them has the room."""
    key = UUID(room).bytes
    for database in databases:
        connection = await asyncmy.connect(autocommit=True, **database)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(_LAST, (key,))
                if (row := await cursor.fetchone()) is None:
                    continue
                have = int(row[0])
                while have < messages:
                    more = min(have, messages - have)
                    await cursor.execute(_COPY, (have, have, key, more))
                    have += more
                await cursor.execute(_GROW, (messages, messages, key))
                return
        finally:
            connection.close()
    raise RuntimeError(f"no database has the room {room}")
