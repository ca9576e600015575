"""Partitions that move: commands and writers die at every step, and nothing is lost or in two places.

The simulation can fail: each of a move's safeguards, taken away, is found out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parlor.persistence.move import Mover
from parlor.store.homes import HomeState
from parlor.store.partition_copy import Changes, Difference
from parlor.store.partition_moves import ShardGate
from tests.chaos.simulation.moves import STEPS
from tests.chaos.simulation.run import MOVING_FROM, run_seed
from tests.chaos.simulation.worker import run_all
from tests.unit.memory_store import make_templates

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEEDS = range(MOVING_FROM, MOVING_FROM + 24)
JOBS = 2
SLOW = 3.0
"""Seconds, virtual ones, in which writers commit."""
TRIED = 24
"""Seeds for each fault that is planted, at most: each of them moves a few partitions."""


async def _nothing(*_: object) -> None:
    pass


async def _no_differences(*_: object) -> AsyncIterator[Difference]:
    none: list[Difference] = []
    for found in none:
        yield found


def is_broken(directory: Path, rules: set[str]) -> bool:
    """Whether one of the seeds breaks one of these."""
    templates = asyncio.run(make_templates(directory))
    return any(violation.rule in rules for seed in SEEDS[:TRIED] for violation in run_seed(seed, templates).violations)


def test_commands_were_killed_at_each_step_and_nothing_is_broken() -> None:
    done = Counter[str]()
    for report in run_all(list(SEEDS), JOBS):
        assert report.violations == [], f"repeat with: python -m tests.chaos.simulation --log --seeds {report.seed}"
        done.update(report.faults)
    assert {f"killed-{step}" for step in STEPS} <= done.keys(), done
    assert done["moved-done"] > len(SEEDS), done
    assert done["moved-aborted"] > 0, done


def test_a_switch_that_does_not_wait_for_the_catching_up_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(_: Changes) -> int:
        return 0

    monkeypatch.setattr(Changes, "copy", none)
    monkeypatch.setattr(Mover, "_settle", _nothing)
    monkeypatch.setattr("parlor.persistence.move.lost", _no_differences)
    assert is_broken(tmp_path, {"C1", "C11"})


def test_two_homes_that_are_written_at_once_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fence does not outdate the writers' epochs, and the command is slow behind it."""

    async def half(gate: ShardGate) -> None:
        async with gate._session.transaction():
            await gate._set(HomeState.FENCED, gate._move.generation - 1)
        await asyncio.sleep(SLOW)

    monkeypatch.setattr(ShardGate, "fence", half)
    monkeypatch.setattr(Mover, "_settle", _nothing)
    monkeypatch.setattr("parlor.persistence.move.lost", _no_differences)
    assert is_broken(tmp_path, {"C1", "C11"})
