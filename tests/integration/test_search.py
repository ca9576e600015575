"""Search over the HTTP API, on both kinds of databases: found soon, gone at once."""

from __future__ import annotations

import pytest

from tests.integration.user import Json, User, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


async def search(user: User, query: str, **more: str) -> list[Json]:
    answer = await user.http.get("/v1/search", params={"q": query, **more})
    return list(succeeded(answer, 200)["results"])


async def test_what_was_said_is_found_in_any_language_and_only_by_its_account(user: User, stranger: User) -> None:
    room = await user.create_room()
    korean = (await user.send(room, "오늘은 녹차를 마셨어요", reply="none"))["message"]
    await user.send(room, "Green tea today", reply="none")
    (found,) = await eventually(lambda: search(user, "녹차"), lambda results: len(results) == 1)
    assert (found["room_id"], found["message_id"], found["seq"]) == (room, korean["message_id"], 1)
    (highlight,) = found["highlights"]
    assert found["snippet"][slice(*highlight)] == "녹차"
    assert len(await eventually(lambda: search(user, "TEA", room_id=room), lambda results: len(results) == 1)) == 1
    assert await search(stranger, "녹차") == []


async def test_a_deleted_message_is_not_found_from_its_acknowledgement_on(user: User) -> None:
    room = await user.create_room()
    message = (await user.send(room, "A secret recipe", reply="none"))["message"]
    await eventually(lambda: search(user, "recipe"), lambda results: len(results) == 1)
    succeeded(await user.http.delete(f"/v1/rooms/{room}/messages/{message['message_id']}"), 200)
    assert await search(user, "recipe") == []
