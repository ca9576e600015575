"""Steps of a reply whose model uses tools: its calls, one after the other or at once, and what it is told of them.

Everything about a call is recorded before what follows from it happens: that it will be made before it is sent, its
result before the model hears it. So the next owner of the reply goes on where this one was (I25). A call that was sent
and has no result is sent again, with the same key, if the tool may be called twice; of one that may not, nobody knows
what became of it once it cannot be under way any more (I26).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Protocol

from msgspec import structs

from parlor.cache.changes import Dispatch
from parlor.clock import Clock
from parlor.llm.ports import PromptTurn
from parlor.model.parts import Part, TextPart, ToolCallPart
from parlor.model.tools import AskedCall, HttpTool, LostResult, McpTool, PromptCall, Tool, ToolResult, ToolState
from parlor.rooms.draft import Draft
from parlor.tools.toolbox import Toolbox

SEND_WITHIN = 10.0
"""Seconds after the script that allows a call in which it is sent or never: an owner that stood still sends nothing."""
TOO_LATE = "The call could not be recorded in time, and was not sent"
TOO_LATE_AGAIN = "Nobody heard what came of the call, and it could not be sent again in time"
TIMEOUT_OF_OTHERS = 600.0
"""Seconds that a call of a tool that is not there any more may take."""
_STATES = {True: ToolState.FAILED, False: ToolState.DONE}


class StepRecord(Protocol):
    """What a step writes, and has to know of what is written. Every method raises when the attempt is not live any
    more."""

    async def write(self) -> None:
        """Returns when everything in the draft is written."""

    async def stored(self, tool_call_id: str, within: float) -> bool:
        """Returns whether the shard has the row that says that the call is sent, in that many seconds."""

    async def approved_before(self, digest: str) -> bool:
        """Returns whether the same call was approved in this room."""


class ToolSteps:
    """The steps of one attempt. ``slot`` tells its reply from others, ``nonce`` names each sending."""

    def __init__(
        self,
        toolbox: Toolbox,
        tools: Sequence[Tool],
        draft: Draft,
        record: StepRecord,
        clock: Clock,
        slot: str,
        nonce: Callable[[], str],
    ) -> None:
        self._toolbox = toolbox
        self._tools = {tool.name: tool for tool in tools}
        self._draft = draft
        self._record = record
        self._clock = clock
        self._slot = slot
        self._nonce = nonce

    @property
    def taken(self) -> int:
        """How many steps there were, those of earlier attempts that stand included."""
        return max(map(_step_of, self._draft.shown), default=0)

    async def take(self, asked: Sequence[AskedCall]) -> list[ToolCallPart]:
        """Makes the calls of one step, and returns when each has a result. A step in which one has to wait for people
        is not begun: its calls are returned, to be parked."""
        step = self.taken + 1
        calls = [await self._examined(call, step, at) for at, call in enumerate(asked)]
        if any(call.state is ToolState.WAITING or call.client for call in calls):
            return calls
        for call in calls:
            self._draft.put_call(call)
        await self._record.write()
        await self.finish()
        return []

    async def finish(self) -> None:
        """Makes the calls that have no result yet, all at once."""
        tasks: set[asyncio.Task[ToolCallPart]] = set()
        for part in self._draft.shown:
            if not isinstance(part, ToolCallPart) or part.state not in (ToolState.APPROVED, ToolState.RUNNING):
                continue
            tool = self._tools.get(part.name)
            may_again = isinstance(tool, HttpTool | McpTool) and tool.idempotent
            if part.state is ToolState.RUNNING and not may_again:
                tasks.add(asyncio.create_task(self._given_up(part, self._clock.monotonic())))
                continue
            nonce, attempts = self._nonce(), part.attempts + 1
            running = structs.replace(part, state=ToolState.RUNNING, attempts=attempts, nonce=nonce)
            key = await self._toolbox.key(running)
            self._draft.put_call(running, Dispatch(key, nonce, again=may_again))
            again = part.state is ToolState.RUNNING
            tasks.add(asyncio.create_task(self._sent(running, key, may_again=may_again, again=again)))
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._draft.put_call(task.result())
                await self._record.write()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _examined(self, call: AskedCall, step: int, at: int) -> ToolCallPart:
        part = self._toolbox.examined(call, self._tools.get(call.name), step, f"{self._slot}\n{step}\n{at}")
        if part.once and await self._record.approved_before(part.digest):
            return structs.replace(part, state=ToolState.APPROVED, approval="none", editable=False)
        return part

    async def _sent(self, call: ToolCallPart, key: str, *, may_again: bool, again: bool) -> ToolCallPart:
        """Returns the call with what came of it; ``again`` when an earlier owner may have sent it."""
        began = self._clock.monotonic()
        await self._record.write()
        left = began + SEND_WITHIN - self._clock.monotonic()
        stored = may_again or await self._record.stored(call.tool_call_id, left)
        if not stored or self._clock.monotonic() - began > SEND_WITHIN:
            result = ToolResult(TOO_LATE_AGAIN if again else TOO_LATE, is_error=True)
        else:
            self._draft.sends(call.tool_call_id)
            result = await self._toolbox.run(self._tools.get(call.name), call, key)
        if isinstance(result, LostResult) and not may_again:
            return await self._given_up(call, began)
        return structs.replace(call, state=_STATES[result.is_error], result=result)

    async def _given_up(self, call: ToolCallPart, since: float) -> ToolCallPart:
        """A call of a tool that may not be called twice, whose result nobody will hear. It can have been sent until
        ``SEND_WITHIN`` after ``since``, when this owner allowed it or took over from the one that did, and the tool can
        be at work for its whole time from then on: until that is over, nobody is told that nothing is known."""
        tool = self._tools.get(call.name)
        timeout = tool.timeout if isinstance(tool, HttpTool | McpTool) else TIMEOUT_OF_OTHERS
        await self._clock.sleep(max(0.0, since + SEND_WITHIN + timeout - self._clock.monotonic()))
        return structs.replace(call, state=ToolState.UNKNOWN)


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


_WITHOUT_RESULT = {
    ToolState.DENIED: "Error: a person denied this call",
    ToolState.EXPIRED: "Error: nobody approved this call in time",
    ToolState.CANCELLED: "Error: this call was cancelled before it was made",
}


def _told(call: ToolCallPart) -> str:
    if call.result is None:
        return _WITHOUT_RESULT.get(call.state, "Error: nobody knows what became of this call")
    words = f"Error: {call.result.content}" if call.result.is_error else call.result.content
    return f"{words}\n[the rest was left out]" if call.result.truncated else words


def _step_of(part: Part) -> int:
    """0 for what is no call."""
    return part.step if isinstance(part, ToolCallPart) else 0
