"""The tables of legal steps, against the drawing of them in the specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pytest

from parlor.model.states import (
    GONE,
    MESSAGE_TRANSITIONS,
    ROOM_TRANSITIONS,
    SENDABLE,
    MessageState,
    RoomState,
)

pytestmark = pytest.mark.unit

S = TypeVar("S", MessageState, RoomState)

MESSAGE_STEPS = """
COMPOSING PENDING, PENDING PROCESSING, PROCESSING SENT, SENT DELETING, DELETING DELETED,
COMPOSING DELETED, PENDING DELETED, PROCESSING DELETING
"""
ROOM_STEPS = """
CREATING PENDING, PENDING PROCESSING, PROCESSING ACTIVE, ACTIVE DELETING, DELETING DELETED,
CREATING DELETED, PENDING DELETING, PROCESSING DELETING
"""


def drawn(text: str) -> set[tuple[str, str]]:
    return {(a, b) for a, b in (step.split() for step in text.split(","))}


def steps(table: Mapping[S, frozenset[S]]) -> set[tuple[str, str]]:
    return {(str(a), str(b)) for a, bs in table.items() for b in bs}


def reachable(table: Mapping[S, frozenset[S]], start: S) -> set[S]:
    found, rest = {start}, [start]
    while rest:
        for state in table[rest.pop()] - found:
            found.add(state)
            rest.append(state)
    return found


def test_the_tables_are_those_of_the_design() -> None:
    assert steps(MESSAGE_TRANSITIONS) == drawn(MESSAGE_STEPS)
    assert steps(ROOM_TRANSITIONS) == drawn(ROOM_STEPS)


def test_every_state_has_its_row() -> None:
    assert set(MESSAGE_TRANSITIONS) == set(MessageState)
    assert set(ROOM_TRANSITIONS) == set(RoomState)


def test_every_state_is_reached_from_the_first_and_ends_deleted() -> None:
    assert reachable(MESSAGE_TRANSITIONS, MessageState.COMPOSING) == set(MessageState)
    assert reachable(ROOM_TRANSITIONS, RoomState.CREATING) == set(RoomState)
    assert all(MessageState.DELETED in reachable(MESSAGE_TRANSITIONS, state) for state in MessageState)
    assert all(RoomState.DELETED in reachable(ROOM_TRANSITIONS, state) for state in RoomState)


def test_nothing_comes_back_from_deletion() -> None:
    assert reachable(MESSAGE_TRANSITIONS, MessageState.DELETING) == {MessageState.DELETING, MessageState.DELETED}
    assert reachable(ROOM_TRANSITIONS, RoomState.DELETING) == GONE


def test_a_room_that_is_going_takes_no_message() -> None:
    assert not SENDABLE & GONE
    assert SENDABLE | GONE | {RoomState.CREATING} == set(RoomState)
