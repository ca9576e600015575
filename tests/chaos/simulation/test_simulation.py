"""Hundreds of runs, each from its seed: nothing acknowledged is lost whatever goes wrong, and stale writes are refused.

``python -m tests.chaos.simulation --seeds N --log`` repeats one; the seeds that ever failed are kept in ``seeds.txt``
and run each time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import cache

import pytest

from parlor.cache.loader import Script, load
from parlor.cache.queue import QueueEntry, WriterQueue
from parlor.cache.watched import Watched
from parlor.model.tools import ToolState
from tests.chaos.simulation.__main__ import kept_seeds, seeds_of
from tests.chaos.simulation.run import (
    FAILING_OVER_FROM,
    LOOKING_BACK_FROM,
    SPENDING_FROM,
    SWAPPING_FROM,
    Report,
    run_seed,
)
from tests.chaos.simulation.worker import run_all
from tests.fake_redis import load_for_fakes
from tests.unit.memory_store import make_templates

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEEDS = "0-9,10000-10014,20000-20007,30000-30007,40000-40005,50000-50009,80000-80004,90000-90007,110000-110005"
"""`make chaos` runs thousands more."""
AGAIN = [0, 1, 2]
"""Run a second time, in another process."""
JOBS = 2
TRIED = 60
"""Seeds for a fault that is planted and seldom matters, at most."""


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    """The reports of all seeds, including those that ever failed."""
    seeds = sorted({*seeds_of(SEEDS), *kept_seeds(), *AGAIN})
    return list(run_all(seeds, JOBS))


def test_no_seed_breaks_a_promise(reports: list[Report]) -> None:
    broken = [
        f"seed {report.seed}: {violation.rule} {violation.room} {violation.what}"
        for report in reports
        for violation in report.violations
    ]
    assert broken == [], "repeat with: python -m tests.chaos.simulation --log --seeds <seed>; then keep it in seeds.txt"


def test_stale_owners_and_stale_writers_were_refused(reports: list[Report]) -> None:
    refused = Counter[str]()
    for report in reports:
        refused.update(report.stale)
    assert refused["room"] + refused["reply"] > 0, refused
    assert refused["batch"] > 0, refused


def test_every_kind_of_fault_was_made(reports: list[Report]) -> None:
    made = Counter[str]()
    for report in reports:
        made.update(report.faults)
    kinds = {
        "stop_owner",
        "stop_writer",
        "kill_owner",
        "kill_writer",
        "misplace_rooms",
        "lose_redis",
        "forget_scripts",
        "jump",
        "foreign_redis",
        "give_rooms_away",
        "fail_over",
    }
    kinds |= {"refuse", "lose", "halve", "hang", "hold", "store-refuse", "store-lose", "store-slow", "redis_away"}
    assert kinds <= made.keys()


def test_budgets_refused_what_they_had_no_room_for(reports: list[Report]) -> None:
    assert sum(report.over_budget for report in reports) > 0
    assert all(report.over_budget == 0 for report in reports if report.seed < SPENDING_FROM)


def test_an_answer_that_uses_more_than_it_reserved_is_found_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.simulation.model.OVERUSE", 5)
    templates = asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))
    broken = [run_seed(seed, templates).violations for seed in range(SPENDING_FROM, SPENDING_FROM + 10)]
    assert {violation.rule for violations in broken for violation in violations} == {"C17"}


def test_calls_of_tools_came_to_every_state(reports: list[Report]) -> None:
    came = Counter[str]()
    for report in reports:
        came.update(report.calls)
    assert came.keys() == {*ToolState, "runs"} - {ToolState.PROPOSED}


def test_a_seed_is_one_run(reports: list[Report]) -> None:
    digests: dict[int, set[str]] = {}
    for report in [*reports, *run_all(AGAIN, 1)]:
        if report.seed in AGAIN:
            digests.setdefault(report.seed, set()).add(report.digest)
    assert [len(digests[seed]) for seed in AGAIN] == [1] * len(AGAIN)


def test_a_log_that_shows_what_was_deleted_is_found_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.cache.events.hides", lambda *_: False)
    templates = asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))
    broken = [run_seed(seed, templates).violations for seed in range(LOOKING_BACK_FROM, LOOKING_BACK_FROM + 6)]
    assert {violation.rule for violations in broken for violation in violations} == {"C14"}


def test_scripts_that_do_not_ask_whose_redis_it_is_are_found_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    @cache
    def careless(name: str, replicated: bool) -> Script:
        known = load(name, replicated)
        source = known.source
        if "installation" in known.arguments:
            asked = f"held ~= ARGV[{known.arguments.index('installation') + 1}]"
            source = source.replace(asked, "false")
        return Script(name, source, known.keys, known.more, known.arguments, known.rest)

    monkeypatch.setattr("parlor.cache.live.load", careless)
    templates = asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))
    broken = [run_seed(seed, templates).violations for seed in range(SWAPPING_FROM, SWAPPING_FROM + 4)]
    assert "C16" in {violation.rule for violations in broken for violation in violations}


def test_a_partition_that_is_not_closed_by_a_fail_over_is_found_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    @cache
    def careless(name: str, replicated: bool) -> Script:
        known = load_for_fakes(name, replicated)
        source = known.source.replace("opened[2] ~= now", "false").replace("found[4] ~= now", "false")
        return Script(name, source, known.keys, known.more, known.arguments, known.rest)

    monkeypatch.setattr("tests.chaos.simulation.installation.load_for_fakes", careless)
    templates = asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))
    seeds = range(FAILING_OVER_FROM, FAILING_OVER_FROM + TRIED)
    assert any(violation.rule == "C1" for seed in seeds for violation in run_seed(seed, templates).violations)


def test_readers_hear_what_is_published_and_read_what_they_did_not_hear(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Counter[bool]()
    hear = Watched.hear

    def counted(self: Watched, publication: bytes) -> bool:
        taken = hear(self, publication)
        heard[taken] += 1
        return taken

    monkeypatch.setattr(Watched, "hear", counted)
    templates = asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))
    for seed in range(4):
        run_seed(seed, templates)
    assert min(heard[True], heard[False]) > 0


def test_a_writer_that_forgets_what_it_had_read_is_found_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulation can fail: without its unfinished entries a writer loses what it had taken when it died."""

    async def nothing(*_: object) -> list[QueueEntry]:
        return []

    monkeypatch.setattr(WriterQueue, "unfinished", nothing)
    templates = asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))
    assert any(run_seed(seed, templates).violations for seed in range(20))
