"""ejabberd as a peer: a message that its room sent back is a row of its archive in MariaDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncmy
import pytest

from parlor.store.addresses import MySqlAddress, parse_address
from parlor_bench.peers.ejabberd import (
    DATABASE,
    DOMAIN,
    ROOMS_DOMAIN,
    Account,
    TcpServer,
    missing,
    running_ejabberd,
)
from parlor_bench.peers.running import arguments_of
from parlor_bench.room_load import Occupant, RoomSends
from parlor_bench.worker import in_process
from parlor_bench.xmpp import MESSAGE, XmppConnection
from tests.servers import free_ports, mysql_server, running, short_directory, skip_or_fail

pytestmark = pytest.mark.contract

ADA = Account("ada", "lovelace")
ROOMS = [f"r{number}@{ROOMS_DOMAIN}" for number in range(2)]
SENDS = 100
ARCHIVED = "SELECT username, txt FROM archive ORDER BY id"
"""The room and text of each message."""


@pytest.fixture(scope="module")
def server() -> Iterator[TcpServer]:
    if reason := missing():
        skip_or_fail(reason)
    [port] = free_ports(1)
    with short_directory() as directory:
        networking = ("--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}", "--skip-name-resolve")
        with running(mysql_server(directory, *networking)) as mysql:
            address = parse_address(mysql.url)
            assert isinstance(address, MySqlAddress)
            yield TcpServer(arguments_of(address), port)


@pytest.fixture
async def port(server: TcpServer) -> AsyncIterator[int]:
    async with running_ejabberd(server, [ADA]) as found:
        yield found


@asynccontextmanager
async def signed_in(port: int) -> AsyncIterator[XmppConnection]:
    connection = await XmppConnection.open("127.0.0.1", port, DOMAIN, ADA.user, ADA.password)
    try:
        await connection.enter(ROOMS, ADA.user)
        yield connection
    finally:
        await connection.close()


async def send(connection: XmppConnection, count: int) -> list[str]:
    """Sends messages to the rooms by turns; returns the ids of those that come back."""
    for number in range(count):
        body = f"<body>n &lt; {number}</body>"
        connection.write(f"<message type='groupchat' to='{ROOMS[number % 2]}' id='{number}'>{body}</message>".encode())
    back: list[str] = []
    while len(back) < count:
        found = [one.attributes for one in await connection.read() if one.name == MESSAGE and "id" in one.attributes]
        assert {one["type"] for one in found} <= {"groupchat"}
        back += [one["id"] for one in found]
    return back


async def ask(server: TcpServer, statement: str) -> list[tuple[object, ...]]:
    connection = await asyncmy.connect(**server.mysql, database=DATABASE)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
            return list(await cursor.fetchall())
    finally:
        connection.close()


async def test_what_a_room_sent_back_is_in_the_archive_in_its_order(server: TcpServer, port: int) -> None:
    async with signed_in(port) as connection:
        back = await send(connection, SENDS)
        rows = await ask(server, ARCHIVED)
    assert sorted(map(int, back)) == list(range(SENDS))
    for place, room in enumerate(ROOMS):
        assert [text for of, text in rows if of == room] == [f"n < {number}" for number in range(place, SENDS, 2)]

    load = RoomSends("127.0.0.1", port, DOMAIN, [Occupant(ADA.user, ADA.password, ROOMS)], 4, 0.3, "x" * 256)
    figures = await in_process(load)
    assert figures.errors == 0
    assert figures.requests == len(await ask(server, ARCHIVED)) - SENDS > 0


async def test_what_the_database_refused_comes_back_too_and_a_wrong_password_does_not_get_in(
    server: TcpServer, port: int
) -> None:
    """Why its promise is weaker than Parlor's."""
    with pytest.raises(RuntimeError, match="not-authorized"):
        await XmppConnection.open("127.0.0.1", port, DOMAIN, ADA.user, "wrong")
    async with signed_in(port) as connection:
        await ask(server, "RENAME TABLE archive TO away")
        assert sorted(await send(connection, 2)) == ["0", "1"]
    assert await ask(server, "SELECT COUNT(*) FROM away") == [(0,)]
