"""People who decide about calls of tools, and programs that execute those of clients: they look at a page, then say
something about a call that waits, or about one that they saw waiting long ago; some say it twice."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.parts import ToolCallPart
from parlor.model.tools import Decision, PostedResult, ToolResult
from parlor.rooms.commands import CallDone, Command, Decide, Outcome, PostResult
from parlor.tools.arguments import canonical
from tests.chaos.history import Kind, Request, Response
from tests.chaos.observed import call_seen, seen
from tests.chaos.simulation.installation import SimInstallation

Do: TypeAlias = Callable[[Kind, Session, RoomId, Request, Callable[[], Awaitable[Response]]], Awaitable[None]]
Ask: TypeAlias = Callable[[Command], Awaitable[Outcome]]

STALE, AGAIN, WRONG = 0.15, 0.3, 0.05
"""Shares of what they say: about a call that they saw earlier, said twice, about another digest."""


class Deciders:
    """``decide`` is one act of one of them; ``do`` records it, ``ask`` has it done."""

    def __init__(self, installation: SimInstallation, chance: random.Random, do: Do, ask: Ask) -> None:
        self._installation = installation
        self._chance = chance
        self._do = do
        self._ask = ask
        self._known: dict[RoomId, list[tuple[MessageId, ToolCallPart]]] = {}
        self._number = 0

    async def decide(self, session: Session, room_id: RoomId) -> None:
        waiting: list[tuple[MessageId, ToolCallPart]] = []

        async def look() -> Response:
            page = await self._installation.edge.wiring.history.page(room_id, session.account_id, limit=200)
            for message in page.messages:
                calls = [part for part in message.parts or () if isinstance(part, ToolCallPart)]
                waiting.extend((message.message_id, call) for call in calls if call.waits)
            return Response(messages=[seen(message) for message in page.messages], cursor=page.cursor)

        await self._do(Kind.READ_PAGE, session, room_id, Request(), look)
        known = self._known.setdefault(room_id, [])
        old = bool(known) and self._chance.random() < STALE
        known.extend(each for each in waiting if each not in known)
        if not (waiting or old):
            return
        message_id, call = self._chance.choice(known if old else waiting)
        say = self._post if call.client and call.state != "waiting" else self._decide
        await say(session, room_id, message_id, call)

    async def _decide(self, session: Session, room_id: RoomId, message_id: MessageId, call: ToolCallPart) -> None:
        chance = self._chance
        approve = chance.random() < 0.65
        edited = None
        if approve and call.editable and chance.random() < 0.4:
            edited = canonical({**json.loads(call.arguments), "to": chance.choice(["Bob", "Zoë"])})
        digest = "sha256:" + "0" * 64 if chance.random() < WRONG else call.digest
        command = Decide(
            session, room_id, "", message_id, call.tool_call_id, Decision(approve, digest, edited, "No" * (not approve))
        )
        request = Request(
            message_id=message_id,
            call_id=call.tool_call_id,
            tool=call.name,
            digest=digest,
            approve=approve,
            arguments=edited or "",
        )
        await self._said(Kind.DECIDE, command, request)

    async def _post(self, session: Session, room_id: RoomId, message_id: MessageId, call: ToolCallPart) -> None:
        self._number += 1
        content = f"posted {self._number}"
        posted = PostedResult(call.digest, ToolResult(content, self._chance.random() < 0.2))
        command = PostResult(session, room_id, "", message_id, call.tool_call_id, posted)
        request = Request(content, message_id=message_id, call_id=call.tool_call_id, tool=call.name, digest=call.digest)
        await self._said(Kind.POST_RESULT, command, request)

    async def _said(self, kind: Kind, command: Decide | PostResult, request: Request) -> None:
        assert command.session is not None

        async def say() -> Response:
            done = await self._ask(command)
            assert isinstance(done, CallDone)
            return Response(call=call_seen(done.call))

        for _ in range(2 if self._chance.random() < AGAIN else 1):
            await self._do(kind, command.session, command.room_id, request, say)
