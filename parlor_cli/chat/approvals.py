"""Calls of tools that wait for the person at the terminal: shown with their arguments, then decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from parlor.client import Client, Conflict, Invalid, Reply, ToolCall
from parlor_cli.chat.screen import Screen

NO_RESULT = "The person did not run it"


class Prompt(Protocol):
    """Where a person writes. Raises ``EOFError`` at the end and ``KeyboardInterrupt`` for Ctrl-C."""

    def ask(self, default: str = "") -> str: ...


class Approvals:
    """Asks until the call is decided, by this person or by another. Writing nothing decides nothing."""

    def __init__(self, client: Client, screen: Screen, prompt: Prompt) -> None:
        self._client = client
        self._screen = screen
        self._prompt = prompt

    def decide(self, reply: Reply, call: ToolCall) -> None:
        """Returns when the call waits no more. Raises what the prompt raises."""
        self._screen.call(call)
        steps = self._result if call.waits_for_result else self._decision
        while not steps(reply, call):
            pass

    def _decision(self, reply: Reply, call: ToolCall) -> bool:
        where = (reply.room_id, reply.message_id, call)
        self._screen.note(f"y approves it, n denies it (n and a reason){', e edits it' if call.editable else ''}")
        word, _, reason = self._prompt.ask().strip().partition(" ")
        match word.lower():
            case "y" | "yes":
                return self._done(lambda: self._client.approve(*where))
            case "n" | "no":
                return self._done(lambda: self._client.deny(*where, reason=reason.strip() or None))
            case "e" | "edit" if call.editable:
                arguments = self._edited(call)
                return arguments is not None and self._done(lambda: self._client.approve(*where, arguments=arguments))
        return False

    def _result(self, reply: Reply, call: ToolCall) -> bool:
        self._screen.note("It is yours to run: write what came of it; nothing if you do not run it")
        said = self._prompt.ask()
        where = (reply.room_id, reply.message_id, call, said or NO_RESULT)
        return self._done(lambda: self._client.post_result(*where, is_error=not said))

    def _edited(self, call: ToolCall) -> dict[str, object] | None:
        try:
            found = json.loads(self._prompt.ask(json.dumps(call.arguments, ensure_ascii=False)))
        except ValueError as error:
            self._screen.problem(f"This is not JSON: {error}")
            return None
        if not isinstance(found, dict):
            self._screen.problem("The arguments are an object: {...}")
            return None
        return found

    def _done(self, decision: Callable[[], ToolCall]) -> bool:
        try:
            decision()
        except Conflict as error:
            # By somebody else, or its time is over.
            self._screen.note(error.detail)
        except Invalid as error:
            self._screen.problem(error.detail)
            return False
        return True
