"""Partitions are spread over the shards."""

from __future__ import annotations

from collections import Counter

import pytest

from parlor.errors import StoreUnavailable
from parlor.model.release import COMPATIBILITY
from parlor.store.ports import SchemaMismatch
from parlor.store.procedure_store import check_meta
from parlor.store.shard_map import ShardMap, missing_homes

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_get_equal_shares(shards: int) -> None:
    homes = missing_homes(ShardMap(64, shards), [])
    assert [partition for partition, _ in homes] == list(range(64))
    counts = Counter(shard for _, shard in homes)
    assert sorted(counts) == list(range(1, shards + 1))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_what_the_map_has_is_left_alone() -> None:
    assert missing_homes(ShardMap(4, 2), [(0, 2), (2, 2), (3, 1)]) == [(1, 2)]
    assert missing_homes(ShardMap(2, 1), [(0, 1), (1, 1)]) == []


def test_a_shard_that_is_not_configured_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="shard 3"):
        missing_homes(ShardMap(4, 2), [(0, 3)])


def test_meta_has_to_fit() -> None:
    for compatible in (COMPATIBILITY - 1, COMPATIBILITY, COMPATIBILITY + 1):
        check_meta([(64, compatible)], 64)
    with pytest.raises(SchemaMismatch, match="one apart"):
        check_meta([(64, COMPATIBILITY + 2)], 64)
    with pytest.raises(SchemaMismatch):
        check_meta([(64, COMPATIBILITY)], 32)
    with pytest.raises(StoreUnavailable):
        check_meta([], 64)
