"""The addresses of an installation's servers, and what they promise."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from demo_model.request import MODEL
from parlor.llm.personas import load_personas
from parlor.store.addresses import SqliteAddress, store_addresses
from parlor_cli import configuration
from parlor_cli.endpoints import RedisEndpoint, StoreEndpoint, demo_plan, durability
from parlor_cli.installation import Installation
from parlor_cli.options import Blueprint
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

EMBEDDED = Blueprint(redis="embedded", store="embedded", partitions=64, shards=2)


def test_embedded_shards_are_files_that_the_store_reads(tmp_path: Path) -> None:
    odd = Installation.found(tmp_path / "a b#c%d?é")
    settings = configuration.load(StoreEndpoint(odd, EMBEDDED).overrides())
    addresses = store_addresses(settings.store)
    assert [*addresses.shards.values(), addresses.global_] == [
        SqliteAddress(odd.data_dir / "sqlite" / name) for name in ("shard_1.db", "shard_2.db", "global.db")
    ]


def test_secrets_of_the_private_redis_are_in_files_of_their_owner_alone(home: Installation) -> None:
    endpoint = RedisEndpoint(home, "embedded", "mine")
    plan = endpoint.plan()
    assert plan is not None
    urls = [configuration.load(overrides).redis.url for overrides in (endpoint.overrides(), endpoint.admin)]
    files = [home.data_dir / name for name in ("redis-password-parlor", "redis-password-admin", "redis-users.acl")]
    passwords = [file.read_text() for file in files[:2]]
    assert len({*passwords}) == 2
    assert [password in url.get_secret_value() for url, password in zip(urls, passwords, strict=True)] == [True] * 2
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    told = " ".join(plan.command) + str(urls) + files[2].read_text()
    assert not any(password in told for password in passwords)
    assert "~mine:*" in files[2].read_text()
    again = RedisEndpoint(home, "embedded", "mine")
    again.plan()
    assert again.overrides() == endpoint.overrides()


def test_the_demo_model_runs_only_when_no_llm_is_configured(home: Installation) -> None:
    assert demo_plan(home, configuration.load()) is not None
    assert demo_plan(home, configuration.load({"llm": {"base_url": "http://h"}})) is None
    assert demo_plan(home, configuration.load({"llm": {"api_key": "sk"}})) is None
    assert demo_plan(home, configuration.load({"llm": {"provider": "tests.unit.llm.echo_model:EchoModel"}})) is None


def test_personas_name_the_demo_model_when_it_answers(home: Installation) -> None:
    found = demo_plan(home, configuration.load({"llm": {"model": "gpt-4o"}}))
    assert found is not None
    settings = configuration.load(found[1])
    assert {persona.model for persona in load_personas(settings.llm)} == {MODEL}


def test_a_provider_that_cannot_be_loaded_is_refused_before_anything_starts(home: Installation) -> None:
    with pytest.raises(Refusal, match=r"nowhere\.model:Model cannot be loaded"):
        demo_plan(home, configuration.load({"llm": {"provider": "nowhere.model:Model"}}))


def test_an_openai_key_in_the_environment_is_a_configured_llm(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    assert demo_plan(home, configuration.load()) is None


def test_durability_describes_the_servers_that_run(home: Installation) -> None:
    endpoint = RedisEndpoint(home, "embedded", "parlor")
    endpoint.plan()
    assert "on disk in Valkey" in durability(endpoint, StoreEndpoint(home, EMBEDDED))
    external = RedisEndpoint(home, "external", "parlor")
    assert external.plan() is None
    assert "Redis at your URL" in durability(external, StoreEndpoint(home, EMBEDDED))
