from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cli import processes
from cli.installation import Founding, Installation, RunFile
from cli.processes import ProcessRef
from cli.refusal import Refusal

pytestmark = pytest.mark.unit


def _run_file(installation: Installation, steward: ProcessRef) -> RunFile:
    return RunFile(
        boot_id=processes.boot_id(),
        steward=steward,
        runtime_dir=str(installation.runtime_dir),
        started_at=1,
        url="http://127.0.0.1:8000",
    )


def test_an_installation_keeps_its_id(tmp_path: Path) -> None:
    first = Installation.found(tmp_path / "data")
    assert Installation.found(tmp_path / "data").founding == first.founding


def test_looking_for_an_installation_makes_nothing(tmp_path: Path) -> None:
    assert Installation.find(tmp_path / "data") is None
    assert not (tmp_path / "data").exists()


def test_founding_decisions_are_kept(installation: Installation) -> None:
    installation.record(msgspec.structs.replace(installation.founding, partitions=8, redis="private"))
    found = Installation.find(installation.data_dir)
    assert found is not None
    assert found.founding == Founding(id=installation.founding.id, partitions=8, redis="private")


def test_a_copied_data_directory_is_another_installation(installation: Installation, tmp_path: Path) -> None:
    shutil.copytree(installation.data_dir, tmp_path / "copy")
    copy = Installation.find(tmp_path / "copy")
    assert copy is not None
    assert copy.runtime_dir != installation.runtime_dir


@pytest.mark.parametrize("name", ["jwt-secret", "ray-token"])
def test_secrets_are_kept_and_are_for_their_owner_only(installation: Installation, name: str) -> None:
    read = {"jwt-secret": installation.jwt_secret, "ray-token": installation.ray_token}[name]
    first = read()
    assert len(bytes.fromhex(first)) == 32
    assert read() == first
    path = installation.data_dir / name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert read() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_two_secrets_differ(installation: Installation) -> None:
    assert installation.jwt_secret() != installation.ray_token()


def test_settings_and_run_file_are_for_their_owner_only(installation: Installation) -> None:
    installation.write_settings("{}")
    installation.write_run(_run_file(installation, processes.reference(os.getpid())))
    for name in ("settings.json", "run.json"):
        assert stat.S_IMODE((installation.data_dir / name).stat().st_mode) == 0o600


def test_a_directory_in_use_is_refused_with_who_uses_it(installation: Installation) -> None:
    installation.write_run(_run_file(installation, processes.reference(os.getpid())))
    with (
        installation.locked(),
        pytest.raises(Refusal, match=f"process {os.getpid()} .* at http://127.0.0.1:8000"),
        installation.locked(),
    ):
        pass
    with installation.locked():
        pass


def test_a_running_steward_is_recognised(installation: Installation) -> None:
    run = _run_file(installation, processes.reference(os.getpid()))
    installation.write_run(run)
    assert installation.running() == run


def test_a_run_file_of_a_dead_steward_is_stale(installation: Installation) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ref = processes.reference(ended.pid)
    ended.wait(30)
    installation.write_run(_run_file(installation, ref))
    assert installation.read_run() is not None
    assert installation.running() is None


def test_a_run_file_whose_pid_was_given_out_again_is_stale(installation: Installation) -> None:
    now = processes.reference(os.getpid())
    installation.write_run(_run_file(installation, ProcessRef(pid=now.pid, started=now.started - 1)))
    assert installation.running() is None


def test_a_run_file_of_another_boot_is_stale(installation: Installation) -> None:
    run = _run_file(installation, processes.reference(os.getpid()))
    installation.write_run(msgspec.structs.replace(run, boot_id="another"))
    assert installation.running() is None


def test_a_damaged_run_file_counts_as_none(installation: Installation) -> None:
    (installation.data_dir / "run.json").write_text('{"boot_id": ')
    assert installation.running() is None


def test_a_damaged_installation_file_is_refused(installation: Installation) -> None:
    (installation.data_dir / "installation.json").write_text("{")
    with pytest.raises(Refusal, match="damaged"):
        Installation.find(installation.data_dir)


def test_sockets_have_short_paths_however_deep_the_data_directory_is(tmp_path: Path) -> None:
    deep = Installation.found(tmp_path / ("x" * 200))
    node_id = "0" * 56
    assert len(str(deep.runtime_dir / "mariadb.sock")) < 100
    assert len(str(deep.runtime_dir / "h" / node_id / "a.sock")) <= 97
    session = "session_2026-01-01_00-00-00_000000_1234567"
    assert len(str(deep.runtime_dir / "ray" / session / "sockets/plasma_store")) <= 107


def test_the_runtime_directory_is_for_its_owner_only(installation: Installation) -> None:
    path = installation.make_runtime_dir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_runtime_directory_is_refused(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    installation.runtime_dir.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(Refusal, match="not a directory of yours"):
            installation.make_runtime_dir()
        installation.remove_runtime_dir()
        assert (tmp_path / "elsewhere/kept").exists()
    finally:
        installation.runtime_dir.unlink()


def test_rays_logs_outlive_the_runtime_directory(installation: Installation) -> None:
    session = installation.make_runtime_dir() / "ray/session_1"
    (session / "logs").mkdir(parents=True)
    (session / "logs/raylet.err").write_text("why")
    (installation.runtime_dir / "ray/session_latest").symlink_to(session)
    installation.remove_runtime_dir()
    assert not installation.runtime_dir.exists()
    assert (installation.logs_dir / "ray/raylet.err").read_text() == "why"
