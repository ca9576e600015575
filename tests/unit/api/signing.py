"""Signing keys of a test, and tokens that they sign."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import OKPAlgorithm

from api.tokens import Signer, issue
from parlor.settings import AuthSettings
from parlor.store.access import SigningKey
from tests.unit.fake_clock import NOW_MS


class TestKey:
    """A pair: ``known`` is what the database has of it."""

    __test__ = False

    def __init__(self, kid: str) -> None:
        private = Ed25519PrivateKey.generate()
        self.signer = Signer(kid, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        self.known = SigningKey(kid, "EdDSA", json.dumps(jwk), NOW_MS)

    def token(self, auth: AuthSettings, account: str = "alice", ttl: timedelta = timedelta(hours=1)) -> str:
        return issue(auth, account, ttl, datetime.fromtimestamp(NOW_MS / 1000, UTC), self.signer)


def hmac_signed(claims: dict[str, Any], secret: bytes, **header: Any) -> str:
    """By hand: PyJWT refuses to take a public key for a secret."""
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", **header}), json.dumps(claims)]
    signed = ".".join(_base64(part.encode()) for part in parts)
    return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
