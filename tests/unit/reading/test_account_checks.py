"""No account reads another's room: the checked readers have no method that skips the check (I16)."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

from parlor.errors import RoomNotFound
from parlor.model.access import Session
from parlor.model.ids import AccountId
from parlor.reading.history import HistoryReader
from parlor.reading.internal import InternalHistory, InternalMemories
from parlor.reading.room_list import RoomDirectory
from parlor.reading.streams import EventStreams
from tests.unit.domain import Domain

pytestmark = pytest.mark.unit

CHECKED = (HistoryReader, RoomDirectory, EventStreams)
INTERNAL = (InternalHistory, InternalMemories)
ADA = AccountId("ada")
CREDENTIALS = {"account": AccountId, "session": Session}


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if callable(member) and not name.startswith("_")}


def unchecked(kind: type) -> list[str]:
    """Returns the public methods that can be called without an account."""
    found = []
    for name, method in public(kind).items():
        parameters, hints = inspect.signature(method).parameters, get_type_hints(method)
        if not any(
            each in parameters and parameters[each].default is inspect.Parameter.empty and hints[each] is wanted
            for each, wanted in CREDENTIALS.items()
        ):
            found.append(name)
    return found


@pytest.mark.parametrize("reader", CHECKED)
def test_every_method_of_a_checked_reader_requires_an_account(reader: type) -> None:
    assert public(reader)
    assert unchecked(reader) == []


@pytest.mark.parametrize("reader", INTERNAL)
def test_an_internal_reader_takes_no_account_so_nobody_mistakes_it_for_a_checked_one(reader: type) -> None:
    assert unchecked(reader) == list(public(reader))
    assert not any("account" in inspect.signature(method).parameters for method in public(reader).values())
    assert not issubclass(reader, CHECKED)


def test_a_method_without_a_required_account_is_found() -> None:
    class Faulty:
        async def none(self, room_id: str) -> None: ...

        async def optional(self, room_id: str, account: AccountId | None) -> None: ...

        async def defaulted(self, room_id: str, account: AccountId = ADA) -> None: ...

        async def right(self, room_id: str, account: AccountId) -> None: ...

    assert unchecked(Faulty) == ["none", "optional", "defaulted"]


@pytest.mark.parametrize("method", sorted(public(HistoryReader)))
async def test_a_stranger_gets_nothing_of_a_room(domain: Domain, method: str) -> None:
    room = await domain.opened()
    message = await domain.say(room)
    given = {
        "room_id": room.room_id,
        "account": domain.session("eve").account_id,
        "message_id": message.message_id,
        "limit": 10,
    }
    read = getattr(domain.history, method)
    wanted = {name: given[name] for name in inspect.signature(read).parameters if name in given}
    with pytest.raises(RoomNotFound):
        await anext(read(**wanted)) if inspect.isasyncgenfunction(read) else await read(**wanted)
