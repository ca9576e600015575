"""Scripts touch the keys that they declare and no others, all of one partition (I19): as the
server itself saw it."""

from __future__ import annotations

import re

import pytest
from msgspec import structs

from parlor.cache.audit import AuditCache, Correction, Fact
from parlor.cache.budgets import BudgetCache, Sums
from parlor.cache.changes import Appended, PartChange
from parlor.cache.clusters import ClusterCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.cache.live import RoomAddress
from parlor.cache.loader import all_names, load
from parlor.cache.queue import Lease
from parlor.cache.reopening import Reopening
from parlor.cache.server_check import require_rights
from parlor.cache.sign_in_codes import SignInCodes
from parlor.cache.summaries import SummaryCache
from parlor.cache.tickets import Tickets
from parlor.cache.usage import UsageCache
from parlor.model.access import Credential, SealedSession
from parlor.model.budgets import Ask, Payer, Period
from parlor.model.ids import AccountId, Claim, ClusterId, MessageId
from parlor.model.messages import Usage
from parlor.model.parts import TextSpan, ToolCallPart
from parlor.model.rooms import NewRoom
from parlor.model.states import MessageState, RoomState
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import APPLIED, CLAIM_1, LEASE, CacheFixtures, plain
from tests.contract.cache.parked_replies import parked, parked_and_ended
from tests.contract.cache.test_deletes import delete
from tests.contract.cache.test_revisions import change

pytestmark = pytest.mark.contract


async def everything(fixtures: CacheFixtures) -> None:
    """Every script at least once, on its way through to its end."""
    address, other = await fixtures.claimed(), await fixtures.claimed("bob")
    await fixtures.rooms.update(address, CLAIM_1, "Another", None)
    turn = await fixtures.rooms.append(address, CLAIM_1, 0, fixtures.turn(key="k"))
    reply = await fixtures.start(address, turn)
    await budgets(fixtures)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Hi"))
    call = ToolCallPart("c", "t", "T", "{}", "sha256:0", ToolState.APPROVED)
    await fixtures.rooms.reserve_step(address, CLAIM_1, reply, 1, Ask(1, 1, 0, 0))
    await fixtures.calls.record(address, CLAIM_1, reply, 2, 1, PartChange(1, 1, call, (TextSpan(2), call)))
    await calls(fixtures)
    await fixtures.rooms.renew_reply(address, CLAIM_1)
    await fixtures.start(address, turn, attempt=2)
    await fixtures.page(address)
    await fixtures.complete(address, turn)
    await revise(fixtures, address, turn)
    await fixtures.send(address, 2)
    await delete(fixtures, address, 4)
    await fixtures.reader.fill_list(
        fixtures.partition, address.account_id, [fixtures.room_row(address)], first=True, complete=True
    )
    await fixtures.reader.list_page(fixtures.partition, address.account_id, 10, None)
    parked = (await fixtures.queued())[-1]
    await fixtures.queue.park(LEASE, parked, "reason")
    await check(fixtures, address, turn.message_id)
    await fixtures.stored(address)
    await delete(fixtures, address, 1)
    await fixtures.stored(address)
    await fixtures.states.transition_message(address.room_id, 3, None, MessageState.DELETING, "test")
    await fixtures.states.transition_room(other.room_id, None, RoomState.PROCESSING, "test")
    await operate(fixtures, address, 3)
    await fixtures.rooms.delete(other, CLAIM_1, "account")
    await fixtures.stored(address)
    loaded = fixtures.address()
    await fixtures.rooms.load(loaded, fixtures.room_row(loaded, 1), [fixtures.message_row(1, version=0)], 1, 1)
    tickets = Tickets(fixtures.live, fixtures.mint)
    ticket = await tickets.issue(
        fixtures.partition, address.account_id, "/v1/events", Credential("k", 1, fixtures.clock.ms + 60_000)
    )
    assert await tickets.use(ticket.ticket, "/v1/events") is not None
    codes, code = SignInCodes(fixtures.live), f"{fixtures.partition}-{'0' * 32}"
    await codes.keep(code, SealedSession(address.account_id, "sealed"))
    assert await codes.take(code, address.account_id) is not None
    await forward(fixtures)
    await fixtures.queue.renew(fixtures.partition, LEASE, APPLIED)
    await fixtures.live.init_partition(fixtures.partition, 2)
    await fixtures.live.own_partition(fixtures.partition)
    reopening = Reopening(fixtures.live)
    lease = await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1")
    assert isinstance(lease, Lease)
    await reopening.names(LEASE, {fixtures.partition: lease.history})
    await reopening.forget(fixtures.partition, LEASE, lease.history, [fixtures.key("room", loaded)])
    await reopening.open(fixtures.partition, LEASE, lease.history, 3, APPLIED, [])
    await fixtures.queue.release(fixtures.partition, LEASE, APPLIED)
    await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2")


async def forward(fixtures: CacheFixtures) -> None:
    """A command of another cluster."""
    clusters, blue, nonce = ClusterCache(fixtures.live), ClusterId("0b1"), fixtures.mint.token()
    assert await clusters.take(blue) == []
    assert await clusters.call(blue, nonce, b"command")
    assert await clusters.answer_to(blue, nonce) == b""


async def calls(fixtures: CacheFixtures) -> None:
    """A reply that waits for a person, and goes on; one whose call has a result after its end."""
    waiting = await parked(fixtures)
    await waiting.decide(ToolState.APPROVED)
    await waiting.wake()
    await waiting.dispatch()
    await (await parked_and_ended(fixtures)).settle_late()


async def budgets(fixtures: CacheFixtures) -> None:
    """What is counted for an account, and a call that belongs to no turn."""
    cache, payer = BudgetCache(fixtures.live), Payer(AccountId("ada"), 7, fixtures.partition)
    period = Period.at(fixtures.clock.now_ms())
    await cache.load(payer, period, Sums(0, 0, 0, 0), 1, APPLIED)
    reservation = await cache.reserve(payer, fixtures.message_id(), Ask(1, 1, 1, 1))
    await cache.renew(reservation, Usage(1, 0))
    for held in await cache.held(payer):
        await cache.sweep(held)
    await cache.settle(reservation, Usage(1, 1))


async def operate(fixtures: CacheFixtures, address: RoomAddress, seq: int) -> None:
    """The scripts that need no claim, after the owner has given its own up."""
    await fixtures.rooms.release(address, CLAIM_1)
    await fixtures.operators.delete_message(address, seq, fixtures.doc(), stored=False, by="operator")
    await fixtures.operators.update_room(address, "Once more", "BRIEF")
    await fixtures.operators.delete_room(address, "operator")


async def revise(fixtures: CacheFixtures, address: RoomAddress, turn: Appended) -> None:
    """The scripts that change what was said, and the summary of it."""
    reply = await change(fixtures, address, turn.seq + 1)
    assert (await fixtures.revisions.regenerate(address, CLAIM_1, "nonce-1", reply)).done
    await fixtures.rooms.complete_reply(address, CLAIM_1, 2, structs.replace(reply.doc, version=3), "message.completed")
    question, reply = await change(fixtures, address, turn.seq), await change(fixtures, address, turn.seq + 1)
    await fixtures.revisions.edit(address, CLAIM_1, "nonce-2", question, reply, waits=False)
    await fixtures.rooms.complete_reply(address, CLAIM_1, 2, structs.replace(reply.doc, version=5), "message.completed")
    summaries = SummaryCache(fixtures.live)
    await UsageCache(fixtures.live).add(address, "reply", "call-1", Usage(3, 5))
    version = int((await fixtures.hash("room", address)).get(b"summary_version", b"0"))
    assert await summaries.set(address, CLAIM_1, version, "a summary", 1)
    await summaries.reset(address, CLAIM_1)
    untitled = fixtures.address()
    await fixtures.creations.create(untitled, NewRoom("", "GPT4O"), "account")
    await fixtures.claim(untitled.room_id, CLAIM_1)
    assert await summaries.give_title(untitled, CLAIM_1, 0, "Which tea?", quoted=1)
    assert await summaries.give_title(untitled, CLAIM_1, 0, "Tea")


async def check(fixtures: CacheFixtures, address: RoomAddress, message: MessageId) -> None:
    """The scripts of `parlor fsck` and of the dead letters."""
    audit, dead_letters = AuditCache(fixtures.live, fixtures.prefix), DeadLetterCache(fixtures.live)
    await fixtures.redis.hset(fixtures.key("room", address), "pending", 99)
    room = await audit.room(address.room_id)
    assert room is not None
    queued, parked = await audit.queued(fixtures.partition), await dead_letters.of_partition(fixtures.partition)
    waiting = [one.room_id for one in queued] + [one.entry.address.room_id for one in parked]
    seen = (Fact("room", "pending", "99"), Fact("waiting", "room", str(waiting.count(address.room_id))))
    assert await audit.correct(address, Correction(seen, Fact("room", "pending", "1")), apply=True)
    await audit.requeue(room, "CHAT_MESSAGE_SAVE", 1, message)
    await audit.repair_list(address, gone=False, activity=1)
    await audit.stranded(fixtures.partition)
    await audit.requeue_entry(fixtures.partition, (await fixtures.queued())[0].position)
    (dead_letter,) = await dead_letters.of_partition(fixtures.partition)
    await dead_letters.replay(dead_letter)
    await fixtures.queue.park(LEASE, (await fixtures.queued())[-1], "reason")
    (dead_letter,) = await dead_letters.of_partition(fixtures.partition)
    await dead_letters.drop(dead_letter)
    await require_rights(fixtures.redis, fixtures.live.keys.partition(fixtures.partition))


@pytest.mark.parametrize("replicated", [False, True], ids=["single", "replicated"])
async def test_scripts_touch_only_the_keys_that_they_declare(server_fixtures: CacheFixtures, replicated: bool) -> None:
    fixtures = server_fixtures
    fixtures.live.twice = False
    if replicated:
        await fixtures.fail_over()
    scripts = {load(name, replicated).sha: name for name in all_names()}
    await fixtures.rooms.release(fixtures.address(), Claim("nobody"))
    seen: set[str] = set()
    declared: set[str] = set()
    async with fixtures.redis.monitor() as monitor:
        await everything(fixtures)
        await fixtures.redis.echo("the end")
        key = re.compile(rf"(?<![^\s\"]){fixtures.prefix}:[^\s\"]+")
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
                tags = {re.search(r"\{\w+\}", found)[0] for found in declared}  # type: ignore[index]
                assert tags in ({f"{{p{fixtures.partition}}}"}, {"{c0b1}"}), name
            elif command["client_type"] == "lua" and words[0] != "SCAN":
                assert set(key.findall(line)) <= declared, f"{name}: {line}"
    assert seen | (set() if replicated else {"read_keys"}) == set(all_names())
