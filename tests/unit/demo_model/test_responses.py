"""The demo model as a server of OpenAI's Responses API: for the openai package, and for Parlor's own client."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from demo_model.server import running_demo_model
from parlor.clock import SystemClock
from parlor.errors import LlmError
from parlor.llm.ports import Completion, Context, Part, Persona, PromptTurn, ReasoningDelta, TextDelta
from parlor.llm.upstream import Upstream
from parlor.model.messages import FinishReason
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.tools import AskedCall
from parlor.settings import LlmSettings

pytestmark = pytest.mark.unit

PERSONA = Persona("P", "t", "d", "Be kind.", "m")
TOOL = OfferedTool("clock", "Tells the time", {"type": "object", "properties": {"zone": {"type": "string"}}})


async def asked(said: str, persona: Persona = PERSONA, **context: Any) -> list[Part]:
    async with running_demo_model() as url:
        model = Upstream(LlmSettings(base_url=url, api="responses"), "k", SystemClock())
        try:
            prompt = Context([PromptTurn("system", "Be kind."), PromptTurn("user", said)], 1, 0, **context)
            return [part async for part in model.answer(persona, prompt, SystemClock().monotonic() + 60)]
        finally:
            await model.close()


def text_of(parts: list[Part], kind: type[TextDelta | ReasoningDelta] = TextDelta) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def end_of(parts: list[Part]) -> Completion:
    (end,) = [part for part in parts if isinstance(part, Completion)]
    return end


async def test_text_reasoning_and_usage_come() -> None:
    parts = await asked("[[think=3 text=Hello there]]")
    assert (text_of(parts), text_of(parts, ReasoningDelta)) == ("Hello there", "the quick brown")
    assert end_of(parts).finish_reason is FinishReason.STOP
    usage = end_of(parts).usage
    assert usage is not None
    assert usage.output_tokens == 5
    assert end_of(await asked("[[usage=none text=x]]")).usage is None


async def test_calls_come_whole() -> None:
    parts = await asked('[[call=clock,clock args={"zone":"x"}]]', tools=(TOOL,))
    assert end_of(parts).calls == (AskedCall("clock", '{"zone":"x"}'),) * 2
    forced = await asked("Hello", tools=(TOOL,), tool_choice=ToolChoice("named", "clock"))
    assert [call.name for call in end_of(forced).calls] == ["clock"]


async def test_an_answer_ends_at_its_limit_and_keeps_to_its_form() -> None:
    short = Persona("P", "t", "d", "Be kind.", "m", max_tokens=2)
    parts = await asked("[[tokens=9]]", short)
    assert (text_of(parts), end_of(parts).finish_reason) == ("the quick", FinishReason.LENGTH)
    assert text_of(await asked("Hi", form=AnswerForm({"const": 5}))) == "5"


@pytest.mark.parametrize("how", ["fail=500", "fail_after=2", "fail_after=2 fail_as=cut", "fail_after=2 fail_as=end"])
async def test_what_breaks_is_an_error(how: str) -> None:
    with pytest.raises(LlmError):
        await asked(f"[[tokens=5 {how}]]")


async def test_a_conversation_with_results_is_understood() -> None:
    async with running_demo_model() as url, openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
        called: Any = {"type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"}
        result: Any = {"type": "function_call_output", "call_id": "c", "output": "noon"}
        said: list[Any] = [{"role": "user", "content": "What time is it?"}, called, result]
        answer = await client.responses.create(model="m", input=said)
        assert "> noon" in answer.output_text
        assert answer.status == "completed"
        shown: list[Any] = [
            {"type": "input_text", "text": "See"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        ]
        seen = await client.responses.create(model="m", input=[{"role": "user", "content": shown}])
        assert "an image (image/png, 3 bytes)" in seen.output_text


async def test_the_openai_package_reads_its_stream() -> None:
    async with running_demo_model() as url, openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
        stream = await client.responses.create(model="m", input="[[text=Hello there]]", stream=True)
        events = [event async for event in stream]
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello there"
