"""A program of an older release, for ``test_upgrade``: run with the older ``parlor`` first on the path.

It takes a command a line, ``{"do": "apply", "batch": {...}}``, and answers each with one line. It may use only what the
older release has.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import msgspec

import parlor
from parlor.errors import ParlorError
from parlor.settings import StoreSettings
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import Batch, ChatStore


async def answer(store: ChatStore, settings: StoreSettings, command: dict[str, Any]) -> object:
    shard, room = store.shard_ids()[0], cast("Any", command.get("room", ""))
    match command["do"]:
        case "migrate":
            return (await migrate(settings)).changed
        case "acquire":
            await store.open_partition(shard, command["partition"])
            return await store.acquire_partition(shard, command["partition"])
        case "apply":
            return await store.apply(shard, msgspec.convert(command["batch"], Batch))
        case "room":
            return await store.room_get(shard, room)
        case "messages":
            return await store.messages_get(shard, room, limit=1000, newest=False)
        case "versions":
            # As the older program declares it, which this file runs in.
            return await store.versions_get(shard, room, command["seq"])  # type: ignore[call-arg]
    raise ValueError(command["do"])


async def main(urls: list[str]) -> None:
    settings = StoreSettings.model_validate({"urls": urls, "partitions": 64})
    store = await open_store(settings)
    print(parlor.__file__, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            found = {"answer": await answer(store, settings, msgspec.json.decode(line))}
        except ParlorError as error:
            found = {"error": error.code}
        print(msgspec.json.encode(found).decode(), flush=True)
    await store.close()


asyncio.run(main(sys.argv[1:]))
