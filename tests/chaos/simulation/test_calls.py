"""The simulation can fail: what must never become of a call of a tool is found out, whichever part of Parlor lets it
happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from msgspec import structs

from parlor.cache.codes import Code
from parlor.cache.loader import Script, load
from parlor.model.parts import Part, ToolCallPart
from parlor.model.tools import Tool, ToolResult, ToolState
from parlor.rooms.tool_steps import ToolSteps
from parlor.store.ports import CallNote
from parlor.tools.toolbox import Toolbox
from tests.chaos.simulation.run import ASKING_FROM, run_seed
from tests.unit.memory_store import Templates, make_templates

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEEDS = range(ASKING_FROM, ASKING_FROM + 40)
"""The first of them that breaks the promise shows it."""


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))


def decisions_are_not_written(patch: pytest.MonkeyPatch) -> None:
    @cache
    def careless(name: str, replicated: bool) -> Script:
        known = load(name, replicated)
        source = known.source
        if name == "decide_call":
            written = f"put_call(ARGV[{known.arguments.index('seq') + 1}],"
            assert written in source
            source = source.replace(written, f"do return {{{Code.OK.value}}} end\n{written}")
        return Script(name, source, known.keys, known.more, known.arguments, known.rest)

    patch.setattr("parlor.cache.live.load", careless)


def arguments_are_written_anew(patch: pytest.MonkeyPatch) -> None:
    run = Toolbox.run

    async def anew(self: Toolbox, tool: Tool | None, call: ToolCallPart, key: str) -> ToolResult:
        return await run(self, tool, structs.replace(call, arguments=call.arguments.replace(",", ", ")), key)

    patch.setattr(Toolbox, "run", anew)


def calls_are_sent_again_with_another_key(patch: pytest.MonkeyPatch) -> None:
    run = Toolbox.run

    async def twice(self: Toolbox, tool: Tool | None, call: ToolCallPart, key: str) -> ToolResult:
        await run(self, tool, call, f"{key}, again")
        return await run(self, tool, call, key)

    patch.setattr(Toolbox, "run", twice)


def denied_calls_are_sent(patch: pytest.MonkeyPatch) -> None:
    finish = ToolSteps.finish

    async def sent(self: ToolSteps) -> None:
        for part in self._draft.shown:
            if isinstance(part, ToolCallPart) and part.state is ToolState.DENIED:
                await self._toolbox.run(self._tools.get(part.name), part, "key")
        await finish(self)

    patch.setattr(ToolSteps, "finish", sent)


def calls_are_sent_twice(patch: pytest.MonkeyPatch) -> None:
    run = Toolbox.run

    async def twice(self: Toolbox, tool: Tool | None, call: ToolCallPart, key: str) -> ToolResult:
        await run(self, tool, call, key)
        return await run(self, tool, call, key)

    patch.setattr(Toolbox, "run", twice)


def calls_do_not_end_with_their_reply(patch: pytest.MonkeyPatch) -> None:
    def same(parts: list[Part]) -> list[Part]:
        return parts

    patch.setattr("parlor.rooms.draft.ended_calls", same)
    patch.setattr("parlor.rooms.reply.ended_calls", same)


def what_waited_stays_listed(patch: pytest.MonkeyPatch) -> None:
    def still_waits(*fields: Any) -> CallNote:
        note = CallNote(*fields)
        return structs.replace(note, waits=1) if note.version > 2 else note

    patch.setattr("parlor.persistence.batch.CallNote", still_waits)


@pytest.mark.parametrize(
    ("rule", "break_it"),
    [
        ("C18", decisions_are_not_written),
        ("C19", arguments_are_written_anew),
        ("C20", calls_are_sent_again_with_another_key),
        ("C21", denied_calls_are_sent),
        ("C22", calls_are_sent_twice),
        ("C23", calls_do_not_end_with_their_reply),
        ("C24", what_waited_stays_listed),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_what_must_not_become_of_a_call_is_found_out(
    templates: Templates, monkeypatch: pytest.MonkeyPatch, rule: str, break_it: Callable[[pytest.MonkeyPatch], None]
) -> None:
    break_it(monkeypatch)
    found = (violation.rule for seed in SEEDS for violation in run_seed(seed, templates).violations)
    assert rule in found
