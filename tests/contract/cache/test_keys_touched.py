"""Scripts touch the keys that they declare and no others, all of one partition (I19): as the
server itself saw it."""

from __future__ import annotations

import re

import pytest
from msgspec import structs

from parlor.cache.audit import AuditCache
from parlor.cache.letters import LetterCache
from parlor.cache.live import RoomAddress
from parlor.cache.loader import all_names, load
from parlor.cache.rooms import Appended
from parlor.cache.summaries import SummaryCache
from parlor.ids import MessageId
from parlor.states import MessageState, RoomState
from tests.contract.cache.test_deletes import delete
from tests.contract.cache.test_revisions import change
from tests.contract.cache.world import LEASE, World

pytestmark = pytest.mark.contract


async def everything(world: World) -> None:
    """Every script at least once, on its way through to its end."""
    address, other = await world.claimed(), await world.claimed("bob")
    await world.rooms.rename(address, "claim-1", "Another")
    turn = await world.rooms.append(address, "claim-1", 0, world.turn(key="k"))
    reply = await world.start(address, turn)
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Hi")
    await world.rooms.renew_reply(address, "claim-1")
    await world.start(address, turn, attempt=2)
    await world.page(address)
    await world.complete(address, turn)
    await revise(world, address, turn)
    await world.send(address, 2)
    await delete(world, address, 4)
    await world.reader.fill_list(
        world.partition, address.account_id, [world.room_row(address)], first=True, complete=True
    )
    await world.reader.list_page(world.partition, address.account_id, 10, None)
    parked = (await world.queued())[-1]
    await world.queue.park(LEASE, parked, "reason")
    await check(world, address, turn.message_id)
    await world.stored(address)
    await delete(world, address, 1)
    await world.stored(address)
    await world.states.transition_message(address.room_id, 3, None, MessageState.DELETING, "test")
    await world.states.transition_room(other.room_id, None, RoomState.PROCESSING, "test")
    await world.rooms.release(other, "claim-1")
    await world.rooms.delete(address, "", "account")
    await world.stored(address)
    loaded = world.address()
    await world.rooms.load(loaded, world.room_row(loaded, 1), [world.message_row(1, version=0)], 1, 1)
    await world.queue.renew(world.partition, LEASE)
    await world.live.init_partition(world.partition, 2)
    await world.queue.release(world.partition, LEASE)
    await world.queue.hold(world.partition, "lease-2", "writer-2")


async def revise(world: World, address: RoomAddress, turn: Appended) -> None:
    """The scripts that change what was said, and the summary of it."""
    reply = await change(world, address, turn.seq + 1)
    assert await world.rooms.regenerate(address, "claim-1", "nonce-1", reply)
    await world.rooms.complete_reply(address, "claim-1", 2, structs.replace(reply.doc, version=3), "message.completed")
    question, reply = await change(world, address, turn.seq), await change(world, address, turn.seq + 1)
    await world.rooms.edit(address, "claim-1", "nonce-2", question, reply, waits=False)
    await world.rooms.complete_reply(address, "claim-1", 2, structs.replace(reply.doc, version=5), "message.completed")
    summaries = SummaryCache(world.live)
    version = int((await world.hash("room", address)).get(b"summary_version", b"0"))
    assert await summaries.set(address, "claim-1", version, "a summary", 1)
    await summaries.reset(address, "claim-1")


async def check(world: World, address: RoomAddress, message: MessageId) -> None:
    """The scripts of `parlor fsck` and of the dead letters."""
    audit, letters = AuditCache(world.live, world.prefix), LetterCache(world.live)
    await world.redis.hset(world.key("room", address), "pending", 99)
    room = await audit.room(address.room_id)
    assert room is not None
    await audit.bookkeeping(room, 0, repair=True)
    await audit.requeue(room, "CHAT_MESSAGE_SAVE", 1, message)
    await audit.repair_list(address, gone=False, activity=1)
    await audit.stranded(world.partition)
    await audit.requeue_entry(world.partition, (await world.queued())[0].position)
    (letter,) = await letters.letters(world.partition)
    await letters.replay(letter)
    await world.queue.park(LEASE, (await world.queued())[-1], "reason")
    (letter,) = await letters.letters(world.partition)
    await letters.drop(letter)


async def test_scripts_touch_only_the_keys_that_they_declare(server_world: World) -> None:
    world = server_world
    world.live.twice = False
    scripts = {load(name).sha: name for name in all_names()}
    await world.rooms.release(world.address(), "nobody")
    seen: set[str] = set()
    declared: set[str] = set()
    async with world.redis.monitor() as monitor:
        await everything(world)
        await world.redis.echo("the end")
        key = re.compile(rf"{world.prefix}:[^\s\"]+")
        while True:
            command = await monitor.next_command()
            line = command["command"]
            if line.endswith("the end"):
                break
            words = line.split()
            if words[0].upper() == "EVALSHA":
                name = scripts[words[1]]
                seen.add(name)
                declared = set(words[3 : 3 + int(words[2])])
                assert {re.search(r"\{p\d+\}", found)[0] for found in declared} == {f"{{p{world.partition}}}"}, name  # type: ignore[index]
            elif command["client_type"] == "lua":
                assert set(key.findall(line)) <= declared, f"{name}: {line}"
    assert seen == set(all_names())
