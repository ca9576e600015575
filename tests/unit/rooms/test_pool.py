"""The pool of RoomActors: which take rooms, how many it needs, and which leave."""

from __future__ import annotations

from datetime import timedelta

import pytest

from parlor.errors import Overloaded
from parlor.model.ids import RoomId
from parlor.rooms.pool import RoomPool
from parlor.settings import RoomSettings
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

SHRINK_AFTER = 600
NOWHERE: frozenset[str] = frozenset()


def pool_of(*, least: int = 2, most: int = 4, max_rooms: int = 10, spare: bool = False) -> tuple[RoomPool, FakeClock]:
    settings = RoomSettings(
        spare=spare,
        actors_min=least,
        actors_max=most,
        max_rooms_per_actor=max_rooms,
        shrink_after=timedelta(seconds=SHRINK_AFTER),
    )
    clock = FakeClock()
    return RoomPool(settings, clock), clock


def started(pool: RoomPool, **nodes: str) -> None:
    """Adds actors without rooms that have answered from these nodes."""
    for name, node in nodes.items():
        pool.add(name)
        pool.answered(name, node, [])


def room(number: int) -> RoomId:
    return RoomId(f"room-{number}")


def test_an_actor_that_has_not_answered_takes_no_room() -> None:
    pool, _ = pool_of()
    pool.add("a")
    with pytest.raises(Overloaded):
        pool.place(room(1))
    pool.add("b")
    pool.answered("b", "node", [])
    assert [pool.place(room(number)) for number in range(3)] == ["b", "b", "b"]
    pool.answered("a", "node", [])
    assert pool.place(room(9)) == "a", "the empty one first"


async def test_one_more_is_kept_as_a_spare_and_takes_over() -> None:
    pool, clock = pool_of(least=1, most=1, spare=True)
    assert pool.lacking(NOWHERE) == 2
    started(pool, a="n1", b="n1")
    assert [pool.place(room(number)) for number in range(3)] == ["a", "a", "a"]
    await clock.advance(2 * SHRINK_AFTER)
    assert (pool.lacking(NOWHERE), pool.let_go(NOWHERE)) == (0, [])
    pool.silent("a")
    assert [pool.place(room(number)) for number in range(3)] == ["b", "b", "b"]


def test_rooms_of_a_silent_actor_go_elsewhere_and_come_back_only_when_asked_for() -> None:
    pool, _ = pool_of()
    started(pool, a="n1", b="n2")
    assert pool.place(room(1)) == "a"
    pool.silent("a")
    assert pool.answering == ["b"]
    assert pool.place(room(1)) == "b"
    pool.answered("a", "n1", [room(1)])
    assert pool.place(room(1)) == "b", "what it still believes to hold is placed with another by now"


def test_one_actor_more_than_there_are_rooms_within_the_limits() -> None:
    pool, _ = pool_of(least=2, most=4)
    assert pool.lacking(NOWHERE) == 2
    started(pool, a="n", b="n")
    pool.place(room(1))
    assert pool.lacking(NOWHERE) == 0
    pool.place(room(2))
    assert pool.lacking(NOWHERE) == 1
    pool.add("c")
    assert pool.lacking(NOWHERE) == 0, "one that waits for a node is not asked for again"
    for number in range(3, 9):
        pool.place(room(number))
    assert pool.lacking(NOWHERE) == 1, "four at most"


def test_an_extra_actor_goes_after_it_was_empty_for_a_while() -> None:
    pool, clock = pool_of(least=1, most=4)
    started(pool, a="n", b="n")
    assert (pool.place(room(1)), pool.place(room(2))) == ("a", "b")
    clock.ms += SHRINK_AFTER * 1000
    assert pool.let_go(NOWHERE) == []
    pool.answered("a", "n", [room(1)])
    pool.answered("b", "n", [])
    clock.ms += SHRINK_AFTER * 1000 - 1
    assert pool.let_go(NOWHERE) == []
    clock.ms += 1
    assert pool.let_go(NOWHERE) == [], "one free actor is kept for the next room"
    pool.answered("a", "n", [])
    assert pool.let_go(NOWHERE) == ["b"]
    assert pool.answering == ["a"]
    clock.ms += SHRINK_AFTER * 1000
    assert pool.let_go(NOWHERE) == [], "the least number stays, however idle"


def test_a_leaving_actor_takes_no_rooms_and_keeps_its_name() -> None:
    pool, clock = pool_of(least=1)
    started(pool, a="n", b="n")
    clock.ms += SHRINK_AFTER * 1000
    assert pool.let_go(NOWHERE) == ["b"]
    pool.answered("b", "n", [])
    assert (pool.answering, pool.names) == (["a"], {"a", "b"})
    pool.remove("b")
    assert pool.names == {"a"}
    pool.add("b")
    pool.answered("b", "n", [])
    assert pool.answering == ["a", "b"]


def test_actors_that_still_wait_for_a_node_go_first_then_those_of_the_emptiest_node() -> None:
    pool, clock = pool_of(least=1, most=9)
    started(pool, a="n1", b="n1", c="n2")
    pool.add("d")
    clock.ms += SHRINK_AFTER * 1000
    assert pool.let_go(NOWHERE) == ["d", "c", "b"]


def test_who_goes_does_not_depend_on_who_was_empty_a_moment_earlier() -> None:
    pool, clock = pool_of(least=1)
    started(pool, r0="head", r1="added")
    pool.answered("r1", "added", [room(1)])
    clock.ms += 1000 * SHRINK_AFTER
    assert pool.let_go(NOWHERE) == [], "one more than there are rooms"
    pool.answered("r1", "added", [])
    assert pool.let_go(NOWHERE) == [], "not the old one: the new one's node is to become free"
    clock.ms += 1000 * SHRINK_AFTER
    assert pool.let_go(NOWHERE) == ["r1"]


def test_rooms_leave_a_draining_node_as_soon_as_another_actor_is_there() -> None:
    pool, _ = pool_of(least=2)
    started(pool, a="n1", b="n1")
    pool.place(room(1))
    draining = {"n1"}
    assert pool.let_go(draining) == [], "nobody else could take them"
    assert pool.place(room(2)) == "b", "until then they serve"
    assert pool.lacking(draining) == 3
    pool.add("c")
    assert pool.let_go(draining) == []
    pool.answered("c", "n2", [])
    assert pool.let_go(draining) == ["a", "b"]
    assert pool.place(room(1)) == "c"


def test_a_draining_node_does_not_make_the_pool_grow_without_end() -> None:
    pool, _ = pool_of(least=2)
    started(pool, a="n1", b="n1")
    assert pool.lacking({"n1"}) == 2
    pool.add("c")
    pool.add("d")
    assert pool.lacking({"n1"}) == 0


def test_an_unknown_actor_is_not_relied_on() -> None:
    pool, _ = pool_of()
    pool.answered("stranger", "n", [])
    pool.silent("stranger")
    assert pool.answering == []
