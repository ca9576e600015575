"""The most that a database takes from one client: multi-row INSERTs of 500, each committed, and nothing else."""

from __future__ import annotations

import time
from uuid import uuid4

import asyncmy

from parlor_bench.peers.plain_service import Where

ROWS = 500
"""In one statement."""
_SAVE = "INSERT INTO messages (seq, room_id, message_id, account_id, content, created_at) VALUES "
_VALUES = "(%s, %s, %s, %s, %s, UTC_TIMESTAMP(3))"


async def insert_rows(where: Where, rows: int, rooms: int, content: str) -> float:
    """Rows per second into the table of the plain service, spread over new rooms."""
    names = [f"bare-{uuid4()}" for _ in range(rooms)]
    statement = _SAVE + ", ".join([_VALUES] * ROWS)
    connection = await asyncmy.connect(autocommit=True, **where.mysql)
    try:
        async with connection.cursor() as cursor:
            began = time.perf_counter()
            for start in range(0, rows, ROWS):
                values: list[object] = []
                for number in range(start, start + ROWS):
                    values += (number, names[number % rooms], str(uuid4()), "bench", content)
                await cursor.execute(statement, values)
            return rows / (time.perf_counter() - began)
    finally:
        connection.close()
