"""The services that sends are compared with store before they answer; the one with a lock keeps order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncmy
import httpx2
import msgspec
import pytest

from parlor.store.addresses import MySqlAddress, parse_address
from parlor_bench.peers import running
from parlor_bench.peers.bare_insert import insert_rows
from parlor_bench.peers.plain_service import Where, token
from tests.servers import private_mysql, private_redis, short_directory

pytestmark = pytest.mark.contract

SENDS = 40


@pytest.fixture(scope="module")
def servers() -> Iterator[Where]:
    with short_directory() as directory, private_mysql(directory) as mysql, private_redis(directory) as redis:
        address = parse_address(mysql)
        assert isinstance(address, MySqlAddress)
        yield Where(redis, running.arguments_of(address), "a-secret-of-more-than-thirty-two-bytes")


@pytest.fixture
async def where(servers: Where) -> AsyncIterator[Where]:
    async with running.own_database(servers) as found:
        yield found


@pytest.fixture
async def service(where: Where) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running.running_plain_service(where) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client


@pytest.fixture
async def unlocked(where: Where) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running.running_plain_service(msgspec.structs.replace(where, lock=False)) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client


async def stored(where: Where, table: str) -> int:
    connection = await asyncmy.connect(**where.mysql)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - a name of this module
            return int((await cursor.fetchone())[0])
    finally:
        connection.close()


async def send_at_once(client: httpx2.AsyncClient, where: Where) -> list[tuple[str, int]]:
    """The room and number of each message, sorted."""
    headers = {"Authorization": f"Bearer {token(where, 'ada')}"}
    sends = (
        client.post(f"/v1/rooms/r{number % 2}/messages", json={"content": str(number)}, headers=headers)
        for number in range(SENDS)
    )
    answers = await asyncio.gather(*sends)
    assert {answer.status_code for answer in answers} == {201}
    return sorted((answer.json()["room_id"], answer.json()["seq"]) for answer in answers)


async def test_sends_at_once_get_places_of_their_own_and_are_stored(service: httpx2.AsyncClient, where: Where) -> None:
    found = await send_at_once(service, where)
    assert found == [(room, seq) for room in ("r0", "r1") for seq in range(1, SENDS // 2 + 1)]
    assert await stored(where, "messages") == SENDS


async def test_without_the_lock_rows_are_numbered_by_the_database(unlocked: httpx2.AsyncClient, where: Where) -> None:
    found = await send_at_once(unlocked, where)
    assert sorted(seq for _, seq in found) == list(range(1, SENDS + 1))
    assert await stored(where, "unlocked") == SENDS


async def test_a_bad_token_is_refused(service: httpx2.AsyncClient) -> None:
    answer = await service.post("/v1/rooms/r/messages", json={"content": "x"}, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401


async def test_bare_inserts_store_every_row(where: Where) -> None:
    assert await insert_rows(where, 1000, 3, "x") > 0
    assert await stored(where, "messages") == 1000
