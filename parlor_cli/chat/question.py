"""One question from a pipe, and its answer: no colours, no commands."""

from __future__ import annotations

import sys
from typing import TextIO

from parlor.client import Client, ReplyDeleted, Room
from parlor_cli.chat.screen import visible, waiting
from parlor_cli.refusal import Refusal

ENDED_WELL = ("stop", "length", "stopped", "content_filter", "tool_limit", "reasoning_limit")


def answer(client: Client, room: Room | None, persona: str | None, question: str, output: TextIO) -> int:
    """Prints the reply: as it is written on a terminal, else when it is whole, so that a pipe gets what is stored.
    Returns the exit code: 1 when the reply failed. Raises ``ClientError``."""
    if not question.strip():
        raise Refusal("there is no question on standard input", exit_code=2)
    found = room or client.create_room(ai_persona=persona)
    reply = client.ask(found.room_id, question)
    for delta in reply:
        if output.isatty():
            output.write("\n[begun again]\n" if delta.type == "reset" else visible(_said(delta.type, delta.text)))
            output.flush()
        if (call := waiting(reply)) is not None:
            print(
                f"{call.title or call.name} waits for a decision, or for its result: `parlor chat {found.room_id}`,"
                " then /resume",
                file=sys.stderr,
            )
            return 1
    message = reply.message
    if message is None:
        raise ReplyDeleted("the reply was deleted")
    output.write("\n" if output.isatty() else f"{message.content}\n")
    output.flush()
    if message.error is not None:
        print(f"{message.error.code}: {message.error.detail}", file=sys.stderr)
    return 0 if message.finish_reason in ENDED_WELL else 1


def _said(kind: str, text: str) -> str:
    return text if kind == "text" else ""
