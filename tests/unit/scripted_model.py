"""A language model that answers with what a test gives it, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from parlor.llm.ports import Completion, Context, History, Part, Persona, PromptTurn, ReasoningDelta, TextDelta
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, SenderType, Usage
from parlor.model.tools import AskedCall, DeclaredTool, McpServer

USAGE = Usage(input_tokens=3, output_tokens=5)


class Talk:
    """One answer in progress."""

    def __init__(self, persona: str, context: Context) -> None:
        self.persona = persona
        self.context = context
        self.parts: asyncio.Queue[Part | Exception | None] = asyncio.Queue()
        self.closed = False
        """Whether the connection upstream is closed."""

    def say(self, *texts: str) -> None:
        for text in texts:
            self.parts.put_nowait(TextDelta(text))

    def think(self, *texts: str) -> None:
        for text in texts:
            self.parts.put_nowait(ReasoningDelta(text))

    def count(self, usage: Usage) -> None:
        """Tells the usage so far."""
        self.parts.put_nowait(usage)

    def finish(self, reason: FinishReason = FinishReason.STOP, usage: Usage | None = USAGE) -> None:
        self.parts.put_nowait(Completion(reason, usage))

    def call(self, *calls: tuple[str, str], usage: Usage | None = USAGE) -> None:
        """Ends with calls of tools: names and arguments."""
        made = tuple(AskedCall(name, arguments) for name, arguments in calls)
        self.parts.put_nowait(Completion(FinishReason.STOP, usage, made))

    def fail(self, error: Exception) -> None:
        self.parts.put_nowait(error)

    def hang_up(self) -> None:
        """Ends the stream without a completion."""
        self.parts.put_nowait(None)


class ScriptedModel:
    """``talks`` has every answer that was asked for, in order. If ``auto`` is set, the model answers with these pieces
    at once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.talks: list[Talk] = []
        self.auto: list[str] | None = None
        self.mem_error: Exception | None = None
        self.tools: tuple[DeclaredTool, ...] = ()
        self.servers: tuple[McpServer, ...] = ()
        self.max_steps = 8

    async def close(self) -> None:
        """There is nothing to close."""

    def persona(self, name: str) -> Persona:
        return Persona(name, name, "", "", "scripted", tools=self.tools, servers=self.servers, max_steps=self.max_steps)

    def chosen(self, name: str) -> Persona:
        return self.persona(name)

    def personas(self) -> list[Persona]:
        return [self.persona("GPT4O")]

    async def mem(
        self, room_id: RoomId, *, persona: str | None = None, before_seq: int | None = None, said: str = ""
    ) -> Context:
        if self.mem_error is not None:
            raise self.mem_error
        turns = [
            PromptTurn("user" if message.sender_type is SenderType.USER else "assistant", message.content)
            for message in await self._history.before(room_id, before_seq or 10**9, 100)
        ]
        return Context([*turns, PromptTurn("assistant", said)] if said else turns, 100, 0, len(said))

    async def chat(self, persona: str | Persona, context: Context) -> AsyncGenerator[Part, None]:
        talk = Talk(persona if isinstance(persona, str) else persona.name, context)
        self.talks.append(talk)
        if self.auto is not None:
            talk.say(*self.auto)
            talk.finish()
        try:
            while (part := await talk.parts.get()) is not None:
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            talk.closed = True
