"""The shortest useful campaign: an owner, a writer and Redis killed, an owner stopped and woken, under load (P1 to P6).

The whole one is `make chaos`.
"""

from __future__ import annotations

import time

import pytest

from tests.chaos.history import Recorder
from tests.chaos.system.campaign import SETTLED_AFTER, Plan, run, settled
from tests.chaos.system.load import Load
from tests.chaos.system.table import table

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

PLAN = Plan(
    faults=["kill-room-actor", "kill-writer", "kill-redis", "stop-room-actor"],
    rate=60.0,
    accounts=4,
    rooms=3,
    users=24,
    calm=40,
    deciders=3,
    # Beyond the time after which its rooms go to another owner, and well before it would be killed.
    stopped=(7.0, 7.0),
    kind="embedded",
)


async def test_nothing_is_lost_doubled_or_revived_by_deaths_and_a_stale_owner() -> None:
    report = await run(PLAN, print)
    print(table(report))
    assert report.violations == []
    assert report.troubles == []
    assert (report.lost_sends, report.dead_letters) == (0, 0)
    assert sorted(one.fault for one in report.occurrences) == sorted(PLAN.faults)
    assert report.calls["approve"] > 0, report.calls
    assert report.calls["runs"] > 0, report.calls
    # A woken owner that was never refused anything would show that nothing was tested.
    assert sum(one.refused for one in report.occurrences) > 0


def test_who_asked_before_the_fault_was_healed_is_waited_for() -> None:
    load = Load(("127.0.0.1", 1), Recorder(None, time.monotonic, "load"), [], 1)
    now = time.monotonic()
    load.waiting["note"] = now - SETTLED_AFTER / 10
    assert not settled(load, healed_at=now)
    assert settled(load, healed_at=now - SETTLED_AFTER / 5)
    load.waiting["another"] = now - 2 * SETTLED_AFTER
    assert not settled(load, healed_at=now - 3 * SETTLED_AFTER)
