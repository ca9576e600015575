"""Sign-in codes as they are made and read: what Redis keeps of one is sealed with the code itself."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from parlor.clock import Entropy
from parlor.model.access import SealedSession
from parlor.model.ids import AccountId, Partition

_NONCE = bytes(12)
"""Always the same: each code makes a key of its own, which seals one text."""


def new_code(partition: Partition, entropy: Entropy) -> str:
    return f"{partition}-{entropy.bits(128):032x}"


def seal(code: str, account: AccountId, token: str) -> SealedSession:
    """A session as it is kept until the code is used."""
    sealed = AESGCM(_key(code)).encrypt(_NONCE, token.encode(), account.encode())
    return SealedSession(account, base64.b64encode(sealed).decode())


def unseal(code: str, session: SealedSession) -> str:
    """The token. Raises ``cryptography.exceptions.InvalidTag`` when it was sealed with another code, or for another
    account."""
    return AESGCM(_key(code)).decrypt(_NONCE, base64.b64decode(session.sealed), session.account_id.encode()).decode()


def _key(code: str) -> bytes:
    # Another digest than the one that names the code in Redis.
    return hashlib.sha256(f"session:{code}".encode()).digest()
