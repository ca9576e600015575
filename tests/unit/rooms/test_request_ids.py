"""The lines of the log that a request causes have its id: in its room, in its reply, in what follows the reply."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from msgspec import structs
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from parlor.errors import LlmError, RoomNotFound
from parlor.model.tracing import current_request, work_for
from parlor.rooms.commands import Regenerate, Stop, Wake
from parlor.rooms.room import Room
from tests.unit.domain import Domain, settle
from tests.unit.rooms.follow_up_fixture import FollowUpFixture

pytestmark = pytest.mark.unit

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Lines]:
    with capture_logs(processors=[merge_contextvars]) as found:
        yield found


def said(logs: Lines) -> list[tuple[str, str]]:
    """Event and request of each line so far, which are taken away."""
    found = [(str(line["event"]), str(line.get("request_id", ""))) for line in logs]
    logs.clear()
    return found


async def ask(domain: Domain, room: Room, request_id: str) -> None:
    command = structs.replace(domain.send_command(room.room_id), request_id=request_id)
    await domain.do_send(room, command)
    await settle()


async def test_every_line_that_a_request_causes_has_its_id(domain: Domain, logs: Lines) -> None:
    room = await domain.opened()
    await ask(domain, room, "first")
    await ask(domain, room, "second")
    assert said(logs) == [("command_served", "first"), ("command_served", "second")]
    domain.model.talks[0].fail(LlmError("down"))
    await settle()
    assert said(logs) == [("llm_failed", "first"), ("reply_ended", "first")]
    domain.model.talks[1].finish()
    await settle()
    assert said(logs) == [("reply_ended", "second")]


async def test_a_request_that_ends_anothers_reply_is_told_from_it(domain: Domain, logs: Lines) -> None:
    room = await domain.opened()
    await ask(domain, room, "asks")
    reply = (await domain.history.page(room.room_id, domain.ada.account_id, limit=1)).messages[-1].message_id
    await room.execute(Stop(domain.ada, room.room_id, "stops", reply, None))
    assert said(logs) == [("command_served", "asks"), ("reply_ended", "asks"), ("command_served", "stops")]
    await room.execute(Regenerate(domain.ada, room.room_id, "again", reply, "nonce"))
    await domain.answer(1, "Hello")
    assert said(logs) == [("command_served", "again"), ("reply_ended", "again")]


async def test_a_reply_that_is_taken_over_is_nobodys_request(domain: Domain, logs: Lines) -> None:
    room = await domain.opened()
    await ask(domain, room, "asks")
    said(logs)
    other = domain.room(room.room_id)
    await other.execute(Wake(None, room.room_id, "wakes"))
    await settle()
    domain.model.talks[-1].say("Hello")
    domain.model.talks[-1].finish()
    await settle()
    assert said(logs) == [("reply_adopted", "wakes"), ("command_served", "wakes"), ("reply_ended", "")]


async def test_what_follows_a_reply_has_the_id_of_who_asked_for_it(follow_ups: FollowUpFixture, logs: Lines) -> None:
    for request_id in ("first", "second"):
        follow_ups.say(2)
        work_for(request_id)
        await follow_ups.ended(await follow_ups.room())
    work_for("")
    for talk in follow_ups.talks:
        talk.fail(LlmError("down"))
        await settle()
    assert said(logs) == [("follow_up_failed", "first"), ("follow_up_failed", "second")]


async def test_a_command_that_is_refused_says_so(domain: Domain, logs: Lines) -> None:
    room = await domain.opened()
    await domain.delete_room(room)
    said(logs)
    with pytest.raises(RoomNotFound):
        await ask(domain, domain.room(room.room_id), "late")
    assert said(logs) == [("command_refused", "late")]


def test_no_request_is_none() -> None:
    work_for("one")
    assert current_request() == "one"
    work_for("")
    assert (current_request(), merge_contextvars(None, "info", {})) == ("", {})
