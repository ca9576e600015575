"""URLs of Redis: one server, a primary that sentinels name, or a cluster.

    redis://[user:password@]host:port/db            one server; rediss:// with TLS, unix:///path a socket
    redis+sentinel://[user:password@]host:port,host:port/service[/db]
    redis+cluster://[user:password@]host:port,host:port

``rediss+sentinel://`` and ``rediss+cluster://`` use TLS, with the sentinels too.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, SecretStr

from parlor.settings.urls import split_url
from parlor.settings.values import Secret

SENTINEL_PORT, SERVER_PORT = 26379, 6379
_SEVERAL = re.compile(r"(rediss?)\+(sentinel|cluster)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


class RedisServers(NamedTuple):
    """What a URL names."""

    kind: Literal["single", "sentinel", "cluster"]
    url: str
    """Of the server itself; of several, of the first host that is named."""
    hosts: tuple[tuple[str, int], ...] = ()
    """The sentinels, or some nodes of the cluster."""
    service: str = ""
    """What the sentinels call the primary."""

    @property
    def replicated(self) -> bool:
        """Whether another server may go on with what one had: it may have less than was acknowledged."""
        return self.kind != "single"


def redis_servers(url: str) -> RedisServers:
    """Takes a URL apart. Raises ``ValueError`` that says what is wrong, without the URL, which may hold a password."""
    scheme = url.partition("://")[0].lower()
    found = _SEVERAL.fullmatch(url)
    if found is None:
        if "+" in scheme and scheme in SCHEMES:
            raise ValueError("its hosts cannot be read; in a password write @ as %40, / as %2F, # as %23")
        if url:
            _check_single(url)
        return RedisServers("single", url)
    tls, kind, netloc, path, query = found[1].lower(), found[2].lower(), found[3], found[4] or "", found[5] or ""
    login, _, listed = netloc.rpartition("@")
    hosts = tuple(_host(name, SENTINEL_PORT if kind == "sentinel" else SERVER_PORT) for name in listed.split(","))
    first = f"{tls}://{login}{'@' if login else ''}{_written(*hosts[0])}"
    if kind == "cluster":
        if path not in ("", "/", "/0"):
            raise ValueError("a cluster has no database but 0: write nothing behind its hosts")
        return RedisServers("cluster", first + query, hosts)
    named = re.fullmatch(r"/([^/]+)(/[0-9]+)?/?", path)
    if named is None:
        raise ValueError("what follows its hosts is not a service, as in redis+sentinel://host:26379/mymaster")
    return RedisServers("sentinel", first + (named[2] or "") + query, hosts, named[1])


def _check_single(url: str) -> None:
    parts = split_url(url, *SCHEMES)
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("there is no path in it: write unix:///path")
    if parts.scheme != "unix" and not re.fullmatch(r"/?|/[0-9]+", parts.path):
        # redis-py would take database 0.
        raise ValueError("what follows its host is not the number of a database, as in redis://host:6379/0")


def _host(text: str, port: int) -> tuple[str, int]:
    parts = split_url(f"redis://{text}", "redis")
    if not parts.hostname:
        raise ValueError("one of its hosts is empty")
    return parts.hostname, parts.port or port


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _redis_url(value: SecretStr) -> SecretStr:
    if text := value.get_secret_value():
        redis_servers(text)
    return value


RedisUrl = Annotated[Secret, AfterValidator(_redis_url)]
