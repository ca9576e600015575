"""`parlor keys`: the keys that sign the installation's tokens.

A private half is a file, ``<data directory>/keys/<kid>.pem`` (0600), and never leaves this machine: only ``parlor
token`` needs it. The public half is in the global database, where the replicas find it. The newest key signs; the
others are accepted until they are retired.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from api.key_ring import ALGORITHM, SECRET, SECRET_ALGORITHM
from api.tokens import Signer
from parlor.clock import SystemClock
from parlor.model.administration import Action
from parlor.settings import Settings
from parlor.store.access import AccessStore, SigningKey
from parlor.store.migrations import open_store
from parlor.wiring import Wiring
from parlor_cli.audit import note
from parlor_cli.installation import Installation, keep_secret, read_secret
from parlor_cli.live_stores import ask
from parlor_cli.options import present
from parlor_cli.refusal import Refusal
from parlor_cli.tables import write_json

FOLDER = "keys"
_NAME = "%Y%m%dT%H%M%S"


class KeyLine(msgspec.Struct, frozen=True):
    """What `parlor keys list` prints of a key."""

    kid: str
    algorithm: str
    created_at: str
    state: Literal["signs", "verifies", "retired"]
    private_half: bool
    """Whether it is in the folder here."""


def folder_of(settings: Settings, data_dir: Path) -> Path:
    return Path(settings.auth.keys_dir).expanduser() if settings.auth.keys_dir else data_dir / FOLDER


def newest(folder: Path) -> Signer | None:
    """Returns the key that signs new tokens; None: the configured secret does. Raises ``Refusal``."""
    names = _names(folder)
    return Signer(names[-1], read_secret(folder / f"{names[-1]}.pem")) if names else None


def add(data_dir: Path) -> str:
    """Makes a key and has every replica accept it; returns its id. Raises ``Refusal``.

    An installation that does not run learns of it when it starts.
    """
    settings = present(Installation.find(data_dir))
    folder, now = _own_folder(settings, data_dir), datetime.now(UTC)
    kid = f"{now:{_NAME}}-{secrets.token_hex(3)}"
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if settings.redis.url.get_secret_value():
        # Made known before it signs anything.
        async def work(wiring: Wiring) -> None:
            await note(wiring, Action.SIGNING_KEY_MADE, kid)
            await AccessStore(wiring.store).add_signing_key(_public(kid, pem))

        ask(data_dir, work)
    keep_secret(folder / f"{kid}.pem", pem)
    return kid


def publish(settings: Settings, data_dir: Path) -> int:
    """Makes the keys in the folder known; returns how many there are. Raises ``Refusal`` or ``ParlorError``."""
    folder = folder_of(settings, data_dir)
    keys = [_public(kid, read_secret(folder / f"{kid}.pem")) for kid in _names(folder)]

    async def add_all() -> None:
        store = await open_store(settings.store)
        try:
            for key in keys:
                await AccessStore(store).add_signing_key(key)
        finally:
            await store.close()

    if keys:
        asyncio.run(add_all())
    return len(keys)


def retire(data_dir: Path, kid: str) -> None:
    """From now on the signatures of a key are refused, and its private half is removed. Raises ``Refusal``."""
    folder = folder_of(present(Installation.find(data_dir)), data_dir)

    async def work(wiring: Wiring) -> None:
        access = AccessStore(wiring.store)
        known = {key.kid: key for key in await access.signing_keys()}
        if kid != SECRET and kid not in known:
            raise Refusal(f"there is no key {kid}: see `parlor keys list`")
        secret_signs = SECRET not in known and kid != SECRET
        if not secret_signs and not set(_names(folder)) - {kid}:
            raise Refusal(f"{kid} is the only key that signs here: make another one first, with `parlor keys add`")
        await note(wiring, Action.SIGNING_KEY_RETIRED, kid)
        await access.retire_signing_key(kid, SystemClock().now_ms())

    ask(data_dir, work)
    (folder / f"{kid}.pem").unlink(missing_ok=True)


def show(data_dir: Path, *, as_json: bool) -> None:
    """Lists the keys, oldest first. Raises ``Refusal``."""
    names = _names(folder_of(present(Installation.find(data_dir)), data_dir))
    keys = ask(data_dir, lambda wiring: AccessStore(wiring.store).signing_keys())
    if all(key.kid != SECRET for key in keys):
        keys = [SigningKey(SECRET, SECRET_ALGORITHM, "", 0), *keys]
    signs = names[-1] if names else SECRET
    lines = [_line(key, signs, has_private=key.kid in {SECRET, *names}) for key in keys]
    if as_json:
        write_json({"keys": msgspec.to_builtins(lines)})
        return
    for line in lines:
        print(f"{line.kid:<24} {line.algorithm or SECRET_ALGORITHM:<6} {line.created_at:<20} {line.state}")


def _line(key: SigningKey, signs: str, *, has_private: bool) -> KeyLine:
    if key.retired_at is not None:
        return KeyLine(key.kid, key.algorithm, _time(key.created_at), "retired", private_half=False)
    state: Literal["signs", "verifies"] = "signs" if key.kid == signs else "verifies"
    return KeyLine(key.kid, key.algorithm, _time(key.created_at), state, has_private)


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}" if ms else "-"


def _names(folder: Path) -> list[str]:
    """The ids of the private halves, oldest first: each begins with the time at which it was made."""
    return sorted(path.stem for path in folder.glob("*.pem"))


def _own_folder(settings: Settings, data_dir: Path) -> Path:
    folder = folder_of(settings, data_dir)
    if not settings.auth.keys_dir and Installation.find(data_dir) is None:
        raise Refusal(f"there is no installation in {data_dir}: `parlor up` makes it, or give --data-dir")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"cannot make {folder}: {error.strerror}") from error
    return folder


def _public(kid: str, pem: bytes) -> SigningKey:
    try:
        private = load_pem_private_key(pem, None)
        if not isinstance(private, Ed25519PrivateKey):
            raise TypeError("not an Ed25519 key")
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        made = datetime.strptime(kid.partition("-")[0], _NAME).replace(tzinfo=UTC)
    except (ValueError, TypeError) as error:
        raise Refusal(f"{kid}.pem is no signing key: {error}") from error
    return SigningKey(kid, ALGORITHM, msgspec.json.encode(jwk).decode(), int(made.timestamp() * 1000))
