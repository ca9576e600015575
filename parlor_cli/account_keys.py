"""`parlor keys --account`: the API keys of an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from api.api_keys import KEYS_MAX, PREFIX, digest_of, is_key_id, new_key
from parlor.clock import SystemClock, SystemEntropy
from parlor.model.administration import Action
from parlor.model.ids import AccountId
from parlor.store.access import AccessStore
from parlor.wiring import Wiring
from parlor_cli.audit import note
from parlor_cli.live_stores import ask
from parlor_cli.refusal import Refusal
from parlor_cli.tables import write_json


class ApiKeyLine(msgspec.Struct, frozen=True):
    """What `parlor keys list --account` prints of a key."""

    key_id: str
    prefix: str
    name: str
    scopes: str
    created_at: str
    expires_at: str
    last_used_at: str


def add(data_dir: Path, account: str, name: str, scopes: list[str], ttl: timedelta | None) -> str:
    """Returns a new API key. Raises ``Refusal``."""
    if not set(scopes) <= {"read", "write"}:
        raise Refusal("a scope is read or write")
    clock = SystemClock()
    expires_at = None if ttl is None else clock.now_ms() + int(ttl.total_seconds() * 1000)
    key, text = new_key(name, set(scopes), expires_at, clock, SystemEntropy())

    async def work(wiring: Wiring) -> None:
        row = await wiring.store.open_account(AccountId(account))
        await note(wiring, Action.API_KEY_MADE, account, key.key_id)
        if not await AccessStore(wiring.store).add_api_key(row.account_db_key, key, digest_of(text), KEYS_MAX):
            raise Refusal(f"{account} has {KEYS_MAX} API keys; retire one first")

    ask(data_dir, work)
    return text


def retire(data_dir: Path, account: str, key: str) -> None:
    """Ends a key, given by its id or its prefix. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> bool:
        row = await wiring.store.open_account(AccountId(account))
        key_id, now = key.removeprefix(PREFIX), SystemClock().now_ms()
        if not is_key_id(key_id):
            return False
        await note(wiring, Action.API_KEY_ENDED, account, key_id)
        return await AccessStore(wiring.store).end_api_key(row.account_db_key, key_id, now)

    if not ask(data_dir, work):
        raise Refusal(f"{account} has no API key {key}: see `parlor keys list --account {account}`")


def show(data_dir: Path, account: str, *, as_json: bool) -> None:
    """Lists the keys, oldest first. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> list[ApiKeyLine]:
        row = await wiring.store.open_account(AccountId(account))
        keys = await AccessStore(wiring.store).api_keys(row.account_db_key, KEYS_MAX)
        return [
            ApiKeyLine(
                key.key_id,
                PREFIX + key.key_id,
                key.name,
                key.scopes,
                _time(key.created_at),
                _time(key.expires_at),
                _time(key.used_at),
            )
            for key in keys
        ]

    lines = ask(data_dir, work)
    if as_json:
        write_json({"keys": msgspec.to_builtins(lines)})
        return
    for line in lines:
        print(
            f"{line.prefix}  {line.scopes:<10}  {line.created_at}  {line.expires_at}  {line.last_used_at}  {line.name}"
        )


def _time(ms: int | None) -> str:
    return "-" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
