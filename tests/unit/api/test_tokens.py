"""Tokens and authentication."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from pydantic import SecretStr

from api.key_ring import KeyRing
from api.tokens import TokenVerifier, issue, secret_of
from parlor.errors import StoreUnavailable, Unauthenticated
from parlor.settings import AuthSettings
from tests.unit.api.bearer_tokens import SECRET
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.fake_clock import NOW_MS, FakeClock

pytestmark = pytest.mark.unit

AUTH = AuthSettings(secret=SecretStr(SECRET))
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
NOW_S = NOW_MS // 1000


def forged(key: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "alice", "iss": "parlor", "aud": "parlor-api", "iat": NOW_S, "exp": NOW_S + 60, **changes}
    kept = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(kept, key, algorithm=algorithm)


def headed(**header: Any) -> str:
    """Signed with the secret, under another header."""
    claims = {"sub": "alice", "iss": "parlor", "aud": "parlor-api", "iat": NOW_S, "exp": NOW_S + 60}
    return jwt.encode(claims, SECRET, algorithm="HS256", headers=header)


def test_a_token_that_we_issued_says_who_and_until_when(clock: FakeClock) -> None:
    claims = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock).verify(
        issue(AUTH, "alice", timedelta(seconds=60), NOW)
    )
    assert claims.account_id == "alice"
    assert claims.credential.valid_until == (NOW_S + 61 + 10) * 1000  # `exp` is in whole seconds, rounded up


def test_a_token_says_to_the_millisecond_when_it_was_issued(clock: FakeClock) -> None:
    """Else one that is issued right after a revocation would be taken for an earlier one."""
    verifier = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock)
    for ms in range(NOW_MS - 1000, NOW_MS):
        issued = issue(AUTH, "alice", timedelta(hours=1), datetime.fromtimestamp(ms / 1000, UTC))
        assert verifier.verify(issued).credential.issued_at == ms


def test_a_token_lives_as_long_as_the_setting_says(clock: FakeClock) -> None:
    claims = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock).verify(issue(AUTH, "alice", None, NOW))
    assert claims.credential.valid_until - NOW_MS == pytest.approx(30 * 86_400_000, abs=11_001)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "ü.ü.ü",
        "x" * 5000,
        forged(key="another-secret-of-more-than-32-bytes!!"),
        forged(key=SECRET * 2, algorithm="HS512"),
        forged(key="", algorithm="none"),
        headed(typ="parlor-session+jwt"),
        headed(typ=""),
        headed(typ=None),
        headed(kid=""),
        headed(kid="x" * 257),
        forged(iat=...),
        forged(iat="now"),
        forged(iat=NOW_S + 11),
        forged(iat=NOW_S - 86_400 * 90),
        forged(exp=NOW_S - 11),
        forged(exp=...),
        forged(exp=True),
        forged(exp="soon"),
        forged(exp=2**63),
        forged(nbf=NOW_S + 60),
        forged(iss="other"),
        forged(iss=...),
        forged(aud="other"),
        forged(aud=...),
        forged(sub=...),
        forged(sub=""),
        forged(sub="x" * 129),
        forged(sub="a\nb"),
        forged(sub=" a"),
    ],
)
def test_a_token_that_is_not_ours_or_not_valid_is_refused(clock: FakeClock, token: str) -> None:
    with pytest.raises(Unauthenticated):
        TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock).verify(token)


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/AT+JWT"])
def test_the_types_of_access_tokens_are_accepted(clock: FakeClock, kind: str) -> None:
    assert TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock).verify(headed(typ=kind)).account_id == "alice"


def test_the_leeway_is_forgiven(clock: FakeClock) -> None:
    assert TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock).verify(forged(exp=NOW_S - 9)).account_id == "alice"


def test_a_verified_token_still_expires(clock: FakeClock) -> None:
    verifier, token = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock), forged()
    verifier.verify(token)
    clock.leap(69)
    verifier.verify(token)
    clock.leap(2)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)


def test_a_token_is_decoded_once(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, token = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock), forged()
    first = verifier.verify(token)
    monkeypatch.setattr("jwt.decode", None)
    assert verifier.verify(token) is first


def test_what_is_remembered_is_bounded(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.tokens._CACHE_MAX", 2)
    verifier = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock)
    for account in "abc":
        verifier.verify(forged(sub=account))
    assert [claims.account_id for claims in verifier._verified.values()] == ["b", "c"]


@pytest.mark.parametrize("account", ["", "x" * 129, "a\x00", " a", "\ud83e"])
def test_a_token_is_not_issued_for_what_is_no_account(account: str) -> None:
    with pytest.raises(ValueError, match="account name"):
        issue(AUTH, account, None, NOW)


def test_without_a_secret_nothing_starts() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        secret_of(AuthSettings())


def test_a_token_for_longer_than_the_longest_lifetime_is_not_issued(clock: FakeClock) -> None:
    longest = issue(AUTH, "alice", AUTH.token_ttl_max, NOW)
    assert TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock).verify(longest).account_id == "alice"
    with pytest.raises(ValueError, match="90 days"):
        issue(AUTH, "alice", AUTH.token_ttl_max + timedelta(milliseconds=1), NOW)


def test_a_token_without_time_is_not_issued() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        issue(AUTH, "alice", timedelta(0), NOW)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer x", "bearer a b"])
async def test_without_a_valid_token_nothing_is_done(
    client: httpx2.AsyncClient, gateway: FakeGateway, header: str | None
) -> None:
    del client.headers["authorization"]
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("GET", "/v1/rooms"), ("POST", f"/v1/rooms/{ROOM}/messages"), ("GET", "/v1/events")):
        answer = await client.request(method, path, headers=headers, content=b"{not json" if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert gateway.calls == []


@pytest.mark.parametrize("second", ["Bearer nonsense", "", None])
async def test_of_two_authorizations_none_counts(
    client: httpx2.AsyncClient, gateway: FakeGateway, second: str | None
) -> None:
    """Also of the same one twice: what is in front of us may have checked another one."""
    good = client.headers.pop("authorization")
    assert (await client.get("/v1/rooms", headers=[("Authorization", good)])).status_code == 200
    gateway.calls.clear()
    two = [("Authorization", good), ("Authorization", good if second is None else second)]
    for headers in (two, two[::-1]):
        answer = await client.get("/v1/rooms", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert gateway.calls == []


def test_a_token_has_one_spelling(clock: FakeClock) -> None:
    verifier, token = TokenVerifier(AUTH, KeyRing(SECRET.encode()), clock), forged()
    head, payload, signature = token.split(".")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = alphabet.index(signature[-1])
    same_bytes = [signature[:-1] + alphabet[last + more] for more in range(1, 4)]  # two bits of it mean nothing
    verifier.verify(token)
    for other in (
        f"{token}=",
        f"{head}=.{payload}.{signature}",
        f"{head}.{payload}==.{signature}",
        *(f"{head}.{payload}.{spelling}" for spelling in same_bytes),
        f" {token}",
        f"{token}\n",
        f"{token}.",
    ):
        with pytest.raises(Unauthenticated):
            verifier.verify(other)


async def test_an_account_is_resolved_once(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    await client.get("/v1/rooms")
    await client.get("/v1/rooms")
    assert [call[0] for call in gateway.calls] == ["session", "list_rooms", "list_rooms"]


async def test_an_unknown_account_is_refused_while_the_store_is_away(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.fails = StoreUnavailable()
    assert (await client.get("/v1/rooms")).json()["code"] == "store-unavailable"
