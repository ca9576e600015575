"""Redis, databases and the demo model of an installation: which to start, where, and what they promise."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

from parlor.settings import Settings
from parlor_cli import ports
from parlor_cli.configuration import Overrides
from parlor_cli.installation import Installation, ServerKind
from parlor_cli.options import Blueprint
from parlor_cli.servers import demo_model, mariadb, redis
from parlor_cli.servers.process import Server, ServerPlan

_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Waits before the restarts of a server that died, one after another; the last one repeats."""
_STEADY_S = 60.0
"""After so long without a death the waits begin anew."""


class ManagedServer:
    """A server that is started again when it dies."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.server = Server.start(plan)
        self._deaths = 0
        self._started = time.monotonic()
        self._restart_at: float | None = None

    def look(self) -> str | None:
        """Starts it again when that is due. Returns what there is to say about it."""
        now = time.monotonic()
        if self.server.is_alive():
            return None
        if self._restart_at is None:
            if now - self._started > _STEADY_S:
                self._deaths = 0
            wait = _BACKOFF_S[min(self._deaths, len(_BACKOFF_S) - 1)]
            self._deaths += 1
            self._restart_at = now + wait
            return f"{self.plan.name} ended; starting it again in {wait:g} s (its log: {self.plan.log})"
        if now < self._restart_at:
            return None
        self._restart_at = None
        self.server = Server.start(self.plan)
        self._started = time.monotonic()
        return f"{self.plan.name} is back (pid {self.server.ref.pid})"


class RedisPlace:
    """Where the live store is."""

    def __init__(self, installation: Installation, kind: ServerKind) -> None:
        self.kind = kind
        self._installation = installation
        self._socket = installation.runtime_dir / "redis.sock"
        self.title = "external Redis"

    def plan(self) -> ServerPlan | None:
        """None for an external one. Raises ``Refusal`` when no server program is installed."""
        if self.kind == "external":
            return None
        binary, self.title = redis.embedded_binary() if self.kind == "embedded" else redis.installed_binary()
        return redis.plan(
            binary,
            directory=self._installation.data_dir / "redis",
            socket_path=self._socket,
            log=self._installation.logs_dir / "redis.log",
        )

    def overrides(self) -> Overrides:
        return {} if self.kind == "external" else {"redis": {"url": redis.socket_url(self._socket)}}


class StorePlace:
    """Where the permanent store is."""

    def __init__(self, installation: Installation, blueprint: Blueprint) -> None:
        self.kind = blueprint.store
        self._shards = range(1, blueprint.shards + 1)
        self._installation = installation
        self._directory = installation.data_dir / "mariadb"
        self._socket = installation.runtime_dir / "mariadb.sock"
        self._log = installation.logs_dir / "mariadb.log"

    @property
    def title(self) -> str:
        count = f"{len(self._shards)} shard" + ("s" if len(self._shards) != 1 else "")
        titles = {"embedded": f"{count}, SQLite", "private": f"{count}, MariaDB", "external": f"{count}, by URL"}
        return titles[self.kind]

    def plan(self) -> ServerPlan | None:
        """None where no server is needed. Raises ``Refusal`` when none is installed."""
        if self.kind != "private":
            return None
        mariadb.install(self._directory, self._log)
        return mariadb.plan(directory=self._directory, socket_path=self._socket, log=self._log)

    def overrides(self) -> Overrides:
        match self.kind:
            case "external":
                return {}
            case "private":
                urls = [mariadb.database_url(self._socket, mariadb.database(shard)) for shard in self._shards]
                return {
                    "store": {
                        "urls": urls,
                        "global_url": mariadb.database_url(self._socket, mariadb.GLOBAL_DATABASE),
                    }
                }
            case "embedded":
                directory = self._installation.data_dir / "sqlite"
                directory.mkdir(mode=0o700, exist_ok=True)
                return {
                    "store": {
                        "urls": [_sqlite_url(directory / f"shard_{shard}.db") for shard in self._shards],
                        "global_url": _sqlite_url(directory / "global.db"),
                    }
                }


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


def demo_plan(installation: Installation, settings: Settings) -> tuple[ServerPlan, Overrides] | None:
    """None when an LLM is configured."""
    if settings.llm_api_key or settings.llm.base_url:
        return None
    port = ports.one()
    plan = demo_model.plan(port, installation.logs_dir / "demo-model.log")
    return plan, {"llm": {"base_url": demo_model.url(port)}}


def durability(redis_place: RedisPlace, store_place: StorePlace) -> str:
    """What an acknowledged message survives, in one sentence."""
    if redis_place.kind == "external":
        first = (
            "acknowledged = as durable as the Redis at your URL is configured "
            "(it needs appendonly yes, appendfsync always, maxmemory-policy noeviction)"
        )
    else:
        first = f"acknowledged = on disk in {redis_place.title} (append-only file, fsync always)"
    places = {
        "embedded": "SQLite shards (synchronous commits)",
        "private": "MariaDB shards (flushed at every commit)",
        "external": "the MySQL shards at your URLs",
    }
    return f"{first}; then in {places[store_place.kind]}"
