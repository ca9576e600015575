"""One default installation from start to end, as an operator uses it. The tests go through its life in order."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator

import httpx2
import pytest

from parlor.rooms.own_actors import CONVERSATION, PREFIX
from parlor_cli import processes
from tests.integration.lifecycle import listening
from tests.integration.lifecycle.command import LEFT_OUT, Conversation, Parlor
from tests.integration.lifecycle.conftest import installations
from tests.integration.waiting import patience

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

HOST = "127.0.0.2"
"""Not where everything behind the front end listens."""


class Life:
    """The installation, what its first start printed, and a room with everything that was acknowledged in it."""

    def __init__(self, parlor: Parlor) -> None:
        self.parlor = parlor
        self.printed = parlor.start()
        self._talk = Conversation(parlor)
        self.asked = 0
        """Questions that were asked in rooms of their own, and answered."""
        self._sent: list[str] = []

    def send(self, content: str) -> None:
        assert self._talk.send(content)["durability"] == "persisted"
        self._sent.append(content)

    def ask(self, content: str, request_id: str) -> None:
        """In another room, with a reply that is waited for."""
        Conversation(self.parlor).ask(content, request_id)
        self.asked += 1

    @property
    def room_id(self) -> str:
        return self._talk.room_id

    @property
    def count(self) -> int:
        """How many messages were acknowledged."""
        return len(self._sent)

    def everything_is_there(self) -> bool:
        return self._talk.contents() == self._sent


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with installations(tmp_path_factory.mktemp("life")) as make_parlor:
        parlor = make_parlor("data", "--partitions", "8", "--host", HOST)
        parlor.environment["PARLOR_LOG__LEVEL"] = "debug"
        for name in LEFT_OUT:
            del parlor.environment[name]
        yield Life(parlor)


def test_a_start_says_what_it_started_and_keeps_its_secrets(life: Life) -> None:
    parlor = life.parlor
    assert f"http://{HOST}:{parlor.port}/#code=" in life.printed
    assert f"http://{HOST}:{parlor.port}/docs" in life.printed
    assert "Valkey" in life.printed
    assert "fsync always" in life.printed
    for name in ("jwt-secret", "ray-token", "run.json", "settings.json"):
        assert stat.S_IMODE((parlor.data_dir / name).stat().st_mode) == 0o600


def test_its_status_is_read_by_programs(life: Life) -> None:
    done = life.parlor.command("status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["ready"] is True
    assert {actor["kind"] for actor in status["actors"]} >= {"Supervisor", "RoomActor", "StateMachine", "ShardWriter"}
    assert sorted(queue["partition"] for queue in status["queues"]) == list(range(8))
    assert all(process["alive"] for process in status["processes"])


def test_rays_dashboard_shows_the_actors_by_their_names(life: Life) -> None:
    """To whoever has Ray's token, and to nobody else."""
    assert life.parlor.run.dashboard_url in life.printed
    url = f"{life.parlor.run.dashboard_url}/api/v0/actors?detail=true"
    assert httpx2.get(url, timeout=10).status_code == 401
    answer = httpx2.get(url, headers={"Authorization": f"Bearer {life.parlor.installation.ray_token()}"}, timeout=10)
    names = {actor["name"] for actor in answer.json()["data"]["result"]["result"] if actor["state"] == "ALIVE"}
    assert {"supervisor", "state-machine", "rooms-000", "writer-shard1-0"} <= names


def test_prometheus_finds_the_metrics_where_the_start_says(life: Life) -> None:
    url = json.loads(life.parlor.command("status", "--json").stdout)["metrics_url"]
    assert f"{url} (for Prometheus)" in life.printed
    answer = httpx2.get(url, timeout=10)
    assert answer.status_code == 200
    assert answer.text.startswith("# HELP ")


def test_rays_dashboard_shows_that_serve_is_healthy(life: Life) -> None:
    """A process of the dashboard connects to Ray for it."""
    bearer = {"Authorization": f"Bearer {life.parlor.installation.ray_token()}"}
    answer = httpx2.get(f"{life.parlor.run.dashboard_url}/api/serve/applications/", headers=bearer, timeout=30)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [proxy["status"] for proxy in found["proxies"].values()] == ["HEALTHY"]
    application = found["applications"]["parlor"]
    assert application["status"] == "RUNNING"
    assert application["deployments"]["ChatApi"]["status"] == "HEALTHY"


def test_only_the_front_end_listens_where_clients_come_from(life: Life) -> None:
    parlor = life.parlor
    found = listening.addresses(process.pid for process in parlor.remains().values())
    assert (HOST, parlor.port) in found
    # HAProxy, replicas, Serve's and Ray's own: HTTP, gRPC and metrics.
    assert len(found) > 10
    assert {host for host, port in found if (host, port) != (HOST, parlor.port)} == {"127.0.0.1"}


def test_health_checks_have_a_port_of_their_own(life: Life) -> None:
    url = life.parlor.run.health_url
    assert url.startswith("http://127.0.0.1:")
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/", 404)):
        assert httpx2.get(url + path, timeout=10).status_code == status


def test_the_way_of_a_request_is_found_by_its_id(life: Life) -> None:
    life.ask("What happened to this one?", request_id="what-happened")
    wanted = {("answered", ""), ("command_served", "Send"), ("reply_ended", "")}
    deadline = time.monotonic() + patience(20)
    while True:
        done = life.parlor.command("logs", "--request", "what-happened")
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if {(line["event"], line.get("command", "")) for line in lines} >= wanted:
            break
        assert time.monotonic() < deadline, lines
        time.sleep(0.2)
    assert {line.get("request_id") for line in lines} == {"what-happened"}
    assert "What happened" not in done.stdout, "no log has a message's text"
    actors = {line["event"]: line["actor"] for line in lines}
    assert actors["reply_ended"] == actors["command_served"] != actors["answered"]


def test_a_spare_takes_the_rooms_of_an_actor_that_dies(life: Life) -> None:
    def shared() -> dict[str, tuple[int, list[str]]]:
        status = json.loads(life.parlor.command("status", "--json").stdout)
        return {a["name"]: (a["pid"], a["rooms"]) for a in status["actors"] if a["name"].startswith("rooms-")}

    life.send("before its actor dies")
    before = shared()
    [(dead, (pid, _))] = [item for item in before.items() if item[1][1]]
    os.kill(pid, signal.SIGKILL)
    life.send("right after")
    [(heir, _)] = [item for item in shared().items() if life.room_id in item[1][1]]
    assert heir != dead
    assert heir in before, "it waited"


def test_a_room_that_is_talked_in_moves_into_an_actor_of_its_own(life: Life) -> None:
    for number in range(CONVERSATION):
        life.send(f"a conversation, {number}")
    own = f"{PREFIX}{life.room_id}"
    deadline = time.monotonic() + patience(60)
    while True:
        status = json.loads(life.parlor.command("status", "--json").stdout)
        holders = [actor["name"] for actor in status["actors"] if life.room_id in actor["rooms"]]
        if holders == [own]:
            break
        assert time.monotonic() < deadline, holders
        time.sleep(0.2)
    life.send("in its own actor")
    assert life.everything_is_there()


def test_a_second_start_is_refused_and_disturbs_nothing(life: Life) -> None:
    life.send("before a second start")
    again = life.parlor.up()
    assert again.returncode == 1
    assert "is in use" in again.stderr
    other = Parlor(life.parlor.data_dir.with_name("other"), "--host", HOST)
    other.port = life.parlor.port
    refused = other.up()
    assert refused.returncode == 1
    assert "another program listens there" in refused.stderr
    assert life.everything_is_there()


def test_a_server_that_dies_comes_back_with_its_data(life: Life) -> None:
    life.send("before the server's death")
    redis = life.parlor.run.processes["redis"]
    os.kill(redis.pid, signal.SIGKILL)
    _wait_for_another(life.parlor, "redis", redis.pid)
    life.parlor.wait_ready()
    life.send("after the server's death")
    assert life.everything_is_there()


def test_killed_at_once_it_starts_again_with_all_that_was_acknowledged_and_ctrl_c_drains_and_ends_it(
    life: Life,
) -> None:
    parlor = life.parlor
    life.send("before everything was killed")
    parlor.kill()
    with parlor.foreground("Ready at") as front:
        assert front.stdout is not None
        assert life.everything_is_there()
        life.send("something to drain")
        # As a terminal does it: to the whole group.
        os.killpg(front.pid, signal.SIGINT)
        rest = front.stdout.read()
        assert front.wait(120) == 0, rest
    for step in ("drain", "http", "ray"):
        assert f"\n  {step:<10} " in f"\n{rest}", rest
    parlor.assert_ended()


def test_it_can_be_checked_while_it_is_stopped(life: Life) -> None:
    done = life.parlor.command("fsck", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["rooms"], report["messages"], report["waiting"]) == (1 + life.asked, life.count + 2 * life.asked, 0)
    assert report["findings"] == []
    life.parlor.assert_ended()


def _wait_for_another(parlor: Parlor, name: str, old: int) -> None:
    """Until the launcher has started ``name`` again."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ref = parlor.run.processes[name]
        if ref.pid != old and processes.is_alive(ref):
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} was not started again\n{parlor.log()}")
