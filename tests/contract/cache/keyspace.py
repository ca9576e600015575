"""What is in Redis, as plain values that can be compared."""

from __future__ import annotations

from typing import TypeAlias

from redis.asyncio import Redis

from parlor.cache.connection import Answer

Keyspace: TypeAlias = dict[str, tuple[Answer, bool]]
"""Each key's value, and whether it has a TTL."""


async def dump(redis: Redis, prefix: str) -> Keyspace:
    """Every key below the prefix."""
    names = sorted([key async for key in redis.scan_iter(match=f"{prefix}:*", count=1000)])
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(name)
            pipe.pttl(name)
        facts = await pipe.execute()
        kinds, ttls = facts[::2], facts[1::2]
        for name, kind in zip(names, kinds, strict=True):
            match kind:
                case b"string":
                    pipe.get(name)
                case b"hash":
                    pipe.hgetall(name)
                case b"zset":
                    pipe.zrange(name, 0, -1, withscores=True)
                case b"stream":
                    pipe.xrange(name)
                case b"list":
                    pipe.lrange(name, 0, -1)
                case b"set":
                    pipe.smembers(name)
                case _:
                    raise AssertionError(f"{name!r} is a {kind!r}")
        values = await pipe.execute()
    return {name.decode(): (value, ttl >= 0) for name, value, ttl in zip(names, values, ttls, strict=True) if ttl != -2}
