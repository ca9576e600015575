"""MySQL as the tests ask it themselves, past Parlor."""

from __future__ import annotations

from typing import Any

import asyncmy

from parlor.store.addresses import MySqlAddress


async def connect_mysql(address: MySqlAddress) -> Any:
    """A connection of the tests' own; asyncmy is not typed."""
    return await asyncmy.connect(
        user=address.user,
        password=address.password,
        unix_socket=address.unix_socket,
        db=address.database,
        charset="utf8mb4",
        connect_timeout=5,
        autocommit=True,
    )
