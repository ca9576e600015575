"""Options of `parlor up`, and what an installation has decided already."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor_cli import configuration
from parlor_cli.installation import Founding, Installation, ServerKind
from parlor_cli.options import Blueprint, UpOptions, decide, effective, present
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

NEW = Founding(id="0" * 32)
MADE = Founding(id="0" * 32, redis="embedded", store="embedded", partitions=8, shards=2)
EXTERNAL = Founding(id="0" * 32, redis="external", store="external", partitions=8)


def _options(
    *,
    servers: ServerKind | None = None,
    redis_url: str | None = None,
    mysql_urls: list[str] | None = None,
    partitions: int | None = None,
    shards: int | None = None,
) -> UpOptions:
    return UpOptions(
        data_dir=Path("data"),
        servers=servers,
        redis_url=redis_url,
        mysql_urls=mysql_urls or [],
        partitions=partitions,
        shards=shards,
    )


def _decide(options: UpOptions, founding: Founding) -> Blueprint:
    return decide(options, configuration.load(options.overrides()), founding)


def test_nothing_given_is_embedded_with_two_shards_and_64_partitions() -> None:
    assert _decide(_options(), NEW) == Blueprint(redis="embedded", store="embedded", partitions=64, shards=2)


def test_a_url_makes_its_part_external_and_leaves_the_other() -> None:
    assert _decide(_options(redis_url="redis://h"), NEW).redis == "external"
    assert _decide(_options(redis_url="redis://h"), NEW).store == "embedded"
    two = _decide(_options(mysql_urls=["mysql://h/a", "mysql://h/b"]), NEW)
    assert (two.redis, two.store, two.shards) == ("embedded", "external", 2)


def test_a_configured_url_is_external_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_REDIS__URL", "redis://h")
    assert _decide(_options(), NEW).redis == "external"


def test_external_without_an_address_is_refused() -> None:
    with pytest.raises(Refusal, match="give --redis-url"):
        _decide(_options(servers="external"), NEW)
    with pytest.raises(Refusal, match="give --mysql-url"):
        _decide(_options(servers="external", redis_url="redis://h"), NEW)


def test_what_was_decided_holds_when_nothing_is_given() -> None:
    private = Founding(id="0", redis="private", store="private", partitions=8, shards=3)
    assert _decide(_options(), private) == Blueprint(redis="private", store="private", partitions=8, shards=3)


@pytest.mark.parametrize("servers", ["private", "embedded"])
def test_servers_of_another_kind_are_refused_because_the_data_would_be_missed(servers: ServerKind) -> None:
    founding = EXTERNAL if servers == "embedded" else MADE
    with pytest.raises(Refusal, match="keeps its data in"):
        _decide(_options(servers=servers), founding)


def test_an_external_installation_without_its_address_is_refused() -> None:
    with pytest.raises(Refusal, match="give --redis-url"):
        _decide(_options(), EXTERNAL)


def test_partitions_cannot_change() -> None:
    with pytest.raises(Refusal, match="has 8 partitions"):
        _decide(_options(partitions=16), MADE)
    assert _decide(_options(partitions=8), MADE).partitions == 8


def test_the_number_of_shards_can_grow_but_not_shrink() -> None:
    assert _decide(_options(shards=3), MADE).shards == 3
    with pytest.raises(Refusal, match="not shrink"):
        _decide(_options(shards=1), MADE)


def test_a_number_of_shards_beside_urls_is_refused() -> None:
    with pytest.raises(Refusal, match="once for each shard"):
        _decide(_options(shards=2, mysql_urls=["mysql://h/a"]), NEW)


def test_options_survive_the_pipe_to_the_launcher() -> None:
    options = _options(servers="private", redis_url="redis://:pw@h", mysql_urls=["mysql://h/a"], shards=1)
    assert UpOptions.from_json(options.to_json()) == options


def test_the_installation_adds_its_secret_namespace_and_partitions(home: Installation) -> None:
    home.record(Founding(id=home.founding.id, partitions=8))
    settings = effective(home, {})
    assert settings.auth.secret.get_secret_value() == home.jwt_secret()
    assert settings.ray.namespace == home.namespace
    assert settings.store.partitions == 8


def test_a_configured_secret_is_kept(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_AUTH__SECRET", "s" * 40)
    assert effective(home, {}).auth.secret.get_secret_value() == "s" * 40


def test_without_a_running_launcher_the_settings_of_a_killed_one_do_not_count(home: Installation) -> None:
    home.write_settings(configuration.load({"api": {"port": 81}}).dump_secrets())
    assert present(home).api.port == 8000
