"""A shard's number that knows its partition, and sessions, which travel between processes."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from parlor.model.access import Session
from parlor.model.ids import AccountId, Home, Partition, ShardId, home_of_shard

pytestmark = pytest.mark.unit


def test_it_is_the_number_of_the_shard() -> None:
    home = Home(2, Partition(7))
    assert int(home) == 2
    assert {ShardId(2): "a"}[ShardId(home)] == "a"
    assert f"{home}" == "2"


def test_it_knows_its_partition_in_another_process() -> None:
    home = pickle.loads(pickle.dumps(Home(2, Partition(7), fixed=True)))  # noqa: S301  # our own
    assert (home, home.partition, home.fixed) == (2, 7, True)


def test_a_plain_number_knows_none() -> None:
    assert home_of_shard(ShardId(2)) is None
    assert home_of_shard(None) is None


def test_a_session_can_travel_and_asks_where_its_partition_lives() -> None:
    session = Session(AccountId("ada"), 1, Partition(7), ShardId(2))
    there = msgspec.json.decode(msgspec.json.encode(session), type=Session)
    home = home_of_shard(there.home)
    assert home is not None
    assert (int(home), home.partition, home.fixed) == (2, 7, False)
