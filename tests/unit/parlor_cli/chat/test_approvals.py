"""Calls of tools that wait for the person at the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from parlor_cli.chat.approvals import NO_RESULT
from parlor_cli.chat.question import answer as answer_question
from tests.unit.client.scripted_server import Json, problem
from tests.unit.parlor_cli.chat.test_conversation import Chat, chat

__all__ = ["chat"]
pytestmark = pytest.mark.unit

DIGEST = "sha256:aa"


def call(**changed: Any) -> Json:
    return {
        "type": "tool_call",
        "tool_call_id": "call-1",
        "name": "pay",
        "title": "Pay a sum",
        "arguments": {"to": "Eve\u202e", "sum": 5.0},
        "digest": DIGEST,
        "state": "waiting",
        "approval": "required",
        "editable": True,
        "client": False,
        **changed,
    }


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (["y"], {"decision": "approve"}),
        (["YES"], {"decision": "approve"}),
        (["n"], {"decision": "deny"}),
        (["n not to Eve"], {"decision": "deny", "reason": "not to Eve"}),
        (["", "maybe", "y"], {"decision": "approve"}),
        (["e", '{"to": "Bob"}'], {"decision": "approve", "arguments": {"to": "Bob"}}),
        (["e", "{", "e", "[]", "n"], {"decision": "deny"}),
    ],
)
def test_a_call_is_shown_and_decided(chat: Chat, lines: list[str], sent: Json) -> None:
    chat.parlor.calls = [call()]
    assert chat.type("pay", *lines) == 0
    assert chat.parlor.decisions == [("decision", {"digest": DIGEST, **sent})]
    assert "Pay a sum" in chat.shown
    assert '"to": "Eve\\u202e"' in chat.shown, "nothing of it is hidden"
    assert chat.shown.count("Let me see.") == 1
    assert "Done." in chat.shown


def test_an_edit_begins_with_the_arguments_and_is_asked_for_again_when_it_is_refused(chat: Chat) -> None:
    chat.parlor.calls = [call()]
    chat.parlor.refusals = [problem(422, "invalid-request")]
    assert chat.type("pay", "e", "", "n") == 0
    assert chat.prompt.defaults[2] == '{"to": "Eve\u202e", "sum": 5.0}'
    assert [body["decision"] for _, body in chat.parlor.decisions] == ["approve", "deny"]


def test_a_call_that_may_not_be_edited_is_not(chat: Chat) -> None:
    chat.parlor.calls = [call(editable=False)]
    assert chat.type("pay", "e", "y") == 0
    assert [body["decision"] for _, body in chat.parlor.decisions] == ["approve"]
    assert "edits" not in chat.shown


def test_calls_are_asked_about_one_after_the_other(chat: Chat) -> None:
    chat.parlor.calls = [call(), call(tool_call_id="call-2", title="Another")]
    assert chat.type("pay", "y", "n") == 0
    assert [body["decision"] for _, body in chat.parlor.decisions] == ["approve", "deny"]
    assert "Another" in chat.shown


def test_what_somebody_else_decided_is_said(chat: Chat) -> None:
    chat.parlor.calls = [call()]
    chat.parlor.refusals = [problem(409, "already-decided")]
    assert chat.type("pay", "y") == 0
    assert "it is already-decided" in chat.shown
    assert "Done." in chat.shown


@pytest.mark.parametrize(
    ("typed", "content", "is_error"), [("High water at noon", "High water at noon", False), ("", NO_RESULT, True)]
)
def test_a_callers_tool_is_the_persons_to_run(chat: Chat, typed: str, content: str, is_error: bool) -> None:
    chat.parlor.calls = [call(state="running", client=True, approval="none")]
    assert chat.type("look", typed) == 0
    assert chat.parlor.decisions == [("result", {"content": content, "digest": DIGEST, "is_error": is_error})]


def test_ctrl_c_stops_the_reply_and_a_second_one_leaves(chat: Chat) -> None:
    chat.parlor.calls = [call()]
    assert chat.type("pay", KeyboardInterrupt) == 0
    assert "[stopped]" in chat.shown
    assert chat.parlor.decisions == []


def test_ctrl_d_leaves_and_the_call_goes_on_waiting(chat: Chat) -> None:
    chat.parlor.calls = [call()]
    assert chat.type("pay", EOFError) == 0
    assert chat.parlor.decisions == []
    assert chat.type("/rooms 1", "y") == 0, "who comes back is asked"
    assert [body["decision"] for _, body in chat.parlor.decisions] == ["approve"]


def test_a_question_from_a_pipe_does_not_wait_for_a_decision(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    chat.parlor.calls = [call()]
    assert answer_question(chat.client, None, None, "pay", io.StringIO()) == 1
    assert "Pay a sum waits for a decision" in capsys.readouterr().err
