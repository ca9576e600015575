"""`parlor logs`: every line of every process, as JSON, in the order of time, and only what is asked for."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parlor_cli import launcher_log, logs
from parlor_cli.commands import app
from parlor_cli.installation import Installation, RunFile
from parlor_cli.logs import Logs, Wanted
from parlor_cli.processes import boot_id, reference
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

ROOM = "01a227e8-5da0-8028-a0b6-53339bcf8ac0"
run = CliRunner()


def at(second: int) -> str:
    return f"2026-11-29T15:24:{second:02}.000000Z"


def line(second: int, event: str, level: str = "info", **fields: object) -> str:
    return json.dumps({**fields, "event": event, "level": level, "timestamp": at(second)}) + "\n"


class Session:
    """The log files of a session of Ray: live ones, or those that a stop has kept."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, shown: str, *lines: str, ending: str = ".err") -> Path:
        path = self._directory / f"worker-{name}-01000000-7{ending}"
        with path.open("a", encoding="utf-8") as file:
            file.write("".join([f":job_id:01000000\n:actor_name:{shown}\n" if shown else "", *lines]))
        return path


@pytest.fixture
def kept(home: Installation) -> Session:
    return Session(home.logs_dir / "ray")


@pytest.fixture
def live(home: Installation) -> Session:
    session = Session(home.make_runtime_dir() / "ray/session_1/logs")
    (home.runtime_dir / "ray/session_latest").symlink_to("session_1")
    home.write_run(RunFile(boot_id(), reference(os.getpid()), str(home.runtime_dir), 0, ready=True))
    return session


def printed(home: Installation, *options: str) -> list[dict[str, Any]]:
    result = run.invoke(app, ["logs", "--data-dir", str(home.data_dir), *options])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_lines_of_all_actors_are_merged_in_the_order_of_time(home: Installation, kept: Session) -> None:
    kept.write("a", "RoomActor\n:actor_name:RoomActor(rooms-000)", line(1, "one"), line(3, "three"))
    kept.write("b", "ServeReplica:parlor:ChatApi", line(2, "two", request_id="r1"))
    kept.write("c", "Supervisor", line(4, "four"))
    kept.write("d", "ShardWriter(writer-shard1-0)", line(0, "none", actor="its own"))
    kept.write("e", "ShardWriter(writer-shard1-1, 16 partitions of shard 1)", line(5, "five"))
    kept.write("f", "RoomActor(rooms-003, 214 rooms, 3 replies)", line(6, "six"))
    found = [(entry["event"], entry["actor"]) for entry in printed(home)]
    assert found == [
        ("none", "its own"),
        ("one", "rooms-000"),
        ("two", "ChatApi"),
        ("three", "rooms-000"),
        ("four", "supervisor"),
        ("five", "writer-shard1-1"),
        ("six", "rooms-003"),
    ]


def test_what_is_no_json_becomes_json(home: Installation, kept: Session) -> None:
    kept.write(
        "a",
        "RoomActor(rooms-000)",
        line(1, "before", room_id=ROOM),
        "Traceback (most recent call last):\n",
        '  File "x.py", line 1\n',
        f"ValueError: {ROOM} \x1b[31mred\x1b[0m\n",
        "\n",
        "WARNING 2026-11-29 15:24:09,500 serve 1 -- slow\n",
    )
    found = printed(home)
    assert [(entry["level"], entry["event"]) for entry in found] == [
        ("info", "before"),
        ("error", "Traceback (most recent call last):"),
        ("error", '  File "x.py", line 1'),
        ("error", f"ValueError: {ROOM} red"),
        ("warning", "WARNING 2026-11-29 15:24:09,500 serve 1 -- slow"),
    ]
    assert [entry["timestamp"] for entry in found[:4]] == [at(1)] * 4
    assert found[4]["timestamp"].endswith(":09.500000Z")
    assert all(entry["actor"] == "rooms-000" for entry in found)


def test_the_launchers_log_is_among_them(home: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    launcher_log.log("WARNING", "redis: appendonly is 'no'")
    launcher_log.log_failure(Refusal("the port is taken"))
    home.logs_dir.mkdir()
    (home.logs_dir / "launcher.log").write_text(capsys.readouterr().err)
    found = [(entry["actor"], entry["level"], entry["event"]) for entry in printed(home)]
    assert found[0] == ("launcher", "warning", "redis: appendonly is 'no'")
    assert found[1] == ("launcher", "error", "Refusal: the port is taken")
    assert found[-1] == ("launcher", "error", "parlor_cli.refusal.Refusal: the port is taken")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["a", "b", "c", "d", "e"]),
        (["--actor", "rooms-000"], ["a", "b"]),
        (["--actor", "rooms"], ["a", "b"]),
        (["--actor", "writer"], ["c", "e"]),
        (["--actor", "nobody"], []),
        (["--room", ROOM], ["b", "c"]),
        (["--request", "r1"], ["d", "e"]),
        (["--request", "r2"], ["e"]),
        (["--request", "r"], []),
        (["--level", "debug"], ["a", "b", "c", "d", "e"]),
        (["--level", "warning"], ["b", "c", "e"]),
        (["--level", "error"], ["c"]),
        (["--level", "critical"], []),
        (["--room", ROOM, "--actor", "writer", "--level", "error"], ["c"]),
        (["--room", ROOM, "--request", "r1"], []),
    ],
)
def test_only_what_is_asked_for_is_printed(
    home: Installation, kept: Session, options: list[str], expected: list[str]
) -> None:
    kept.write("a", "RoomActor(rooms-000)", line(1, "a"), line(2, "b", "warning", room_id=ROOM))
    kept.write("b", "ShardWriter(writer-shard1-0)", line(3, "c", "error", room_id=ROOM))
    kept.write("c", "ServeReplica:parlor:ChatApi", line(4, "d", request_id="r1"))
    kept.write("d", "ShardWriter(writer-shard1-0)", line(5, "e", "warning", request_ids=["r1", "r2"]))
    assert [entry["event"] for entry in printed(home, *options)] == expected


def test_an_unknown_level_is_refused_with_the_known_ones(home: Installation) -> None:
    result = run.invoke(app, ["logs", "--level", "loud", "--data-dir", str(home.data_dir)])
    assert result.exit_code == 2
    assert "critical" in result.output


def test_a_running_installations_files_are_those_of_its_session(
    home: Installation, live: Session, kept: Session
) -> None:
    kept.write("a", "Supervisor", line(1, "of the last session"))
    live.write("a", "Supervisor", line(2, "live"))
    assert [entry["event"] for entry in printed(home)] == ["live"]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(home: Installation, live: Session) -> None:
    whole = line(1, "first")
    live.write("a", "Supervisor", whole[:20])
    found = Logs(home)
    assert list(found.read()) == []
    live.write("a", "", whole[20:], line(2, "second"))
    assert [entry.fields["event"] for entry in found.read()] == ["first", "second"]
    assert list(found.read()) == []
    found.close()


def test_new_actors_and_full_files_are_followed(home: Installation, live: Session) -> None:
    path = live.write("a", "RoomActor(rooms-000)", line(1, "one"))
    found = Logs(home)
    assert [entry.fields["event"] for entry in found.read()] == ["one"]
    live.write("a", "", line(2, "two"))
    path.rename(path.with_name(f"{path.name}.1"))
    live.write("a", "RoomActor(rooms-000)", line(3, "three"))
    live.write("b", "RoomActor(rooms-001)", line(4, "four"))
    entries = [(entry.fields["event"], entry.fields["actor"]) for entry in found.read()]
    assert entries == [("two", "rooms-000"), ("three", "rooms-000"), ("four", "rooms-001")]
    found.close()


def test_following_ends_with_the_installation_and_misses_nothing(
    home: Installation, live: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    live.write("a", "Supervisor", line(1, "one"))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            live.write("a", "", line(2, "two"))
        if len(pauses) == 2:
            # As a stop does it: the last lines, then the files move, then the run file goes.
            live.write("a", "", line(3, "three"), line(4, "without its end").rstrip())
            home.remove_runtime_dir()
            home.clear_run()

    monkeypatch.setattr(time, "sleep", pause)
    logs.show(home.data_dir, Wanted(), follow=True)
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["one", "two", "three", "without its end"]


def test_following_what_does_not_run_prints_what_there_is(home: Installation, kept: Session) -> None:
    kept.write("a", "Supervisor", line(1, "one"))
    assert [entry["event"] for entry in printed(home, "-f")] == ["one"]


def test_without_an_installation_there_are_no_logs(tmp_path: Path) -> None:
    result = run.invoke(app, ["logs", "--data-dir", str(tmp_path / "typo")])
    assert isinstance(result.exception, Refusal)


def test_the_logs_of_a_cluster_are_on_its_nodes(home: Installation) -> None:
    home.write_run(RunFile(boot_id(), reference(os.getpid()), "", 0, ray_address="10.0.0.1:6379", private_ray=False))
    result = run.invoke(app, ["logs", "--data-dir", str(home.data_dir)])
    assert isinstance(result.exception, Refusal)
    assert "10.0.0.1:6379" in result.exception.message
