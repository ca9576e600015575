"""The endpoints of Redis, the databases and the demo model: which servers to start, their URLs, their durability."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from parlor.llm.providers import ProviderError, load_provider
from parlor.settings import LLM_PROVIDERS, Settings
from parlor_cli import ports
from parlor_cli.configuration import Overrides
from parlor_cli.installation import Installation, ServerKind
from parlor_cli.options import Blueprint
from parlor_cli.refusal import Refusal
from parlor_cli.servers import demo_model, mariadb, redis
from parlor_cli.servers.process import ServerPlan


class RedisEndpoint:
    """The Redis of an installation."""

    def __init__(self, installation: Installation, kind: ServerKind, prefix: str) -> None:
        """``prefix`` is that of the installation's keys."""
        self.kind = kind
        self._prefix = prefix
        self._installation = installation
        self._socket = installation.runtime_dir / "redis.sock"
        self.title = "external Redis"

    def plan(self) -> ServerPlan | None:
        """The server to start; None for an external one. Raises ``Refusal`` when no server program is installed."""
        if self.kind == "external":
            return None
        binary, self.title = redis.embedded_binary() if self.kind == "embedded" else redis.installed_binary()
        return redis.plan(
            binary,
            directory=self._installation.data_dir / "redis",
            socket_path=self._socket,
            log=self._installation.logs_dir / "redis.log",
            users_file=self._installation.write_private("redis-users.acl", self._users()),
            password=self._installation.redis_password(redis.USER),
        )

    def overrides(self) -> Overrides:
        return {} if self.kind == "external" else {"redis": {"url": self._url(redis.USER)}}

    @property
    def admin(self) -> Overrides:
        """Returns the overrides for who may read the settings of the server."""
        return {} if self.kind == "external" else {"redis": {"url": self._url(redis.ADMIN)}}

    def _url(self, user: str) -> str:
        return redis.socket_url(self._socket, user, self._installation.redis_password(user))

    def _users(self) -> str:
        password = self._installation.redis_password
        return redis.users(password(redis.USER), password(redis.ADMIN), self._prefix)


class StoreEndpoint:
    """The databases of an installation."""

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
        """The server to start; None when none is needed. Raises ``Refusal`` when no server program is installed."""
        if self.kind != "private":
            return None
        mariadb.install(self._directory, self._log)
        statements = self._installation.write_private("mariadb-init.sql", mariadb.password_statements(self._password))
        return mariadb.plan(directory=self._directory, socket_path=self._socket, log=self._log, init_file=statements)

    @property
    def _password(self) -> str:
        return self._installation.mariadb_password()

    def _url(self, database: str) -> str:
        return mariadb.database_url(self._socket, database, self._password)

    def overrides(self) -> Overrides:
        match self.kind:
            case "external":
                return {}
            case "private":
                names = [mariadb.database(shard) for shard in self._shards]
                return {
                    "store": {"urls": list(map(self._url, names)), "global_url": self._url(mariadb.GLOBAL_DATABASE)}
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
    """The demo model and the settings that use it; None when an LLM is configured. Raises ``Refusal`` for a provider
    that cannot be loaded."""
    if settings.llm.provider not in LLM_PROVIDERS:
        try:
            load_provider(settings.llm.provider)
        except ProviderError as error:
            raise Refusal(str(error)) from error
        return None
    if settings.llm_api_key or settings.llm.base_url:
        return None
    port = ports.one()
    plan = demo_model.plan(port, installation.logs_dir / "demo-model.log")
    return plan, {"llm": {"base_url": demo_model.url(port), "model": demo_model.MODEL}}


def durability(redis_endpoint: RedisEndpoint, store_endpoint: StoreEndpoint) -> str:
    """Where an acknowledged message is, in one sentence."""
    if redis_endpoint.kind == "external":
        first = (
            "acknowledged = as durable as the Redis at your URL is configured "
            "(it needs appendonly yes, appendfsync always, maxmemory-policy noeviction)"
        )
    else:
        first = f"acknowledged = on disk in {redis_endpoint.title} (append-only file, fsync always)"
    stores = {
        "embedded": "SQLite shards (synchronous commits)",
        "private": "MariaDB shards (flushed at every commit)",
        "external": "the MySQL shards at your URLs",
    }
    return f"{first}; then in {stores[store_endpoint.kind]}"
