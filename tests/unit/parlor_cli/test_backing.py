from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from parlor.store.addresses import SqliteAddress, store_addresses
from parlor_cli import configuration, processes
from parlor_cli.backing import ManagedServer, RedisPlace, StorePlace, demo_plan, durability
from parlor_cli.installation import Installation
from parlor_cli.options import Blueprint
from parlor_cli.servers.process import ServerPlan

pytestmark = pytest.mark.unit

EMBEDDED = Blueprint(redis="embedded", store="embedded", partitions=64, shards=2)


def test_a_server_that_died_is_started_again_and_that_is_told(tmp_path: Path) -> None:
    plan = ServerPlan(name="it", command=["sleep", "60"], log=tmp_path / "log", answers=lambda: True)
    managed = ManagedServer(plan)
    first = managed.server.ref
    try:
        assert managed.look() is None
        os.kill(first.pid, signal.SIGKILL)
        assert processes.wait_until_gone([first], 10) == []
        told = managed.look()
        assert told is not None
        assert "it ended; starting it again in 0 s" in told
        told = managed.look()
        assert told is not None
        assert told.startswith("it is back")
        assert managed.server.ref != first
        assert managed.look() is None
    finally:
        managed.server.stop()


def test_a_server_that_dies_again_and_again_is_started_less_and_less_often(tmp_path: Path) -> None:
    plan = ServerPlan(name="it", command=["sleep", "60"], log=tmp_path / "log", answers=lambda: True)
    managed = ManagedServer(plan)
    try:
        for _ in range(2):
            managed.server.stop()
            told = managed.look()
            if told is not None and "in 0 s" in told:
                managed.look()
        assert told is not None
        assert "in 0.5 s" in told
        # Not due yet.
        assert managed.look() is None
    finally:
        managed.server.stop()


def test_embedded_shards_are_files_that_the_store_reads(tmp_path: Path) -> None:
    odd = Installation.found(tmp_path / "a b#c%d?é")
    settings = configuration.load(StorePlace(odd, EMBEDDED).overrides())
    addresses = store_addresses(settings.store)
    assert [*addresses.shards.values(), addresses.global_] == [
        SqliteAddress(odd.data_dir / "sqlite" / name) for name in ("shard_1.db", "shard_2.db", "global.db")
    ]


def test_the_demo_model_runs_only_when_no_llm_is_configured(home: Installation) -> None:
    assert demo_plan(home, configuration.load()) is not None
    assert demo_plan(home, configuration.load({"llm": {"base_url": "http://h"}})) is None
    assert demo_plan(home, configuration.load({"llm": {"api_key": "sk"}})) is None


def test_an_openai_key_in_the_environment_is_a_configured_llm(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    assert demo_plan(home, configuration.load()) is None


def test_durability_is_told_for_what_runs(home: Installation) -> None:
    place = RedisPlace(home, "embedded")
    place.plan()
    assert "on disk in Valkey" in durability(place, StorePlace(home, EMBEDDED))
    external = RedisPlace(home, "external")
    assert external.plan() is None
    assert "Redis at your URL" in durability(external, StorePlace(home, EMBEDDED))
