"""Steps of a reply whose model uses tools: its calls, one after the other or at once, and what it is told of them.

Everything about a call is recorded before what follows from it happens: that it will be made before it is sent, its
result before the model hears it. So the next owner of the reply goes on where this one was. A call that was sent and
has no result is sent again, with the same key: every tool here may be repeated (I25).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

from msgspec import structs

from parlor.llm.ports import PromptTurn
from parlor.model.parts import Part, TextPart, ToolCallPart
from parlor.model.tools import AskedCall, PromptCall, Tool, ToolResult, ToolState
from parlor.rooms.draft import Draft
from parlor.tools.toolbox import Toolbox

_OPEN = frozenset({ToolState.APPROVED, ToolState.RUNNING})


class ToolSteps:
    """The steps of one attempt. ``record`` writes what the draft has that is not written yet."""

    def __init__(
        self, toolbox: Toolbox, tools: Sequence[Tool], draft: Draft, record: Callable[[], Awaitable[None]]
    ) -> None:
        self._toolbox = toolbox
        self._tools = {tool.name: tool for tool in tools}
        self._draft = draft
        self._record = record

    @property
    def taken(self) -> int:
        """How many steps there were, those of earlier attempts that stand included."""
        return max(map(_step_of, self._draft.shown), default=0)

    async def take(self, calls: Sequence[AskedCall]) -> None:
        """Makes the calls of one step, and returns when each has a result."""
        step = self.taken + 1
        for call in calls:
            self._draft.put_call(self._toolbox.examined(call, self._tools.get(call.name), step))
        await self._record()
        await self.finish()

    async def finish(self) -> None:
        """Makes the calls that have no result yet, all at once."""
        tasks: set[asyncio.Task[tuple[ToolCallPart, ToolResult]]] = set()
        for part in self._draft.shown:
            if isinstance(part, ToolCallPart) and part.state in _OPEN:
                running = structs.replace(part, state=ToolState.RUNNING, attempts=part.attempts + 1)
                self._draft.put_call(running)
                tasks.add(asyncio.create_task(self._run(running)))
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    call, result = task.result()
                    state = ToolState.FAILED if result.is_error else ToolState.DONE
                    self._draft.put_call(structs.replace(call, state=state, result=result))
                await self._record()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, call: ToolCallPart) -> tuple[ToolCallPart, ToolResult]:
        await self._record()
        return call, await self._toolbox.run(self._tools.get(call.name), call)


def told_of_missing(turns: Sequence[PromptTurn], missing: Sequence[str]) -> list[PromptTurn]:
    """The prompt, which says in its system prompt whose tools cannot be used now."""
    if not missing:
        return list(turns)
    note = f"These servers of tools cannot be reached at the moment: {', '.join(missing)}. Do without their tools."
    if not turns or turns[0].role != "system":
        return [PromptTurn("system", note), *turns]
    return [structs.replace(turns[0], content=f"{turns[0].content}\n\n{note}"), *turns[1:]]


def prompt_of(parts: Sequence[Part]) -> list[PromptTurn]:
    """What the model is told of its own reply so far; an answer's calls follow its text."""
    turns: list[PromptTurn] = []
    text = ""
    for step, group in groupby(parts, _step_of):
        members = list(group)
        if not step:
            text = "".join(part.text for part in members if isinstance(part, TextPart))
            continue
        calls = [part for part in members if isinstance(part, ToolCallPart)]
        asked = tuple(PromptCall(call.tool_call_id, call.name, call.arguments) for call in calls)
        turns.append(PromptTurn("assistant", text, calls=asked))
        turns += [PromptTurn("tool", _told(call), call_id=call.tool_call_id) for call in calls]
        text = ""
    return [*turns, PromptTurn("assistant", text)] if text else turns


def _told(call: ToolCallPart) -> str:
    if call.result is None:
        return "Error: nobody knows what became of this call"
    words = f"Error: {call.result.content}" if call.result.is_error else call.result.content
    return f"{words}\n[the rest was left out]" if call.result.truncated else words


def _step_of(part: Part) -> int:
    """0 for what is no call."""
    return part.step if isinstance(part, ToolCallPart) else 0
