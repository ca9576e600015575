"""Credentials that must not get in, and those of alice that may do some things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jwt

from api.api_keys import digest_of, new_key
from api.key_ring import SESSION
from api.session_keys import derived
from parlor.model.access import Standing
from parlor.model.ids import AccountId
from tests.unit.api.bearer_tokens import SECRET
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.fake_sign_in import INSTALLATION
from tests.unit.api.signing import TestKey, hmac_signed
from tests.unit.api.test_signing_keys import followed
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock

Credentials: TypeAlias = dict[str, str]

KEY, RETIRED, UNKNOWN = TestKey("2026-a"), TestKey("2025-z"), TestKey("elsewhere")
COOKIE = f"parlor_{INSTALLATION}"
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
    "a token of a deleted account": lambda _: signed(sub="deleted"),
    "a replica's session where nobody signs in so": lambda _: hmac_signed(
        CLAIMS, derived(SECRET.encode(), "session"), kid=SESSION
    ),
    "an API key that there is not": lambda _: f"parlor_0123456789abcdef_{'0' * 64}",
    "an API key with another secret": lambda keys: keys["read"][:-1] + ("0" if keys["read"][-1] != "0" else "1"),
    "an API key that has expired": lambda keys: keys["expired"],
    "an API key that was ended": lambda keys: keys["ended"],
}


async def made_credentials(gateway: FakeGateway, clock: FakeClock) -> Credentials:
    """A key that signs, one that is retired, a revoked account, and alice's API keys, which are returned."""
    access = gateway.access
    await access.add_signing_key(KEY.known)
    await access.add_signing_key(RETIRED.known)
    await access.retire_signing_key(RETIRED.known.kid, NOW_MS)
    await access.revoke_account(AccountId("revoked"), NOW_MS)
    access.standings["deleted"] = Standing.DELETED
    made, entropy = {}, CountingEntropy()
    keys = {"read": ["read"], "write": ["write"], "both": ["read", "write"], "ended": ["read"], "expired": ["read"]}
    for name, scopes in keys.items():
        key, made[name] = new_key(name, scopes, NOW_MS if name == "expired" else None, clock, entropy)
        await access.add_api_key(5, key, digest_of(made[name]), 100)
        if name == "ended":
            await access.end_api_key(5, key.key_id, NOW_MS)
    await followed(gateway, clock)
    clock.ms = NOW_MS
    return made
