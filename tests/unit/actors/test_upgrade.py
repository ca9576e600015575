"""The roll of an upgrade: its order, where it stops, and that it goes on there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from actors.contracts import ActorsFailed, ActorStatus
from actors.replicas import KIND as REPLICA
from actors.upgrade import Done, Target, outdated, roll

pytestmark = pytest.mark.unit

OLD, NEW = "1+old", "2+new"
TARGET = Target(NEW, "settings")


def status(name: str, kind: str, version: str = OLD, *, settings: str = "settings", alive: bool = True) -> ActorStatus:
    return ActorStatus(name, kind, 7, "node", alive, version=version, settings=settings)


EVERYTHING = [
    status("ChatApi-a", REPLICA),
    status("rooms-000", "RoomActor"),
    status("room-a", "RoomActor"),
    status("writer-shard2-0", "ShardWriter"),
    status("writer-shard1-0", "ShardWriter"),
    status("state-machine", "StateMachine"),
    status("supervisor", "Supervisor"),
]
IN_ORDER = [
    "supervisor", "state-machine", "writer-shard1-0", "writer-shard2-0", "room-a", "rooms-000", "replicas",
]  # fmt: skip


class Fleet:
    """Processes that run the new version once they are replaced; ``fails`` does not start, ``stubborn`` runs the old
    one again."""

    def __init__(self, statuses: Sequence[ActorStatus]) -> None:
        self.found = {one.name: one for one in statuses}
        self.replaced: list[str] = []
        self.fails = self.stubborn = ""
        self.unannounced = 0

    def statuses(self) -> list[ActorStatus]:
        return list(self.found.values())

    def replicas(self) -> int:
        return self.unannounced + sum(one.kind == REPLICA for one in self.found.values())

    def restart_supervisor(self) -> None:
        self.renew("supervisor")

    def renew(self, name: str) -> ActorStatus | None:
        if name == self.fails:
            raise ActorsFailed(f"{name}: no module named x")
        if name not in self.found:
            return None
        self.replaced.append(name)
        one = self.found.pop(name)
        # The pool's successors have other names.
        successor = "rooms-001" if name == "rooms-000" else name
        version = OLD if name == self.stubborn else TARGET.version
        self.found[successor] = replace(one, name=successor, version=version, settings=TARGET.settings)
        return self.found[successor]

    def renew_replicas(self) -> None:
        self.unannounced = 0
        for name in [name for name, one in self.found.items() if one.kind == REPLICA]:
            self.renew(name)


def names(done: Sequence[Done]) -> list[str]:
    return [one.name for one in done]


def test_everything_is_replaced_in_order_and_reported() -> None:
    fleet, reported = Fleet(EVERYTHING), list[Done]()
    done = roll(fleet, TARGET, reported.append)
    assert done == reported
    assert names(done) == [name.replace("rooms-000", "rooms-001") for name in IN_ORDER]
    assert outdated(fleet.statuses(), TARGET) == []


def test_what_runs_it_already_is_left_alone_unless_all_are_asked_for() -> None:
    current = [replace(one, version=NEW) for one in EVERYTHING]
    assert roll(Fleet(current), TARGET, lambda _: None) == []
    fleet = Fleet(current)
    assert len(roll(fleet, TARGET, lambda _: None, every=True)) == len(EVERYTHING)
    assert len(fleet.replaced) == len(EVERYTHING)


def test_other_settings_are_replaced_like_another_version() -> None:
    fleet = Fleet([replace(one, version=NEW, settings="others") for one in EVERYTHING])
    assert len(roll(fleet, TARGET, lambda _: None)) == len(EVERYTHING)


@pytest.mark.parametrize("name", ["supervisor", "state-machine", "writer-shard2-0", "rooms-000"])
@pytest.mark.parametrize("how", ["fails", "stubborn"])
def test_a_failure_stops_the_roll_and_the_next_one_goes_on_there(name: str, how: str) -> None:
    fleet, reported = Fleet(EVERYTHING), list[Done]()
    setattr(fleet, how, name)
    with pytest.raises(ActorsFailed, match=name.replace("rooms-000", "rooms-00")):
        roll(fleet, TARGET, reported.append)
    before = IN_ORDER[: IN_ORDER.index(name)]
    assert names(reported) == before, "nothing after it is touched"
    setattr(fleet, how, "")
    roll(fleet, TARGET, reported.append)
    assert outdated(fleet.statuses(), TARGET) == []
    assert all(fleet.replaced.count(earlier) == 1 for earlier in before), "what was replaced is not again"


def test_replicas_that_do_not_say_what_they_run_are_replaced() -> None:
    fleet = Fleet([replace(one, version=NEW) for one in EVERYTHING if one.kind != REPLICA])
    fleet.unannounced = 2
    assert names(roll(fleet, TARGET, lambda _: None)) == ["replicas"]


def test_replicas_that_run_the_old_code_again_stop_the_roll() -> None:
    fleet = Fleet(EVERYTHING)
    fleet.stubborn = "ChatApi-a"
    with pytest.raises(ActorsFailed, match="not all of them"):
        roll(fleet, TARGET, lambda _: None)


def test_an_actor_that_does_not_run_begins_with_the_new_code_by_itself() -> None:
    fleet = Fleet([status("supervisor", "Supervisor", NEW), status("rooms-000", "RoomActor", "", alive=False)])
    assert roll(fleet, TARGET, lambda _: None) == []


def test_one_that_was_made_by_the_old_code_meanwhile_is_replaced_too() -> None:
    fleet = Fleet([status("supervisor", "Supervisor"), status("rooms-000", "RoomActor")])
    renew = fleet.renew

    def busy(name: str) -> ActorStatus | None:
        if name == "rooms-000":
            fleet.found["room-b"] = status("room-b", "RoomActor")
        return renew(name)

    fleet.renew = busy  # type: ignore[method-assign]
    assert names(roll(fleet, TARGET, lambda _: None)) == ["supervisor", "rooms-001", "room-b"]


def test_one_that_has_left_meanwhile_is_no_failure() -> None:
    fleet = Fleet([status("supervisor", "Supervisor"), status("room-a", "RoomActor")])
    restart = fleet.restart_supervisor

    def leaves() -> None:
        restart()
        del fleet.found["room-a"]

    fleet.restart_supervisor = leaves  # type: ignore[method-assign]
    assert names(roll(fleet, TARGET, lambda _: None)) == ["supervisor"]
