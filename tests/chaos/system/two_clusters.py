"""Two Ray clusters on one Redis and one MariaDB: traffic is shifted from one to the other and back, and one is killed.

    python -m tests.chaos.system.two_clusters --rate 300 --seconds 20

Prints what was acknowledged in each phase, the longest way of a message, and how many replies began again; then what
the checker and `fsck` find. Exit code 0: nothing was lost, doubled or left over, and no reply began again before the
death.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import msgspec
import yaml

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.fsck.check import Fsck
from parlor.fsck.check import Report as FsckReport
from parlor.fsck.look import FsckPorts, Scope
from parlor.model.ids import RoomId, home_of
from parlor.settings import Settings
from parlor.store.addresses import Address, store_addresses
from parlor.wiring import Wiring
from parlor_cli import ports
from parlor_cli.servers import demo_model
from tests.chaos.checker import FinalRoom, check
from tests.chaos.history import Recorder
from tests.chaos.system.final import final_rooms, run_dry
from tests.chaos.system.http_client import Answer, Connection
from tests.chaos.system.load import Account, Load
from tests.chaos.violation import Violation
from tests.cluster.client import ask
from tests.cluster.installation import database
from tests.cluster.ray_nodes import Cluster, Node
from tests.servers import private_mysql, private_redis, short_directory
from tests.sources import ROOT

READY_SECONDS = 180.0
DRY_SECONDS = 120.0
KINDS = ("note", "ask", "persisted", "page", "delete_message", "rename", "rooms", "trespass", "replace_room")
"""What people do: nobody continues a reply, which would begin it again too."""
VARIABLES = {
    "PARLOR_STORE__PARTITIONS": "16",
    "PARLOR_AUTH__SECRET": "two-clusters-0123456789abcdef0123456789abcdef",
    "PARLOR_ROOMS__ACTORS_MIN": "2",
    "PARLOR_ROOMS__ACTORS_MAX": "2",
    "PARLOR_API__HOST": "127.0.0.1",
}


class Phase(msgspec.Struct, frozen=True):
    name: str
    green: float
    """The share of the requests that the second cluster gets."""
    seconds: float
    kills: bool = False
    """Whether the first one is killed when it begins."""


class Went(msgspec.Struct, frozen=True):
    """How a phase went."""

    phase: str
    sends: float
    """Acknowledged messages a second."""
    longest: float
    """Seconds from when a message was asked for to its acknowledgement, at most."""
    median_ms: float
    resets: int
    """Replies that began again, since the first phase began."""


class Report(msgspec.Struct, frozen=True):
    phases: list[Went]
    sent: int
    lost_sends: int
    resets_before_the_death: int
    violations: list[Violation]
    fsck: list[str]
    rooms: int
    rows: int


class Pair:
    """What the two have in common, as ``tests.chaos.system.final`` looks at it."""

    def __init__(self, redis_url: str, mysql_url: str, port: int) -> None:
        stores = {"urls": [mysql_url], "partitions": int(VARIABLES["PARLOR_STORE__PARTITIONS"])}
        # On a machine under load, the limits of the clusters are too short for who only looks.
        redis = {"url": redis_url, "connect_timeout": 10, "command_timeout": 20}
        self.settings = Settings.model_validate({"redis": redis, "store": stores})
        self.port = port

    @property
    def shards(self) -> list[Address]:
        return list(store_addresses(self.settings.store).shards.values())

    async def resets(self, rooms: list[str]) -> int:
        """How many replies of these rooms began again, as their event logs tell."""
        wiring = await Wiring.open(self.settings)
        try:
            keys = [wiring.live.keys.events(home_of(RoomId(room)), RoomId(room)) for room in rooms]
            logs = [await wiring.live.pipeline.read("XRANGE", key, "-", "+") for key in keys]
        finally:
            await wiring.close()
        return sum(fields.get(b"type") == b"message.reset" for log in logs for _, fields in log)

    async def fsck(self) -> FsckReport:
        wiring = await Wiring.open(self.settings)
        try:
            audit = AuditCache(wiring.live, wiring.settings.redis.prefix)
            parts = FsckPorts(audit, DeadLetterCache(wiring.live), wiring.store, wiring.loader, wiring.clock, None)
            return await Fsck(parts, lambda _: None).run(Scope(None, None), repair=False)
        finally:
            await wiring.close()


class Shares:
    """Which of the two edges a request goes to, as a load balancer decides it."""

    def __init__(self, blue: tuple[str, int], green: tuple[str, int], seed: int) -> None:
        self.green = 0.0
        self._ends = (blue, green)
        self._chance = random.Random(seed)

    def next(self) -> int:
        return int(self._chance.random() < self.green)

    def connections(self, token: str) -> list[Connection]:
        return [Connection(*end, token) for end in self._ends]


class SharedConnection(Connection):
    def __init__(self, shares: Shares, token: str) -> None:
        super().__init__("", 0, token)
        self._shares = shares
        self._ends = shares.connections(token)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float,
    ) -> Answer:
        return await self._ends[self._shares.next()].ask(method, path, body, headers, seconds=seconds)

    async def close(self) -> None:
        for end in self._ends:
            await end.close()


class SharedLoad(Load):
    def __init__(self, shares: Shares, recorder: Recorder, accounts: list[Account], seed: int) -> None:
        super().__init__(("", 0), recorder, accounts, seed)
        self._shares = shares
        kept = {kind: weight for kind, weight in zip(self._choices, self._weights, strict=True) if kind in KINDS}
        self._choices, self._weights = list(kept), list(kept.values())

    def connect(self, account: Account) -> Connection:
        return SharedConnection(self._shares, account.token)


@contextlib.contextmanager
def model_server() -> Iterator[str]:
    port = ports.one()
    process = subprocess.Popen([sys.executable, "-m", "demo_model", "--port", str(port), "--behave", "first=20ms"])
    try:
        while not demo_model.answers(port):
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise RuntimeError(f"the demo model has ended: {process.wait(0.1)}")
        yield demo_model.url(port)
    finally:
        process.terminate()
        process.wait(10)


def deploy(cluster: Cluster) -> None:
    """The repository's file, with one replica."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    config["http_options"] |= {"host": "127.0.0.1", "port": cluster.plan.http}
    config["applications"][0]["deployments"][0]["autoscaling_config"] |= {"min_replicas": 1, "max_replicas": 1}
    path = cluster.directory / "serve.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    cluster.run("serve", "deploy", str(path), "-a", cluster.dashboard_url)
    deadline = time.monotonic() + READY_SECONDS
    while (found := ask(f"127.0.0.1:{cluster.plan.http}", "GET", "/readyz"))[0] != 200:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{cluster.url} is not ready: {found}")
        time.sleep(0.5)


async def talk(
    load: SharedLoad, shares: Shares, phases: list[Phase], pair: Pair, blue: Node, rate: float
) -> list[Went]:
    went: list[Went] = []
    rooms: set[str] = set()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(rate, users=max(8, int(rate / 4))))
        for phase in phases:
            first, began = len(load.deliveries), time.monotonic()
            shares.green = phase.green
            if phase.kills:
                await asyncio.to_thread(blue.kill)
            await asyncio.sleep(phase.seconds)
            lasted = time.monotonic() - began
            taken = [one for one in load.deliveries[first:] if one.taken_at is not None]
            seconds = sorted(one.taken_at - one.asked_at for one in taken if one.taken_at and not one.persisted)
            rooms |= {room.room_id for account in load.accounts for room in account.rooms}
            rooms |= {one.room for one in load.deliveries}
            resets = await pair.resets(sorted(rooms))
            longest, middle = round(max(seconds, default=0.0), 2), seconds[len(seconds) // 2] if seconds else 0.0
            went.append(Went(phase.name, round(len(taken) / lasted, 1), longest, round(middle * 1000, 1), resets))
            print(went[-1], file=sys.stderr, flush=True)
        load.stop()
    return went


async def run(given: argparse.Namespace, pair: Pair, clusters: tuple[Cluster, Cluster], blue: Node) -> Report:
    ends = [("127.0.0.1", cluster.plan.http) for cluster in clusters]
    shares = Shares(ends[0], ends[1], given.seed)
    accounts = [
        Account(f"person-{number}", clusters[1].run("parlor", "token", f"person-{number}").strip())
        for number in range(8)
    ]
    phases = [
        Phase("all to the first", 0.0, given.seconds),
        Phase("half to each", 0.5, given.seconds),
        Phase("all to the second", 1.0, given.seconds),
        Phase("half to each again", 0.5, given.seconds),
        Phase("all back to the first", 0.0, given.seconds),
        Phase("the first is killed", 1.0, given.seconds, kills=True),
    ]
    recorder = Recorder(None, time.monotonic, "load")
    load = SharedLoad(shares, recorder, accounts, given.seed)
    await load.furnish(accounts, 5)
    went = await talk(load, shares, phases, pair, blue, given.rate)
    recorder.close()
    await run_dry(pair, DRY_SECONDS)
    rooms: list[FinalRoom] = await final_rooms(pair, accounts)
    found = await pair.fsck()
    taken = sum(one.taken_at is not None for one in load.deliveries)
    return Report(
        went,
        taken,
        len(load.deliveries) - taken,
        went[-2].resets,
        check(recorder.operations, rooms),
        [str(finding) for finding in found.left],
        len(rooms),
        sum(len(room.rows) for room in rooms),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.system.two_clusters", description=__doc__)
    parser.add_argument("--rate", type=float, default=300.0, help="things done a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        servers, first, second = (stack.enter_context(short_directory()) for _ in range(3))
        for name in ("redis", "mysql"):
            (servers / name).mkdir()
        redis_url = stack.enter_context(private_redis(servers / "redis"))
        mysql_url = database(stack.enter_context(private_mysql(servers / "mysql")), "pair")
        variables = {
            **VARIABLES,
            "PARLOR_REDIS__URL": redis_url,
            "PARLOR_STORE__URLS": f'["{mysql_url}"]',
            "PARLOR_LLM__BASE_URL": stack.enter_context(model_server()),
        }
        clusters = (Cluster(first), Cluster(second))
        nodes = []
        for cluster in clusters:
            nodes.append(cluster.start_head(variables, "{}"))
            stack.callback(nodes[-1].terminate)
        clusters[0].run("parlor", "migrate")
        for cluster in clusters:
            deploy(cluster)
        pair = Pair(redis_url, mysql_url, clusters[1].plan.http)
        report = asyncio.run(run(given, pair, clusters, nodes[0]))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    broken = report.violations or report.fsck or report.lost_sends or report.resets_before_the_death
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
