"""`parlor upgrade`: which settings can change while everything runs, and what is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from actors import process, trial
from actors.contracts import ActorsFailed, ActorStatus
from actors.trial import Tried
from parlor.model.release import COMPATIBILITY, program_version
from parlor.settings import Settings
from parlor_cli import upgrade
from parlor_cli.installation import Installation, RunFile
from parlor_cli.options import effective
from parlor_cli.processes import boot_id, reference
from parlor_cli.progress import Kind
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit


class Shown:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        self.lines.append(f"{step}: {text}")


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.chdir(tmp_path)
    found = Installation.found(tmp_path / "data")
    found.write_overrides('{"api": {"port": 8123}}')
    return found


def present(data_directory: Installation) -> Settings:
    return effective(data_directory, {"api": {"port": 8123}})


def test_new_settings_are_named_and_what_the_start_decided_stays(
    data_directory: Installation, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = present(data_directory)
    monkeypatch.setenv("PARLOR_ROOMS__MAX_ATTEMPTS", "5")
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-mine")
    found = upgrade._new_settings(data_directory, before, shown)
    assert (found.rooms.max_attempts, found.api.port) == (5, 8123)
    assert shown.lines == ["settings: openai_api_key, rooms.max_attempts"]


def test_without_changes_everything_stays(data_directory: Installation, shown: Shown) -> None:
    before = present(data_directory)
    assert upgrade._new_settings(data_directory, before, shown) == before
    assert shown.lines == ["settings: as they are"]


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("PARLOR_STORE__PARTITIONS", "32", "store.partitions"),
        ("PARLOR_REDIS__PREFIX", "other", "redis.prefix"),
        ("PARLOR_API__HOST", "127.0.0.2", "api.host"),
        ("PARLOR_CONNECTIONS__PER_ADDRESS", "7", "connections.per_address"),
    ],
)
def test_what_only_a_start_can_change_is_refused(
    data_directory: Installation, shown: Shown, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    before = present(data_directory)
    monkeypatch.setenv(variable, value)
    with pytest.raises(Refusal, match=f"only `parlor down` and `parlor up` change {name}"):
        upgrade._new_settings(data_directory, before, shown)


def test_an_installation_of_before_has_not_written_down_what_its_start_decided(
    data_directory: Installation, shown: Shown
) -> None:
    before = present(data_directory)
    (data_directory.data_dir / "overrides.json").unlink()
    with pytest.raises(Refusal, match="need a restart"):
        upgrade._new_settings(data_directory, before, shown)


def test_nothing_that_runs_is_nothing_to_upgrade(tmp_path: Path, shown: Shown) -> None:
    with pytest.raises(Refusal, match="nothing runs") as caught:
        upgrade.run(tmp_path, shown, settings=False, every=False, as_json=False)
    assert caught.value.exit_code == 3


# Before anything is replaced


class Scene:
    def __init__(self, data_directory: Installation, shown: Shown) -> None:
        self.settings = present(data_directory)
        run_file = RunFile(boot_id(), reference(1), "/tmp/x", 0)
        self.upgrade = upgrade._Upgrade(data_directory, run_file, shown, self.settings, self.settings)

    def with_settings(self, data_directory: Installation, shown: Shown, found: Settings) -> upgrade._Upgrade:
        run_file = RunFile(boot_id(), reference(1), "/tmp/x", 0)
        return upgrade._Upgrade(data_directory, run_file, shown, self.settings, found)


@pytest.fixture
def scene(data_directory: Installation, shown: Shown) -> Scene:
    return Scene(data_directory, shown)


@pytest.mark.parametrize("apart", [0, 1, 2])
def test_versions_too_far_apart_are_refused(scene: Scene, shown: Shown, apart: int) -> None:
    status = ActorStatus("rooms-000", "RoomActor", 1, "node", True, version="9", compatibility=COMPATIBILITY + apart)
    if apart < 2:
        scene.upgrade._check([status])
        assert shown.lines == [f"versions: 9 -> {program_version()}"]
    else:
        with pytest.raises(Exception, match="rooms-000 has compatibility number"):
            scene.upgrade._check([status])


def test_a_version_without_a_number_is_an_earlier_one(scene: Scene, shown: Shown) -> None:
    scene.upgrade._check([ActorStatus("rooms-000", "RoomActor", 1, "node", True)])
    assert shown.lines == [f"versions: an earlier version -> {program_version()}"]


def test_the_command_of_another_environment_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "try_out", lambda _: Tried("1+elsewhere", COMPATIBILITY))
    with pytest.raises(Refusal, match=r"run 1\+elsewhere, and this command is"):
        scene.upgrade._try_out()


def test_settings_with_which_nothing_starts_are_taken_back(
    scene: Scene, data_directory: Installation, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr(process, "latest_settings", kept.get)
    monkeypatch.setattr(process, "set_latest_settings", kept.__setitem__)
    monkeypatch.setattr(process, "forget_latest_settings", lambda namespace: kept.pop(namespace, None))
    changed = scene.settings.model_copy(update={"rooms": scene.settings.rooms.model_copy(update={"max_attempts": 7})})
    of_now = scene.with_settings(data_directory, shown, changed)
    namespace = scene.settings.ray.namespace
    meanwhile: dict[str, str] = {}

    def fails() -> None:
        meanwhile.update(kept)
        raise ActorsFailed("broken")

    with pytest.raises(ActorsFailed), of_now._latest_settings():
        fails()
    assert (meanwhile, kept) == ({namespace: changed.dump_secrets()}, {})
    assert data_directory.read_settings() is None
    with of_now._latest_settings():
        pass
    assert kept == {namespace: changed.dump_secrets()}
    assert data_directory.read_settings() == changed.dump_secrets()
    with pytest.raises(ActorsFailed), scene.upgrade._latest_settings():
        fails()
    assert kept == {namespace: changed.dump_secrets()}, "settings that stay are not touched"


def test_an_older_program_reads_a_status_that_has_more() -> None:
    """Whoever asks unpickles the fields in their order: new ones stand at the end, and have defaults."""
    before = ("name", "kind", "pid", "node", "alive", "rooms", "served", "replies", "sends", "replied", "committed")
    fields = msgspec.structs.fields(cast("Any", ActorStatus))
    names = [field.name for field in fields]
    assert names[: len(before)] == list(before)
    assert names[len(before) :][:4] == ["partitions", "leaving", "started", "idle_seconds"]
    assert all(not field.required for field in fields[5:])
