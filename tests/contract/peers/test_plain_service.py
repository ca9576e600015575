"""The service that sends are compared with keeps order, and stores before it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncmy
import httpx2
import pytest

from parlor.store.addresses import MySqlAddress, parse_address
from parlor_bench.peers import running
from parlor_bench.peers.plain_service import Where, token
from tests.servers import private_mariadb, private_redis, short_directory

pytestmark = pytest.mark.contract

SENDS = 40


@pytest.fixture(scope="module")
def where() -> Iterator[Where]:
    with short_directory() as directory, private_mariadb(directory) as mysql, private_redis(directory) as redis:
        address = parse_address(mysql)
        assert isinstance(address, MySqlAddress)
        yield Where(redis, running.arguments_of(address), "a-secret-of-more-than-thirty-two-bytes")


@pytest.fixture
async def service(where: Where) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running.plain_service(where) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client


async def test_sends_at_once_get_places_of_their_own_and_are_stored(service: httpx2.AsyncClient, where: Where) -> None:
    headers = {"Authorization": f"Bearer {token(where, 'ada')}"}
    sends = (
        service.post(f"/v1/rooms/r{number % 2}/messages", json={"content": str(number)}, headers=headers)
        for number in range(SENDS)
    )
    answers = await asyncio.gather(*sends)
    assert {answer.status_code for answer in answers} == {201}
    found = sorted((answer.json()["room_id"], answer.json()["seq"]) for answer in answers)
    assert found == [(room, seq) for room in ("r0", "r1") for seq in range(1, SENDS // 2 + 1)]
    connection = await asyncmy.connect(**where.mysql, database=running.DATABASE)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT COUNT(*) FROM messages")
            assert await cursor.fetchone() == (SENDS,)
    finally:
        connection.close()


async def test_a_bad_token_is_refused(service: httpx2.AsyncClient) -> None:
    answer = await service.post("/v1/rooms/r/messages", json={"content": "x"}, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401
