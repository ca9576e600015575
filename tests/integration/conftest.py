"""People with accounts of their own on the shared installation, and a look behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from tests.installation import Installation
from tests.integration.second_replica import second_replica
from tests.integration.shards import Shards
from tests.integration.user import User, signed_in


@pytest.fixture
async def user(installation: Installation) -> AsyncIterator[User]:
    """An account that nobody else uses."""
    async with signed_in(installation, f"person-{uuid4().hex}") as found:
        yield found


@pytest.fixture
async def stranger(installation: Installation) -> AsyncIterator[User]:
    """Another one, whose business the first one's rooms are not."""
    async with signed_in(installation, f"stranger-{uuid4().hex}") as found:
        yield found


@pytest.fixture(scope="module")
def other_door(installation: Installation) -> Iterator[str]:
    """The base URL of a second replica, which runs while the module's tests do."""
    with second_replica(installation) as url:
        yield url


@pytest.fixture
async def elsewhere(installation: Installation, user: User, other_door: str) -> AsyncIterator[User]:
    """The same account at the second replica."""
    async with signed_in(installation, user.account, other_door) as found:
        # What a replica opens with its first command is not what tests of it measure.
        await found.note(await found.create_room(), "hello")
        yield found


@pytest.fixture
async def redis(installation: Installation) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(installation.redis_admin_url, protocol=2, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
def keys(installation: Installation) -> Keys:
    return Keys(installation.settings.redis.prefix)


@pytest.fixture
def shards(installation: Installation) -> Shards:
    return Shards(installation.shards)
