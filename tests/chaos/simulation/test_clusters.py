"""Two Ray clusters on one Redis: they die, are drained, get all requests or none, and take nothing from each other.

The simulation can fail: a cluster that claims what another one has is found out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from parlor.rooms.forwarding import Forwarder
from tests.chaos.simulation.run import CLUSTERED_FROM, run_seed
from tests.chaos.simulation.worker import run_all
from tests.unit.memory_store import make_templates

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEEDS = range(CLUSTERED_FROM, CLUSTERED_FROM + 8)
JOBS = 2


def test_clusters_die_and_traffic_moves_and_nothing_is_broken() -> None:
    done = Counter[str]()
    for report in run_all(list(SEEDS), JOBS):
        assert report.violations == [], f"repeat with: python -m tests.chaos.simulation --log --seeds {report.seed}"
        done.update(report.faults)
    assert {"kill_cluster", "drain_cluster", "shift_traffic", "stop_supervisor", "kill_owner"} <= done.keys(), done


def test_a_cluster_that_takes_what_the_other_has_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> None:
        return None

    async def none(*_: object) -> set[str]:
        return set()

    monkeypatch.setattr(Forwarder, "forward", nobody)
    monkeypatch.setattr(Forwarder, "elsewhere", none)
    templates = asyncio.run(make_templates(tmp_path))
    calm = range(CLUSTERED_FROM, CLUSTERED_FROM + 6, 2)
    broken = [violation.rule for seed in calm for violation in run_seed(seed, templates).violations]
    assert set(broken) == {"C27"}
