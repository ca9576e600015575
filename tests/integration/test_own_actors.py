"""A room that is talked in gets a Ray actor of its own, and nobody who talks there notices."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from parlor.rooms.own_actors import CONVERSATION
from tests.installation import Installation
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

LAST = True


async def test_a_room_moves_into_its_own_actor_and_outlives_it(user: User, installation: Installation) -> None:
    room = await user.create_room()
    own = f"room-{room}"

    async def holders() -> list[Any]:
        status = await asyncio.to_thread(installation.status)
        return [actor for actor in status["actors"] if room in actor["rooms"]]

    sent = await user.send(room, "[[tokens=200 delay=30ms]]")
    for number in range(CONVERSATION):
        await user.note(room, f"{number}")
    (found,) = await eventually(holders, lambda found: [actor["name"] for actor in found] == [own], 60)
    assert found["kind"] == "RoomActor"
    reply = await user.get(f"/v1/rooms/{room}/messages/{sent['reply']['message_id']}")
    assert (reply["is_streaming"], reply["attempt"]) == (False, 1), "it moved between two replies"
    answered = await user.converse(room, "Hello there")
    assert answered["reply"]["finish_reason"] == "stop"

    os.kill(found["pid"], signal.SIGKILL)
    await user.send(room, "And again", headers={"Prefer": "wait=30"}, reply="auto")
    contents = [message["content"] for message in await user.history(room)]
    notes = [f"{number}" for number in range(CONVERSATION)]
    assert [content for content in contents if content in notes] == notes
    assert contents.count("And again") == 1
