"""`serve deploy serve_config.yaml` in a running cluster: nothing else has started Parlor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cluster.client import Client, ask
from tests.cluster.conftest import SharedCluster
from tests.cluster.installation import nodes_of, places
from tests.cluster.load import Load, settled

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240, func_only=True)]

ROOT = Path(__file__).parents[2]
REPLICAS = 2


@pytest.fixture
def deployed(shared: SharedCluster) -> Iterator[SharedCluster]:
    """The file as it is, but for this cluster's ports and sizes."""
    shared.second_node()
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    config["http_options"] |= {"host": "127.0.0.1", "port": shared.cluster.plan.http}
    [application] = config["applications"]
    [deployment] = application["deployments"]
    deployment["autoscaling_config"] |= {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
    path = shared.cluster.directory / "serve.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    shared.cluster.run("serve", "deploy", str(path), "-a", shared.cluster.dashboard_url)
    try:
        yield shared
    finally:
        shared.cluster.run("serve", "shutdown", "-y", "-a", shared.cluster.dashboard_url)


def readiness(shared: SharedCluster) -> tuple[int, dict[str, Any]]:
    """The readiness that whichever replica answers reports; status 0 while there is none."""
    status, text = ask(urlsplit(shared.cluster.url).netloc, "GET", "/readyz")
    return status, json.loads(text) if text.startswith("{") else {}


def status(shared: SharedCluster) -> dict[str, Any]:
    address = shared.cluster.address
    found: dict[str, Any] = json.loads(
        shared.cluster.run("parlor", "cluster", "status", "--json", PARLOR_RAY__ADDRESS=address),
    )
    return found


def test_the_first_replica_makes_the_actors_which_stay_until_they_are_stopped(deployed: SharedCluster) -> None:
    _, problem = settled(lambda: readiness(deployed), lambda found: "dependencies" in found[1])
    wrong = {each["name"]: each["detail"] for each in problem["dependencies"] if not each["ok"]}
    assert "store:global" in wrong, "readiness says what is missing: the databases are not made yet"

    deployed.cluster.run("parlor", "migrate")
    settled(lambda: readiness(deployed)[0], lambda found: found == 200)
    both = lambda found: all(len(nodes_of(found, kind)) == 2 for kind in ("RoomActor", "ShardWriter"))  # noqa: E731
    [head] = nodes_of(settled(lambda: status(deployed), both), "Supervisor")

    chats = {}
    for number in range(4):
        token = deployed.cluster.run("parlor", "token", f"deployed-{number}").strip()
        client = Client(deployed.cluster.url, token)
        chats[client.create_room()] = client
    with Load(chats) as load:
        load.go_on(3)
        rooms = places(status(deployed))
        assert len(rooms) == 2, "both nodes hold rooms"
        [leaving] = rooms.keys() - {head}
        deployed.drain_second_node(leaving)
        settled(lambda: places(status(deployed)), lambda found: found == {head: set(chats)})
        load.go_on(3)
    load.check()
    assert all(reply["attempt"] == 1 for room, client in chats.items() for reply in client.messages(room)[1::2]), (
        "none cut"
    )

    stop = ("parlor", "cluster", "stop")
    with pytest.raises(AssertionError, match="serve shutdown"):
        deployed.cluster.run(*stop, PARLOR_RAY__ADDRESS=deployed.cluster.address)
    deployed.cluster.run("serve", "shutdown", "-y", "-a", deployed.cluster.dashboard_url)
    assert status(deployed)["actors"]
    deployed.cluster.run(*stop, PARLOR_RAY__ADDRESS=deployed.cluster.address)
    with pytest.raises(AssertionError, match="do not answer"):
        status(deployed)
