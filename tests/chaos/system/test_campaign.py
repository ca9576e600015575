"""The shortest useful campaign: an owner, a writer and Redis killed, an owner stopped and woken, under load (P1 to P6).

The whole one is `make chaos`.
"""

from __future__ import annotations

import pytest

from tests.chaos.system.campaign import Plan, run
from tests.chaos.system.table import table

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

PLAN = Plan(
    faults=["kill-room-actor", "kill-writer", "kill-redis", "stop-room-actor"],
    rate=60.0,
    accounts=4,
    rooms=3,
    people=24,
    calm=40,
    # Beyond the time after which its rooms go to another owner.
    stopped=(8.0, 8.0),
    kind="embedded",
)


async def test_nothing_is_lost_doubled_or_revived_by_deaths_and_a_stale_owner() -> None:
    report = await run(PLAN, print)
    print(table(report))
    assert report.violations == []
    assert report.troubles == []
    assert (report.lost_sends, report.dead_letters) == (0, 0)
    assert sorted(one.fault for one in report.occurrences) == sorted(PLAN.faults)
    # A woken owner that was never refused anything would show that nothing was tested.
    assert sum(one.refused for one in report.occurrences) > 0
