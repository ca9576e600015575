"""Calls of tools in answers, as servers really send them, and in prompts."""

from __future__ import annotations

import json

import pytest

from parlor.errors import LlmError
from parlor.llm.answer import AnswerParser
from parlor.llm.ports import Completion, Context, PromptTurn, TextDelta
from parlor.llm.upstream import _body
from parlor.model.messages import FinishReason
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.tools import AskedCall, HttpTool, PromptCall
from tests.unit.llm.bodies import delta, sse
from tests.unit.llm.fake_history import PERSONA

pytestmark = pytest.mark.unit

KIEL = AskedCall("weather", '{"city":"Kiel"}')
NOW = AskedCall("clock", "{}")


def calls(*pieces: object, finish: str | None = None) -> object:
    return delta(None, finish, tool_calls=list(pieces))


def piece(index: int | None, call_id: str | None, name: str | None, arguments: object) -> dict[str, object]:
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    told: dict[str, object] = {"type": "function", "function": function}
    return told | {key: value for key, value in {"index": index, "id": call_id}.items() if value is not None}


def completion(*chunks: object, size: int = 2**30) -> Completion:
    answer = AnswerParser(tools=True)
    body = sse(*chunks, "[DONE]")
    for start in range(0, len(body), size):
        answer.feed(body[start : start + size])
    answer.close()
    answer.check()
    return answer.completion()


END = delta(None, "tool_calls")


@pytest.mark.parametrize("size", [2**30, 1, 7])
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([calls(piece(0, "a", "weather", KIEL.arguments)), END], (KIEL,)),
        (
            [
                calls(piece(0, "a", "weather", "")),
                calls(piece(0, None, None, '{"city"')),
                calls(piece(0, None, None, ':"Kiel"}')),
                END,
            ],
            (KIEL,),
        ),
        ([calls(piece(0, "a", "weather", KIEL.arguments), piece(1, "b", "clock", "{}")), END], (KIEL, NOW)),
        (
            [
                calls(piece(0, "a", "weather", "")),
                calls(piece(1, "b", "clock", "")),
                calls(piece(1, None, None, "{}")),
                calls(piece(0, None, None, KIEL.arguments)),
                END,
            ],
            (KIEL, NOW),
        ),
        # Without an index, without an id.
        ([calls(piece(None, "a", "weather", KIEL.arguments), piece(None, "b", "clock", "{}")), END], (KIEL, NOW)),
        (
            [calls(piece(None, None, "weather", KIEL.arguments)), calls(piece(None, None, "clock", "{}")), END],
            (KIEL, NOW),
        ),
        ([calls(piece(None, None, "clock", "")), calls(piece(None, None, None, "{}")), END], (NOW,)),
        # Parallel calls that all have the index 0, each with an id of its own.
        ([calls(piece(0, "a", "weather", KIEL.arguments)), calls(piece(0, "b", "clock", "{}")), END], (KIEL, NOW)),
        # The name again in each piece.
        ([calls(piece(0, "a", "clock", "{")), calls(piece(0, "a", "clock", "}")), END], (NOW,)),
        # Arguments as an object, none, and as one object instead of a list.
        ([calls(piece(0, "a", "clock", {})), END], (NOW,)),
        ([calls(piece(0, "a", "clock", None)), END], (NOW,)),
        ([delta(None, None, tool_calls=piece(0, "a", "clock", "{}")), END], (NOW,)),
        # Ends that are not `tool_calls`.
        ([calls(piece(0, "a", "clock", "{}")), delta(None, "stop")], (NOW,)),
        ([calls(piece(0, "a", "clock", "{}"))], (NOW,)),
        ([calls(piece(0, "a", "clock", "{}"), finish="stop")], (NOW,)),
        # What is none.
        ([delta("x", None, tool_calls=[]), delta("x", "stop", tool_calls=[None, 5])], ()),
        ([delta("x"), calls(piece(0, "a", None, "{}")), delta(None, "stop")], ()),
    ],
)
def test_calls_are_put_together_however_they_come(
    chunks: list[object], expected: tuple[AskedCall, ...], size: int
) -> None:
    assert completion(*chunks, size=size).calls == expected


def test_text_before_calls_is_text() -> None:
    answer = AnswerParser(tools=True)
    assert answer.feed(sse(delta("Let me see"), calls(piece(0, "a", "clock", "{}")), END)) == [TextDelta("Let me see")]
    assert answer.completion() == Completion(FinishReason.STOP, None, (NOW,))


def test_calls_that_the_limit_cut_off_are_not_made() -> None:
    assert completion(delta("x"), calls(piece(0, "a", "clock", '{"a')), delta(None, "length")) == Completion(
        FinishReason.LENGTH, None
    )


def test_a_model_that_was_offered_nothing_has_not_answered() -> None:
    answer = AnswerParser()
    answer.feed(sse(calls(piece(0, "a", "clock", "{}")), END, "[DONE]"))
    with pytest.raises(LlmError, match="asked for tools"):
        answer.completion()


def test_an_answer_in_one_piece_may_be_calls() -> None:
    answer = AnswerParser(tools=True)
    message = {"content": None, "tool_calls": [piece(None, "a", "clock", "{}")]}
    answer.feed(json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode())
    answer.close()
    assert answer.completion().calls == (NOW,)


def test_tools_calls_and_results_are_sent_as_the_protocol_says() -> None:
    tool = HttpTool("clock", "Clock", "Tells the time", {"type": "object"}, "https://x.test", {}, 5.0, False)
    turns = [
        PromptTurn("assistant", "Let me see", calls=(PromptCall("c", "clock", "{}"),)),
        PromptTurn("tool", "noon", call_id="c"),
    ]
    body = _body(PERSONA, Context(turns, 1, 0, tools=(tool,)), frozenset())
    function = {"name": "clock", "description": "Tells the time", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]
    made = {"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    assert body["messages"] == [
        {"role": "assistant", "content": "Let me see", "tool_calls": [made]},
        {"role": "tool", "content": "noon", "tool_call_id": "c"},
    ]
    assert "tools" not in _body(PERSONA, Context(turns, 1, 0), frozenset())


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("required"), "required"),
        (ToolChoice("none"), "none"),
        (ToolChoice("named", "clock"), {"type": "function", "function": {"name": "clock"}}),
    ],
)
def test_a_choice_is_sent_as_the_protocol_says(choice: ToolChoice, sent: object) -> None:
    tool = OfferedTool("clock", "Tells the time", {"type": "object"})
    context = Context([PromptTurn("user", "?")], 1, 0, tools=(tool,), tool_choice=choice)
    assert _body(PERSONA, context, frozenset())["tool_choice"] == sent
    assert "tool_choice" not in _body(PERSONA, Context(context.turns, 1, 0), frozenset())


def test_a_form_is_sent_as_the_protocol_says() -> None:
    turns, schema = [PromptTurn("user", "?")], {"type": "object"}

    def sent(form: AnswerForm | None) -> object:
        return _body(PERSONA, Context(turns, 1, 0, form=form), frozenset()).get("response_format")

    assert sent(None) is None
    assert sent(AnswerForm()) == {"type": "json_object"}
    asked = {"name": "n", "schema": schema, "strict": True}
    assert sent(AnswerForm(schema, "n", strict=True)) == {"type": "json_schema", "json_schema": asked}
