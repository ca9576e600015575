"""Who gets into the Redis and the MariaDB that `parlor up` starts: Parlor."""

from __future__ import annotations

import stat

import asyncmy
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from tests.installation import Installation

pytestmark = pytest.mark.integration
KINDS = ("private",)


async def test_redis_takes_nobody_without_a_password(installation: Installation) -> None:
    async with Redis.from_url(f"unix://{installation.runtime_dir / 'redis.sock'}", protocol=2) as nobody:
        with pytest.raises(AuthenticationError):
            await nobody.ping()


async def test_mariadb_takes_nobody_without_a_password(installation: Installation) -> None:
    socket = installation.runtime_dir / "mariadb.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    with pytest.raises(asyncmy.errors.OperationalError, match="Access denied"):
        await asyncmy.connect(unix_socket=str(socket), user="root")
    assert (installation.data_dir / "mariadb-init.sql").stat().st_mode & 0o077 == 0
