"""The default installation from start to end, as a person uses it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time

import pytest

from parlor_cli import processes
from tests.integration.lifecycle.command import Conversation, Parlor, read_until
from tests.integration.lifecycle.conftest import MakeParlor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def _wait_for_another(parlor: Parlor, name: str, old: int) -> None:
    """Until the launcher has started ``name`` again."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ref = parlor.run.processes[name]
        if ref.pid != old and processes.is_alive(ref):
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} was not started again\n{parlor.log()}")


def test_a_whole_life_with_everything_that_may_go_wrong_in_it(make_parlor: MakeParlor) -> None:
    parlor = make_parlor("data", "--partitions", "8")
    printed = parlor.start()
    assert f"http://127.0.0.1:{parlor.port}/#token=" in printed
    assert f"http://127.0.0.1:{parlor.port}/docs" in printed
    assert "Valkey" in printed
    assert "fsync always" in printed
    for name in ("jwt-secret", "ray-token", "run.json", "settings.json"):
        assert stat.S_IMODE((parlor.data_dir / name).stat().st_mode) == 0o600

    talk = Conversation(parlor)
    assert talk.send("before")["durability"] == "persisted"

    # Its state, as a program reads it.
    done = parlor.command("status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["ready"] is True
    assert {actor["kind"] for actor in status["actors"]} >= {"Supervisor", "RoomActor", "StateMachine", "ShardWriter"}
    assert sorted(queue["partition"] for queue in status["queues"]) == list(range(8))
    assert all(process["alive"] for process in status["processes"])

    # A second start on the same directory is refused, and so is another one on the same port; neither disturbs it.
    again = parlor.up()
    assert again.returncode == 1
    assert "is in use" in again.stderr
    other = make_parlor("other")
    other.port = parlor.port
    refused = other.up()
    assert refused.returncode == 1
    assert "another program listens there" in refused.stderr
    assert talk.contents() == ["before"]

    # A server that dies comes back with its data.
    redis = parlor.run.processes["redis"]
    os.kill(redis.pid, signal.SIGKILL)
    _wait_for_another(parlor, "redis", redis.pid)
    parlor.wait_ready()
    talk.send("after the server's death")

    # Everything is killed at once: nothing blocks the next start, and what was acknowledged is there.
    parlor.kill()
    parlor.start()
    assert talk.contents() == ["before", "after the server's death"]

    # An ordinary end and another start.
    down = parlor.down()
    assert down.returncode == 0, down.stdout + down.stderr
    assert parlor.remains() == {}
    assert not parlor.installation.runtime_dir.exists()
    assert not (parlor.data_dir / "settings.json").exists()
    nothing = parlor.command("status")
    assert nothing.returncode == 3
    assert parlor.down().returncode == 0


def test_ctrl_c_drains_and_ends_everything(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with parlor.foreground() as front:
        assert front.stdout is not None
        read_until(front, "Ready at")
        Conversation(parlor).send("something to drain")
        # As a terminal does it: to the whole group.
        os.killpg(front.pid, signal.SIGINT)
        rest = front.stdout.read()
        assert front.wait(120) == 0, rest
    for step in ("drain", "http", "ray"):
        assert f"\n  {step:<10} " in f"\n{rest}", rest
    assert parlor.remains() == {}
    assert not parlor.installation.runtime_dir.exists()


def test_without_its_ray_it_stops_and_says_so(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with parlor.foreground() as front:
        assert front.stdout is not None
        read_until(front, "Ready at")
        os.kill(parlor.run.processes["gcs_server"].pid, signal.SIGKILL)
        rest = front.stdout.read()
        assert front.wait(120) == 1, rest
    assert "gcs_server" in rest
    assert parlor.remains() == {}


@pytest.mark.parametrize("step", ["secrets", "databases", "ray"])
def test_a_start_that_is_interrupted_leaves_nothing(make_parlor: MakeParlor, step: str) -> None:
    parlor = make_parlor()
    with parlor.foreground() as front:
        assert front.stdout is not None
        read_until(front, step)
        os.killpg(front.pid, signal.SIGINT)
        assert front.wait(120) == 130, front.stdout.read()
    assert parlor.remains() == {}
    assert not parlor.installation.runtime_dir.exists()


def test_a_foreground_command_that_is_killed_takes_everything_with_it(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with parlor.foreground() as front:
        assert front.stdout is not None
        read_until(front, "Ready at")
        launcher = parlor.run.launcher
        os.killpg(front.pid, signal.SIGKILL)
    assert processes.wait_until_gone([launcher], 120) == []
    assert parlor.remains() == {}


def test_errors_that_no_application_made_are_problems_too(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    parlor.start()
    run = parlor.run
    if run.ingress != "HAProxy":
        pytest.skip(f"the ingress is {run.ingress}")
    replicas = [pid for pid in processes.own_pids() if "ray::ServeReplica:parlor" in " ".join(_words(pid))]
    replicas = [pid for pid in replicas if _belongs_to(parlor, pid)]
    assert replicas
    proxies = [pid for pid in processes.own_pids() if _words(pid)[:1] == ["ray::ProxyActor"]]
    victims = [*replicas, *(pid for pid in proxies if _belongs_to(parlor, pid))]
    refs = [processes.reference(pid) for pid in victims]
    for ref in refs:
        processes.send(ref, signal.SIGKILL)
    # Until the kernel has closed their sockets, a request may still be taken on a kept connection and be cut.
    assert processes.wait_until_gone(refs, 30) == []
    status, headers, body = parlor.ask("GET", "/v1/personas", x_request_id='mine"')
    assert status == 503
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "1"
    assert (body["code"], body["errorCode"], body["status"]) == ("overloaded", 1011, 503)
    assert (body["instance"], body["request_id"]) == ("/v1/personas", 'mine"')
    parlor.wait_ready()
    # A client's header that would make Serve cut its request short does nothing.
    status, _, _ = parlor.ask("GET", "/healthz", x_request_timeout_seconds="0.000001")
    assert status == 200
    assert parlor.down().returncode == 0


def _words(pid: int) -> list[str]:
    return processes.command_line(pid)


def _belongs_to(parlor: Parlor, pid: int) -> bool:
    return any(path.startswith(str(parlor.installation.runtime_dir)) for path in processes.output_files(pid))


def test_a_taken_port_is_refused_at_once(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", parlor.port))
        listener.listen(1)
        began = time.monotonic()
        done = parlor.up()
        assert time.monotonic() - began < 15
    assert done.returncode == 1
    assert "another program listens there" in done.stderr
    assert parlor.remains() == {}
