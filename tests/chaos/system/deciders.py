"""People whose models use tools, and who decide about the calls: approve, deny, edit, stop, delete, say it twice, or
two things at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from parlor.tools.arguments import canonical
from tests.chaos.history import Kind, Operation, Outcome, Request
from tests.chaos.system.http_client import Connection, NoAnswer
from tests.chaos.system.load import DEADLINE, RETRY_PAUSE, Account, KnownRoom, Load
from tests.chaos.system.tool_server import EDITABLE, TOOLS

LOOK_PAUSE = 0.1
ENDS_WITHIN = 150.0
"""Seconds in which a reply has to come to its next decision, or its end."""
STEP_WITHIN = 2.0
"""Seconds more for each step of a long reply."""
WAYS = {"approve": 60, "edit": 12, "deny": 14, "race": 6, "stop": 4, "delete": 4}
AGAIN = 0.2
"""Share of the decisions that are said twice."""


class Deciders:
    """``done`` counts what they have done, ``troubles`` says what did not come to an end."""

    def __init__(self, load: Load, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._load = load
        self._chance = random.Random(seed)
        self._asks = 0

    @property
    def decided(self) -> int:
        """How many calls were decided."""
        return self.done["approve"] + self.done["edit"] + self.done["deny"]

    async def run(self, account: Account, stop: asyncio.Event) -> None:
        """One of them, with rooms of their own, until ``stop``."""
        connection, other = self._load.connect(account), self._load.connect(account)
        try:
            while not stop.is_set():
                await self._use_tools(connection, other, account, self._chance.choice(account.rooms))
        finally:
            await connection.close()
            await other.close()

    async def take_steps(self, account: Account, steps: int, stop: asyncio.Event) -> None:
        """Somebody whose replies take so many steps, one behind the other, until ``stop``."""
        connection = self._load.connect(account)
        try:
            while not stop.is_set():
                # A short answer at the end: its own words would repeat the results of all steps, for longer than two
                # kills are apart, and an answer that is cut off twice ends as interrupted.
                text = f'[[call=weather args={{"to":"Eve"}} calls={steps} first=300ms tokens=20]]'
                sent = await self._load.deliver("steps", connection, account, account.rooms[0], text)
                if sent is not None:
                    await self._ended(connection, account.rooms[0], sent.response.messages[1].message_id, steps)
        finally:
            await connection.close()

    async def _ended(self, connection: Connection, room: KnownRoom, reply: str, steps: int) -> None:
        until = time.monotonic() + ENDS_WITHIN + steps * STEP_WITHIN
        while time.monotonic() < until:
            message = await self._read(connection, room, reply)
            if message is None or message["state"] == "COMPOSING":
                await asyncio.sleep(LOOK_PAUSE * 10)
                continue
            # A call whose answer was late or cut has failed; the model is told so and goes on.
            ended = [part for part in message["parts"] if part.get("state") in ("done", "failed")]
            if (message["finish_reason"], len(ended)) != ("stop", steps):
                self.troubles.append(f"{reply} ended as {message['finish_reason']} after {len(ended)} of {steps} steps")
            self.done["long replies"] += 1
            self.done["deaths of their owners"] += message["attempt"] - 1
            return
        self.troubles.append(f"the reply {reply} of {steps} steps did not end")

    async def _use_tools(self, connection: Connection, other: Connection, account: Account, room: KnownRoom) -> None:
        """One reply, with one call or two at once."""
        self._asks += 1
        tools = ",".join(self._chance.sample(list(TOOLS), self._chance.choice([1, 1, 2])))
        text = f'[[call={tools} args={{"to":"Eve","ask":"{account.name}-{self._asks}"}}]]'
        sent = await self._load.deliver("approve", connection, account, room, text)
        if sent is None:
            return
        reply = sent.response.messages[1].message_id
        until = time.monotonic() + ENDS_WITHIN
        while time.monotonic() < until:
            message = await self._read(connection, room, reply)
            if message is not None and message["state"] != "COMPOSING":
                self.done["replies"] += 1
                return
            waiting = [part for part in (message or {}).get("parts", ()) if part.get("state") == "waiting"]
            if not waiting:
                await asyncio.sleep(LOOK_PAUSE)
                continue
            until = time.monotonic() + ENDS_WITHIN
            way = self._chance.choices(list(WAYS), list(WAYS.values()))[0]
            if way in ("stop", "delete"):
                await self._withdraw(way, connection, account, room, reply)
            elif way == "race":
                ways = self._chance.sample(["approve", "deny", "edit"], 2)
                await asyncio.gather(
                    self._decide(ways[0], connection, account, room, reply, waiting[0]),
                    self._decide(ways[1], other, account, room, reply, waiting[0]),
                )
            else:
                await self._decide(way, connection, account, room, reply, waiting[0])
            if way == "delete":
                return
        self.troubles.append(f"the reply {reply} did not end in {ENDS_WITHIN:g} s")

    async def _decide(
        self, way: str, connection: Connection, account: Account, room: KnownRoom, reply: str, call: Mapping[str, Any]
    ) -> None:
        """Says it until it is answered, and then perhaps once more."""
        body: dict[str, object] = {"decision": "deny" if way == "deny" else "approve", "digest": call["digest"]}
        edited = ""
        if way == "edit" and call["name"] in EDITABLE:
            body["arguments"] = {**call["arguments"], "to": "Bob"}
            edited = canonical(body["arguments"])
        request = Request(
            message_id=reply,
            call_id=call["tool_call_id"],
            tool=call["name"],
            digest=call["digest"],
            approve=way != "deny",
            arguments=edited,
        )
        path = f"/v1/rooms/{room.room_id}/messages/{reply}/tool-calls/{call['tool_call_id']}/decision"
        times = 2 if self._chance.random() < AGAIN else 1
        for number in range(times):
            done = await self._said(connection, account, room, request, path, body)
            if number == 0:
                self.done[way if done.outcome is Outcome.OK else "refused"] += 1

    async def _said(
        self,
        connection: Connection,
        account: Account,
        room: KnownRoom,
        request: Request,
        path: str,
        body: Mapping[str, object],
    ) -> Operation:
        until = time.monotonic() + ENDS_WITHIN
        while True:
            done = await self._load.ask(connection, Kind.DECIDE, account, room.room_id, request, "POST", path, body)
            if done.outcome is not Outcome.UNKNOWN or time.monotonic() > until:
                return done
            self.done["asked again"] += 1
            await asyncio.sleep(RETRY_PAUSE)

    async def _withdraw(self, way: str, connection: Connection, account: Account, room: KnownRoom, reply: str) -> None:
        path, request = f"/v1/rooms/{room.room_id}/messages/{reply}", Request(message_id=reply)
        kind, method = (Kind.STOP_REPLY, "POST") if way == "stop" else (Kind.DELETE_MESSAGE, "DELETE")
        target = f"{path}/stop" if way == "stop" else path
        done = await self._load.ask(connection, kind, account, room.room_id, request, method, target)
        self.done[way] += done.outcome is Outcome.OK

    async def _read(self, connection: Connection, room: KnownRoom, reply: str) -> dict[str, Any] | None:
        """The reply as it is; None when nobody answers."""
        try:
            found = await connection.ask("GET", f"/v1/rooms/{room.room_id}/messages/{reply}", seconds=DEADLINE)
        except NoAnswer:
            return None
        return found.body if found.status == 200 else None
