"""`parlor top`: what it makes of two reports of the actors, and how it shows that."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import msgspec
import pytest
from rich.console import Console

from actors.contracts import ActorStatus, InstallationStatus, QueueStatus
from parlor_cli import top
from parlor_cli.installation import Installation
from parlor_cli.refusal import Refusal
from parlor_cli.top import ActorRow, Look, Picture, drawing, follow, look_once, picture

pytestmark = pytest.mark.unit

ROOMS = ActorStatus(
    "rooms-000", "RoomActor", 10, "node-aaaaaaaa", True, rooms=["a", "b"], replies=1, sends=40, replied=8
)
WRITER = ActorStatus("writer-shard1-0", "ShardWriter", 11, "node-aaaaaaaa", True, partitions=[0, 1], committed=100)
MACHINE = ActorStatus("state-machine", "StateMachine", 12, "node-aaaaaaaa", True)
QUEUES = [QueueStatus(0, 1, 3, 2.5, 0), QueueStatus(1, 1, 4, 0.5, 2), QueueStatus(2, 2, 9, 7.25, 1)]


def status(*actors: ActorStatus, **services: str) -> InstallationStatus:
    return InstallationStatus("parlor", list(actors), QUEUES, {"cache": "ok", **services})


def after(seconds: float, *later: ActorStatus, before: tuple[ActorStatus, ...] = (ROOMS, WRITER, MACHINE)) -> Picture:
    return picture(Look(100.0 + seconds, status(*later)), Look(100.0, status(*before)))


def row(found: Picture, name: str) -> ActorRow:
    return next(actor for actor in found.actors if actor.name == name)


def change(actor: ActorStatus, **fields: object) -> ActorStatus:
    return msgspec.structs.replace(actor, **fields)


def test_rates_are_the_difference_of_two_looks() -> None:
    found = after(2.0, change(ROOMS, sends=45, replied=9), change(WRITER, committed=130), MACHINE)
    assert (found.sends_per_second, found.replies_per_second, found.stored_per_second) == (2.5, 0.5, 15.0)
    assert row(found, "rooms-000").sends_per_second == 2.5
    assert row(found, "writer-shard1-0").stored_per_second == 15.0


def test_rates_of_all_actors_are_added() -> None:
    other = change(ROOMS, name="rooms-001", pid=20, sends=0)
    found = after(1.0, change(ROOMS, sends=43), change(other, sends=4), before=(ROOMS, other))
    assert found.sends_per_second == 7.0
    assert (found.rooms, found.replies) == (4, 2)


def test_a_new_process_counts_from_nothing() -> None:
    found = after(2.0, change(ROOMS, pid=99, sends=6))
    assert found.sends_per_second == 3.0


def test_what_was_not_there_before_has_no_rate_yet() -> None:
    assert after(2.0, change(ROOMS, name="rooms-007")).sends_per_second is None
    first = picture(Look(1.0, status(ROOMS, WRITER)), None)
    assert (first.sends_per_second, first.stored_per_second) == (None, None)
    assert (first.rooms, first.replies) == (2, 1)


def test_a_writer_lags_by_what_it_holds_and_the_installation_by_everything() -> None:
    found = after(1.0, WRITER)
    writer = row(found, "writer-shard1-0")
    assert (writer.partitions, writer.lag_entries, writer.lag_seconds) == (2, 7, 2.5)
    assert (found.lag_entries, found.lag_seconds, found.dead_letters) == (16, 7.25, 3)


def test_an_actor_has_the_columns_of_its_kind() -> None:
    found = after(1.0, ROOMS, WRITER, MACHINE)
    assert row(found, "rooms-000").partitions is None
    assert row(found, "writer-shard1-0").rooms is None
    assert row(found, "state-machine") == ActorRow("state-machine", 12, "node-aaaaaaaa", "ok")


@pytest.mark.parametrize(
    ("actor", "state"),
    [
        (ROOMS, "ok"),
        (change(ROOMS, leaving=True), "leaving"),
        (change(ROOMS, started=False), "starting"),
        (change(ROOMS, alive=False), "silent"),
        (change(ROOMS, alive=False, pid=0), "waits for a node"),
        (change(WRITER, trouble="partition 3: lease-lost"), "partition 3: lease-lost"),
    ],
)
def test_a_state_says_what_is_wrong(actor: ActorStatus, state: str) -> None:
    assert picture(Look(1.0, status(actor)), None).actors[0].state == state


def drawn(found: Picture, width: int = 100) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False, soft_wrap=True).print(drawing(found))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_what_is_wrong_stands_above_the_busiest() -> None:
    idle, busy, silent = (change(ROOMS, name=f"rooms-00{number}", pid=number + 1) for number in range(3))
    found = after(1.0, idle, change(busy, sends=50), change(silent, alive=False), before=(idle, busy, silent))
    names = [line.split()[0] for line in drawn(found)[2:]]
    assert names == ["rooms-002", "rooms-001", "rooms-000"]


def test_the_totals_and_what_does_not_answer_stand_at_the_top() -> None:
    found = picture(Look(2.0, status(ROOMS, cache="no answer")), Look(1.0, status(ROOMS)))
    first, second, *_ = drawn(found)
    assert first == ("2 rooms · 0.0 sends/s · 1 replies now, 0.0/s · - stored/s · lag 16 in 7.2 s · 3 dead letters")
    assert second == "cache: no answer"


def test_every_line_fits_a_terminal() -> None:
    found = after(1.0, change(ROOMS, name=f"room-{'0' * 30}", sends=99999), WRITER, change(MACHINE, pid=4194304))
    assert max(map(len, drawn(found, width=100))) <= 100


@pytest.mark.parametrize("width", [80, 100])
def test_a_room_with_an_actor_of_its_own_takes_no_column_away(width: int) -> None:
    own = change(ROOMS, name="room-01a22e99-9272-803e-9e3f-e0b70182a02d", pid=4194304)
    writer = change(WRITER, pid=4194303, committed=12900)
    _, header, *lines = drawn(after(1.0, own, writer, change(MACHINE, pid=4194302)), width)
    assert " ".join(header.split()) == "actor pid rooms sends/s replies parts stored/s lag lag s state"
    cells = {line.split()[0]: line.split()[1:] for line in lines}
    assert cells["writer-shard1-0"] == ["4194303", "2", "12900.0", "7", "2.5", "ok"]
    (name,) = [name for name in cells if name.startswith("room-01")]
    assert name.endswith("82a02d")
    assert max(map(len, lines)) <= width


def test_nodes_are_named_where_there_are_several() -> None:
    _, header, *lines = drawn(after(1.0, ROOMS, change(WRITER, node="node-bbbbbbbb")))
    assert header.split()[:3] == ["actor", "pid", "node"]
    nodes = {line.split()[0]: line.split()[2] for line in lines}
    assert nodes == {"rooms-000": "aaaaaaaa", "writer-shard1-0": "bbbbbbbb"}


class Reports:
    """The actors, as they answer one after the other."""

    def __init__(self, *answers: InstallationStatus | Refusal) -> None:
        self._answers: Iterator[InstallationStatus | Refusal] = iter(answers)

    def __call__(self) -> InstallationStatus:
        answer = next(self._answers)
        if isinstance(answer, Refusal):
            raise answer
        return answer


def test_once_is_one_picture_of_one_interval(capsys: pytest.CaptureFixture[str]) -> None:
    slept: list[float] = []
    reports = Reports(status(ROOMS), status(change(ROOMS, sends=60)))
    look_once(reports, 2.0, as_json=True, sleep=slept.append)
    found = json.loads(capsys.readouterr().out)
    assert slept == [2.0]
    assert found["sends_per_second"] > 0
    assert found["actors"][0]["name"] == "rooms-000"


def test_once_is_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    look_once(Reports(status(ROOMS), status(ROOMS)), 1.0, as_json=False, sleep=lambda _: None)
    assert capsys.readouterr().out.startswith("2 rooms · 0.0 sends/s · ")


class Left(BaseException):
    """Ctrl-C."""


def leave_after(times: int) -> object:
    left = iter(range(times))

    def sleep(_seconds: float) -> None:
        if next(left, None) is None:
            raise Left

    return sleep


def test_it_goes_on_while_the_actors_do_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    reports = Reports(status(ROOMS), Refusal("the actors do not answer: died"), status(change(ROOMS, sends=90)))
    with pytest.raises(Left):
        follow(reports, 1.0, "here", sleep=leave_after(2))  # type: ignore[arg-type]  # it is what sleep is
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("2 rooms") for line in lines) == 2
    assert "here: the actors do not answer: died" in lines


def test_it_does_not_begin_without_an_answer() -> None:
    with pytest.raises(Refusal, match="the actors do not answer"):
        follow(Reports(Refusal("the actors do not answer")), 1.0, "here", sleep=lambda _: None)


def test_where_nothing_runs_it_says_so(home: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    assert top.show(home.data_dir, interval=1.0, once=True, as_json=False) == 3
    assert capsys.readouterr().out == f"nothing runs in {home.data_dir}\n"
