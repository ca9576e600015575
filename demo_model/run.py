"""The answer to one request, sent token by token."""

from __future__ import annotations

import json
from http import HTTPStatus

import msgspec

from demo_model.http import Connection
from demo_model.request import Order
from demo_model.script import (
    Behaviour,
    answer_to,
    filler,
    rest_of,
    split_tokens,
    unfinished,
)
from demo_model.tools import QUOTED, Call, call_of, chosen, example
from parlor.clock import Clock
from parlor.llm.tokens import estimate_tokens

BURST = 32
"""Tokens in one write when there is no delay between them; each is still a chunk of its own, as from a real server."""
HANG_MAX = 3600.0
"""Seconds after which a hanging answer is cut off."""
PIECE = 4
"""Characters of arguments in one chunk, with ``call_as=many``."""


def calls_for(order: Order, behaviour: Behaviour) -> list[Call]:
    """The calls of tools that the request is answered with; none for an answer in words."""
    question, offered = order.question(), order.tools or []
    begun = sum(1 for turn in order.since_question() if turn.tool_calls)
    if not behaviour.call:
        if behaviour.text is not None or behaviour.tokens is not None:
            return []
        return chosen(offered, order.tool_choice, question, begun=begun > 0)
    if begun >= behaviour.calls:
        return []
    known = {tool.function.name: tool for tool in offered}
    made = [call_of(known[name], question) if name in known else Call(name, "{}") for name in behaviour.call]
    if behaviour.args is None:
        return made
    return [Call(call.name, behaviour.args) for call in made]


def answer_for(order: Order, behaviour: Behaviour) -> str:
    """The answer in words, or as its schema wants it."""
    turns = order.turns()
    said = unfinished(turns)
    if behaviour.text is not None:
        answer = behaviour.text
    elif behaviour.tokens is not None:
        answer = filler(behaviour.tokens)
    elif (formed := _formed(order)) is not None:
        answer = formed
    else:
        answer = f"{_about_tools(order)}{_about_images(order)}{answer_to(turns[:-1] if said else turns)}"
    return rest_of(answer, said)


def _formed(order: Order) -> str | None:
    """What ``response_format`` asks for."""
    match order.response_format:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return json.dumps(example(schema, order.question()), ensure_ascii=False)
        case {"type": "json_object"}:
            return json.dumps({"answer": order.question()}, ensure_ascii=False)
    return None


def _about_tools(order: Order) -> str:
    results = [turn.text for turn in order.since_question() if turn.role == "tool"]
    return "".join(f"The tool answered:\n\n> {' '.join(result[:QUOTED].split())}\n\n" for result in results)


def _about_images(order: Order) -> str:
    images = [image for turn in order.messages if turn.role == "user" for image in turn.images]
    return f"I see {' and '.join(images)}.\n\n" if images else ""


class Run:
    """Sends it."""

    def __init__(
        self,
        clock: Clock,
        order: Order,
        behaviour: Behaviour,
        tokens: list[str],
        calls: list[Call],
        number: int,
    ) -> None:
        self._clock = clock
        self._order = order
        self._behaviour = behaviour
        self._calls = [
            {
                "id": f"call_demo_{number}_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(calls)
        ]
        thoughts = split_tokens(filler(behaviour.think))
        limit = order.max_completion_tokens or order.max_tokens or len(thoughts) + len(tokens)
        self._thoughts = thoughts[:limit]
        self._tokens = tokens[: limit - len(self._thoughts)]
        cut = limit < len(thoughts) + len(tokens)
        self._finish = "length" if cut else "tool_calls" if calls and behaviour.finish == "stop" else behaviour.finish
        prompt = sum(estimate_tokens(turn.text) for turn in order.messages)
        written = len(self._thoughts) + len(self._tokens) + sum(estimate_tokens(call.arguments) for call in calls)
        self._usage: dict[str, object] = {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }
        if behaviour.think:
            self._usage["completion_tokens_details"] = {"reasoning_tokens": len(self._thoughts)}
        if behaviour.usage == "null":
            self._usage = dict.fromkeys(self._usage)
        if behaviour.think_as == "tags" and self._thoughts:
            self._tokens = ["<think>", *self._thoughts, "</think>\n\n", *self._tokens]
            self._thoughts = []
        self._head = {
            "id": f"chatcmpl-demo-{number}",
            "created": clock.now_ms() // 1000,
            "model": order.model,
        }

    async def whole(self, connection: Connection) -> bool:
        """Answers without ``stream``, after the time that the stream would take."""
        behaviour = self._behaviour
        await self._clock.sleep(behaviour.first + behaviour.delay * max(len(self._tokens) - 1, 0))
        if behaviour.hang_after is not None:
            await self._clock.sleep(HANG_MAX)
        if behaviour.fail_after is not None:
            connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, error_body("The demo model was told to fail"))
            return False
        connection.respond(HTTPStatus.OK, json_body(self._whole()))
        return True

    def _whole(self) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": "".join(self._tokens), "refusal": None}
        if self._thoughts:
            message[self._behaviour.think_as] = "".join(self._thoughts)
        if self._calls:
            message |= {"content": None, "tool_calls": self._calls}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage}

    async def stream(self, connection: Connection) -> bool:
        behaviour = self._behaviour
        connection.begin({"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"})
        await connection.write([self._opening()])
        await self._deltas(connection, behaviour.think_as, self._thoughts)
        stops = [stop for stop in (behaviour.fail_after, behaviour.hang_after) if stop is not None]
        await self._deltas(connection, "content", self._tokens[: min(stops)] if stops else self._tokens)
        if behaviour.hang_after is not None and behaviour.hang_after == min(stops):
            await self._clock.sleep(HANG_MAX)
        if behaviour.fail_after is not None:
            if behaviour.fail_as == "error":
                await connection.write([self._failure()])
            if behaviour.fail_as == "cut":
                connection.cut()
            else:
                connection.end()
            return False
        await connection.write(self._ending())
        connection.end()
        return True

    def _opening(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def _delta(self, field: str, text: str) -> bytes:
        return self._chunk({field: text})

    def _failure(self) -> bytes:
        return b"data: %b\n\n" % error_body("The demo model was told to fail")

    def _ending(self) -> list[bytes]:
        last = [*self._call_chunks(), self._chunk({}, self._finish)]
        options = self._order.stream_options
        if options is not None and options.include_usage and self._behaviour.usage != "none":
            usage = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage}
            last.append(b"data: %b\n\n" % json_body(usage))
        return [*last, b"data: [DONE]\n\n"]

    def _call_chunks(self) -> list[bytes]:
        """All calls; in pieces, those of parallel calls are mixed as servers mix them."""
        if self._behaviour.call_as == "one":
            return [self._chunk({"tool_calls": [{"index": at, **call}]}) for at, call in enumerate(self._calls)]
        begun, pieces = list[bytes](), list[tuple[int, int, bytes]]()
        for at, call in enumerate(self._calls):
            function = msgspec.convert(call["function"], dict[str, str])
            head = {**call, "index": at, "function": {**function, "arguments": ""}}
            begun.append(self._chunk({"tool_calls": [head]}))
            for start in range(0, len(function["arguments"]), PIECE):
                piece = {"index": at, "function": {"arguments": function["arguments"][start : start + PIECE]}}
                pieces.append((start, at, self._chunk({"tool_calls": [piece]})))
        return [*begun, *(chunk for _, _, chunk in sorted(pieces))]

    async def _deltas(self, connection: Connection, field: str, tokens: list[str]) -> None:
        behaviour = self._behaviour
        if not tokens:
            return
        before, after = self._delta(field, "\0").rsplit(b'"\\u0000"', 1)
        if behaviour.stamp:
            await self._stamps(connection, len(tokens), before, after)
            return
        chunks = [b"%b%b%b" % (before, json_body(token), after) for token in tokens]
        if behaviour.first:
            await self._clock.sleep(behaviour.first)
        if not behaviour.delay:
            for start in range(0, len(chunks), BURST):
                await connection.write(chunks[start : start + BURST])
                await self._clock.sleep(0)  # lets other connections run
            return
        due = self._clock.monotonic()
        for chunk in chunks:
            # Follows a schedule, so that the cost of a token does not add to the delay.
            if (wait := due - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            await connection.write([chunk])
            due += behaviour.delay

    async def _stamps(self, connection: Connection, count: int, before: bytes, after: bytes) -> None:
        """Sends tokens that contain the time at which they are sent."""
        await self._clock.sleep(self._behaviour.first)
        due = self._clock.monotonic()
        for _ in range(count):
            if (wait := due - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            await connection.write([b'%b"%d "%b' % (before, self._clock.now_ms(), after)])
            due += self._behaviour.delay

    def _chunk(self, delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %b\n\n" % json_body({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def json_body(value: object) -> bytes:
    return msgspec.json.encode(value)


def error_body(message: str, *, kind: str = "invalid_request_error", param: str | None = None) -> bytes:
    return json_body({"error": {"message": message, "type": kind, "param": param, "code": None}})
