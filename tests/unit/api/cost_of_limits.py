"""What the limits cost a send at the edge, in processor time: ``python -m tests.unit.api.cost_of_limits``.

Two applications in one process, over a gateway that does nothing: one has every limit (so high that nobody reaches it),
the other one none. They answer sends by turns, so that a busy machine slows both; what is printed are the medians, and
the median of the differences of each pair of turns.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import build_app
from api.tokens import issue
from parlor.settings import AuthSettings, Settings
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from tests.unit.api.bearer_tokens import SECRET
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM

SENDS, TURNS, ACCOUNTS = 1000, 40, 100
_HIGH = 10**6
LIMITED = LimitSettings(
    requests_per_second=_HIGH,
    requests_burst=_HIGH,
    sends_per_second=_HIGH,
    sends_burst=_HIGH,
    requests_at_once=_HIGH,
    address_requests_per_second=_HIGH,
    address_requests_burst=_HIGH,
)
UNLIMITED = LimitSettings(
    requests_per_second=None,
    sends_per_second=None,
    requests_at_once=None,
    address_requests_per_second=None,
    refused_tokens_per_second=None,
)
BODY = msgspec.json.encode({"content": "x" * 256, "reply": "none"})


def settings_of(limits: LimitSettings) -> Settings:
    return Settings(auth=AuthSettings(secret=SecretStr(SECRET)), limits=limits)


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[FastAPI]:
    gateway = FakeGateway()

    async def factory() -> FakeGateway:
        gateway.limits = AccountLimits(settings.limits)
        return gateway

    built = build_app(settings, factory)
    async with built.router.lifespan_context(built):
        yield built


async def microseconds(app: FastAPI, tokens: list[str]) -> float:
    """Returns the processor time of a send. Raises ``RuntimeError`` when one is refused."""
    path, refused = f"/v1/rooms/{ROOM}/messages", 0

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal refused
        refused += message.get("status", 201) != 201

    began = time.process_time()
    for number in range(SENDS):
        fields = {
            "host": "parlor",
            "authorization": f"Bearer {tokens[number % len(tokens)]}",
            "content-type": "application/json",
            "content-length": str(len(BODY)),
            "idempotency-key": f"key-{number}",
            "x-parlor-address": "192.0.2.1",
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
            "server": ("parlor", 80),
        }
        await app(scope, receive, send)
    spent = time.process_time() - began
    if refused:
        raise RuntimeError(f"{refused} of {SENDS} sends were refused")
    return spent / SENDS * 1e6


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = settings_of(LIMITED)
    tokens = [issue(settings.auth, f"a{each}", timedelta(hours=1), datetime.now(UTC)) for each in range(ACCOUNTS)]
    async with application(settings) as limited, application(settings_of(UNLIMITED)) as unlimited:
        turns = [(await microseconds(limited, tokens), await microseconds(unlimited, tokens)) for _ in range(TURNS)]
    # The first turns fill caches.
    turns = turns[TURNS // 10 :]
    with_them, without = (statistics.median(each) for each in zip(*turns, strict=True))
    cost = statistics.median(one - other for one, other in turns)
    print(f"a send at the edge: {with_them:.1f} us with limits, {without:.1f} us without; {cost:.1f} us more")


if __name__ == "__main__":
    asyncio.run(main())
