"""Tokens of an identity provider: its keys come and go, and it may be down."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pydantic import SecretStr
from structlog.typing import EventDict

from api.app import build_app
from parlor.gateway import Gateway
from parlor.settings import AuthSettings, Settings
from parlor.settings.identity import IdentitySettings
from tests.unit.api.bearer_tokens import SECRET, token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.signing import hmac_signed
from tests.unit.api.test_signing_keys import bearer, status
from tests.unit.api.test_sse import reconnect_of
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock

pytestmark = pytest.mark.unit

ISSUER, AUDIENCE = "https://id.example", "parlor at id.example"
REFRESH, REFRESH_MIN = 600.0, 30.0


class Key:
    """One that the provider signs with."""

    def __init__(self, kid: str, algorithm: str, *, bits: int = 2048, **members: Any) -> None:
        self.kid, self.algorithm = kid, algorithm
        match algorithm:
            case "RS256":
                self.private: Any = rsa.generate_private_key(public_exponent=65537, key_size=bits)
                made: Any = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case "ES256":
                self.private = ec.generate_private_key(ec.SECP256R1())
                made = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case _:
                self.private = ed25519.Ed25519PrivateKey.generate()
                made = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        made.pop("key_ops", None)
        self.public: dict[str, Any] = {**made, "kid": kid, **members}

    def token(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        claims = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + 3600}
        sent = {"kid": self.kid, **(headers or {})}
        return jwt.encode(claims | changes, self.private, algorithm=self.algorithm, headers=sent)


RS, ES, ED = Key("rs", "RS256", alg="RS256", use="sig"), Key("es", "ES256"), Key("ed", "EdDSA")


class Issuer(BaseHTTPRequestHandler):
    """Its key set, on a server of its own."""

    content = b""
    code = 200
    asked = 0
    slow: ClassVar[list[threading.Event]] = []
    """Each answer waits for these."""

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked += 1
        for event in kind.slow:
            event.wait(10)
        self.send_response(kind.code)
        if 300 <= kind.code < 400:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(kind.content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def has(*keys: Key, **more: Any) -> None:
    Issuer.content = json.dumps({"keys": [key.public for key in keys], **more}).encode()


@pytest.fixture
def issuer() -> Iterator[str]:
    Issuer.code, Issuer.asked = 200, 0
    has(RS, ES, ED)
    server = HTTPServer(("127.0.0.1", 0), Issuer)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/jwks"
    finally:
        for event in Issuer.slow:
            event.set()
        Issuer.slow.clear()
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def settings(issuer: str) -> Settings:
    identity = IdentitySettings(jwks_url=issuer, issuer=ISSUER, audience=AUDIENCE)
    return Settings(auth=AuthSettings(secret=SecretStr(SECRET)), identity=identity)


@pytest.fixture
async def app(settings: Settings, gateway: FakeGateway, clock: FakeClock) -> AsyncIterator[FastAPI]:
    async def factory() -> Gateway:
        return gateway

    built = build_app(settings, factory, clock=clock, entropy=CountingEntropy())
    async with built.router.lifespan_context(built):
        await asked(1)
        yield built


async def asked(times: int) -> None:
    """Returns when the provider has been asked so often, and what it answered was read."""
    async with asyncio.timeout(10):
        while Issuer.asked < times:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("key", [RS, ES, ED], ids=lambda key: key.algorithm)
async def test_its_tokens_get_in_beside_our_own(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, key: Key
) -> None:
    for headers in ({}, {"typ": "at+jwt"}, {"typ": None}):
        assert await status(client, key.token(headers, sub="eve@id.example")) == 200
    assert ("session", "eve@id.example") in gateway.calls
    assert await status(client, token(settings)) == 200
    assert Issuer.asked == 1


@pytest.mark.parametrize(
    "forged",
    [
        lambda: ES.token(iss="https://other.example"),
        lambda: ES.token(iss="parlor"),
        lambda: ES.token(aud="others"),
        lambda: ES.token(aud="parlor-api"),
        lambda: ES.token(exp=NOW_MS // 1000 - 11),
        lambda: ES.token(exp=NOW_MS // 1000 + 91 * 86_400),
        lambda: ES.token(nbf=NOW_MS // 1000 + 11),
        lambda: ES.token(sub=" "),
        lambda: ES.token({"kid": "ed"}),
        lambda: jwt.encode(claims(), ES.private, algorithm="ES256"),
        lambda: ES.token({"kid": "secret"}),
        lambda: ES.token({"typ": "id+jwt"}),
        lambda: Key("es", "ES256").token(),
        lambda: hmac_signed(claims(), SECRET.encode(), kid="rs"),
        lambda: hmac_signed(claims(), SECRET.encode()),
        lambda: hmac_signed(claims(), json.dumps(RS.public).encode(), kid="rs"),
        lambda: jwt.encode(claims(), "", algorithm="none", headers={"kid": "rs"}),
        lambda: jwt.encode(claims(), RS.private, algorithm="PS256", headers={"kid": "rs"}),
    ],
)
async def test_a_token_that_is_not_the_providers_for_us_is_refused(client: httpx2.AsyncClient, forged: Any) -> None:
    assert await status(client, forged()) == 401


def claims() -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(ES.token(), options={"verify_signature": False})
    return found


@pytest.mark.parametrize(
    "odd",
    [
        Key("odd", "RS256", bits=1024),
        Key("odd", "RS256", use="enc"),
        Key("odd", "RS256", alg="RS512"),
        Key("odd", "ES256", alg="ES512"),
    ],
    ids=["short", "for encryption", "another algorithm", "another curve's algorithm"],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_key_that_is_not_for_this_is_left_out(client: httpx2.AsyncClient, clock: FakeClock, odd: Key) -> None:
    has(odd, ES)
    clock.leap(REFRESH)
    await asked(2)
    assert await status(client, ES.token()) == 200
    assert await status(client, odd.token()) == 401


async def test_a_new_key_is_fetched_at_its_first_use_but_not_more_often_than_allowed(
    client: httpx2.AsyncClient, clock: FakeClock
) -> None:
    new = Key("new", "ES256")
    has(ES, new)
    assert await status(client, new.token()) == 401, "it was asked a moment ago"
    assert Issuer.asked == 1
    clock.leap(REFRESH_MIN)
    assert set(await asyncio.gather(*(status(client, new.token()) for _ in range(10)))) == {200}
    assert Issuer.asked == 2
    for number in range(20):
        assert await status(client, Key(f"made-up-{number}", "EdDSA").token()) == 401
    assert Issuer.asked == 2


async def test_a_key_that_is_gone_from_the_set_ends_its_tokens_and_streams(
    app: FastAPI, client: httpx2.AsyncClient, clock: FakeClock
) -> None:
    old, kept = RS.token(), ES.token()
    assert [await status(client, text) for text in (old, kept)] == [200, 200]
    async with Exchange(app, "GET", "/v1/events", bearer(old)) as stream:
        await stream.start()
        await stream.chunk()
        has(ES)
        clock.leap(REFRESH)
        await asked(2)
        last = await reconnect_of(stream)
        assert last[1]["reason"] in ("token-revoked", "lifetime")
    assert [await status(client, text) for text in (old, kept)] == [401, 200]


@pytest.mark.parametrize("fault", ["500", "redirect", "not a set", "empty set", "huge", "not text"])
async def test_while_the_provider_is_down_its_known_keys_stay_good(
    client: httpx2.AsyncClient, settings: Settings, clock: FakeClock, logs: Sequence[EventDict], fault: str
) -> None:
    assert await status(client, ES.token()) == 200
    Issuer.code = {"500": 500, "redirect": 302}.get(fault, 200)
    faults = {"not a set": b"[1]", "empty set": b'{"keys":[]}', "huge": b" " * 300_000, "not text": b"\xff\xfe"}
    Issuer.content = faults.get(fault, Issuer.content)
    clock.leap(REFRESH)
    await asked(2)
    assert await status(client, ES.token()) == 200
    assert await status(client, token(settings)) == 200
    unknown = Key("new", "ES256")
    answer = await client.get("/v1/rooms", headers=bearer(unknown.token()))
    assert (answer.status_code, answer.json()["code"]) == (503, "provider-unavailable")
    assert answer.headers["retry-after"] == "30"
    assert [entry["event"] for entry in logs].count("provider_keys_not_read") == 1
    Issuer.code = 200
    has(ES, unknown)
    clock.leap(REFRESH_MIN)
    await asked(3)
    assert await status(client, unknown.token()) == 200


async def test_a_provider_that_hangs_holds_up_nobody_who_is_known(
    client: httpx2.AsyncClient, settings: Settings, clock: FakeClock
) -> None:
    assert await status(client, ES.token()) == 200
    Issuer.slow.append(threading.Event())
    clock.leap(REFRESH)
    async with asyncio.timeout(4):
        assert [await status(client, text) for text in (ES.token(), token(settings))] == [200, 200]


async def test_without_a_provider_its_tokens_are_refused(
    client: httpx2.AsyncClient, settings: Settings, app: FastAPI
) -> None:
    async def factory() -> Gateway:
        return FakeGateway()

    alone = build_app(Settings(auth=settings.auth), factory, clock=FakeClock())
    async with (
        alone.router.lifespan_context(alone),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=alone), base_url="http://parlor") as other,
    ):
        assert await status(client, ES.token()) == 200
        assert await status(other, ES.token()) == 401
    del app
