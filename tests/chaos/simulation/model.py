"""The language model of the simulation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

from parlor.llm.memory import Memory
from parlor.llm.ports import Completion, Context, Part, Persona, ReasoningDelta, TextDelta
from parlor.model.messages import FinishReason, Usage
from parlor.reading.internal import InternalHistory, InternalMemories
from tests.chaos.simulation.tools import ToolServer, declared
from tests.unit.scripted_model import ScriptedModel

OVERUSE = 1
"""How many times the tokens that it may have an answer has at the most."""
ASKING = 0.6
"""Share of the answers that end with calls of tools, where there are any."""


class SimModel(ScriptedModel):
    """Answers every prompt after a while, in pieces; now and then it fails."""

    def __init__(
        self,
        history: InternalHistory,
        memories: InternalMemories,
        chance: random.Random,
        cut: float,
        *,
        counted: bool,
        server: ToolServer | None,
    ) -> None:
        """``cut`` is the share of answers that end by their length; ``counted``: answers use up what they may;
        ``server`` has the tools that the model may use."""
        super().__init__(history)
        self.memory = Memory(history, memories, 8000, 800)
        self._chance = chance
        self._cut = cut
        self._counted = counted
        self._server = server
        if server is not None:
            self.tools = declared()

    async def chat(self, persona: str | Persona, context: Context) -> AsyncGenerator[Part, None]:
        chance = self._chance
        for number in range(chance.choice([0, 0, 0, 1, 3])):
            await asyncio.sleep(chance.uniform(0.01, 0.5))
            yield ReasoningDelta(f"hm {number} é ")
        for number in range(chance.randint(0, 4)):
            await asyncio.sleep(chance.uniform(0.01, 1.5))
            yield TextDelta(f"{number} {len(context.turns)} é\n")
        if chance.random() < 0.1:
            return
        if self._server is not None and self._server.wanted and chance.random() < ASKING:
            yield Completion(FinishReason.STOP, Usage(1, 1), self._server.asks(chance.choice([1, 1, 2, 3])))
            return
        whole = not self._cut or chance.random() > self._cut
        usage = Usage(1, 1)
        if self._counted and context.answer_tokens is not None:
            usage = Usage(context.estimated_tokens, chance.randint(1, context.answer_tokens * OVERUSE))
        yield Completion(FinishReason.STOP if whole else FinishReason.LENGTH, usage)
