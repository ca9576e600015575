"""The data directory: its id, its decisions, its secrets."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from parlor_cli import processes
from parlor_cli.installation import Founding, Installation, RunFile
from parlor_cli.processes import ProcessRef
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit


def _run_file(home: Installation, launcher: ProcessRef) -> RunFile:
    return RunFile(
        boot_id=processes.boot_id(),
        launcher=launcher,
        runtime_dir=str(home.runtime_dir),
        started_at=1,
        url="http://127.0.0.1:8000",
    )


def test_an_installation_keeps_its_id(tmp_path: Path) -> None:
    first = Installation.found(tmp_path / "data")
    assert Installation.found(tmp_path / "data").founding == first.founding


def test_looking_for_an_installation_makes_nothing(tmp_path: Path) -> None:
    assert Installation.find(tmp_path / "data") is None
    assert not (tmp_path / "data").exists()


def test_founding_decisions_are_kept(home: Installation) -> None:
    home.record(msgspec.structs.replace(home.founding, partitions=8, redis="private"))
    found = Installation.find(home.data_dir)
    assert found is not None
    assert found.founding == Founding(id=home.founding.id, partitions=8, redis="private")


def test_a_copied_data_directory_is_another_installation(home: Installation, tmp_path: Path) -> None:
    shutil.copytree(home.data_dir, tmp_path / "copy")
    copy = Installation.find(tmp_path / "copy")
    assert copy is not None
    assert copy.runtime_dir != home.runtime_dir


@pytest.mark.parametrize("name", ["jwt-secret", "ray-token"])
def test_secrets_are_kept_and_are_for_their_owner_only(home: Installation, name: str) -> None:
    read = {"jwt-secret": home.jwt_secret, "ray-token": home.ray_token}[name]
    first = read()
    assert len(bytes.fromhex(first)) == 32
    assert read() == first
    path = home.data_dir / name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert read() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_two_secrets_differ(home: Installation) -> None:
    assert home.jwt_secret() != home.ray_token()


def test_settings_and_run_file_are_for_their_owner_only(home: Installation) -> None:
    home.write_settings("{}")
    home.write_run(_run_file(home, processes.reference(os.getpid())))
    for name in ("settings.json", "run.json"):
        assert stat.S_IMODE((home.data_dir / name).stat().st_mode) == 0o600


def test_a_directory_in_use_is_refused_with_who_uses_it(home: Installation) -> None:
    home.write_run(_run_file(home, processes.reference(os.getpid())))
    with (
        home.locked(),
        pytest.raises(Refusal, match=f"process {os.getpid()} .* at http://127.0.0.1:8000"),
        home.locked(),
    ):
        pass
    with home.locked():
        pass


def test_a_running_launcher_is_recognised(home: Installation) -> None:
    run = _run_file(home, processes.reference(os.getpid()))
    home.write_run(run)
    assert home.running() == run


def test_a_run_file_of_a_dead_launcher_is_stale(home: Installation) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ref = processes.reference(ended.pid)
    ended.wait(30)
    home.write_run(_run_file(home, ref))
    assert home.read_run() is not None
    assert home.running() is None


def test_a_run_file_whose_pid_was_given_out_again_is_stale(home: Installation) -> None:
    now = processes.reference(os.getpid())
    home.write_run(_run_file(home, ProcessRef(pid=now.pid, started=now.started - 1)))
    assert home.running() is None


def test_a_run_file_of_another_boot_is_stale(home: Installation) -> None:
    run = _run_file(home, processes.reference(os.getpid()))
    home.write_run(msgspec.structs.replace(run, boot_id="another"))
    assert home.running() is None


def test_a_damaged_run_file_counts_as_none(home: Installation) -> None:
    (home.data_dir / "run.json").write_text('{"boot_id": ')
    assert home.running() is None


def test_a_damaged_installation_file_is_refused(home: Installation) -> None:
    (home.data_dir / "installation.json").write_text("{")
    with pytest.raises(Refusal, match="damaged"):
        Installation.find(home.data_dir)


def test_sockets_have_short_paths_however_deep_the_data_directory_is(tmp_path: Path) -> None:
    deep = Installation.found(tmp_path / ("x" * 200))
    node_id = "0" * 56
    assert len(str(deep.runtime_dir / "mariadb.sock")) < 100
    assert len(str(deep.runtime_dir / "h" / node_id / "a.sock")) <= 97
    session = "session_2026-01-01_00-00-00_000000_1234567"
    assert len(str(deep.runtime_dir / "ray" / session / "sockets/plasma_store")) <= 107


def test_the_runtime_directory_is_for_its_owner_only(home: Installation) -> None:
    path = home.make_runtime_dir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_runtime_directory_is_refused(home: Installation, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    home.runtime_dir.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(Refusal, match="not a directory of yours"):
            home.make_runtime_dir()
        home.remove_runtime_dir()
        assert (tmp_path / "elsewhere/kept").exists()
    finally:
        home.runtime_dir.unlink()


def test_rays_logs_outlive_the_runtime_directory(home: Installation) -> None:
    session = home.make_runtime_dir() / "ray/session_1"
    (session / "logs").mkdir(parents=True)
    (session / "logs/raylet.err").write_text("why")
    (home.runtime_dir / "ray/session_latest").symlink_to(session)
    home.remove_runtime_dir()
    assert not home.runtime_dir.exists()
    assert (home.logs_dir / "ray/raylet.err").read_text() == "why"
