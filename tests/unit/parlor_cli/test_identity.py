"""Servers of another installation, or of another age, are refused with what to do (I21)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from parlor.cache.audit import PartitionSnapshot
from parlor.cache.contents import Contents
from parlor.cache.live import NOTHING_APPLIED
from parlor.fsck.adoption import Found
from parlor.model.ids import InstallationId, Partition, ShardId
from parlor.model.messages import QueuePosition
from parlor.reading.identity import Standing, Survey
from parlor.settings import RedisSettings, Settings
from parlor_cli import adopt
from parlor_cli.identity import explain, place, require_own_databases
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

OURS, THEIRS = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def standing(number: int = 0, *, of: str = OURS, cached: int = 1, stored: int = 1) -> Standing:
    snapshot = PartitionSnapshot(True, QueuePosition(cached, 5), NOTHING_APPLIED, of)
    return Standing(Partition(number), ShardId(1), snapshot, stored, NOTHING_APPLIED)


def survey(*standings: Standing) -> Survey:
    return Survey(InstallationId(OURS), list(standings))


def settings(url: str = "redis://ada:secret@cache:6390/3") -> Settings:
    return Settings(redis=RedisSettings(url=SecretStr(url), prefix="mine"))


def test_the_place_of_a_redis_is_told_without_its_password() -> None:
    assert place(settings()) == "redis://cache:6390/3 (key prefix 'mine')"
    assert place(settings("unix:///tmp/r.sock?db=1&password=secret")) == "unix:///tmp/r.sock (key prefix 'mine')"


def test_another_installations_redis_is_refused_with_three_ways_out(home: Installation) -> None:
    text = explain(home, settings(), survey(standing(), standing(1, of=THEIRS)))
    for part in (OURS, THEIRS, "cache:6390", "redis://HOST:PORT/1", "PARLOR_REDIS__PREFIX", "parlor adopt --data-dir"):
        assert part in text
    assert "secret" not in text


def test_a_restored_backup_is_refused_with_adopt_alone(home: Installation) -> None:
    text = explain(home, settings(), survey(standing(cached=4, stored=2)))
    assert "gone back" in text
    assert "incarnation 4" in text
    assert f"parlor adopt --data-dir {home.data_dir}" in text
    assert "PREFIX" not in text


def test_a_redis_that_does_not_say_whose_it_is_is_refused_with_every_way_out(home: Installation) -> None:
    text = explain(home, settings(), survey(standing(of="", cached=4, stored=0)))
    for part in ("other databases", "PARLOR_REDIS__PREFIX", "parlor adopt"):
        assert part in text


def test_databases_of_another_installation_are_refused(home: Installation) -> None:
    require_own_databases(home, OURS)
    home.record(msgspec.structs.replace(home.founding, installation=OURS))
    require_own_databases(home, OURS)
    with pytest.raises(Refusal, match=THEIRS) as caught:
        require_own_databases(home, THEIRS)
    assert "parlor adopt" in caught.value.message


def test_a_data_directory_from_before_there_were_ids_is_read(home: Installation) -> None:
    path = home.data_dir / "installation.json"
    path.write_bytes(path.read_bytes().replace(b',"installation":null', b""))
    found = Installation.find(home.data_dir)
    assert found is not None
    assert found.founding.installation is None


# Adopting


def found(*standings: Standing, waiting: int = 0, holders: tuple[str, ...] = ()) -> Found:
    return Found(survey(*standings), Contents(9, 2, waiting, 1, list(holders)))


def test_the_ids_decide_what_becomes_of_redis_and_else_people_do() -> None:
    assert adopt._side(found(standing(cached=4, stored=2))) == "keep"
    assert adopt._side(found(standing())) == "keep"
    assert adopt._side(found(standing(), standing(1, of=THEIRS))) == "forget"
    with pytest.raises(Refusal, match="--keep-redis"):
        adopt._side(found(standing(of="", cached=4, stored=0)))


def test_what_will_be_done_is_said_before() -> None:
    kept = adopt._plan(found(standing(cached=4, stored=2), standing(1)), settings(), "keep")
    assert "1 of 2 partitions" in kept
    assert "LOST" not in kept
    lost = adopt._plan(found(standing(of=THEIRS), waiting=7), settings(), "forget")
    for part in ("2 rooms", "7 operations that no shard has", THEIRS, "LOST"):
        assert part in lost
    assert "secret" not in kept + lost


def test_what_would_lose_or_mix_something_is_refused() -> None:
    theirs = found(standing(of=THEIRS), holders=("x/writer-shard1-0",))
    with pytest.raises(Refusal, match="another installation"):
        adopt._require_possible(theirs, "keep", is_running=False)
    with pytest.raises(Refusal, match="x/writer-shard1-0"):
        adopt._require_possible(theirs, "forget", is_running=False)
    with pytest.raises(Refusal, match="stop it first"):
        adopt._require_possible(found(standing()), "forget", is_running=True)
    adopt._require_possible(found(standing(), holders=("ours",)), "keep", is_running=True)


def test_without_an_installation_and_servers_there_is_nothing_to_adopt(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="holds no installation"):
        adopt.run(UpOptions(data_dir=tmp_path / "none"), side=None, yes=True, as_json=False)
    with pytest.raises(Refusal, match="--yes"):
        adopt.run(UpOptions(data_dir=tmp_path / "none"), side=None, yes=False, as_json=True)
