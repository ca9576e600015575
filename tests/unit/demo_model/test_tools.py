"""The demo model thinks, calls tools and keeps to schemas: by directive, and of its own accord."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from demo_model.script import Behaviour, DirectiveError, parse_directives
from demo_model.tools import example, words_of
from tests.unit.demo_model.test_server import COMPLETIONS, events, order

pytestmark = pytest.mark.unit

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the forecast of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 5}},
            "required": ["city", "days"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clockTime", "parameters": {"type": "object", "properties": {}}}}


async def answer(http: httpx2.AsyncClient, body: dict[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = (await http.post(COMPLETIONS, json=body)).json()["choices"][0]
    return found


def calls_of(choice: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (call["function"]["name"], call["function"]["arguments"]) for call in choice["message"].get("tool_calls", [])
    ]


async def deltas(http: httpx2.AsyncClient, text: str, **more: object) -> list[dict[str, Any]]:
    *chunks, _ = await events(http, order(text, stream=True, **more))
    return [choice["delta"] for chunk in chunks for choice in json.loads(chunk)["choices"]]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_it_thinks_before_it_speaks(http: httpx2.AsyncClient, field: str) -> None:
    told = await deltas(http, f"[[think=2 think_as={field} text=So]]")
    assert [delta for delta in told if delta.get(field) or delta.get("content")] == [
        {field: "the"}, {field: " quick"}, {"content": "So"},
    ]  # fmt: skip
    choice = await answer(http, order(f"[[think=2 think_as={field} text=So]]"))
    assert (choice["message"][field], choice["message"]["content"]) == ("the quick", "So")


async def test_it_may_think_between_tags(http: httpx2.AsyncClient) -> None:
    choice = await answer(http, order("[[think=2 think_as=tags text=So]]"))
    assert choice["message"]["content"] == "<think>the quick</think>\n\nSo"


async def test_thinking_counts_against_the_limit(http: httpx2.AsyncClient) -> None:
    choice = await answer(http, order("[[think=9 text=So]]", max_tokens=3))
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "")
    assert choice["message"]["reasoning_content"] == "the quick brown"


@pytest.mark.parametrize(
    ("question", "more", "names"),
    [
        ("What is the weather like in Kiel?", {}, ["get_weather"]),
        ("Any FORECAST?", {}, ["get_weather"]),
        ("Weather and time?", {}, ["get_weather", "clockTime"]),
        ("Hello there", {}, []),
        ("Hello there", {"tool_choice": "required"}, ["get_weather"]),
        ("Weather?", {"tool_choice": "none"}, []),
        ("Hello", {"tool_choice": {"type": "function", "function": {"name": "clockTime"}}}, ["clockTime"]),
        ("Weather? [[text=No]]", {}, []),
    ],
)
async def test_a_tool_that_shares_a_word_with_the_question_is_called(
    http: httpx2.AsyncClient, question: str, more: dict[str, object], names: list[str]
) -> None:
    choice = await answer(http, order(question, tools=[WEATHER, CLOCK], **more))
    assert [name for name, _ in calls_of(choice)] == names
    assert choice["finish_reason"] == ("tool_calls" if names else "stop")


async def test_arguments_are_made_of_the_schema_and_the_question(http: httpx2.AsyncClient) -> None:
    ((_, arguments),) = calls_of(await answer(http, order("Weather for 9 days", tools=[WEATHER])))
    assert json.loads(arguments) == {"city": "Weather for 9 days", "days": 5}


async def test_a_result_is_used_in_the_answer_and_ends_the_calls(http: httpx2.AsyncClient) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: list[dict[str, object]] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "Sun\nall day"},
    ]
    choice = await answer(http, {"model": "m", "messages": messages, "tools": [WEATHER]})
    assert calls_of(choice) == []
    assert "> Sun all day" in choice["message"]["content"]
    messages[0] = {"role": "user", "content": "[[call=get_weather calls=2]]"}
    assert len(calls_of(await answer(http, {"model": "m", "messages": messages, "tools": [WEATHER]}))) == 1


@pytest.mark.parametrize(
    ("directive", "calls"),
    [
        ('call=get_weather args={"city":"Kiel"}', [("get_weather", '{"city":"Kiel"}')]),
        ("call=get_weather args={oops", [("get_weather", "{oops")]),
        ("call=unheard_of", [("unheard_of", "{}")]),
        ("call=clockTime,clockTime", [("clockTime", "{}")] * 2),
    ],
)
async def test_calls_by_directive_are_sent_as_they_are_told(
    http: httpx2.AsyncClient, directive: str, calls: list[tuple[str, str]]
) -> None:
    assert calls_of(await answer(http, order(f"[[{directive}]]", tools=[WEATHER, CLOCK]))) == calls


@pytest.mark.parametrize("form", ["one", "many"])
async def test_parallel_calls_come_in_one_or_in_many_deltas(http: httpx2.AsyncClient, form: str) -> None:
    told = await deltas(http, f'[[call=a,b args={{"x":123456789}} call_as={form}]]')
    whole: dict[int, tuple[str, str]] = {}
    pieces = [call for delta in told for call in delta.get("tool_calls", [])]
    for call in pieces:
        name, so_far = whole.get(call["index"], ("", ""))
        function = call["function"]
        whole[call["index"]] = name + function.get("name", ""), so_far + function["arguments"]
    assert whole == {0: ("a", '{"x":123456789}'), 1: ("b", '{"x":123456789}')}
    assert (len(pieces) > 4) == (form == "many")


@pytest.mark.parametrize(("usage", "expected"), [("none", []), ("null", [None]), ("end", [1])])
async def test_usage_is_told_as_servers_tell_it(
    http: httpx2.AsyncClient, usage: str, expected: list[int | None]
) -> None:
    body = order(f"[[usage={usage} text=x]]", stream=True, stream_options={"include_usage": True})
    *chunks, _ = await events(http, body)
    found = [json.loads(chunk)["usage"]["completion_tokens"] for chunk in chunks if "usage" in json.loads(chunk)]
    assert found == expected


async def test_an_image_is_acknowledged_with_its_size(http: httpx2.AsyncClient) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is this?"}, image]
    choice = await answer(http, {"model": "m", "messages": [{"role": "user", "content": content}]})
    assert choice["message"]["content"].startswith("I see an image (image/png, 3 bytes).")


TEXT, WHOLE, EITHER = {"type": "string"}, {"type": "integer"}, {"type": ["null", "string"]}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": TEXT, "b": {"type": "number"}}, "required": ["a"]},
    {"type": "object", "properties": {"k": {"enum": ["red", "blue"]}, "l": {"type": "array", "items": WHOLE}}},
    {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {**WHOLE, "minimum": 7}}},
    {"type": "object", "properties": {"t": {**TEXT, "minLength": 300}, "u": EITHER}},
    {"type": "array", "items": {"anyOf": [WHOLE, TEXT]}, "minItems": 2},
]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_an_answer_keeps_to_its_schema(http: httpx2.AsyncClient, schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    choice = await answer(http, order("a blue one", response_format=form))
    Draft202012Validator(schema).validate(json.loads(choice["message"]["content"]))


def test_a_schema_without_an_end_is_not_followed_for_ever() -> None:
    endless = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}}
    assert json.dumps(example(endless, "q")).count("n") < 20


def test_words_are_those_that_say_something() -> None:
    assert words_of("What does getWeather_forKiel do?") == {"weather", "kiel"}


@pytest.mark.parametrize("pairs", ["think=x", "think_as=loud", "call_as=two", "usage=maybe", "calls=-1"])
def test_values_that_mean_nothing_are_refused(pairs: str) -> None:
    with pytest.raises(DirectiveError, match=pairs.partition("=")[0]):
        parse_directives(pairs, Behaviour())
