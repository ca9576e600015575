"""A cheap XMPP client (RFC 6120, XEP-0045): plain TCP, SASL PLAIN, stanzas from expat without a tree of them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from parlor_bench.load import ANSWER_SECONDS

CLIENT, SASL, STREAM = "jabber:client", "urn:ietf:params:xml:ns:xmpp-sasl", "http://etherx.jabber.org/streams"
_BIND, _MUC = "urn:ietf:params:xml:ns:xmpp-bind", "http://jabber.org/protocol/muc"
MESSAGE, PRESENCE, _IQ = f"{CLIENT} message", f"{CLIENT} presence", f"{CLIENT} iq"
_FEATURES, _ERROR, _SUCCESS = f"{STREAM} features", f"{STREAM} error", f"{SASL} success"
_READ_BYTES = 65536


@dataclass(slots=True)
class Stanza:
    """A child of the stream's root."""

    name: str
    """Its namespace, a space and its local name, as expat gives them."""
    attributes: dict[str, str]
    inside: list[str]
    """The names of all elements in it, in their order."""


class Stanzas:
    """The stanzas of one stream: what arrives is fed piece by piece."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._depth = 0
        self._found: list[Stanza] = []

    def feed(self, data: bytes) -> list[Stanza]:
        """Those that end in this piece. Raises ``EOFError`` at the end of the stream, ``ExpatError``."""
        self._parser.Parse(data, False)
        found, self._found = self._found, []
        return found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 2:
            self._open = Stanza(name, attributes, [])
        elif self._depth > 2:
            self._open.inside.append(name)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 1:
            self._found.append(self._open)
        elif self._depth == 0:
            raise EOFError("the server ended the stream")


class XmppConnection:
    """A stream of one account, signed in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._stanzas = Stanzas()

    @classmethod
    async def open(cls, host: str, port: int, domain: str, user: str, password: str) -> XmppConnection:
        """Raises ``RuntimeError`` when the server refuses."""
        reader, writer = await asyncio.open_connection(host, port)
        opened = cls(reader, writer)
        try:
            await opened._sign_in(domain, user, password)
        except BaseException:
            writer.close()
            raise
        return opened

    def write(self, stanza: bytes) -> None:
        self._writer.write(stanza)

    async def read(self) -> list[Stanza]:
        """At least one. Raises ``EOFError`` when the server ends the stream, ``RuntimeError`` when it says why."""
        found: list[Stanza] = []
        async with asyncio.timeout(ANSWER_SECONDS):
            while not found:
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    raise EOFError("the server closed the connection")
                found = self._stanzas.feed(data)
        if found[-1].name == _ERROR:
            raise RuntimeError(f"the stream has an error: {found[-1].inside}")
        return found

    async def enter(self, rooms: Collection[str], nick: str) -> None:
        """Enters rooms, or makes them. Raises ``RuntimeError`` when the server refuses."""
        waiting = {f"{room}/{nick}" for room in rooms}
        for place in waiting:
            asked = f"<presence to={quoteattr(place)}><x xmlns='{_MUC}'><history maxstanzas='0'/></x></presence>"
            self.write(asked.encode())
        while waiting:
            for stanza in await self.read():
                place = stanza.attributes.get("from", "")
                if stanza.name == PRESENCE and place in waiting:
                    if stanza.attributes.get("type") == "error":
                        raise RuntimeError(f"no entry into {place}: {stanza.inside}")
                    waiting.remove(place)

    async def close(self) -> None:
        """Ends the stream, and waits until the server has ended it too: it has left the rooms then."""
        self._writer.write(b"</stream:stream>")
        try:
            while True:
                await self.read()
        except (EOFError, ConnectionError):
            pass
        finally:
            self._writer.close()

    async def _sign_in(self, domain: str, user: str, password: str) -> None:
        await self._begin(domain)
        secret = b64encode(f"\0{user}\0{password}".encode()).decode()
        await self._ask(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>", _SUCCESS)
        self._stanzas = Stanzas()
        await self._begin(domain)
        bind = f"<bind xmlns='{_BIND}'><resource>{escape(user)}</resource></bind>"
        await self._ask(f"<iq type='set' id='bind'>{bind}</iq>", _IQ)
        self.write(b"<presence/>")

    async def _begin(self, domain: str) -> None:
        names = f"xmlns='{CLIENT}' xmlns:stream='{STREAM}'"
        await self._ask(f"<stream:stream {names} version='1.0' to={quoteattr(domain)}>", _FEATURES)

    async def _ask(self, text: str, answer: str) -> None:
        """Raises ``RuntimeError`` when the answer is another one."""
        self.write(text.encode())
        found = (await self.read())[0]
        if found.name != answer or found.attributes.get("type") == "error":
            raise RuntimeError(f"refused: {found.name}, {found.inside}")
