"""The options of `parlor up`, and the decisions that follow from them and from the installation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import TypeAdapter, ValidationError

from parlor.settings import Settings
from parlor.settings.values import Lifetime
from parlor_cli.configuration import Overrides, load, merge, restore
from parlor_cli.installation import Founding, Installation, ServerKind
from parlor_cli.refusal import Refusal

DEFAULT_SHARDS = 2

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="PARLOR_DATA_DIR", help="One for each installation.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wide = Annotated[bool, typer.Option("--wide", help="Print every column, and cut nothing.")]
"""Options that most commands have."""


def lifetime(text: str) -> timedelta:
    """A duration as people write it, at most ten years. Raises ``typer.BadParameter``."""
    try:
        return TypeAdapter[timedelta](Lifetime).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


class UpOptions(msgspec.Struct, frozen=True):
    """The command line; None for an option that was not given."""

    data_dir: Path
    host: str | None = None
    port: int | None = None
    redis_url: str | None = None
    mysql_urls: list[str] = []
    servers: ServerKind | None = None
    partitions: int | None = None
    shards: int | None = None
    ray_address: str | None = None
    tether: int | None = None
    """The process that the launcher must not outlive; None for a detached start."""

    def to_json(self) -> bytes:
        """For the pipe to the launcher. Not its command line, because a URL may contain a password."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def from_json(cls, raw: bytes) -> UpOptions:
        return msgspec.json.decode(raw, type=cls, dec_hook=lambda _kind, text: Path(text))

    def overrides(self) -> Overrides:
        """The options that are settings."""
        found: Overrides = {}
        for name, (section, field, _) in _SETTINGS.items():
            value = getattr(self, name)
            if value is not None and value != []:
                found.setdefault(section, {})[field] = value
        return found


_SETTINGS = {
    "host": ("api", "host", "--host"),
    "port": ("api", "port", "--port"),
    "redis_url": ("redis", "url", "--redis-url"),
    "mysql_urls": ("store", "urls", "--mysql-url"),
    "partitions": ("store", "partitions", "--partitions"),
    "ray_address": ("ray", "address", "--ray-address"),
}
"""The options that are settings: section, field, and the option as it is typed."""
OPTIONS = {(section, field): option for section, field, option in _SETTINGS.values()}


class Blueprint(msgspec.Struct, frozen=True):
    """The servers of an installation, its partitions and shards."""

    redis: ServerKind
    store: ServerKind
    partitions: int
    shards: int


def effective(installation: Installation, overrides: Overrides) -> Settings:
    """The settings; JWT secret, namespace, partitions and the place for files are the installation's unless they are
    configured."""
    given = load(overrides)
    added: Overrides = {"ray": {"namespace": installation.namespace}, "auth": {}, "store": {}, "files": {}}
    if not given.auth.secret.get_secret_value():
        added["auth"] = {"secret": installation.jwt_secret()}
    if not given.files.url:
        added["files"] = {"url": str(installation.data_dir / "files")}
    if installation.founding.partitions is not None:
        added["store"] = {"partitions": installation.founding.partitions}
    return load(merge(overrides, added))


def present(installation: Installation | None) -> Settings:
    """The settings of the running installation or, when it does not run, those of its next start."""
    if installation is None:
        return load()
    running = installation.read_settings() if installation.running() else None
    return restore(running) if running else effective(installation, {})


def decide(options: UpOptions, given: Settings, founding: Founding) -> Blueprint:
    """What to start. A URL makes its part external; without an option, earlier decisions hold.

    Raises ``Refusal`` when the options contradict permanent decisions, because the data would not be found.
    """
    redis = _kind("redis", bool(given.redis.url.get_secret_value()), options.servers, founding.redis)
    store = _kind("mysql", bool(given.store.urls), options.servers, founding.store)
    if options.partitions is not None and founding.partitions not in (None, options.partitions):
        raise Refusal(
            f"this installation has {founding.partitions} partitions, which cannot change: every id contains its own. "
            f"Use another --data-dir for {options.partitions}."
        )
    shards = options.shards or founding.shards or DEFAULT_SHARDS
    if store == "external":
        if options.shards not in (None, len(given.store.urls)):
            raise Refusal("--shards is for databases that Parlor creates; give --mysql-url once for each shard")
        shards = len(given.store.urls)
    if founding.shards is not None and shards < founding.shards:
        raise Refusal(f"this installation has {founding.shards} shards; the number can grow, not shrink")
    return Blueprint(redis=redis, store=store, partitions=founding.partitions or given.store.partitions, shards=shards)


def _kind(part: str, has_url: bool, asked: ServerKind | None, founded: ServerKind | None) -> ServerKind:
    if has_url:
        kind: ServerKind = "external"
    elif asked == "external" or (asked is None and founded == "external"):
        raise Refusal(f"no address of an external server is configured: give --{part}-url")
    else:
        kind = asked or founded or "embedded"
    if founded is not None and kind != founded:
        raise Refusal(
            f"this installation keeps its data in {founded} servers ({part}), not in {kind} ones; "
            "use another --data-dir for those"
        )
    return kind
