"""Keys and accounts end in every replica of a running installation, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from tests.installation import Installation
from tests.integration.sse import reading
from tests.integration.user import EVENTS, User
from tests.integration.waiting import eventually, patience

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
REFUSED_WITHIN, STREAMS_END_WITHIN = 5.0, 30.0
"""Seconds, as promised (docs/OPERATIONS.md)."""


async def parlor(installation: Installation, *words: str) -> str:
    done = await asyncio.to_thread(installation.parlor, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextlib.asynccontextmanager
async def doors(
    installation: Installation, other_door: str, credential: str
) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Both replicas, with one credential."""
    async with contextlib.AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {credential}"}
        yield [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=url, headers=headers, timeout=30))
            for url in (installation.base_url, other_door)
        ]


async def statuses(clients: list[httpx2.AsyncClient]) -> list[int]:
    return [answer.status_code for answer in await asyncio.gather(*(each.get("/v1/rooms") for each in clients))]


@contextlib.asynccontextmanager
async def undisturbed(user: User) -> AsyncIterator[None]:
    """Another account works all the while, and no request of it fails."""
    room, failures, ended = await user.create_room(), [], asyncio.Event()

    async def work() -> None:
        while not ended.is_set():
            answer = await user.http.post(f"/v1/rooms/{room}/messages", json={"content": "on", "reply": "none"})
            if answer.status_code != 201:
                failures.append(answer.text)
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        ended.set()
        await working
    assert failures == []


async def ends_everywhere(
    installation: Installation,
    other_door: str,
    credential: str,
    end: Callable[[], Awaitable[object]],
    refused: int = 401,
) -> None:
    """What ``end`` does takes a credential out of use in time: requests at both replicas, and streams."""
    async with doors(installation, other_door, credential) as clients, contextlib.AsyncExitStack() as stack:
        assert await statuses(clients) == [200, 200]
        streams = [
            await stack.enter_async_context(reading(client, "GET", "/v1/events", headers=EVENTS)) for client in clients
        ]
        await end()
        ended = time.monotonic()
        while await statuses(clients) != [refused, refused]:
            assert time.monotonic() - ended < patience(REFUSED_WITHIN)
            await asyncio.sleep(0.1)
        for stream in streams:
            left = ended + patience(STREAMS_END_WITHIN) - time.monotonic()
            events = await stream.until("stream.reconnect", seconds=left)
            assert events[-1].data["reason"] == "token-revoked"


async def test_a_signing_key_is_rotated_under_load(
    installation: Installation, other_door: str, user: User, stranger: User
) -> None:
    async with undisturbed(stranger):
        first = await parlor(installation, "keys", "add")
        old = await parlor(installation, "token", user.account)
        async with doors(installation, other_door, old) as clients:
            assert await statuses(clients) == [200, 200], "a new key is accepted at its first use"
        await parlor(installation, "keys", "add")
        new = await parlor(installation, "token", user.account)
        await ends_everywhere(installation, other_door, old, lambda: parlor(installation, "keys", "retire", first))
        async with doors(installation, other_door, new) as clients:
            assert await statuses(clients) == [200, 200]


async def test_an_account_is_revoked_under_load(
    installation: Installation, other_door: str, user: User, stranger: User
) -> None:
    async with undisturbed(stranger):
        old = installation.token(user.account)
        await ends_everywhere(installation, other_door, old, lambda: parlor(installation, "revoke", user.account))
        async with doors(installation, other_door, installation.token(user.account)) as clients:
            assert await statuses(clients) == [200, 200], "a later token is valid"


async def test_an_api_key_is_ended_under_load(
    installation: Installation, other_door: str, user: User, stranger: User
) -> None:
    async with undisturbed(stranger):
        made = (await user.http.post("/v1/keys", json={"name": "a program", "scopes": ["read", "write"]})).json()
        await ends_everywhere(
            installation, other_door, made["key"], lambda: user.http.delete(f"/v1/keys/{made['key_id']}")
        )
        assert (await user.get("/v1/keys"))["keys"] == []


async def test_the_command_line_makes_keys_for_an_account(
    installation: Installation, other_door: str, user: User
) -> None:
    key = await parlor(installation, "keys", "add", "--account", user.account, "--name", "cron", "--scope", "read")
    async with doors(installation, other_door, key) as clients:
        assert await statuses(clients) == [200, 200]
        assert [(await each.post("/v1/rooms", json={})).status_code for each in clients] == [403, 403]
    listed = json.loads(await parlor(installation, "keys", "list", "--account", user.account, "--json"))["keys"]
    assert [(line["name"], line["scopes"]) for line in listed] == [("cron", "read")]
    await parlor(installation, "keys", "retire", listed[0]["prefix"], "--account", user.account)


async def test_an_account_is_disabled_and_let_in_again(
    installation: Installation, other_door: str, user: User, stranger: User
) -> None:
    path, token = f"/v1/admin/accounts/{user.account}", installation.token(user.account)
    async with undisturbed(stranger), operator(installation) as admin:
        assert (await user.http.patch(path, json={"disabled": False})).status_code == 403
        disable = functools.partial(admin.http.patch, path, json={"disabled": True})
        await ends_everywhere(installation, other_door, token, disable, refused=403)
        await parlor(installation, "accounts", "enable", user.account)
        async with doors(installation, other_door, token) as clients:
            await eventually(lambda: statuses(clients), lambda found: found == [200, 200], REFUSED_WITHIN)
        shown = json.loads(await parlor(installation, "accounts", "show", user.account, "--json"))
        assert (shown["account_id"], shown["standing"]) == (user.account, "active")


async def test_an_account_is_deleted_with_its_rooms(
    installation: Installation, other_door: str, user: User, stranger: User
) -> None:
    path, token = f"/v1/admin/accounts/{user.account}", installation.token(user.account)
    rooms = [await user.create_room() for _ in range(2)]
    for room in rooms:
        await user.note(room, "Private", persisted=True)
    async with undisturbed(stranger), operator(installation) as admin:
        await ends_everywhere(installation, other_door, token, lambda: admin.http.delete(path))
        receipt = (await admin.http.delete(path)).json()
        done = await eventually(
            lambda: admin.get(path), lambda found: found["deletion"]["state"] == "deleted", seconds=60
        )
        assert (done["deletion"]["receipt_id"], done["deletion"]["rooms"]) == (receipt["receipt_id"], 2)
        assert (done["standing"], done["rooms"], done["usage"]["messages"]) == ("deleted", 0, 0)
        status = await admin.get("/v1/admin/status")
        assert {service for service, state in status["services"].items() if state != "ok"} == set()
    checked = json.loads(await parlor(installation, "fsck", "--account", user.account, "--json"))
    assert checked["findings"] == []


@contextlib.asynccontextmanager
async def operator(installation: Installation) -> AsyncIterator[User]:
    token = await parlor(installation, "token", "olga", "--scope", "admin")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=installation.base_url, headers=headers, timeout=30) as http:
        yield User(http, "olga")
