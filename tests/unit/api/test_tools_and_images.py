"""Tools, images and formats that callers bring along, through the unmodified packages of three dialects."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import llm_comply  # type: ignore[import-untyped]
import ollama
import openai
import pytest
from fastapi import FastAPI
from llm_comply.schema import SpecLoader  # type: ignore[import-untyped]

from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.files import PromptImage
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.parts import ImagePart, TextSpan, ToolCallPart
from parlor.model.tools import PromptCall, ToolState
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.test_openai_chat import ended, event, final

pytestmark = pytest.mark.unit

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = OfferedTool("weather", "Tells it", SCHEMA)
OPENAI_TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it", "parameters": SCHEMA, "strict": True},
}
ANTHROPIC_TOOL: Any = {"name": "weather", "description": "Tells it", "input_schema": SCHEMA}
PNG = b"\x89PNG\r\n\x1a\nrest"
BASE64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"
IMAGE = PromptImage("image/png", PNG)
ANTHROPIC_SPEC = SpecLoader(str(Path(llm_comply.__file__).parent / "specs" / "anthropic.json"))
CALL = ToolCallPart("call_1", "weather", "", '{"city":"Köln"}', "sha256:0", ToolState.APPROVED)
OTHER = ToolCallPart("call_2", "clock", "", "{}", "sha256:1", ToolState.APPROVED)
MADE = ToolCallPart("call_0", "own", "", "{}", "sha256:2", ToolState.DONE)
"""A call of the room's own, which was made."""
CALLED: dict[str, Any] = {"parts": (TextSpan(3), MADE, CALL, OTHER)}
IN_ROOM = {"Parlor-Room": ROOM}


@pytest.fixture
async def claude(app: FastAPI, settings: Settings) -> AsyncIterator[anthropic.AsyncAnthropic]:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    async with anthropic.AsyncAnthropic(
        api_key=token(settings), base_url="http://parlor/anthropic", http_client=http, max_retries=0
    ) as made:
        yield made


@pytest.fixture
def llama(app: FastAPI, settings: Settings) -> ollama.AsyncClient:
    headers = {"Authorization": f"Bearer {token(settings)}"}
    return ollama.AsyncClient("http://parlor", headers=headers, transport=httpx.ASGITransport(app=app))


def answering(gateway: FakeGateway, **changes: Any) -> None:
    gateway.answering.message = final(**changes)
    gateway.answering.batches.put_nowait(None)


def asked(gateway: FakeGateway) -> ModelCall:
    (call,) = [call[2] for call in gateway.calls if call[0] == "answer"]
    found: ModelCall = call
    return found


# OpenAI


async def test_openais_calls_are_the_callers_to_make(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    answering(gateway, **CALLED)
    said: Any = [{"role": "user", "content": "?"}]
    answer = await gpt.chat.completions.create(model="GPT4O", messages=said, tools=[OPENAI_TOOL])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    called: Any = choice.message.tool_calls
    assert [(each.id, each.type, each.function.name, each.function.arguments) for each in called] == [
        ("call_1", "function", "weather", '{"city":"Köln"}'),
        ("call_2", "function", "clock", "{}"),
    ]
    assert asked(gateway).tools == (TOOL,)


async def test_openais_calls_are_streamed(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait([event("message.delta", text="Hi!"), ended(**CALLED)])
    said: Any = [{"role": "user", "content": "?"}]
    async with gpt.chat.completions.stream(model="GPT4O", messages=said, tools=[OPENAI_TOOL]) as stream:
        async for _ in stream:
            pass
        whole = await stream.get_final_completion()
    message = whole.choices[0].message
    called: Any = message.tool_calls
    assert (message.content, whole.choices[0].finish_reason) == ("Hi!", "tool_calls")
    assert [(each.id, each.function.name, each.function.parsed_arguments) for each in called] == [
        ("call_1", "weather", {"city": "Köln"}),
        ("call_2", "clock", None),
    ]


async def test_openais_results_images_and_choice_reach_the_model(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    answering(gateway)
    shown = {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}}
    said: Any = [
        {"role": "user", "content": [{"type": "text", "text": "See"}, shown]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "t", "content": "Sun"},
    ]
    await gpt.chat.completions.create(
        model="GPT4O",
        messages=said,
        tools=[OPENAI_TOOL],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    call = asked(gateway)
    assert call.turns == [
        PromptTurn("user", "See", images=(IMAGE,)),
        PromptTurn("assistant", "", calls=(PromptCall("t", "weather", "{}"),)),
        PromptTurn("tool", "Sun", call_id="t"),
    ]
    assert call.tool_choice == ToolChoice("named", "weather")


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, AnswerForm()),
        (
            {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}},
            AnswerForm(SCHEMA, "city", strict=True),
        ),
    ],
)
async def test_openais_format_reaches_the_model(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, given: Any, form: AnswerForm | None
) -> None:
    answering(gateway)
    said: Any = [{"role": "user", "content": "?"}]
    await gpt.chat.completions.create(model="GPT4O", messages=said, response_format=given)
    assert asked(gateway).form == form


def url(value: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": value}}]}]}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools"),
        ({"tools": [OPENAI_TOOL, OPENAI_TOOL]}, "tools[1]"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{**OPENAI_TOOL, "function": {"name": f"f{n}"}} for n in range(129)]}, "tools"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        (url("https://x.test/a.png"), "messages[0].content[0].image_url"),
        (url("http://169.254.169.254/"), "messages[0].content[0].image_url"),
        (url("file:///etc/passwd"), "messages[0].content[0].image_url"),
        (url("data:image/png;base64,!"), "messages[0].content[0].image_url"),
        (url(f"data:image/png;base64,{base64.b64encode(b'<svg>').decode()}"), "messages[0].content[0].image_url"),
        ({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": DATA_URL}}]}]}, None),
    ],
)
async def test_what_no_model_could_use_is_refused(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, changes: dict[str, Any], param: str | None
) -> None:
    said = [{"role": "user", "content": "?"}]
    with pytest.raises(openai.BadRequestError) as refused:
        await gpt.chat.completions.create(**{"model": "GPT4O", "messages": said, **changes})
    assert param is None or (refused.value.param or "").startswith(param)
    assert not any(call[0] == "answer" for call in gateway.calls)


async def test_an_image_of_the_largest_size_is_taken(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    answering(gateway)
    large = base64.b64encode(PNG + bytes(5 * 1024 * 1024 - len(PNG))).decode()
    await gpt.chat.completions.create(model="GPT4O", **url(f"data:image/png;base64,{large}"))
    assert len(asked(gateway).turns[0].images[0].data) == 5 * 1024 * 1024


@pytest.mark.parametrize(
    "changes", [{"tools": [OPENAI_TOOL]}, {"response_format": {"type": "json_object"}}], ids=["tools", "format"]
)
async def test_a_room_has_tools_of_its_own(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, changes: dict[str, Any]
) -> None:
    said: Any = [{"role": "user", "content": "?"}]
    with pytest.raises(openai.BadRequestError, match="in a room"):
        await gpt.chat.completions.create(model="GPT4O", messages=said, extra_headers=IN_ROOM, **changes)
    assert not any(call[0] == "send_message" for call in gateway.calls)


async def test_an_image_that_is_sent_to_a_room_is_a_file_of_the_account(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway
) -> None:
    gateway.waited = final()
    shown = {"type": "image_url", "image_url": {"url": DATA_URL}}
    said: Any = [{"role": "user", "content": [{"type": "text", "text": "See"}, shown]}]
    await gpt.chat.completions.create(model="GPT4O", messages=said, extra_headers={**IN_ROOM, "Idempotency-Key": "k"})
    (sent,) = [call[2] for call in gateway.calls if call[0] == "send_message"]
    (file,) = gateway.file_rows.files.values()
    assert sent.parts == (TextSpan(3), ImagePart(file.file_id, "image.png", "image/png", len(PNG)))
    assert (sent.content, file.sha256) == ("See", hashlib.sha256(PNG).hexdigest())


# Anthropic


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")  # In the suite's own code.
async def test_anthropics_uses_of_tools_are_the_callers_to_make(
    claude: anthropic.AsyncAnthropic, gateway: FakeGateway
) -> None:
    answering(gateway, **CALLED)
    said: Any = [{"role": "user", "content": "?"}]
    answer = await claude.messages.create(
        model="GPT4O", max_tokens=9, messages=said, tools=[ANTHROPIC_TOOL], tool_choice={"type": "any"}
    )
    assert answer.stop_reason == "tool_use"
    assert ANTHROPIC_SPEC.validate(answer.to_dict(exclude_unset=True), "Message") == []
    blocks: Any = answer.content
    assert [block.type for block in blocks] == ["text", "tool_use", "tool_use"]
    assert (blocks[1].id, blocks[1].name, blocks[1].input) == ("call_1", "weather", {"city": "Köln"})
    assert (asked(gateway).tools, asked(gateway).tool_choice) == ((TOOL,), ToolChoice("required"))


async def test_anthropics_uses_of_tools_are_streamed(claude: anthropic.AsyncAnthropic, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait([event("message.delta", text="Hi!"), ended(**CALLED)])
    said: Any = [{"role": "user", "content": "?"}]
    async with claude.messages.stream(model="GPT4O", max_tokens=9, messages=said, tools=[ANTHROPIC_TOOL]) as stream:
        kinds = [each.type async for each in stream]
        whole = await stream.get_final_message()
    blocks: Any = whole.content
    assert whole.stop_reason == "tool_use"
    assert [(block.type, getattr(block, "input", None)) for block in blocks] == [
        ("text", None),
        ("tool_use", {"city": "Köln"}),
        ("tool_use", {}),
    ]
    assert "input_json" in kinds


async def test_anthropics_results_and_images_reach_the_model(
    claude: anthropic.AsyncAnthropic, gateway: FakeGateway
) -> None:
    answering(gateway)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}
    said: Any = [
        {"role": "user", "content": [image, {"type": "text", "text": "See"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Well"},
                {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "K"}},
                {"type": "tool_use", "id": "u", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Sun"}, image]},
                {"type": "tool_result", "tool_use_id": "u", "content": "oh", "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    await claude.messages.create(model="GPT4O", max_tokens=9, messages=said, tools=[ANTHROPIC_TOOL])
    assert asked(gateway).turns == [
        PromptTurn("user", "See", images=(IMAGE,)),
        PromptTurn(
            "assistant",
            "Well",
            calls=(PromptCall("t", "weather", '{"city":"K"}'), PromptCall("u", "weather", "{}")),
        ),
        PromptTurn("tool", "Sun", call_id="t"),
        PromptTurn("tool", "Error: oh", call_id="u"),
        PromptTurn("user", "And?", images=(IMAGE,)),
    ]
    counted = await claude.messages.count_tokens(model="GPT4O", messages=said, tools=[ANTHROPIC_TOOL])
    assert counted.input_tokens > 2000, "two images"


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"name": "a b", "input_schema": SCHEMA}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "image", "source": {"type": "base64", "data": ""}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "x"}}]}]},
    ],
)
async def test_what_anthropics_clients_ask_for_in_vain_is_refused(
    claude: anthropic.AsyncAnthropic, gateway: FakeGateway, changes: dict[str, Any]
) -> None:
    said = [{"role": "user", "content": "?"}]
    with pytest.raises(anthropic.BadRequestError):
        await claude.messages.create(**{"model": "GPT4O", "max_tokens": 9, "messages": said, **changes})
    assert not any(call[0] == "answer" for call in gateway.calls)


# Ollama


async def test_ollamas_calls_are_the_callers_to_make(llama: ollama.AsyncClient, gateway: FakeGateway) -> None:
    answering(gateway, **CALLED)
    answer = await llama.chat("GPT4O", [{"role": "user", "content": "?"}], tools=[OPENAI_TOOL])
    assert [(call.function.name, call.function.arguments) for call in answer.message.tool_calls or ()] == [
        ("weather", {"city": "Köln"}),
        ("clock", {}),
    ]
    assert asked(gateway).tools == (TOOL,)


async def test_ollamas_calls_are_streamed(llama: ollama.AsyncClient, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait([event("message.delta", text="Hi!"), ended(**CALLED)])
    parts = [
        part
        async for part in await llama.chat(
            "GPT4O", [{"role": "user", "content": "?"}], tools=[OPENAI_TOOL], stream=True
        )
    ]
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.name, call.arguments) for call in calls] == [("weather", {"city": "Köln"}), ("clock", {})]
    assert "".join(part.message.content or "" for part in parts) == "Hi!"
    assert parts[-1].done


async def test_ollamas_results_images_and_format_reach_the_model(
    llama: ollama.AsyncClient, gateway: FakeGateway
) -> None:
    answering(gateway)
    calls = [{"function": {"name": "weather", "arguments": {"city": c}}} for c in "ab"]
    said: Any = [
        {"role": "user", "content": "See", "images": [PNG]},
        {"role": "assistant", "content": "", "tool_calls": [*calls, {"function": {"name": "clock", "arguments": {}}}]},
        {"role": "tool", "content": "noon", "tool_name": "clock"},
        {"role": "tool", "content": "Sun"},
        {"role": "tool", "content": "Rain", "tool_name": "weather"},
    ]
    await llama.chat("GPT4O", said, tools=[OPENAI_TOOL], format=SCHEMA)
    call = asked(gateway)
    assert call.turns[0] == PromptTurn("user", "See", images=(IMAGE,))
    ids = [each.call_id for each in call.turns[1].calls]
    assert [(turn.content, turn.call_id) for turn in call.turns[2:]] == [
        ("noon", ids[2]),
        ("Sun", ids[0]),
        ("Rain", ids[1]),
    ]
    assert call.form == AnswerForm(SCHEMA)
