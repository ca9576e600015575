"""Which rooms get an actor of their own, and which give it back."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from parlor.model.ids import RoomId
from parlor.rooms.own_actors import (
    BUSY_PAUSE_SECONDS,
    BUSY_SECONDS,
    CONVERSATION,
    EMPTY_SECONDS,
    PAUSE_SECONDS,
    SETTLED_SECONDS,
    START_SECONDS,
    most_own_actors,
    name_of,
)
from parlor.rooms.pool import RoomPool
from parlor.settings import RoomSettings
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

SHARED = "rooms-000"
A, B, C = (RoomId(name) for name in "abc")
NOWHERE: frozenset[str] = frozenset()


class Pool:
    """One actor that all rooms share, and space for ``limit`` of their own."""

    def __init__(self, limit: int = 2) -> None:
        self.clock = FakeClock()
        self.pool = RoomPool(RoomSettings(actors_min=1, actors_max=1), self.clock, limit)
        self.pool.add(SHARED)
        self.pool.answered(SHARED, "node", [])
        self.served: dict[RoomId, int] = {}

    def report(self, seconds: int = 1, **commands: int) -> None:
        """The shared actor's, each second: what its rooms have served by then."""
        new = [room for room in map(RoomId, commands) if room not in self.served]
        self.pool.answered(SHARED, "node", [*self.served, *new], [*self.served.values(), *(0 for _ in new)])
        for room, count in commands.items():
            self.served[RoomId(room)] = self.served.get(RoomId(room), 0) + count
        for room in self.served:
            self.pool.place(room)
        for _ in range(seconds):
            self.clock.ms += 1000
            self.pool.answered(SHARED, "node", list(self.served), list(self.served.values()))

    def graduate(self, room: RoomId) -> str:
        """Its own actor is made, answers, and gets the room."""
        own = self.pool.next_own()
        assert own == name_of(room)
        self.pool.add(own)
        self.pool.answered(own, "node", [])
        assert (room, SHARED, own) in self.pool.to_move()
        self.pool.move(room, own)
        del self.served[room]
        self.pool.answered(own, "node", [room], [0])
        return own


def test_a_look_is_no_conversation() -> None:
    found = Pool()
    found.report(a=CONVERSATION - 1)
    assert found.pool.next_own() is None
    found.report(a=1)
    assert found.pool.next_own() == "room-a"


def test_the_busiest_first_and_one_start_at_a_time() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=50, c=20)
    assert found.pool.next_own() == "room-b"
    found.pool.add("room-b")
    assert found.pool.next_own() is None, "one is being started"
    found.clock.ms += int(PAUSE_SECONDS * 1000)
    assert found.pool.next_own() is None, "it takes long"
    found.pool.answered("room-b", "node", [])
    assert found.pool.next_own() == "room-c"


def test_a_longer_pause_while_the_processors_are_busy() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=50)
    assert found.pool.next_own(busy=True) == name_of(B), "the first one at once"
    found.graduate(B)
    found.clock.ms += int(BUSY_PAUSE_SECONDS * 1000) - 1
    assert found.pool.next_own(busy=True) is None
    assert found.pool.next_own() == name_of(A)
    found.clock.ms += 1
    assert found.pool.next_own(busy=True) == name_of(A)


def test_busy_processors_have_no_actor_for_a_room_that_makes_little_of_the_load() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=200)
    assert found.pool.next_own(busy=True) == name_of(B)
    found.graduate(B)
    found.clock.ms += int(BUSY_PAUSE_SECONDS * 1000)
    assert found.pool.next_own(busy=True) is None, "for the other one"
    found.clock.ms += int(BUSY_PAUSE_SECONDS * 1000) - 1
    assert found.pool.next_own() is None, "nor just after it"
    found.clock.ms += 1
    assert found.pool.next_own() == name_of(A)


def test_rooms_that_make_little_of_the_load_share_again_while_the_processors_are_busy() -> None:
    found = Pool(limit=3)
    found.report(a=CONVERSATION, b=200, c=CONVERSATION + 1)
    for room in (B, C, A):
        found.graduate(room)
        found.clock.ms += int(PAUSE_SECONDS * 1000)
    found.clock.ms += int(SETTLED_SECONDS * 1000)
    assert found.pool.next_own(busy=True) is None
    found.clock.ms += int(BUSY_SECONDS * 1000) - 1
    assert found.pool.let_go(NOWHERE) == []
    found.clock.ms += 1
    assert {*found.pool.let_go(NOWHERE), *found.pool.let_go(NOWHERE)} == {name_of(A), name_of(C)}, "one at a time"
    assert found.pool.let_go(NOWHERE) == [], "the room that makes most of the load stays"


def test_a_room_that_has_just_moved_is_not_judged_by_what_it_has_made_there() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=200)
    for room in (B, A):
        found.graduate(room)
        found.clock.ms += int(PAUSE_SECONDS * 1000)
    found.pool.next_own(busy=True)
    found.clock.ms += int(BUSY_SECONDS * 1000)
    assert found.pool.let_go(NOWHERE) == []
    found.clock.ms += int(SETTLED_SECONDS * 1000)
    assert found.pool.let_go(NOWHERE) == [name_of(A)]


def test_what_a_room_has_served_before_it_was_known_says_little_of_today() -> None:
    """The Supervisor was started anew, or an actor that was told to leave answers late."""
    found = Pool(limit=3)
    found.pool.answered(SHARED, "node", [C], [100_000])
    found.served[C] = 100_000
    found.report(a=CONVERSATION + 1)
    assert found.pool.next_own() == name_of(A)


def test_an_actor_that_was_told_to_leave_says_nothing_more() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=200)
    own = found.graduate(B)
    found.pool.dismiss(own)
    found.pool.answered(own, "node", [B], [100_000])
    found.clock.ms += int(PAUSE_SECONDS * 1000)
    assert found.pool.next_own() == name_of(A)


def test_processors_that_were_busy_for_a_moment_end_nothing() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=200)
    for room in (B, A):
        found.graduate(room)
        found.clock.ms += int(PAUSE_SECONDS * 1000)
    found.pool.next_own(busy=True)
    found.clock.ms += int(BUSY_SECONDS * 1000) - 1
    found.pool.next_own(busy=False)
    found.clock.ms += int(BUSY_SECONDS * 1000)
    found.pool.next_own(busy=True)
    assert found.pool.let_go(NOWHERE) == []


def test_a_pause_between_two_starts() -> None:
    found = Pool()
    found.report(a=CONVERSATION, b=50)
    found.graduate(B)
    found.clock.ms += int(PAUSE_SECONDS * 1000) - 1
    assert found.pool.next_own() is None
    found.clock.ms += 1
    assert found.pool.next_own() == "room-a"


def test_what_was_busy_long_ago_counts_for_little() -> None:
    found = Pool()
    found.report(a=100)
    found.report(seconds=120, b=CONVERSATION)
    found.report(b=1)
    assert found.pool.next_own() == "room-b"


def test_a_room_stays_where_it_is_until_it_was_given_away() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    own = found.pool.next_own()
    assert own is not None
    found.pool.add(own)
    found.pool.answered(own, "node", [])
    assert found.pool.place(A) == SHARED
    assert found.pool.to_move() == [(A, SHARED, own)]
    found.pool.move(A, own)
    assert (found.pool.place(A), found.pool.to_move()) == (own, [])


def test_an_own_actor_takes_no_other_room_and_does_not_count_for_the_pool() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    own = found.graduate(A)
    assert {found.pool.place(RoomId(f"{n}")) for n in range(9)} == {SHARED}
    assert found.pool.answering == [SHARED]
    assert found.pool.lacking(NOWHERE) == 0
    found.pool.silent(SHARED)
    assert found.pool.answering == []
    assert found.pool.place(A) == own


def test_no_more_than_there_is_space_for() -> None:
    found = Pool(limit=1)
    found.report(a=20, b=20)
    found.graduate(A)
    found.report(b=1)
    assert found.pool.next_own() is None
    assert Pool(limit=0).pool.next_own() is None


def test_the_settings_say_how_many_or_the_machine_does() -> None:
    assert most_own_actors(RoomSettings(own_actors=0)) == 0
    assert most_own_actors(RoomSettings(own_actors=3)) == 3
    assert most_own_actors(RoomSettings()) <= 8 * (os.cpu_count() or 1)


def test_an_idle_room_gives_its_actor_back() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    own = found.graduate(A)
    assert found.pool.let_go(NOWHERE) == []
    found.pool.answered(own, "node", [])
    found.clock.ms += int(EMPTY_SECONDS * 1000) - 1
    assert found.pool.let_go(NOWHERE) == []
    found.clock.ms += 1
    assert found.pool.let_go(NOWHERE) == [own]
    assert found.pool.place(A) == SHARED
    assert found.pool.names == {SHARED, own}, "until it has ended"
    found.pool.remove(own)
    assert found.pool.names == {SHARED}


def test_a_much_busier_room_takes_the_place_of_the_quietest() -> None:
    found = Pool(limit=1)
    found.report(a=CONVERSATION)
    own = found.graduate(A)
    found.report(b=CONVERSATION)
    assert found.pool.let_go(NOWHERE) == [], "as busy as the other"
    found.report(b=200)
    assert found.pool.let_go(NOWHERE) == [own]
    found.report(seconds=int(PAUSE_SECONDS))
    assert found.pool.next_own() == "room-b"


def test_a_room_whose_own_actor_dies_is_served_by_others_and_moves_back() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    own = found.graduate(A)
    found.pool.silent(own)
    assert found.pool.place(A) == SHARED
    assert found.pool.to_move() == []
    assert found.pool.next_own() is None
    found.pool.answered(own, "node", [])
    assert found.pool.to_move() == [(A, SHARED, own)]
    found.pool.move(A, own)
    assert found.pool.place(A, own) == SHARED, "unless it is to be avoided"


def test_an_actor_that_does_not_start_is_given_up() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    found.pool.add("room-a")
    found.clock.ms += int(START_SECONDS * 1000) - 1
    assert found.pool.let_go(NOWHERE) == []
    found.clock.ms += 1
    assert found.pool.let_go(NOWHERE) == ["room-a"]
    assert found.pool.next_own() is None, "its name is taken until it has ended"


def test_own_actors_leave_a_draining_node() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    own = found.graduate(A)
    found.pool.answered(own, "going", [A], [0])
    assert found.pool.let_go({"going"}) == [own]


def test_a_room_that_is_gone_is_forgotten() -> None:
    found = Pool()
    found.report(a=CONVERSATION)
    found.served.clear()
    found.report()
    assert found.pool.next_own() is None


@pytest.mark.parametrize("leaves", [RoomPool.silent, RoomPool.remove])
def test_rooms_of_an_actor_that_has_gone_are_no_conversations(leaves: Callable[[RoomPool, str], None]) -> None:
    """Otherwise actors would be made for them again and again, and nobody would ask for the rooms."""
    found = Pool()
    found.report(a=CONVERSATION)
    leaves(found.pool, SHARED)
    assert found.pool.next_own() is None
