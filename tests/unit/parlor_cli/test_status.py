"""The backlog of each shard in the status."""

from __future__ import annotations

import pytest

from actors.contracts import InstallationStatus, QueueStatus
from parlor_cli.status import print_report, with_lag

pytestmark = pytest.mark.unit

STATUS = InstallationStatus(
    "parlor",
    [],
    [QueueStatus(0, 1, 3, 2.5, 0), QueueStatus(1, 2, 0, 0.0, 4), QueueStatus(2, 1, 4, 7.25, 1)],
    {"cache": "ok"},
)


def test_a_shard_is_as_far_behind_as_its_partitions_together() -> None:
    assert with_lag(STATUS)["shards"] == [
        {"shard": 1, "lag_entries": 7, "lag_seconds": 7.25, "dead_letters": 1},
        {"shard": 2, "lag_entries": 0, "lag_seconds": 0.0, "dead_letters": 4},
    ]


def test_lag_and_dead_letters_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(with_lag(STATUS))
    lines = capsys.readouterr().out.splitlines()
    assert "queues: 3 partitions, 0 of them empty" in lines
    shards = lines[lines.index(next(line for line in lines if line.startswith("shards"))) :]
    assert [line.split() for line in shards[2:4]] == [["1", "7", "7.2", "1"], ["2", "0", "0.0", "4"]]


def test_without_queues_there_are_no_shards() -> None:
    status = InstallationStatus("parlor", [], [], {"cache": "no answer"})
    assert with_lag(status)["shards"] == []
