"""What an account has used, day by day: everything that was paid for, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.user import Json, User

pytestmark = pytest.mark.integration
KINDS = ("private",)
"""Once is enough for what is the same program; what differs by database is the contract tests' business."""

COUNTED = ("messages", "input_tokens", "output_tokens", "cost")


async def _used(user: User) -> Json:
    """Of today, and of yesterday when the test began before midnight."""
    today = datetime.now(UTC).date()
    return await user.get("/v1/usage", **{"from": str(today - timedelta(days=1)), "to": str(today)})


def _total(attempts: list[Json]) -> tuple[int, int]:
    usages = [attempt["usage"] for attempt in attempts if attempt["usage"]]
    return sum(each["input_tokens"] for each in usages), sum(each["output_tokens"] for each in usages)


async def test_every_message_and_every_attempt_is_counted_once(user: User, stranger: User) -> None:
    room = await user.create_room("Counted")
    assert (await _used(user))["total"] == dict.fromkeys(COUNTED, 0)
    first = await user.converse(room, "[[tokens=7]]")
    second = await user.converse(room, "[[tokens=11]]")
    reply = second["reply"]["message_id"]
    await user.regenerate(room, reply)
    await user.ended(room, reply)
    edited = await user.edit_message(room, second["message"]["message_id"], "[[tokens=13]]")
    await user.ended(room, edited["reply"]["message_id"])
    await user.note(room, "thanks", persisted=True)

    attempts = [first["reply"], *await user.variants(room, reply)]
    assert [attempt["usage"]["output_tokens"] for attempt in attempts] == [7, 11, 11, 13]
    input_tokens, output_tokens = _total(attempts)
    # Two turns and a note; a further attempt or an edit is no further message.
    expected = {"messages": 5, "input_tokens": input_tokens, "output_tokens": output_tokens, "cost": 0.0}
    found = await _used(user)
    assert found["total"] == expected
    assert {name: sum(day[name] for day in found["days"]) for name in COUNTED} == expected
    assert [day["date"] for day in found["days"]] == sorted({day["date"] for day in found["days"]})

    # What was deleted was used all the same.
    await user.delete_message(room, reply)
    await user.note(room, "and again", persisted=True)
    assert (await _used(user))["total"] == {**expected, "messages": 6}
    assert (await _used(stranger))["days"] == []


async def test_days_are_those_that_were_asked_for(user: User) -> None:
    room = await user.create_room("Days")
    await user.note(room, "today", persisted=True)
    today = datetime.now(UTC).date()

    recent = await user.get("/v1/usage")
    assert (recent["to"], recent["from"]) == (str(today), str(today - timedelta(days=29)))
    assert recent["total"]["messages"] == 1
    past = await user.get("/v1/usage", **{"from": "2020-01-01", "to": "2020-12-31"})
    assert (past["days"], past["total"]) == ([], dict.fromkeys(COUNTED, 0))


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2024-02-01", "to": "2024-01-31"},
        {"from": "2020-01-01", "to": "2024-01-01"},
        {"from": "yesterday"},
        {"to": "2023-02-29"},
    ],
    ids=["backwards", "too long", "a word", "no day"],
)
async def test_a_period_that_is_none_is_refused(user: User, query: dict[str, str]) -> None:
    answer = await user.http.get("/v1/usage", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert answer.json()["errors"]
