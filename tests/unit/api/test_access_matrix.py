"""Every call of the document with every credential that must not get in. A new route is in here by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import httpx2
import jwt
import pytest
from fastapi import FastAPI

from api import openapi
from api.api_keys import digest_of, new_key
from parlor.model.files import File
from parlor.model.ids import AccountId
from tests.unit.api.bearer_tokens import SECRET
from tests.unit.api.document_calls import DocumentedCall, documented_calls
from tests.unit.api.fake_clock import NOW_MS, CountingEntropy, FakeClock
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.fake_sign_in import INSTALLATION
from tests.unit.api.samples import FILE_ID, MESSAGE, ROOM
from tests.unit.api.signing import TestKey, hmac_signed
from tests.unit.api.test_signing_keys import followed

pytestmark = pytest.mark.unit

Credentials: TypeAlias = dict[str, str]

FILE = File(FILE_ID, FILE_ID, "a.txt", "text/plain", 1, "0" * 64, NOW_MS)
KEY, RETIRED, UNKNOWN = TestKey("2026-a"), TestKey("2025-z"), TestKey("elsewhere")
COOKIE, OUR_PAGE = f"parlor_{INSTALLATION}", ("Sec-Fetch-Site", "same-origin")
NAMES = {
    "room_id": ROOM,
    "message_id": MESSAGE,
    "key_id": "0123456789abcdef",
    "file_id": FILE_ID,
    "account_id": "alice",
    "model": "GPT4O",
    "id": "tea",
    "dead_letter_id": "17:1795403885042-1",
}
CLAIMS = {"sub": "alice", "iss": "parlor", "aud": "parlor-api", "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + 600}
PUBLIC = jwt.PyJWK.from_json(KEY.known.jwk, algorithm="EdDSA").key.public_bytes_raw()


def signed(**changes: Any) -> str:
    return jwt.encode(CLAIMS | changes, KEY.signer.key, algorithm="EdDSA", headers={"kid": "2026-a"})


def token_of(key: TestKey, **header: str) -> str:
    return jwt.encode(CLAIMS, key.signer.key, algorithm="EdDSA", headers={"kid": key.signer.kid, **header})


REFUSED: dict[str, Callable[[Credentials], str]] = {
    "an empty token": lambda _: "",
    "an expired token": lambda _: signed(exp=NOW_MS // 1000 - 11),
    "a token that is not valid yet": lambda _: signed(nbf=NOW_MS // 1000 + 11),
    "a token that lives too long": lambda _: signed(exp=NOW_MS // 1000 + 91 * 86_400),
    "a key that is not known": lambda _: token_of(UNKNOWN),
    "a key that was retired": lambda _: token_of(RETIRED),
    "another key by a known name": lambda _: token_of(UNKNOWN, kid="2026-a"),
    "another secret": lambda _: hmac_signed(CLAIMS, b"x" * 64),
    "alg none": lambda _: jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": "2026-a"}),
    "the public key as a secret": lambda _: hmac_signed(CLAIMS, PUBLIC, kid="2026-a"),
    "the secret by the name of a pair": lambda _: hmac_signed(CLAIMS, SECRET.encode(), kid="2026-a"),
    "a pair without its name": lambda _: jwt.encode(CLAIMS, KEY.signer.key, algorithm="EdDSA"),
    "another audience": lambda _: signed(aud="others"),
    "another issuer": lambda _: signed(iss="others"),
    "another kind of JWT": lambda _: token_of(KEY, typ="id+jwt"),
    "a token of a revoked account": lambda _: signed(sub="revoked"),
    "an API key that there is not": lambda _: f"parlor_0123456789abcdef_{'0' * 64}",
    "an API key with another secret": lambda keys: keys["read"][:-1] + ("0" if keys["read"][-1] != "0" else "1"),
    "an API key that has expired": lambda keys: keys["expired"],
    "an API key that was ended": lambda keys: keys["ended"],
}


@pytest.fixture
def calls(app: FastAPI) -> list[DocumentedCall]:
    found = documented_calls(openapi.document(app))
    assert len(found) > 25
    return found


@pytest.fixture
async def credentials(app: FastAPI, gateway: FakeGateway, clock: FakeClock) -> Credentials:
    """A key that signs, one that is retired, a revoked account, and alice's API keys, which are returned."""
    access = gateway.access
    await access.add_signing_key(KEY.known)
    await access.add_signing_key(RETIRED.known)
    await access.retire_signing_key(RETIRED.known.kid, NOW_MS)
    await access.revoke_account(AccountId("revoked"), NOW_MS)
    made, entropy = {}, CountingEntropy()
    keys = {"read": ["read"], "write": ["write"], "both": ["read", "write"], "ended": ["read"], "expired": ["read"]}
    for name, scopes in keys.items():
        key, made[name] = new_key(name, scopes, NOW_MS if name == "expired" else None, clock, entropy)
        await access.add_api_key(5, key, digest_of(made[name]), 100)
        if name == "ended":
            await access.end_api_key(5, key.key_id, NOW_MS)
    await followed(gateway, clock)
    clock.ms = NOW_MS
    for _ in range(3):  # Else the answers of the dialects would not end.
        gateway.answering.batches.put_nowait(None)
    gateway.subscription.batches.put_nowait(None)
    return made


CODES = {
    "invalid_api_key": "unauthenticated",
    "authentication_error": "unauthenticated",
    "permission_error": "forbidden",
}
"""Other programs' names for ours."""


def code_of(answer: httpx2.Response) -> str:
    """Parlor's code of an error, whatever the dialect."""
    if answer.headers.get("content-type") == "application/problem+json":
        return str(answer.json()["code"])
    if not answer.is_error:
        return ""
    error = answer.json()["error"]
    told = error if isinstance(error, str) else error.get("code", error["type"])
    if isinstance(error, str):  # Ollama's errors have no code.
        told = {401: "unauthenticated", 403: "forbidden"}.get(answer.status_code, error)
    return CODES.get(told, told)


def names(calls: list[DocumentedCall]) -> list[str]:
    return [call.name for call in calls]


async def answers(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], headers: list[tuple[str, str]]
) -> dict[str, tuple[int, str]]:
    """Status and code of every call with these headers."""
    client.headers.pop("authorization", None)
    found = {}
    for call in calls:
        answer = await client.request(call.method, call.at(**NAMES), headers=headers, **call.request)
        found[call.name] = (answer.status_code, code_of(answer))
    return found


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def cookie(token: str) -> tuple[str, str]:
    return "Cookie", f"{COOKIE}={token}"


@pytest.mark.parametrize("carried", [bearer, cookie])
@pytest.mark.parametrize("case", REFUSED)
async def test_nobody_gets_in_with(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    calls: list[DocumentedCall],
    credentials: Credentials,
    case: str,
    carried: Callable[[str], tuple[str, str]],
) -> None:
    found = await answers(client, calls, [carried(REFUSED[case](credentials)), OUR_PAGE])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))
    assert [call for call in gateway.calls if call[0] != "session"] == [], "nothing was done"


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Basic YWxpY2U6eA==")],
        [bearer(signed())] * 2,
        [("Cookie", f"parlor_{'0' * 36}={signed()}")],
        [("Cookie", f"{COOKIE}={signed()}; {COOKIE}={signed()}")],
        [cookie(signed()), bearer("x")],
    ],
)
async def test_nobody_gets_in_without_one_token(
    client: httpx2.AsyncClient, gateway: FakeGateway, calls: list[DocumentedCall], headers: list[tuple[str, str]]
) -> None:
    found = await answers(client, calls, [*headers, OUR_PAGE])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))
    assert gateway.calls == []


@pytest.mark.parametrize("case", REFUSED)
async def test_nobody_gets_in_by_anthropics_header_with(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], credentials: Credentials, case: str
) -> None:
    calls = [call for call in calls if call.path.startswith("/anthropic/")]
    assert len(calls) == 2
    found = await answers(client, calls, [("X-Api-Key", REFUSED[case](credentials))])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))


@pytest.mark.parametrize("beside", [("X-Api-Key", signed()), ("Authorization", f"Bearer {signed()}")])
async def test_anthropics_header_stands_alone(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    calls: list[DocumentedCall],
    credentials: Credentials,
    beside: tuple[str, str],
) -> None:
    calls = [call for call in calls if call.path.startswith("/anthropic/")]
    key = ("X-Api-Key", credentials["both"])
    assert await answers(client, calls, [key, beside]) == dict.fromkeys(names(calls), (401, "unauthenticated"))
    assert gateway.calls == []
    assert await answers(client, calls, [key]) == dict.fromkeys(names(calls), (200, ""))


@pytest.mark.usefixtures("credentials")
async def test_anthropics_header_opens_nothing_else(client: httpx2.AsyncClient, calls: list[DocumentedCall]) -> None:
    calls = [call for call in calls if not call.path.startswith("/anthropic/")]
    found = await answers(client, calls, [("X-Api-Key", signed())])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))


@pytest.mark.usefixtures("credentials")
async def test_a_cookie_changes_nothing_for_another_page(
    client: httpx2.AsyncClient, gateway: FakeGateway, calls: list[DocumentedCall]
) -> None:
    calls = [call for call in calls if call.method not in ("GET", "HEAD")]
    assert len(calls) > 10
    found = await answers(client, calls, [cookie(signed()), ("Sec-Fetch-Site", "cross-site")])
    assert found == dict.fromkeys(names(calls), (403, "forbidden"))
    assert [call for call in gateway.calls if call[0] != "session"] == [], "nothing was done"


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_a_key_with_one_scope_gets_nowhere_else(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], credentials: Credentials, scope: str
) -> None:
    calls = [call for call in calls if call.reads == (scope == "write") or call.is_admins]
    assert len(calls) > 8
    assert await answers(client, calls, [bearer(credentials[scope])]) == dict.fromkeys(names(calls), (403, "forbidden"))


USERS: dict[str, Callable[[Credentials], str]] = {
    "a token": lambda _: signed(),
    "a token for what is its account's": lambda _: signed(scope="read write"),
    "a token with a word that contains it": lambda _: signed(scope="administrator read:admin ADMIN"),
    "a token with a list": lambda _: signed(scope=["admin"]),
    "an API key": lambda keys: keys["both"],
}


@pytest.mark.parametrize("case", USERS)
async def test_a_user_is_no_operator(
    client: httpx2.AsyncClient, gateway: FakeGateway, calls: list[DocumentedCall], credentials: Credentials, case: str
) -> None:
    calls = [call for call in calls if call.path.startswith("/v1/admin/")]
    assert len(calls) > 6
    assert all(call.is_admins for call in calls), "the document says so"
    found = await answers(client, calls, [bearer(USERS[case](credentials))])
    assert found == dict.fromkeys(names(calls), (403, "forbidden"))
    assert gateway.administration.calls == []


@pytest.mark.parametrize(
    ("scope", "barred"),
    [("read", {"write", "admin"}), ("write", {"read", "admin"}), ("admin read", {"write"}), ("admin", set())],
)
@pytest.mark.usefixtures("credentials")
async def test_a_token_may_do_what_its_scope_says(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], scope: str, barred: set[str]
) -> None:
    calls = [call for call in calls if not call.path.endswith("/events")]
    found = await answers(client, calls, [bearer(signed(scope=scope))])
    refused = {name for name, answer in found.items() if answer == (403, "forbidden")}
    needed = {call.name: "admin" if call.is_admins else "read" if call.reads else "write" for call in calls}
    assert refused == {name for name, each in needed.items() if each in barred}


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("carried", [bearer, cookie])
async def test_the_same_requests_get_in_with_a_good_token(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    calls: list[DocumentedCall],
    carried: Callable[[str], tuple[str, str]],
) -> None:
    """Else the others would show nothing. Streams are not begun: they would not end."""
    gateway.file_rows.files[FILE.file_id] = FILE
    gateway.file_store.kept[FILE.file_id] = b"x"
    calls = [call for call in calls if not call.path.endswith("/events") and call.path != "/v1/keys/{key_id}"]
    calls.sort(key=lambda call: call.name == "DELETE /v1/admin/accounts/{account_id}")  # alice's end
    found = await answers(client, calls, [carried(signed(scope="admin")), OUR_PAGE])
    assert {call: answer for call, answer in found.items() if answer[0] not in (200, 201, 202, 204)} == {}
    elsewhere = [call for call in calls if call.is_admins or call.path == "/v1/session"]
    assert len(gateway.calls) + len(elsewhere) > len(calls) - 5
