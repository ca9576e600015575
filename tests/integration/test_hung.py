"""A process stands still and nobody wakes it up: it is not left to whoever finds it, another one takes its place."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest

from tests.installation import Installation
from tests.integration.actor_processes import processes_of, stopped
from tests.integration.shards import Shards
from tests.integration.user import User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

LAST = True
KINDS = ("embedded",)
"""The servers have no part in it."""
AGAIN_WITHIN = 30.0
"""Seconds: they are given 10 (``actors.liveness``), and Ray takes some to end a process and to start one."""


@pytest.mark.parametrize("kinds", [("RoomActor", "StateMachine", "ShardWriter"), ("Supervisor",)], ids=", ".join)
async def test_all_works_again_without_those_that_stand_still(
    user: User, installation: Installation, shards: Shards, kinds: tuple[str, ...]
) -> None:
    room = await user.create_room()
    await user.note(room, "before")
    hung = [pid for kind in kinds for pid in processes_of(installation, kind)]
    with stopped(hung):
        body, headers = {"content": "meanwhile", "reply": "none"}, {"Idempotency-Key": uuid4().hex}
        note = partial(user.http.post, f"{of(room)}/messages", json=body, headers=headers)
        await eventually(note, lambda answer: answer.status_code in (200, 201), AGAIN_WITHIN)
        create = partial(user.http.post, "/v1/rooms", json={"title": "Another"})
        another = (await eventually(create, lambda answer: answer.status_code == 201, AGAIN_WITHIN)).json()["room_id"]
        note = partial(user.http.post, f"{of(another)}/messages", json=body, headers={"Idempotency-Key": another})
        await eventually(note, lambda answer: answer.status_code in (200, 201), AGAIN_WITHIN)

        async def stored() -> list[list[str]]:
            return [[row.content for row in await shards.messages(each)] for each in (room, another)]

        await eventually(stored, [["before", "meanwhile"], ["meanwhile"]].__eq__, AGAIN_WITHIN)
        ready = partial(user.http.get, "/readyz")
        await eventually(ready, lambda answer: answer.status_code == 200, AGAIN_WITHIN)
        running = [pid for kind in kinds for pid in processes_of(installation, kind)]
        assert not set(hung) & set(running)
