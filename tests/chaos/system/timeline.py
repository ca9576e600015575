"""A cluster grows from one node to three under load, is upgraded there, and shrinks to one again:

    python -m tests.chaos.system.timeline --rate 40 --picture docs/images/timeline.svg

Ray's autoscaler adds and removes the nodes, because rooms ask for actors and leave them. People write, and read events,
all the time; what the checker finds of what they were told is printed with the longest wait. Exit code 0: no violation,
no message given up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from parlor.settings import Settings
from parlor.store.addresses import Address, store_addresses
from tests.chaos.checker import check
from tests.chaos.history import Kind, Operation, Outcome, Recorder
from tests.chaos.system.final import final_rooms, run_dry
from tests.chaos.system.http_client import Connection, NoAnswer
from tests.chaos.system.load import Account, Load
from tests.chaos.system.readers import read_events
from tests.chaos.system.two_clusters import model_server
from tests.chaos.violation import Violation
from tests.cluster.autoscaled import HEAD_ID, NODES_MORE, start_head
from tests.cluster.installation import ClusterInstallation, database, places
from tests.cluster.ray_nodes import Cluster, Node, running
from tests.line_chart import Line, Mark, Panel, line_chart
from tests.servers import private_mysql, private_redis, short_directory

NAME = "timeline"
KINDS = ("note", "ask", "persisted", "page")
"""What people do who have one room."""
NODES_SECONDS = 120.0
"""For nodes to come, and for them to go: actors leave after IDLE_AFTER and SHRINK_AFTER, nodes some seconds later."""
DRY_SECONDS = 120.0
LOOK_SECONDS = 1.0
PARTITIONS = 16
VARIABLES = {
    "PARLOR_RAY__PLACEMENT": "resources",
    "PARLOR_STORE__PARTITIONS": str(PARTITIONS),
    "PARLOR_ROOMS__ACTORS_MIN": "1",
    "PARLOR_ROOMS__ACTORS_MAX": "4",
    "PARLOR_ROOMS__IDLE_AFTER": "10",
    "PARLOR_ROOMS__SHRINK_AFTER": "5",
}


class Sample(msgspec.Struct, frozen=True):
    """What was there at a moment."""

    at: float
    nodes: int
    rooms: dict[str, int]
    """By node; empty when nobody could say."""


class Report(msgspec.Struct, frozen=True):
    sent: int
    lost_sends: int
    longest: float
    """Seconds from when a message was asked for to its acknowledgement, at most."""
    refused: dict[str, int]
    """Answers and failures that people asked again after."""
    reconnects: int
    """Streams that said that they should be opened again."""
    violations: list[Violation]
    marks: list[Mark]


class Looked:
    """The installation as ``tests.chaos.system.final`` looks at it."""

    def __init__(self, redis_url: str, mysql_url: str, port: int) -> None:
        stores = {"urls": [database(mysql_url, NAME)], "partitions": PARTITIONS}
        self.settings = Settings.model_validate({"redis": {"url": redis_url, "prefix": NAME}, "store": stores})
        self.port = port

    @property
    def shards(self) -> list[Address]:
        return list(store_addresses(self.settings.store).shards.values())


class FewKinds(Load):
    """People with one room, who delete nothing."""

    def __init__(self, address: tuple[str, int], recorder: Recorder, account: Account, seed: int) -> None:
        super().__init__(address, recorder, [account], seed)
        kept = {kind: weight for kind, weight in zip(self._choices, self._weights, strict=True) if kind in KINDS}
        self._choices, self._weights = list(kept), list(kept.values())


class Watch:
    """Looks at the nodes and at the rooms of each, once a second."""

    def __init__(self, head: Node, port: int, token: str) -> None:
        self.samples: list[Sample] = []
        self._head = head
        self._connection = Connection("127.0.0.1", port, token)

    async def run(self) -> None:
        try:
            while True:
                self.samples.append(Sample(time.monotonic(), self._head.raylets, await self._rooms()))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._connection.close()

    async def until(self, holds: Callable[[Sample], bool], what: str) -> Sample:
        """Raises ``AssertionError`` when it does not come to that."""
        deadline = time.monotonic() + NODES_SECONDS
        while not (self.samples and holds(self.samples[-1])):
            assert time.monotonic() < deadline, f"{what}: still {self.samples[-1:]}"
            await asyncio.sleep(LOOK_SECONDS)
        return self.samples[-1]

    async def _rooms(self) -> dict[str, int]:
        try:
            answer = await self._connection.ask("GET", "/v1/admin/status", seconds=5)
        except NoAnswer:
            return {}
        found: Counter[str] = Counter()
        for actor in answer.body.get("actors", ()):
            if actor["kind"] == "RoomActor" and actor["alive"]:
                found[actor["node"]] += actor["rooms"]
        return dict(found)


class Story:
    """What happens, and what was seen of it."""

    def __init__(self, given: argparse.Namespace, parlor: ClusterInstallation, looked: Looked, head: Node) -> None:
        self._given = given
        self._parlor = parlor
        self._looked = looked
        self._accounts = [Account(f"person-{number}", parlor.token(f"person-{number}")) for number in range(4)]
        self._recorder = Recorder(None, time.monotonic, "load")
        self._loads: list[Load] = []
        self._reconnects: list[float] = []
        self._marks: list[Mark] = []
        self._watch = Watch(head, looked.port, parlor.token("operator", "--scope", "admin"))
        self._began = time.monotonic()

    async def run(self) -> Report:
        many = Load(("127.0.0.1", self._looked.port), self._recorder, self._accounts, self._given.seed)
        self._loads.append(many)
        await many.furnish(self._accounts, 4)
        watching, stop = asyncio.create_task(self._watch.run()), asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                for number, account in enumerate(self._accounts[:2]):
                    group.create_task(self._read(account, stop, number))
                await self._all_of_it(many)
                stop.set()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        self._recorder.close()
        await run_dry(self._looked, DRY_SECONDS)
        rooms = await final_rooms(self._looked, self._accounts)
        deliveries = [one for load in self._loads for one in load.deliveries]
        ways = [one.taken_at - one.asked_at for one in deliveries if one.taken_at is not None]
        return Report(
            len(ways),
            len(deliveries) - len(ways),
            round(max(ways), 2),
            dict(Counter(why for one in deliveries for why in one.refusals)),
            len(self._reconnects),
            check(self._recorder.operations, rooms),
            self._marks,
        )

    async def _all_of_it(self, many: Load) -> None:
        self._began = time.monotonic()
        async with self._busy(many, "20 people write"):
            await self._watch.until(lambda found: found.nodes == 1 + NODES_MORE, "nodes come")
            self._mark("three nodes")
            await asyncio.sleep(self._given.seconds)
            self._mark("upgrade")
            await asyncio.to_thread(self._parlor.upgrade)
            self._mark("upgraded")
            await asyncio.sleep(self._given.seconds)
            here = places(await asyncio.to_thread(self._parlor.status)).get(HEAD_ID, set())
        account = next(one for one in self._accounts if any(room.room_id in here for room in one.rooms))
        one = Account(account.name, account.token)
        one.rooms = [room for room in account.rooms if room.room_id in here][:1]
        few = FewKinds(("127.0.0.1", self._looked.port), self._recorder, one, self._given.seed)
        self._loads.append(few)
        async with self._busy(few, "one room is left"):
            try:
                await self._watch.until(lambda found: found.nodes == 1, "nodes go")
            except AssertionError:
                for actor in (await asyncio.to_thread(self._parlor.status))["actors"]:
                    print(actor, file=sys.stderr)
                raise
            self._mark("one node")
            await asyncio.sleep(self._given.seconds)

    @contextlib.asynccontextmanager
    async def _busy(self, load: Load, what: str) -> AsyncIterator[None]:
        self._mark(what)
        async with asyncio.TaskGroup() as group:
            share = len(load.accounts) / len(self._accounts)
            group.create_task(load.run(self._given.rate * share, users=max(4, round(20 * share))))
            yield
            load.stop()

    async def _read(self, account: Account, stop: asyncio.Event, seed: int) -> None:
        url = f"http://127.0.0.1:{self._looked.port}"
        await read_events(url, self._recorder, account, stop, seed, self._reconnected)

    def _reconnected(self) -> None:
        self._reconnects.append(time.monotonic())

    def _mark(self, what: str) -> None:
        self._marks.append(Mark(round(time.monotonic() - self._began, 1), what))
        print(self._marks[-1], file=sys.stderr, flush=True)

    def picture(self) -> str:
        ended = self._watch.samples[-1].at - self._began
        seen = [(round(one.at - self._began, 1), one) for one in self._watch.samples if one.at >= self._began]
        taken = [one.taken_at for load in self._loads for one in load.deliveries if one.taken_at is not None]
        again = [done.completed_at for done in self._recorder.operations if _asked_again(done)]
        panels = [
            Panel("nodes", [Line("nodes", [(at, one.nodes) for at, one in seen])]),
            Panel("rooms", _rooms_by_node(seen)),
            Panel("sends/s", [Line("sends", self._counted(taken, ended))]),
            Panel("asked again", [Line("refusals and failures", self._counted(again, ended))]),
            Panel("reconnects", [Line("streams", self._counted(self._reconnects, ended))]),
        ]
        return line_chart("1, 3, 1 nodes under load, and an upgrade", panels, self._marks, ended)

    def _counted(self, moments: Iterable[float | None], ended: float) -> list[tuple[float, float]]:
        """How many there were in each second."""
        found = Counter(int(moment - self._began) for moment in moments if moment is not None)
        return [(second + 0.5, float(found[second])) for second in range(int(ended))]


def _asked_again(done: Operation) -> bool:
    return done.outcome is Outcome.UNKNOWN and done.kind is not Kind.EVENTS


def _rooms_by_node(seen: list[tuple[float, Sample]]) -> list[Line]:
    """The head's first."""
    nodes = sorted({node for _, one in seen for node in one.rooms}, key=lambda node: (node != HEAD_ID, node))
    names = {node: "head" if node == HEAD_ID else f"node {number}" for number, node in enumerate(nodes, 1)}
    known = [(at, one.rooms) for at, one in seen if one.rooms]
    return [Line(name, [(at, rooms.get(node, 0)) for at, rooms in known]) for node, name in names.items()]


@contextlib.contextmanager
def installed() -> Iterator[tuple[ClusterInstallation, Looked, Node]]:
    with contextlib.ExitStack() as stack:
        servers, directory = stack.enter_context(short_directory()), stack.enter_context(short_directory())
        for name in ("redis", "mysql"):
            (servers / name).mkdir()
        redis_url = stack.enter_context(private_redis(servers / "redis"))
        mysql_url = stack.enter_context(private_mysql(servers / "mysql"))
        cluster = Cluster(directory)
        cluster.environment |= {"PARLOR_LLM__BASE_URL": stack.enter_context(model_server())}
        # The head takes two actors: one room that is left, and the one that is always kept free.
        head = stack.enter_context(running(start_head(cluster, {}, head=2, more=1)))
        parlor = ClusterInstallation(cluster, NAME, redis_url, mysql_url, VARIABLES)
        parlor.up()
        stack.callback(parlor.down)
        yield parlor, Looked(redis_url, mysql_url, cluster.plan.http), head


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.system.timeline", description=__doc__)
    parser.add_argument("--rate", type=float, default=40.0, help="things done a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="between one thing and the next")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path, help="an SVG file")
    given = parser.parse_args()
    with installed() as (parlor, looked, head):
        story = Story(given, parlor, looked, head)
        report = asyncio.run(story.run())
    if given.picture is not None:
        given.picture.write_text(story.picture(), encoding="utf-8")
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return 1 if report.violations or report.lost_sends else 0


if __name__ == "__main__":
    sys.exit(main())
