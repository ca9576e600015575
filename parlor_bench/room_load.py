"""Messages to the rooms of an XMPP server (XEP-0045), with several under way on each connection."""

from __future__ import annotations

import asyncio
import itertools
import time
from xml.sax.saxutils import escape, quoteattr

import msgspec

from parlor_bench.load import Figures, figures
from parlor_bench.xmpp import MESSAGE, XmppConnection


class Occupant(msgspec.Struct, frozen=True):
    """One connection: whose it is, and the rooms that it sends to by turns."""

    user: str
    password: str
    rooms: list[str]
    """Their addresses, ``name@service``."""


class RoomSends(msgspec.Struct, frozen=True, tag=True):
    """A load for a process of its own (``parlor_bench.worker``): a connection for each occupant. A message is answered
    when the room sends it back to its sender. Time counts from when all are in their rooms."""

    host: str
    port: int
    domain: str
    occupants: list[Occupant]
    in_flight: int
    seconds: float
    content: str

    async def run(self) -> Figures:
        latencies: list[float] = []
        connections: list[XmppConnection] = []
        try:
            for occupant in self.occupants:
                address = (self.host, self.port, self.domain)
                connections.append(await XmppConnection.open(*address, occupant.user, occupant.password))
                await connections[-1].enter(occupant.rooms, occupant.user)
            began = time.perf_counter()
            until = began + self.seconds
            sends = (
                self._send(connection, occupant.rooms, until, latencies)
                for connection, occupant in zip(connections, self.occupants, strict=True)
            )
            errors = sum(await asyncio.gather(*sends))
            took = time.perf_counter() - began
        finally:
            await asyncio.gather(*(connection.close() for connection in connections))
        return figures(len(self.occupants), took, latencies, errors)

    async def _send(self, connection: XmppConnection, rooms: list[str], until: float, latencies: list[float]) -> int:
        """Returns the number of messages that were refused."""
        heads = [f"<message type='groupchat' to={quoteattr(room)} id='".encode() for room in rooms]
        tail = f"'><body>{escape(self.content)}</body></message>".encode()
        numbers, errors = itertools.count(), 0
        sent: dict[str, float] = {}

        def send() -> None:
            number = next(numbers)
            sent[str(number)] = time.perf_counter()
            connection.write(b"%b%d%b" % (heads[number % len(heads)], number, tail))

        for _ in range(self.in_flight):
            send()
        while sent:
            for stanza in await connection.read():
                # A room also says who is there and what it is about, without an id.
                began = sent.pop(stanza.attributes.get("id", ""), None)
                if stanza.name != MESSAGE or began is None:
                    continue
                now = time.perf_counter()
                latencies.append(now - began)
                errors += stanza.attributes["type"] == "error"
                if now < until:
                    send()
        return errors
