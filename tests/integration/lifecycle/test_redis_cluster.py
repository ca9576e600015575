"""An installation on somebody's Redis Cluster, named by its URL: it is used as one Redis is, and left running."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.integration.lifecycle.command import Conversation
from tests.integration.lifecycle.conftest import MakeParlor
from tests.redis_groups import ClusterGroup, cluster_group
from tests.servers import Unavailable, skip_or_fail, valkey_program

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def cluster() -> Iterator[ClusterGroup]:
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(cluster_group(valkey_program()))
        except Unavailable as error:
            skip_or_fail(str(error))
        yield found


def test_an_installation_lives_on_a_cluster(make_parlor: MakeParlor, cluster: ClusterGroup) -> None:
    parlor = make_parlor("data", "--partitions", "8", "--redis-url", cluster.url)
    parlor.start()
    talk = Conversation(parlor)
    # Answered when its writer has stored it.
    talk.send("one")
    talk.send("two")
    assert talk.contents() == ["one", "two"]
    parlor.wait_ready()
    # Each partition is on one node, and each node has some.
    found = [{str(key) for key in node.ask("KEYS", "*:partition")} for node in cluster.primaries]  # type: ignore[attr-defined]
    assert sum(map(len, found)) == len(set.union(*found)) == 8
    assert all(found)
    assert parlor.down().returncode == 0
    parlor.assert_ended()
    assert cluster.whole()
