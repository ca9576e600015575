"""The load of an XMPP server's rooms, against a server that answers by a script."""

from __future__ import annotations

import asyncio
import itertools
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from typing import cast
from xml.etree.ElementTree import Element, XMLPullParser

import pytest

from parlor_bench.room_load import Occupant, RoomSends
from parlor_bench.worker import in_process
from parlor_bench.xmpp import MESSAGE, Stanzas, XmppConnection

pytestmark = pytest.mark.unit

HEAD = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
FEATURES = b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>"
SECRET = b64encode(b"\0ada\0lovelace").decode()
Answer = Callable[[Element], str]


class Script:
    """One connection of a server, read by another parser than the client's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader, self._writer, self._answer = reader, writer, answer

    async def run(self) -> None:
        with closing(self._writer):
            secret = await self._stream(lambda stanza: True)
            if secret.text != SECRET:
                self._writer.write(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
                return
            self._writer.write(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
            await self._stream(self._bound)
            self._writer.write(b"</stream:stream>")

    async def _stream(self, ends: Callable[[Element], bool]) -> Element:
        """The stanza that ends this part; the stream's own end, if that comes first."""
        parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        depth = 0
        while data := await self._reader.read(100):
            parser.feed(data)
            for event, found in cast("Iterator[tuple[str, Element]]", parser.read_events()):
                depth += 1 if event == "start" else -1
                if event == "start" and depth == 1:
                    self._writer.write(HEAD + FEATURES)
                elif event == "end" and (depth == 0 or (depth == 1 and ends(found))):
                    return found
        raise EOFError

    def _bound(self, stanza: Element) -> bool:
        self._writer.write(self._answer(stanza).encode())
        return False


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """The port of a server that signs ada in and then answers each stanza like this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Script(reader, writer, answer).run()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def room_server(stanza: Element, *, kind: str = "groupchat") -> str:
    """What a room says."""
    to = stanza.get("to", "")
    if stanza.tag.endswith("iq"):
        return f"<iq type='result' id='{stanza.get('id')}'/>"
    if stanza.tag.endswith("presence"):
        about = f"<message type='groupchat' from='{to}'><subject/></message>"
        return f"<presence from='{to}'><x><status code='110'/></x></presence>{about}" if to else ""
    return f"<message type='{kind}' from='{to}/ada' id='{stanza.get('id')}'><body>echo</body></message>"


def load_of(port: int, content: str = "x", *, password: str = "lovelace") -> RoomSends:  # noqa: S107 - the script's
    return RoomSends(
        "127.0.0.1", port, "localhost", [Occupant("ada", password, ["a@rooms", "b@rooms"])], 3, 0.3, content
    )


def test_stanzas_are_whole_however_the_bytes_are_cut() -> None:
    text = HEAD + b"<message id='1'><body>&lt;/message&gt; \xc3\xa9<b/></body></message><message id='2'/>"
    stanzas = Stanzas()
    found = list(itertools.chain.from_iterable(stanzas.feed(text[at : at + 1]) for at in range(len(text))))
    assert [(one.name, one.attributes["id"]) for one in found] == [(MESSAGE, "1"), (MESSAGE, "2")]
    assert [one.inside for one in found] == [["jabber:client body", "jabber:client b"], []]
    with pytest.raises(EOFError):
        stanzas.feed(b"</stream:stream>")


async def test_each_message_is_answered_by_its_room_and_rooms_take_turns() -> None:
    sent: list[tuple[str, str, str]] = []

    def answer(stanza: Element) -> str:
        if stanza.tag.endswith("message"):
            body = stanza.findtext("{jabber:client}body")
            sent.append((stanza.get("to", ""), stanza.get("id", ""), body or ""))
        return room_server(stanza)

    async with serving(answer) as port:
        found = await in_process(load_of(port, "<'&é"))
    assert found.requests == len(sent) == len({number for _, number, _ in sent}) > 3
    assert (found.errors, found.connections) == (0, 1)
    assert [room for room, _, _ in sent[:4]] == ["a@rooms", "b@rooms", "a@rooms", "b@rooms"]
    assert {body for _, _, body in sent} == {"<'&é"}
    assert 0 < found.p50_ms <= found.p99_ms


async def test_what_a_room_refuses_is_counted() -> None:
    async with serving(lambda stanza: room_server(stanza, kind="error")) as port:
        found = await in_process(load_of(port))
    assert found.errors == found.requests > 0


async def test_a_room_that_lets_nobody_in_ends_the_run() -> None:
    def answer(stanza: Element) -> str:
        if stanza.get("to"):
            return f"<presence type='error' from='{stanza.get('to')}'><error><forbidden/></error></presence>"
        return room_server(stanza)

    async with serving(answer) as port:
        with pytest.raises(RuntimeError, match=r"no entry into a@rooms/ada|no entry into b@rooms/ada"):
            await in_process(load_of(port))


async def test_a_refused_sign_in_ends_the_run() -> None:
    async with serving(room_server) as port:
        with pytest.raises(RuntimeError, match="not-authorized"):
            await in_process(load_of(port, password="wrong"))


async def test_an_error_of_the_stream_says_why() -> None:
    def answer(stanza: Element) -> str:
        if stanza.tag.endswith("message"):
            return "<stream:error><policy-violation/></stream:error>"
        return room_server(stanza)

    async with serving(answer) as port:
        connection = await XmppConnection.open("127.0.0.1", port, "localhost", "ada", "lovelace")
        connection.write(b"<message to='a@rooms' id='0'/>")
        with pytest.raises(RuntimeError, match="policy-violation"):
            await connection.read()
        await connection.close()
