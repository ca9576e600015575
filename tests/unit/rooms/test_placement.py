"""The Supervisor's record of which actor each room lives on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from parlor.errors import Overloaded
from parlor.model.ids import RoomId
from parlor.rooms.placement import PlacementBook

pytestmark = pytest.mark.unit


def book_of(actors: int, max_rooms: int = 100, spares: int = 0) -> PlacementBook:
    book = PlacementBook(max_rooms, spares)
    for number in range(actors):
        book.add_actor(f"a{number}")
    return book


def room(number: int) -> RoomId:
    return RoomId(f"room-{number}")


def test_a_room_stays_where_it_is() -> None:
    book = book_of(3)
    place = book.place(room(1))
    assert all(book.place(room(1)) == place for _ in range(5))
    assert book.rooms_of(place) == 1


def test_a_room_gets_an_actor_to_itself_while_one_is_free() -> None:
    book = book_of(4)
    assert {book.place(room(n)) for n in range(4)} == {"a0", "a1", "a2", "a3"}


def test_past_that_rooms_share_the_least_loaded_first() -> None:
    book = book_of(3)
    for n in range(10):
        book.place(room(n))
    assert sorted(book.rooms_of(actor) for actor in book.actors) == [3, 3, 4]


def test_the_spare_takes_over_and_then_another_one_is_the_spare() -> None:
    book = book_of(2, spares=1)
    assert {book.place(room(n)) for n in range(5)} == {"a0"}
    book.remove_actor("a0")
    assert {book.place(room(n)) for n in range(5)} == {"a1"}
    book.add_actor("a0")
    assert {book.place(room(n)) for n in range(9)} == {"a1"}


def test_a_room_whose_actor_fails_goes_to_the_spare() -> None:
    book = book_of(2, spares=1)
    book.place(room(1))
    assert book.place(room(1), avoid="a0") == "a1"


def test_rooms_share_all_actors_but_the_spare_until_those_are_full() -> None:
    book = book_of(3, max_rooms=2, spares=1)
    assert [book.place(room(n)) for n in range(4)] == ["a0", "a1", "a0", "a1"]
    assert [book.place(room(n)) for n in range(4, 6)] == ["a2", "a2"]


def test_a_full_pool_is_overloaded() -> None:
    book = book_of(2, max_rooms=1)
    book.place(room(1))
    book.place(room(2))
    with pytest.raises(Overloaded) as refused:
        book.place(room(3))
    assert refused.value.retry_after is not None
    assert book.place(room(1)) == "a0"
    book.forget(room(1))
    assert book.place(room(3)) == "a0"


def test_without_actors_there_is_no_place() -> None:
    with pytest.raises(Overloaded):
        book_of(0).place(room(1))


def test_an_actor_that_failed_is_avoided_unless_it_is_the_only_one() -> None:
    book = book_of(2)
    assert book.place(room(1)) == "a0"
    assert book.place(room(1), avoid="a0") == "a1"
    assert book.rooms_of("a0") == 0
    assert book_of(1).place(room(1), avoid="a0") == "a0"


def test_a_room_that_fails_nowhere_else_does_not_lose_its_place() -> None:
    book = book_of(2, max_rooms=1)
    first, second = book.place(room(1)), book.place(room(2))
    assert book.place(room(1), avoid=first) == first
    assert book.place(room(2)) == second


def test_a_removed_actor_takes_its_rooms_places_with_it() -> None:
    book = book_of(2)
    place = book.place(room(1))
    book.remove_actor(place)
    book.remove_actor("never there")
    assert book.place(room(1)) != place


def test_what_an_actor_reports_is_noted_and_what_it_let_go_is_forgotten() -> None:
    book = book_of(2)
    book.place(room(1))
    book.reported("a0", [room(7)])
    assert book.place(room(7)) == "a0"
    assert book.rooms_of("a0") == 1
    assert book.place(room(1)) == "a1"


def test_a_report_does_not_take_a_room_from_its_place() -> None:
    book = book_of(2)
    assert book.place(room(1)) == "a0"
    book.reported("a1", [room(1)])
    assert book.place(room(1)) == "a0"
    assert book.rooms_of("a1") == 0


def test_a_report_of_an_actor_that_is_not_in_the_book_is_ignored() -> None:
    book = book_of(1)
    book.reported("stranger", [room(1)])
    assert book.place(room(1)) == "a0"


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 40))
def test_loads_differ_by_one_at_most(actors: int, most: int, rooms: int) -> None:
    book = book_of(actors, most)
    placed = 0
    for n in range(rooms):
        try:
            book.place(room(n))
        except Overloaded:
            break
        placed += 1
    loads = [book.rooms_of(actor) for actor in book.actors]
    assert placed == min(rooms, actors * most)
    assert max(loads) - min(loads) <= 1


class Books(RuleBasedStateMachine):
    """After any history of a pool, each room has one place, and no actor has more rooms than it may take."""

    MOST = 3

    def __init__(self) -> None:
        super().__init__()
        self.book = PlacementBook(self.MOST)
        self.placed: dict[RoomId, str] = {}

    @rule(number=st.integers(0, 3))
    def add(self, number: int) -> None:
        self.book.add_actor(f"a{number}")

    @precondition(lambda self: self.book.actors)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        actor = data.draw(st.sampled_from(self.book.actors))
        self.book.remove_actor(actor)
        self.placed = {known: at for known, at in self.placed.items() if at != actor}

    @rule(number=st.integers(0, 12), avoid=st.none() | st.integers(0, 3))
    def place(self, number: int, avoid: int | None) -> None:
        avoided = f"a{avoid}" if avoid is not None else None
        known = self.placed.get(room(number))
        free = [actor for actor in self.book.actors if self.book.rooms_of(actor) < self.MOST]
        try:
            place = self.book.place(room(number), avoided)
        except Overloaded:
            assert not free
            self.placed.pop(room(number), None)
            return
        if known is not None and known != avoided:
            assert place == known
        self.placed[room(number)] = place

    @rule(number=st.integers(0, 12))
    def forget(self, number: int) -> None:
        self.book.forget(room(number))
        self.placed.pop(room(number), None)

    @precondition(lambda self: self.book.actors)
    @rule(data=st.data(), keep=st.sets(st.integers(0, 12), max_size=3))
    def report(self, data: st.DataObject, keep: set[int]) -> None:
        actor = data.draw(st.sampled_from(self.book.actors))
        held = {room(number) for number in keep if self.placed.get(room(number)) == actor}
        self.book.reported(actor, held)
        self.placed = {known: at for known, at in self.placed.items() if at != actor or known in held}

    @invariant()
    def every_room_has_one_place(self) -> None:
        for actor in self.book.actors:
            assert self.book.rooms_of(actor) == sum(1 for at in self.placed.values() if at == actor)
            assert self.book.rooms_of(actor) <= self.MOST
        assert set(self.placed.values()) <= set(self.book.actors)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
