"""Answers outside of any room: their events, and what is counted of them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from parlor.errors import ContentTooLarge, LlmError
from parlor.llm.ports import ModelCall, PromptTurn, ReasoningDelta
from parlor.model.messages import FinishReason, Usage
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from tests.unit.account_use import used_by_day
from tests.unit.domain import Domain, settle

pytestmark = pytest.mark.unit

CALL = ModelCall("GPT4O", [PromptTurn("user", "Hello")])


async def read(domain: Domain) -> list[tuple[str, dict[str, Any]]]:
    found = []
    async with domain.calls.answer(domain.ada, CALL) as answer:
        async for batch in answer:
            found += [(event.type, msgspec.json.decode(event.data)) for event in batch]
    return found


async def counted(domain: Domain) -> tuple[int, int, int]:
    """Messages and tokens of the account, as committed."""
    await domain.calls.close()
    await domain.write_all()
    days = await used_by_day(domain)
    return tuple(sum(getattr(day, name) for day in days) for name in ("messages", "input_tokens", "output_tokens"))


async def test_an_answer_is_deltas_and_its_end(domain: Domain) -> None:
    domain.model.auto = ["Hi", "!"]
    (first, second, last) = await read(domain)
    assert [(kind, data["offset"], data["text"]) for kind, data in (first, second)] == [
        ("message.delta", 0, "Hi"),
        ("message.delta", 2, "!"),
    ]
    kind, data = last
    message = data["message"]
    assert (kind, message["content"], message["finish_reason"]) == ("message.completed", "Hi!", "stop")
    assert message["usage"] == {"input_tokens": 3, "output_tokens": 5}
    assert first[1]["message_id"] == message["message_id"]


async def test_what_the_model_thinks_is_a_part_of_its_own(domain: Domain) -> None:
    async def think() -> None:
        await settle()
        talk = domain.model.talks[0]
        talk.parts.put_nowait(ReasoningDelta("Hm"))
        talk.say("Hi")
        talk.finish()

    thinking = domain.spawn(think())
    events = await read(domain)
    await thinking
    assert [kind for kind, _ in events] == ["message.reasoning", "message.delta", "message.completed"]
    message = events[-1][1]["message"]
    assert (message["content"], [part["type"] for part in message["parts"]]) == ("Hi", ["reasoning", "text"])


async def test_it_is_counted_once_and_nothing_of_it_is_stored(domain: Domain) -> None:
    domain.model.auto = ["Hi"]
    await read(domain)
    assert await counted(domain) == (0, 3, 5)
    keys = [str(key) for key in await domain.redis.keys("*")]
    assert [key for key in keys if ":room:" in key or ":messages:" in key or ":states:" in key] == []
    assert (await domain.directory.page(domain.ada, 10, None)).total_count == 0


async def test_what_was_said_before_a_hang_up_is_counted_and_the_provider_is_told(domain: Domain) -> None:
    async with domain.calls.answer(domain.ada, CALL) as answer:
        domain.model.auto = None
        batches = aiter(answer)
        following = asyncio.ensure_future(anext(batches))
        await settle()
        talk = domain.model.talks[0]
        talk.say("x" * 40)
        assert [event.type for event in await following] == ["message.delta"]
        await batches.aclose()  # type: ignore[attr-defined]
    assert talk.closed
    messages, _, output_tokens = await counted(domain)
    assert (messages, output_tokens) == (0, 10)


@pytest.mark.parametrize("failure", [LlmError("The model failed"), None])
async def test_a_failure_is_the_last_event(domain: Domain, failure: LlmError | None) -> None:
    async def fail() -> None:
        await settle()
        talk = domain.model.talks[0]
        talk.say("H")
        talk.hang_up() if failure is None else talk.fail(failure)

    failing = domain.spawn(fail())
    events = await read(domain)
    await failing
    kind, data = events[-1]
    assert (kind, data["error"]["code"], data["message"]["finish_reason"]) == ("message.failed", "llm-error", "error")
    assert data["message"]["content"] == "H"


async def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(domain: Domain) -> None:
    call = ModelCall("GPT4O", [PromptTurn("user", "x" * 10_000)])
    with pytest.raises(ContentTooLarge):
        async with domain.calls.answer(domain.ada, call):
            pass
    assert domain.model.talks == []


async def test_the_call_may_ask_for_less_and_has_one_system_prompt(domain: Domain) -> None:
    domain.model.auto = ["Hi"]
    turns = [PromptTurn("system", "One."), PromptTurn("user", "Hello"), PromptTurn("system", "Two.")]
    async with domain.calls.answer(domain.ada, ModelCall("GPT4O", turns, 0.1, 7)) as answer:
        async for _ in answer:
            pass
    assert domain.model.talks[0].context.turns == [PromptTurn("system", "One.\n\nTwo."), PromptTurn("user", "Hello")]
    assert answer.message.finish_reason is FinishReason.STOP
    assert answer.message.usage == Usage(3, 5)


TOOL = OfferedTool("weather", "Tells it", {"type": "object", "description": "x" * 400})


async def called(domain: Domain, arguments: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of an answer that calls a tool of the caller's."""

    async def call() -> None:
        await settle()
        domain.model.talks[0].say("Well")
        domain.model.talks[0].call(("weather", arguments), ("weather", "{}"))

    calling = domain.spawn(call())
    found = []
    async with domain.calls.answer(domain.ada, msgspec.structs.replace(CALL, tools=(TOOL,))) as answer:
        async for batch in answer:
            found += [(event.type, msgspec.json.decode(event.data)) for event in batch]
    await calling
    return found


async def test_calls_of_a_callers_tools_are_its_to_make(domain: Domain) -> None:
    events = await called(domain, '{"city":"Köln"}')
    assert [kind for kind, _ in events] == ["message.delta", "message.completed"]
    message = events[-1][1]["message"]
    text, first, second = message["parts"]
    assert (text["text"], message["content"], message["finish_reason"]) == ("Well", "Well", "stop")
    assert (first["name"], first["arguments"], first["state"], first["result"]) == (
        "weather", {"city": "Köln"}, "approved", None,
    )  # fmt: skip
    assert first["tool_call_id"] != second["tool_call_id"]
    assert domain.tools.calls == [], "nobody else makes them"
    assert domain.model.talks[0].context.tools == (TOOL,)
    assert domain.model.talks[0].context.estimated_tokens > 100, "what is offered counts"


@pytest.mark.parametrize("arguments", ["{oops", "[]", '{"a": NaN}', '"x"'])
async def test_a_call_that_no_caller_could_make_is_a_failure(domain: Domain, arguments: str) -> None:
    kind, data = (await called(domain, arguments))[-1]
    assert (kind, data["error"]["code"]) == ("message.failed", "llm-error")
    assert "no JSON object" in data["error"]["detail"]


async def test_choice_and_form_reach_the_model(domain: Domain) -> None:
    domain.model.auto = ["{}"]
    call = msgspec.structs.replace(CALL, tools=(TOOL,), tool_choice=ToolChoice("none"), form=AnswerForm())
    async with domain.calls.answer(domain.ada, call) as answer:
        async for _ in answer:
            pass
    context = domain.model.talks[0].context
    assert (context.tool_choice, context.form) == (ToolChoice("none"), AnswerForm())
