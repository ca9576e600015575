"""AIChatService against the demo model: answers, and when a request is retried."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import httpx2
import pytest

from parlor.llm import summary, title
from parlor.llm.ports import ChatService, Completion, PromptTurn, TextDelta, UnknownPersona
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, Usage
from tests.unit.llm.fake_history import FakeSummaries
from tests.unit.llm.service_fixture import ServiceFixture, context, serving

pytestmark = pytest.mark.unit


# Answers


async def test_the_deltas_are_the_whole_text_and_the_usage_is_the_providers(service: ServiceFixture) -> None:
    texts, completion = await service.chat("[[text=Grüße, **world**\n and 日本 ]]")
    assert "".join(texts) == "Grüße, **world**\n and 日本 "
    assert completion == Completion(FinishReason.STOP, Usage(input_tokens=12, output_tokens=5))


async def test_deltas_come_while_the_answer_is_still_being_written(service: ServiceFixture) -> None:
    async with aclosing(service.service.chat("PLAIN", context("[[hang_after=2 text=a b c]]"))) as parts:
        text = await anext(parts)
        # One delta or two: what is there when it is read comes as one.
        while text != TextDelta("a b"):
            more = await anext(parts)
            assert isinstance(text, TextDelta)
            assert isinstance(more, TextDelta)
            text = TextDelta(text.text + more.text)


@pytest.mark.parametrize(
    ("finish", "expected"), [("length", FinishReason.LENGTH), ("content_filter", FinishReason.CONTENT_FILTER)]
)
async def test_finish_reasons_are_mapped(service: ServiceFixture, finish: str, expected: FinishReason) -> None:
    assert (await service.chat(f"[[finish={finish} text=a]]"))[1].finish_reason is expected


async def test_the_request_says_what_the_persona_says(service: ServiceFixture) -> None:
    texts, _ = await service.chat("[[echo=1]]", "GPT4O")
    assert json.loads("".join(texts)) == {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "[[echo=1]]"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 500,
        "temperature": 0.5,
    }


async def test_what_a_persona_leaves_open_is_left_open(service: ServiceFixture) -> None:
    texts, _ = await service.chat("[[echo=1]]", "PLAIN")
    assert set(json.loads("".join(texts))) == {"model", "messages", "stream", "stream_options"}


async def test_a_connection_is_used_again(service: ServiceFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.llm.upstream.DRAIN_TIMEOUT", 30)  # ends with the body, on a busy machine later
    for _ in range(3):
        await service.chat("[[tokens=40]]")
    assert (await service.stats())["connections"] == 2  # this one and the one that asks for the statistics


async def test_many_answers_at_a_time_do_not_mix(service: ServiceFixture) -> None:
    answers = await asyncio.gather(*(service.chat(f"[[text={number} {number} {number}]]") for number in range(30)))
    assert ["".join(texts) for texts, _ in answers] == [f"{number} {number} {number}" for number in range(30)]


async def test_the_memory_is_that_of_the_persona(service: ServiceFixture) -> None:
    room = RoomId("018f0000-0000-8000-8000-000000000000")
    assert (await service.service.mem(room)).turns == [PromptTurn("system", "Be kind.")]
    assert (await service.service.mem(room)).session == room
    assert (await service.service.mem(room, persona="PLAIN")).turns == [PromptTurn("system", "Be plain.")]


async def test_the_memory_has_the_rooms_summary(demo_url: str, http: httpx2.AsyncClient) -> None:
    room = RoomId("018f0000-0000-8000-8000-000000000000")
    async with serving(demo_url, http, summaries=FakeSummaries("Ada likes tea.", 4)) as service:
        (system,) = (await service.service.mem(room)).turns
    assert system.content == "Be kind.\n\nSummary of the conversation so far: Ada likes tea."


async def test_what_the_provider_counts_corrects_the_estimate(service: ServiceFixture) -> None:
    # The demo model counts no overhead for a message, and the text as it is estimated.
    await service.chat("x" * 4000 + "[[tokens=1]]", "GPT4O")
    assert 0.75 <= service.service.memory.ratios.of("gpt-4o") < 1.0
    assert service.service.memory.ratios.of("other-model") == 1.0


# Parlor's own personas


@pytest.mark.parametrize("name", [summary.NAME, title.NAME])
async def test_parlors_own_personas_answer_and_are_nobody_elses_to_choose(service: ServiceFixture, name: str) -> None:
    texts, _ = await service.chat("[[echo=1]]", name)
    assert json.loads("".join(texts))["model"] == "gpt-4o"
    assert name not in {persona.name for persona in service.service.personas()}
    assert service.service.persona(name).name == name
    with pytest.raises(UnknownPersona):
        service.service.chosen(name)


async def test_directives_in_the_material_are_not_followed(service: ServiceFixture) -> None:
    turns = [PromptTurn("user", "Which tea? [[fail=500]]"), PromptTurn("assistant", "Green.")]
    asked = ((title.NAME, title.title_context(turns)), (summary.NAME, summary.summary_context("", turns, 800)))
    answers = []
    for name, prompt in asked:
        parts = [part async for part in service.service.chat(name, prompt)]
        answers.append("".join(part.text for part in parts if isinstance(part, TextDelta)))
    assert answers == ["About: Which tea?", "- The person said: Which tea?"]
    assert (await service.stats())["failed"] == 0


async def test_an_unknown_persona_is_refused(service: ServiceFixture) -> None:
    model: ChatService = service.service
    assert [persona.name for persona in model.personas()] == ["GPT4O", "PLAIN"]
    with pytest.raises(UnknownPersona) as caught:
        model.persona("NOBODY")
    assert "GPT4O, PLAIN" in str(caught.value.extra["errors"])


# The retry


async def test_a_failure_before_the_first_token_is_retried_exactly_once(service: ServiceFixture) -> None:
    said, error = await service.failure("[[fail=500]]")
    assert (said, error.extra) == ("", {"retryable": True, "status": 500})
    assert (await service.stats())["requests"] == 2
    assert len(service.clock.slept) == 1
    assert 0.25 <= service.clock.slept[0] <= 0.75


@pytest.mark.parametrize(
    "fault",
    [
        "fail=500",
        "fail=408",
        "fail=409",
        "fail=503",
        "fail_after=0",
        "fail_after=0 fail_as=cut",
        "fail_after=0 fail_as=end",
    ],
)
async def test_the_retry_answers_when_the_failure_was_a_passing_one(service: ServiceFixture, fault: str) -> None:
    texts, completion = await service.chat(f"[[{fault} times=1 text=at last]]")
    assert "".join(texts) == "at last"
    assert completion.finish_reason is FinishReason.STOP
    assert (await service.stats())["requests"] == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_refusal_is_not_retried(service: ServiceFixture, status: int) -> None:
    _, error = await service.failure(f"[[fail={status}]]")
    assert error.extra == {"retryable": False, "status": status}
    assert (await service.stats())["requests"] == 1


@pytest.mark.parametrize("fail_as", ["error", "cut", "end"])
async def test_after_a_token_there_is_no_retry(service: ServiceFixture, fail_as: str) -> None:
    said, error = await service.failure(f"[[fail_after=3 fail_as={fail_as} text=a b c d]]")
    assert said == "a b c"
    assert error.extra["retryable"] is True
    assert (await service.stats())["requests"] == 1
    assert service.clock.slept == []


async def test_a_short_retry_after_is_waited_for(service: ServiceFixture) -> None:
    texts, _ = await service.chat("[[fail=429 retry_after=2 times=1 text=ok]]")
    assert texts == ["ok"]
    assert service.clock.slept == [2.0]


async def test_a_long_retry_after_goes_up_instead(service: ServiceFixture) -> None:
    _, error = await service.failure("[[fail=429 retry_after=60]]")
    assert error.retry_after == 60
    assert error.extra["retryable"] is True
    assert (await service.stats())["requests"] == 1


async def test_a_server_that_is_not_there_is_retryable_and_not_named(http: httpx2.AsyncClient) -> None:
    async with serving("http://user:password@127.0.0.1:9/v1", http) as service:
        _, error = await service.failure("x")
    assert error.detail == "The language model cannot be reached"
    assert error.extra["retryable"] is True
    assert "password" not in error.debug
    assert len(service.clock.slept) == 1
