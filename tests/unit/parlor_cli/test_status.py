"""The status: whether it is ready now, the sign-in link, the backlog of each shard."""

from __future__ import annotations

import json
import os
import re
import socket

import pytest
from msgspec import structs

from actors.contracts import InstallationStatus, QueueStatus
from parlor_cli import sign_in, status
from parlor_cli.installation import Installation, RunFile
from parlor_cli.options import effective
from parlor_cli.processes import boot_id, reference
from parlor_cli.readiness import Readiness, readiness
from parlor_cli.refusal import Refusal
from parlor_cli.status import with_lag
from parlor_cli.tables import print_report
from tests.unit.parlor_cli.json_server import serving

pytestmark = pytest.mark.unit

CODE = f"17-{'a' * 32}"
STATUS = InstallationStatus(
    "parlor",
    [],
    [
        QueueStatus(0, 1, 3, 2.5, 0, stored=70),
        QueueStatus(1, 2, 0, 0.0, 4, stored=None),
        QueueStatus(2, 1, 4, 7.25, 1, stored=7),
    ],
    {"cache": "ok"},
)


def test_a_shard_is_as_far_behind_as_its_partitions_together() -> None:
    assert with_lag(STATUS)["shards"] == [
        {"shard": 1, "partitions": 2, "lag_entries": 7, "lag_seconds": 7.25, "dead_letters": 1, "stored": 77},
        {"shard": 2, "partitions": 1, "lag_entries": 0, "lag_seconds": 0.0, "dead_letters": 4, "stored": 0},
    ]


def test_lag_and_dead_letters_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(with_lag(STATUS))
    lines = capsys.readouterr().out.splitlines()
    assert "queues: 3 partitions, 0 of them empty" in lines
    shards = lines[lines.index(next(line for line in lines if line.startswith("shards"))) :]
    assert [line.split() for line in shards[2:4]] == [
        ["1", "2", "7", "7.2", "1", "77"],
        ["2", "1", "0", "0.0", "4", "0"],
    ]


def test_clusters_are_told_where_there_are_two(capsys: pytest.CaptureFixture[str]) -> None:
    alone = structs.replace(STATUS, clusters={"blue": "this one"})
    assert "clusters" not in with_lag(alone)
    print_report(with_lag(structs.replace(STATUS, clusters={"blue": "this one", "green": "lives"})))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["blue", "this", "one"] in lines
    assert ["green", "lives"] in lines


def test_without_queues_there_are_no_shards() -> None:
    status = InstallationStatus("parlor", [], [], {"cache": "no answer"})
    assert with_lag(status)["shards"] == []


# Ready is what /readyz says now


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (200, b"{}", Readiness(True, "")),
        (503, b'{"detail": "cache: no answer"}', Readiness(False, "cache: no answer")),
        (503, b"<html>", Readiness(False, "HTTP 503")),
        (404, b'{"other": 1}', Readiness(False, "HTTP 404")),
    ],
)
def test_readiness_is_the_answer_of_readyz(code: int, body: bytes, expected: Readiness) -> None:
    with serving(code, body) as url:
        assert readiness(url) == expected


def test_without_an_answer_it_is_not_ready() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = readiness(f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert not found.ready
    assert found.reason.startswith("no answer: ")


@pytest.fixture
def started(home: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation that runs, by its files, and whose actors answer."""
    home.write_run(RunFile(boot_id(), reference(os.getpid()), "", 0, ready=True, url="http://127.0.0.1:1"))
    home.write_settings(effective(home, {}).dump_secrets())
    monkeypatch.setattr(status, "readiness", lambda _url: Readiness(False, "cache: no answer"))
    monkeypatch.setattr(status, "ask_actors", lambda *_: STATUS)
    return home


def test_ready_is_not_what_the_start_wrote_down(started: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.show(started.data_dir, as_json=True, wide=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["running"], found["ready"], found["not_ready"]) == (True, False, "cache: no answer")
    assert found["services"] == {"cache": "ok"}


def test_the_sign_in_link_is_for_people(
    started: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sign_in, "ask_with", lambda *_: CODE)
    assert status.show(started.data_dir, as_json=False, wide=False) == 0
    line = re.search(r"^sign in: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert line is not None
    assert line[1].startswith(f"http://127.0.0.1:1/#code={CODE}  signs ada in, once, within 60 s; ")
    assert line[1].endswith(f"parlor sign-in --data-dir {started.data_dir}")
    assert status.show(started.data_dir, as_json=True, wide=False) == 0
    assert CODE not in capsys.readouterr().out


def test_without_redis_it_says_how_to_sign_in_later(
    started: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(*_: object) -> str:
        raise Refusal("Redis at unix:///x cannot be used")

    monkeypatch.setattr(sign_in, "ask_with", silent)
    assert status.show(started.data_dir, as_json=False, wide=False) == 0
    printed = capsys.readouterr().out
    assert f"parlor sign-in --data-dir {started.data_dir} (Redis at unix:///x cannot be used)" in printed


@pytest.mark.parametrize("as_json", [False, True])
def test_actors_that_do_not_answer_hide_nothing_else(
    started: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    def silent(*_: object) -> InstallationStatus:
        raise Refusal("the actors do not answer: they hang")

    monkeypatch.setattr(status, "ask_actors", silent)
    assert status.show(started.data_dir, as_json=as_json, wide=False) == 1
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("cache: no answer", "launcher", "the actors do not answer: they hang"))


def test_a_start_under_way_is_not_ready(started: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    started.write_run(RunFile(boot_id(), reference(os.getpid()), "", 0))
    assert status.show(started.data_dir, as_json=True, wide=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ready"], found["not_ready"]) == (False, "it is starting")
