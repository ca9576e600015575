"""Clients of Redis: of one server, of the primary that sentinels name, of a node of a cluster.

Their connections pass the guard, have our own time limits and no retries behind our back: redis-py's default repeats
each command ten times, which a send with Redis down would wait for.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TypeAlias

import hiredis
from redis import exceptions
from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.typing import EncodableT

from parlor.cache.guard import Guard
from parlor.errors import InvalidRequest
from parlor.settings import RedisSettings
from parlor.settings.redis_urls import RedisServers

Options: TypeAlias = dict[str, Any]
"""What redis-py's connections are made with."""
OF_SENTINELS = ("sentinel_username", "sentinel_password")
"""Options of a URL for the sentinels themselves: they have users of their own."""


def connect(settings: RedisSettings, guard: Guard | None = None, *, blocking: bool = False) -> Redis:
    """A client whose connections pass the guard; of a cluster, of any node of it. ``blocking`` clients wait for entries
    or messages, or have a limit of their own for more than one answer: they read without one (redis-py's costs a timer
    for each answer)."""
    where, options = settings.servers, _options(settings, blocking)
    match where.kind:
        case "sentinel":
            return _of_primary(where, options, guard)
        case "cluster":
            return _of_any(where.url, where.hosts, options, guard)
    client = Redis.from_url(where.url, **options)
    pool = client.connection_pool
    pool.connection_class = _connection(pool.connection_class, guard)
    return client


def connect_node(settings: RedisSettings, guard: Guard | None, host: str, port: int, *, blocking: bool = True) -> Redis:
    """A client of this node of a cluster."""
    return _of_any(settings.servers.url, ((host, port),), _options(settings, blocking), guard)


def require_options(settings: RedisSettings) -> None:
    """Connects to nothing. Raises ``InvalidRequest`` for an option in the URL that redis-py would refuse later."""
    try:
        connect(settings).connection_pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's own
    except (TypeError, ValueError, exceptions.RedisError) as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        what = f"there is no option {unknown[1]}" if unknown else f"its options cannot be used: {error}"
        raise InvalidRequest(what) from error


class _Connection(AbstractConnection):
    """Writes commands in C; redis-py's asyncio connections do it in Python, which costs more than all else of a
    pipeline. Passes the guard when it has connected."""

    guard: Guard | None

    def pack_commands(self, commands: Iterable[Iterable[EncodableT]]) -> list[bytes]:
        # The stub speaks of a tuple of one.
        return [b"".join(hiredis.pack_command(tuple(command)) for command in commands)]  # type: ignore[arg-type]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        if self.guard is not None:
            await self.guard.check(self._ask)

    async def _ask(self, *command: str) -> bytes | None:
        await self.send_command(*command, check_health=False)
        answer: bytes | None = await self.read_response()
        return answer


_turns = itertools.count()
"""Connections to any node begin at one after the other."""


class _AnyNode(Connection):
    """Connects to one of several nodes, whichever answers."""

    def __init__(self, *, nodes: tuple[tuple[str, int], ...], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = nodes

    async def connect(self) -> None:
        if self.is_connected:
            return
        first = next(_turns) % len(self._nodes)
        nodes = self._nodes[first:] + self._nodes[:first]
        for self.host, self.port in nodes[:-1]:
            with suppress(exceptions.ConnectionError):
                await super().connect()  # type: ignore[no-untyped-call] # redis-py's own
                return
        self.host, self.port = nodes[-1]
        await super().connect()  # type: ignore[no-untyped-call] # redis-py's own


class _AnyNodeByTls(_AnyNode, SSLConnection):
    """The same with TLS."""


class _Sentinels(Sentinel):
    """Believes the sentinel that knows of the last fail-over. redis-py takes the first that answers, and one that has
    not heard of it yet names the former primary, which may be there again."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        asked = (one.sentinel_masters() for one in self.sentinels)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        heard: list[dict[str, dict[str, Any]]] = [found for found in answers if isinstance(found, dict)]
        states = [answer[service_name] for answer in heard if service_name in answer]
        if 2 * len(heard) <= len(self.sentinels) or not states:
            why = next((f"; one says: {found}" for found in answers if isinstance(found, BaseException)), "")
            known = f"{len(heard)} of {len(self.sentinels)} sentinels answer"
            raise MasterNotFoundError(f"{known}, {len(states)} know {service_name!r}{why}")
        newest = max(states, key=lambda state: int(state["config-epoch"]))
        busy = any("failover_in_progress" in state["flags"] for state in states)
        if busy or not self.check_master_state(newest, service_name):
            raise MasterNotFoundError(f"no primary of {service_name!r} now")
        return str(newest["ip"]), int(newest["port"])


class _SentinelClient(Redis):
    """Closes its clients of the sentinels too."""

    found_by: Sentinel

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        await self.found_by.aclose()


def _of_primary(where: RedisServers, options: Options, guard: Guard | None) -> Redis:
    """Whenever it connects, the sentinels say where the primary is."""
    kind, found = _parsed(where.url)
    login = {name.removeprefix("sentinel_"): found.pop(name) for name in OF_SENTINELS if name in found}
    tls = {"ssl": True} if issubclass(kind, SSLConnection) else {}
    tls |= {name: value for name, value in found.items() if name.startswith("ssl_")}
    limit = {"socket_timeout": options["socket_connect_timeout"]}
    sentinel = _Sentinels(  # type: ignore[no-untyped-call] # redis-py's own
        list(where.hosts), sentinel_kwargs={**options, **limit, **tls, **login}
    )
    managed = SentinelManagedSSLConnection if "ssl" in tls else SentinelManagedConnection
    client: _SentinelClient = sentinel.master_for(
        where.service, _SentinelClient, connection_class=_connection(managed, guard), **found, **options
    )
    client.found_by = sentinel
    return client


def _of_any(url: str, nodes: tuple[tuple[str, int], ...], options: Options, guard: Guard | None) -> Redis:
    kind, found = _parsed(url)
    chosen = _connection(_AnyNodeByTls if issubclass(kind, SSLConnection) else _AnyNode, guard)
    return Redis.from_pool(ConnectionPool(chosen, nodes=nodes, **found, **options))


def _parsed(url: str) -> tuple[type[AbstractConnection], Options]:
    """How redis-py reads the URL, without host and port."""
    found: Options = dict(parse_url(url))
    kind: type[AbstractConnection] = found.pop("connection_class", Connection)
    return kind, {name: value for name, value in found.items() if name not in ("host", "port")}


def _options(settings: RedisSettings, blocking: bool) -> Options:
    return {
        "protocol": 2,
        "socket_connect_timeout": settings.connect_timeout.total_seconds(),
        "socket_timeout": None if blocking else settings.command_timeout.total_seconds(),
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "client_name": "parlor",
    }


def _connection(kind: type[AbstractConnection], guard: Guard | None) -> type[AbstractConnection]:
    return type(f"Parlor{kind.__name__}", (_Connection, kind), {"guard": guard})
