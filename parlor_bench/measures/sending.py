"""Sends, beside the service that one would write instead: F1, F1w, F1a, F2, F4."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from parlor_bench.installation import ACCOUNTS, Bench, Installation
from parlor_bench.load import KEY, Figures, Sends, post
from parlor_bench.peers import ejabberd
from parlor_bench.peers.plain_service import token
from parlor_bench.peers.running import own_database, running_plain_service
from parlor_bench.results import Criterion, Result, Series, ratios
from parlor_bench.room_load import Occupant, RoomSends
from parlor_bench.rooms import Rooms
from parlor_bench.socket_load import Door, SocketSends
from parlor_bench.worker import in_process

CONTENT = "x" * 256
BODY = msgspec.json.encode({"content": CONTENT, "reply": "none"})
ROOMS, CONNECTIONS, IN_FLIGHT = 100, 64, 4
WARM_UP_SECONDS = 2.0
PARLOR, PLAIN, UNLOCKED, SOCKET, NOOP = "Parlor", "plain service", "plain service, no lock", "Parlor, socket", "no-op"
EJABBERD = "ejabberd"

Load = Sends | SocketSends | RoomSends
Loads = Mapping[str, Load]


async def f1(bench: Bench) -> Result:
    """Sends/s of Parlor over those of the plain service, with and without its lock."""
    async with (
        running_parlor(bench.on, bench) as parlor,
        _plain(bench, lock=True) as plain,
        _plain(bench, lock=False) as bare,
    ):
        found = await _by_turns(bench, {PARLOR: parlor, PLAIN: plain, UNLOCKED: bare})
    rates = {name: [one.per_second for one in several] for name, several in found.items()}
    return Result(
        measure="F1",
        title=f"sends/s over HTTP, {CONNECTIONS} connections, {ROOMS} rooms",
        criteria=[
            Criterion(name=f"over {PLAIN}", values=ratios(rates[PARLOR], rates[PLAIN]), at_least=1.15),
            Criterion(name=f"over {UNLOCKED}", values=ratios(rates[PARLOR], rates[UNLOCKED]), at_least=1.0),
        ],
        series=[*_series(rates, "sends/s"), *_series(_p99(found), "ms, p99")],
        errors=_errors(found),
    )


async def f1w(bench: Bench) -> Result:
    """Sends/s over sockets with four sends under way on each, over those of the plain service and of ejabberd."""
    absent = ejabberd.missing()
    async with AsyncExitStack() as stack:
        loads: dict[str, Load] = {
            SOCKET: await stack.enter_async_context(_parlor_socket(bench)),
            PLAIN: await stack.enter_async_context(_plain(bench, lock=True)),
        }
        if absent is None:
            loads[EJABBERD] = await stack.enter_async_context(_ejabberd(bench))
        return socket_result(await _by_turns(bench, loads), absent)


def socket_result(found: Mapping[str, list[Figures]], absent: str | None) -> Result:
    """``absent``: why ejabberd is not among what was found."""
    rates = {name: [one.per_second for one in several] for name, several in found.items()}
    targets = {PLAIN: 2.5} if absent else {PLAIN: 2.5, EJABBERD: 1.0}
    return Result(
        measure="F1w",
        title=f"sends/s over {CONNECTIONS} sockets, {IN_FLIGHT} under way on each",
        criteria=[
            Criterion(name=f"over {name}", values=ratios(rates[SOCKET], rates[name]), at_least=target)
            for name, target in targets.items()
        ],
        series=[*_series(rates, "sends/s"), *_series(_p99(found), "ms, p99")],
        errors=_errors(found),
        left_out=[absent] if absent else [],
    )


async def f1a(bench: Bench) -> Result:
    """Sends/s of an installation whose busy rooms have actors of their own, over those of one where all share one."""
    own, shared = "own actors", "one shared actor"
    async with AsyncExitStack() as stack:
        loads = {}
        for name, settings in ((own, {}), (shared, {"PARLOR_ROOMS__OWN_ACTORS": "0"})):
            installation = await stack.enter_async_context(bench.start(settings))
            loads[name] = await stack.enter_async_context(running_parlor(installation, bench))
            if name == own:
                count = await _until_own_actors(bench, installation, loads[name])
        found = await _by_turns(bench, loads)
    rates = {name: [one.per_second for one in several] for name, several in found.items()}
    return Result(
        measure="F1a",
        title=f"F1 with {count} rooms in actors of their own",
        criteria=[Criterion(name=f"over {shared}", values=ratios(rates[own], rates[shared]), at_least=0.9)],
        series=_series(rates, "sends/s"),
        errors=_errors(found),
    )


async def f2(bench: Bench) -> Result:
    """The p99 at half of the rate that both can do."""
    async with running_parlor(bench.on, bench) as parlor, _plain(bench, lock=True) as plain:
        loads = {PARLOR: parlor, PLAIN: plain}
        await _warm_up(loads)
        peaks = [(await in_process(load)).per_second for load in loads.values()]
        rate = min(peaks) / 2
        bench.say(f"F2: {rate:.0f} sends/s each")
        found = await _by_turns(
            bench, {name: msgspec.structs.replace(load, per_second=rate) for name, load in loads.items()}
        )
    waits = _p99(found)
    return Result(
        measure="F2",
        title=f"p99 at {rate:.0f} sends/s, half of the smaller peak",
        criteria=[Criterion(name=f"over {PLAIN}", values=ratios(waits[PARLOR], waits[PLAIN]), at_most=0.35)],
        series=_series(waits, "ms, p99"),
        errors=_errors(found),
    )


async def f4(bench: Bench) -> Result:
    """The p50 of a send above that of a no-op on the same ingress, at one connection."""
    on = bench.on
    with on.noop() as path:
        async with running_parlor(on, bench) as parlor:
            request = post(on.host, on.port, path, on.token("bench-0"), BODY)
            loads = {PARLOR: parlor, NOOP: msgspec.structs.replace(parlor, requests=[request])}
            found = await _by_turns(
                bench, {name: msgspec.structs.replace(load, connections=1) for name, load in loads.items()}
            )
    waits = {name: [one.p50_ms for one in several] for name, several in found.items()}
    above = [round(send - noop, 2) for send, noop in zip(waits[PARLOR], waits[NOOP], strict=True)]
    return Result(
        measure="F4",
        title="p50 of a send above a no-op's, one connection",
        criteria=[Criterion(name=f"above {NOOP}", unit="ms", values=above, at_most=2.0)],
        series=_series(waits, "ms, p50"),
        errors=_errors(found),
    )


OWN_ACTORS_SECONDS = 240.0
OWN_ACTOR_PAUSE = 20.0
"""Seconds without a new one, after which all are there."""


async def _until_own_actors(bench: Bench, on: Installation, load: Sends) -> int:
    """Keeps the rooms busy until no more actors of their own come; returns how many there are."""
    count, waited, quiet = 0, 0.0, 0.0
    while waited < OWN_ACTORS_SECONDS and (quiet < OWN_ACTOR_PAUSE or not count):
        # Fewer come while the processors are busy.
        await in_process(msgspec.structs.replace(load, connections=8, seconds=5.0, per_second=100.0))
        waited, quiet = waited + 5.0, quiet + 5.0
        if (now := len(on.processes("ray::RoomActor")) - 1) > count:
            count, quiet = now, 0.0
    bench.say(f"{count} rooms have actors of their own after {waited:.0f} s")
    return count


@asynccontextmanager
async def running_parlor(on: Installation, bench: Bench) -> AsyncIterator[Sends]:
    tokens = on.tokens()
    async with Rooms(on.host, on.port, bench.say) as made:
        rooms = await made.create([tokens[number % len(tokens)] for number in range(ROOMS)])
        requests = [_send(on.host, on.port, room, owner) for room, owner in rooms]
        yield Sends(on.host, on.port, CONNECTIONS, bench.seconds, requests)


@asynccontextmanager
async def _parlor_socket(bench: Bench) -> AsyncIterator[SocketSends]:
    on = bench.on
    tokens = on.tokens(CONNECTIONS)
    async with Rooms(on.host, on.port, bench.say) as made:
        rooms = await made.create([token for token in tokens for _ in range(IN_FLIGHT)])
        doors = [
            Door(owner, [room for room, _ in rooms[number * IN_FLIGHT : (number + 1) * IN_FLIGHT]])
            for number, owner in enumerate(tokens)
        ]
        yield SocketSends(on.host, on.port, doors, IN_FLIGHT, bench.seconds, CONTENT)


@asynccontextmanager
async def _ejabberd(bench: Bench) -> AsyncIterator[RoomSends]:
    occupants = [
        Occupant(
            f"bench-{number}",
            secrets.token_hex(8),
            [f"r{number}-{room}@{ejabberd.ROOMS_DOMAIN}" for room in range(IN_FLIGHT)],
        )
        for number in range(CONNECTIONS)
    ]
    accounts = [ejabberd.Account(one.user, one.password) for one in occupants]
    with bench.database_over_tcp() as server:
        async with ejabberd.running_ejabberd(server, accounts) as port:
            yield RoomSends("127.0.0.1", port, ejabberd.DOMAIN, occupants, IN_FLIGHT, bench.seconds, CONTENT)


@asynccontextmanager
async def _plain(bench: Bench, *, lock: bool) -> AsyncIterator[Sends]:
    servers = msgspec.structs.replace(bench.on.servers(), lock=lock)
    async with own_database(servers) as where, running_plain_service(where) as port:
        requests = [
            _send("127.0.0.1", port, f"r{number}", token(where, f"bench-{number % ACCOUNTS}"))
            for number in range(ROOMS)
        ]
        yield Sends("127.0.0.1", port, CONNECTIONS, bench.seconds, requests)


def _send(host: str, port: int, room: str, owner: str) -> bytes:
    return post(host, port, f"/v1/rooms/{room}/messages", owner, BODY, idempotency_key=KEY.decode())


async def _warm_up(loads: Loads) -> None:
    for load in loads.values():
        await in_process(msgspec.structs.replace(load, seconds=WARM_UP_SECONDS))


async def _by_turns(bench: Bench, loads: Loads) -> dict[str, list[Figures]]:
    """The figures of each load in each round, after a warm-up."""
    await _warm_up(loads)
    found: dict[str, list[Figures]] = {name: [] for name in loads}
    for number, names in enumerate(bench.turns(list(loads)), 1):
        for name in names:
            figures = await in_process(loads[name])
            found[name].append(figures)
            bench.say(
                f"round {number}: {name} {figures.per_second:.0f}/s, p50 {figures.p50_ms} p99 {figures.p99_ms} ms,"
                f" {figures.errors} errors"
            )
    return found


def _series(values: Mapping[str, list[float]], unit: str) -> list[Series]:
    return [Series(name, unit, several) for name, several in values.items()]


def _p99(found: Mapping[str, list[Figures]]) -> dict[str, list[float]]:
    return {name: [one.p99_ms for one in several] for name, several in found.items()}


def _errors(found: Mapping[str, list[Figures]]) -> int:
    return sum(one.errors for several in found.values() for one in several)
