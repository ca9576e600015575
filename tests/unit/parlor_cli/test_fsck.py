"""The documented JSON of `parlor fsck`: each finding has the fields of what it is about."""

from __future__ import annotations

import pytest

from parlor.cache.audit import Correction, Fact
from parlor.fsck.findings import (
    AccountFinding,
    Correct,
    EntryFinding,
    Finding,
    ListFinding,
    MessageFinding,
    PartitionFinding,
    Relist,
    Requeue,
    RequeueEntry,
    RoomFinding,
)
from parlor.model.ids import AccountId, Partition, RoomId
from parlor.model.messages import QueuePosition
from parlor_cli.fsck import finding_json

pytestmark = pytest.mark.unit

ROOM, ADA, HOME = RoomId("room-1"), AccountId("ada"), Partition(17)
CORRECT = Correct(Correction((Fact("room", "pending", "3"),), Fact("room", "pending", "2")))
IN_ROOM = {"room_id": "room-1", "account_id": "ada"}


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (
            RoomFinding(invariant="I2", kind="pending", what="w", remedy=CORRECT, room_id=ROOM, account_id=ADA),
            {"about": "room", **IN_ROOM, "repair": "bookkeeping"},
        ),
        (
            MessageFinding(
                invariant="I6", kind="lost", what="w", remedy=Requeue("SAVE", 4), room_id=ROOM, account_id=ADA, seq=4
            ),
            {"about": "message", **IN_ROOM, "seq": 4, "repair": "requeue"},
        ),
        (
            ListFinding(invariant="I9", kind="listed", what="w", remedy=Relist(), room_id=ROOM, account_id=ADA),
            {"about": "list", **IN_ROOM, "repair": "list"},
        ),
        (
            AccountFinding(invariant="I2", kind="account-pending", what="w", room_id=ROOM, account_id=ADA),
            {"about": "account", **IN_ROOM, "repair": None},
        ),
        (
            PartitionFinding(invariant="I7", kind="position", what="w", partition=HOME),
            {"about": "partition", "partition": 17, "repair": None},
        ),
        (
            EntryFinding(
                invariant="I6",
                kind="stranded",
                what="w",
                remedy=RequeueEntry(),
                partition=HOME,
                position=QueuePosition(2, 9),
            ),
            {"about": "entry", "partition": 17, "position": "2-9", "repair": "requeue-entry"},
        ),
    ],
    ids=lambda value: value.kind if not isinstance(value, dict) else "",
)
def test_a_finding_has_the_fields_of_what_it_is_about(finding: Finding, expected: dict[str, object]) -> None:
    same = {"invariant": finding.invariant, "kind": finding.kind, "what": "w", "repaired": False}
    assert finding_json(finding, repaired=False) == {**same, **expected}
