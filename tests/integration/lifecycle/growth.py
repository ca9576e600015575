"""An installation gets a shard more while it runs, and what people have goes there; a restart knows it too.

A part of `make chaos`, for the two minutes that it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parlor.model.ids import RoomId, home_of
from tests.integration.lifecycle.command import Conversation, Parlor
from tests.integration.lifecycle.conftest import MakeParlor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

COMMAND_SECONDS = 300.0
"""Every process is replaced."""


def reported(parlor: Parlor, *words: str) -> dict[str, Any]:
    done = parlor.command(*words, "--json", timeout=COMMAND_SECONDS)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{parlor.log()}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shards(parlor: Parlor) -> dict[int, list[int]]:
    """The partitions of each."""
    found: dict[int, list[int]] = {}
    for queue in reported(parlor, "status")["queues"]:
        found.setdefault(queue["shard"], []).append(queue["partition"])
    return found


def test_a_shard_is_added_filled_and_kept(make_parlor: MakeParlor) -> None:
    parlor = make_parlor("data", "--partitions", "4", "--shards", "1")
    parlor.start()
    talks = [Conversation(parlor, f"person-{number}") for number in range(4)]
    for talk in talks:
        talk.send("before")
    assert shards(parlor) == {1: [0, 1, 2, 3]}

    added = reported(parlor, "add-shard")
    assert added["shard"] == 2
    assert {one["kind"] for one in added["replaced"]} == {
        "Supervisor",
        "StateMachine",
        "ShardWriter",
        "RoomActor",
        "ChatApi",
    }
    for talk in talks:
        talk.send("between")

    homes = {home_of(RoomId(talk.room_id)) for talk in talks}
    planned = reported(parlor, "rebalance", "--dry-run")
    assert planned["moves"], f"people live in {homes}"
    moved = reported(parlor, "rebalance")
    assert (moved["done"], moved["moves"]) == (len(planned["moves"]), planned["moves"])
    there = shards(parlor)[2]
    assert there == sorted(move["partition"] for move in moved["moves"])
    for talk in talks:
        assert talk.send("after")["durability"] == "persisted"

    assert parlor.down().returncode == 0
    # It was given a number of shards, which is too small by now.
    again = make_parlor("data")
    again.port = parlor.port
    again.start()
    assert shards(again)[2] == there
    for talk in talks:
        assert talk.contents() == ["before", "between", "after"]
    assert reported(again, "fsck")["findings"] == []


def test_a_database_that_is_not_empty_is_not_added(make_parlor: MakeParlor) -> None:
    parlor = make_parlor("data", "--partitions", "4", "--shards", "1")
    parlor.start()
    strange = parlor.data_dir / "sqlite/shard_2.db"
    strange.write_bytes((parlor.data_dir / "sqlite/global.db").read_bytes())
    done = parlor.command("add-shard", timeout=COMMAND_SECONDS)
    assert done.returncode == 1
    assert "is the global database of this installation" in done.stderr
    assert set(shards(parlor)) == {1}
