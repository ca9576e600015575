"""`parlor add-shard`: where the new shard is, and what is refused before anything is made."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from parlor.model.ids import ShardId
from parlor.settings import Settings
from parlor.store.addresses import SqliteAddress, store_addresses
from parlor_cli import add_shard, configuration, migrate
from parlor_cli.endpoints import StoreEndpoint
from parlor_cli.installation import Installation
from parlor_cli.options import Blueprint
from parlor_cli.progress import Kind
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

URLS = ["mysql://parlor:secret@db/parlor_1", "mysql://parlor:secret@db/parlor_2"]


@pytest.fixture
def embedded(home: Installation) -> Settings:
    home.record(msgspec.structs.replace(home.founding, store="embedded", shards=2))
    overrides = StoreEndpoint(home, Blueprint("embedded", "embedded", 64, 2)).overrides()
    home.write_overrides(json.dumps(overrides))
    return configuration.load(overrides)


@pytest.fixture
def external(home: Installation) -> Settings:
    home.record(msgspec.structs.replace(home.founding, store="external"))
    return configuration.load({"store": {"urls": URLS}})


def urls(settings: Settings) -> list[str]:
    return [url.get_secret_value() for url in settings.store.urls]


def test_a_database_of_parlors_own_stands_beside_the_others(home: Installation, embedded: Settings) -> None:
    found = add_shard.with_shard(home, embedded, None)
    assert urls(found)[:2] == urls(embedded)
    assert store_addresses(found.store).shards[ShardId(3)] == SqliteAddress(home.data_dir / "sqlite/shard_3.db")
    assert found.model_copy(update={"store": embedded.store}) == embedded, "nothing else has changed"


def test_a_database_of_yours_comes_behind_the_others(home: Installation, external: Settings) -> None:
    found = add_shard.with_shard(home, external, "mysql://parlor:secret@other/parlor_3")
    assert urls(found) == [*URLS, "mysql://parlor:secret@other/parlor_3"]
    assert found.store.global_url == external.store.global_url


def test_who_makes_the_databases_names_them(home: Installation, embedded: Settings) -> None:
    with pytest.raises(Refusal, match="give no URL"):
        add_shard.with_shard(home, embedded, "mysql://parlor:secret@db/parlor_3")


def test_a_database_of_yours_has_to_be_named(home: Installation, external: Settings) -> None:
    with pytest.raises(Refusal, match="give the URL of one that is empty"):
        add_shard.with_shard(home, external, None)


def test_what_was_added_is_there_after_a_restart(home: Installation, embedded: Settings) -> None:
    wanted = add_shard.with_shard(home, embedded, None)
    add_shard._remember(home, wanted)
    again = Installation.find(home.data_dir)
    assert again is not None
    assert again.founding.shards == 3
    overrides = again.read_overrides()
    assert overrides is not None
    assert urls(configuration.load(json.loads(overrides))) == urls(wanted)


def test_nothing_is_added_to_what_does_not_run(tmp_path: Path) -> None:
    class Nobody:
        def show(self, kind: Kind, text: str, step: str = "") -> None:
            raise AssertionError(text)

    with pytest.raises(Refusal, match="nothing runs") as refused:
        add_shard.add_shard(tmp_path, None, 1.0, Nobody(), as_json=False)
    assert refused.value.exit_code == 3


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        self.lines.append(text)


@pytest.fixture
def rolls(home: Installation, embedded: Settings, monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each roll; a roll migrates, and replaces nothing here."""
    done: list[Settings] = []

    def rolled(*given: object) -> list[object]:
        wanted = given[4]
        assert isinstance(wanted, Settings)
        migrate.apply(wanted, lambda _: None, home)
        done.append(wanted)
        return []

    migrate.apply(embedded, lambda _: None, home)
    monkeypatch.setattr(add_shard, "running", lambda _: (home, None))
    monkeypatch.setattr(add_shard, "joined", lambda *_: nullcontext(done[-1] if done else embedded))
    monkeypatch.setattr(add_shard, "replace_outdated", rolled)
    monkeypatch.setattr(add_shard, "strangers_to", lambda _: [])
    return done


def test_it_is_checked_made_and_remembered(home: Installation, embedded: Settings, rolls: list[Settings]) -> None:
    heard = Heard()
    add_shard.add_shard(home.data_dir, None, 1.0, heard, as_json=False)
    assert heard.lines[-1] == "Every process knows shard 3; `parlor rebalance` moves partitions there"
    assert (home.data_dir / "sqlite/shard_3.db").exists()
    assert len(rolls[0].store.urls) == home.founding.shards == 3
    add_shard.add_shard(home.data_dir, None, 1.0, heard, as_json=False)
    assert len(rolls[1].store.urls) == 4


def test_one_that_some_processes_do_not_know_goes_on(
    home: Installation, rolls: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_shard.add_shard(home.data_dir, None, 1.0, Heard(), as_json=False)
    monkeypatch.setattr(add_shard, "strangers_to", lambda _: ["rooms-000"])
    add_shard.add_shard(home.data_dir, None, 1.0, Heard(), as_json=False)
    assert [len(one.store.urls) for one in rolls] == [3, 3], "no fourth one"


def test_a_database_that_holds_something_ends_it(home: Installation, embedded: Settings, rolls: list[Settings]) -> None:
    strange = home.data_dir / "sqlite/shard_3.db"
    strange.write_bytes((home.data_dir / "sqlite/shard_1.db").read_bytes())
    with pytest.raises(Refusal, match="is shard 1 of this installation"):
        add_shard.add_shard(home.data_dir, None, 1.0, Heard(), as_json=False)
    assert (rolls, home.founding.shards) == ([], 2)


@pytest.mark.parametrize("stale", [[], ["rooms-000"]])
def test_nothing_moves_to_a_shard_that_some_process_does_not_know(
    home: Installation, embedded: Settings, monkeypatch: pytest.MonkeyPatch, stale: list[str]
) -> None:
    async def unused(_: Settings) -> list[int]:
        return [3]

    home.write_settings(embedded.dump_secrets())
    monkeypatch.setattr(add_shard, "running", lambda _: (home, None))
    monkeypatch.setattr(add_shard, "joined", lambda *_: nullcontext(embedded))
    monkeypatch.setattr(add_shard, "_unused", unused)
    monkeypatch.setattr(add_shard, "strangers_to", lambda _: stale)
    add_shard.require_known(home.data_dir, ShardId(1))
    for shard in (ShardId(3), None):
        if stale:
            with pytest.raises(Refusal, match="1 processes do not know shard 3 yet, rooms-000 among them"):
                add_shard.require_known(home.data_dir, shard)
        else:
            add_shard.require_known(home.data_dir, shard)
