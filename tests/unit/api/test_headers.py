"""Prefer, Idempotency-Key and Accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.headers import Preferences, parse_idempotency_key, parse_prefer, wants_event_stream
from api.idempotency import digest
from api.message_schemas import ChatMessageSendRequest
from api.sending import values
from parlor.errors import InvalidRequest

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preferences()),
        (["wait=10"], Preferences(wait=10)),
        (["WAIT = 10"], Preferences(wait=10)),
        (['wait="10"'], Preferences(wait=10)),
        (["respond-async, wait=10; foo=bar"], Preferences(wait=10)),
        (["durability=persisted, wait=3"], Preferences(wait=3, persisted=True)),
        (["durability=persisted", "wait=3"], Preferences(wait=3, persisted=True)),
        (['durability="persisted"; x="a,b", wait=0'], Preferences(wait=0, persisted=True)),
        (["wait=1, wait=2"], Preferences(wait=1)),
        (["wait", "durability"], Preferences()),
        (["wait=-1"], Preferences()),
        (["wait=1.5"], Preferences()),
        (["wait=" + "9" * 10], Preferences()),
        (["durability=cached"], Preferences()),
        (['handling="lenient, wait=9"'], Preferences()),
        (["(broken), wait=4"], Preferences(wait=4)),
        ([",,wait=4,,"], Preferences(wait=4)),
        ([" " * 2000 + "wait=4"], Preferences()),
    ],
)
def test_preferences_are_read_as_rfc_7240_says(headers: list[str], expected: Preferences) -> None:
    assert parse_prefer(headers) == expected


@given(st.lists(st.text(alphabet='wait=1,;" \\durability', max_size=60), max_size=3))
def test_no_preference_breaks_the_parser(headers: list[str]) -> None:
    assert isinstance(parse_prefer(headers), Preferences)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03"', "8e03"),
        ("8e03", "8e03"),
        (' "a b" ', "a b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("k" * 128, "k" * 128),
        ('"' + "k" * 128 + '"', "k" * 128),
    ],
)
def test_a_key_is_taken_quoted_or_bare(header: str, key: str) -> None:
    assert parse_idempotency_key([header]) == key


@pytest.mark.parametrize(
    "header", ["", '""', "k" * 129, '"k', "a b", 'a"b', "a\tb", "ключ", '"k";a=1', r'"\n"', '"a", "b"']
)
def test_a_malformed_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_idempotency_key([header])


def test_two_keys_are_refused_and_none_is_none() -> None:
    assert parse_idempotency_key([]) is None
    with pytest.raises(InvalidRequest):
        parse_idempotency_key(["a", "a"])


def test_the_fingerprint_is_of_values_not_of_spelling() -> None:
    def of(text: str) -> str:
        return digest(*values(ChatMessageSendRequest.model_validate_json(text)))

    first = of('{"content":"é","metadata":{"a":1,"b":2}}')
    assert first == of('{"metadata": {"b":2,"a":1}, "content": "\\u00e9", "on_busy": "enqueue"}')
    for other in (
        '{"content":"e","metadata":{"a":1,"b":2}}',
        '{"content":"é","metadata":{"a":1,"b":3}}',
        '{"content":"é","metadata":{"a":1,"b":2},"reply":"none"}',
        '{"content":"é","metadata":{"a":1,"b":2},"on_busy":"reject"}',
        '{"content":"é","metadata":{"a":1,"b":2},"ai_persona":"P"}',
    ):
        assert of(other) != first


@pytest.mark.parametrize(
    ("accept", "stream"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("text/event-stream, application/json", True),
        ("application/json, text/event-stream", False),
        ("application/json;q=0.5, text/event-stream", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=x", False),
        ("text/event-stream, */*;q=0.1", True),
    ],
)
def test_events_are_sent_to_who_asks_for_them(accept: str, stream: bool) -> None:
    assert wants_event_stream(accept) is stream
