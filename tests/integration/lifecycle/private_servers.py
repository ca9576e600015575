"""Real Redis and MariaDB, started by `parlor up`: what is kept when they die, and when Parlor ends. A part of
`make chaos`, for the minute that it takes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from parlor_cli import processes
from parlor_cli.refusal import Refusal
from parlor_cli.servers import mariadb, redis
from tests.integration.lifecycle.command import Conversation
from tests.integration.lifecycle.conftest import MakeParlor
from tests.starts import one_start_at_a_time

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(autouse=True)
def _need_servers() -> None:
    try:
        redis.installed_binary()
        mariadb.binary()
    except Refusal as refusal:
        if os.environ.get("PARLOR_TEST_REQUIRE_SERVERS") == "1":
            pytest.fail(refusal.message)
        pytest.skip(refusal.message)


def test_messages_survive_the_death_of_every_server(make_parlor: MakeParlor) -> None:
    parlor = make_parlor("data", "--servers", "private", "--shards", "2", "--partitions", "8")
    assert "MariaDB" in parlor.start()
    talk = Conversation(parlor)
    talk.send("one")
    killed = {name: ref for name, ref in parlor.run.processes.items() if name in ("redis", "mariadb")}
    assert set(killed) == {"redis", "mariadb"}
    for ref in killed.values():
        os.kill(ref.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(parlor.run.processes[name] == ref for name, ref in killed.items()):
        assert time.monotonic() < deadline, parlor.log()
        time.sleep(0.05)
    parlor.wait_ready()
    talk.send("two")
    assert talk.contents() == ["one", "two"]
    assert all(processes.is_alive(parlor.run.processes[name]) for name in killed)

    # The data is in these servers: a start with others is refused, a start without a word uses them again.
    down = parlor.down()
    assert down.returncode == 0
    # The launcher stops everything itself: it drains, and nothing is left for the command to end.
    assert "ended what was left" not in down.stdout
    assert parlor.remains() == {}
    wrong = parlor.command("up", "--detach", "--servers", "embedded", "--port", str(parlor.port))
    assert wrong.returncode == 1
    assert "keeps its data in private servers" in wrong.stderr
    # As a release left it whose Redis had no users.
    for name in ("redis-password-parlor", "redis-password-admin", "redis-users.acl"):
        (parlor.data_dir / name).unlink()
    with one_start_at_a_time():
        plain = parlor.command("up", "--detach", "--port", str(parlor.port), timeout=150)
    assert plain.returncode == 0, plain.stderr
    assert talk.contents() == ["one", "two"]
    down = parlor.down()
    assert down.returncode == 0, down.stdout + down.stderr
    parlor.assert_ended()
