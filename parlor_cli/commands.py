"""The commands of `parlor` and their options.

Commands import what they need when they run, so that `parlor --help` does not load Ray. Every number has bounds: one
that cannot be meant is refused by its option, not by what it would break.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from parlor_cli.account_commands import chat, demo, sign_in
from parlor_cli.backup_commands import backup, restore
from parlor_cli.bench_commands import bench
from parlor_cli.growth_commands import add_shard, move_partition, rebalance, upgrade
from parlor_cli.installation import DEFAULT_DATA_DIR, Installation
from parlor_cli.operator_commands import accounts, dead_letters
from parlor_cli.options import DEFAULT_SHARDS, DataDir, Json, UpOptions, Wide, lifetime
from parlor_cli.own_packages import check_packages
from parlor_cli.progress import ScreenProgress
from parlor_cli.refusal import Refusal

app = typer.Typer(
    name="parlor",
    help="A self-hosted backend for AI chat rooms that never loses a message.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"parlor {version('parlor')}")
        raise typer.Exit


@app.callback()
def parlor(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A self-hosted backend for AI chat rooms that never loses a message."""


class Servers(StrEnum):
    """The origin of Redis and the databases."""

    EMBEDDED = "embedded"
    PRIVATE = "private"
    EXTERNAL = "external"


class Level(StrEnum):
    """The severity of a log line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.", show_default="8000")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready, and leave it running.")] = False,
    redis_url: Annotated[str | None, typer.Option(help="Use this Redis instead of starting one.")] = None,
    mysql_url: Annotated[
        list[str] | None, typer.Option(help="Use this database instead of creating one; repeat it for each shard.")
    ] = None,
    servers: Annotated[
        Servers | None,
        typer.Option(
            help="embedded: Valkey and SQLite; private: redis-server and mariadbd from PATH; external: URLs.",
            show_default="embedded",
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="Partitions, fixed at the first start.", show_default="64"),
    ] = None,
    shards: Annotated[
        int | None, typer.Option(min=1, max=64, help="Databases to create.", show_default=str(DEFAULT_SHARDS))
    ] = None,
    ray_address: Annotated[str | None, typer.Option(help="Join this Ray cluster instead of starting one.")] = None,
) -> None:
    """Start Redis, the databases, Ray, the actors and HTTP; Ctrl-C stops all of it."""
    from parlor_cli.up import up as run

    options = UpOptions(
        data_dir=data_dir.expanduser().absolute(),
        host=host,
        port=port,
        redis_url=redis_url,
        mysql_urls=mysql_url or [],
        servers=servers.value if servers else None,
        partitions=partitions,
        shards=shards,
        ray_address=ray_address,
    )
    raise typer.Exit(run(options, ScreenProgress(), detach=detach))


@app.command()
def down(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Drain and stop what `up` started, nothing else."""
    from parlor_cli.down import down as run

    run(data_dir, ScreenProgress())


@app.command()
def status(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False, wide: Wide = False) -> None:
    """Show services, actors, queues and dead letters. Exit code 3 when nothing runs."""
    from parlor_cli.status import show

    raise typer.Exit(show(data_dir, as_json=json, wide=wide))


@app.command()
def token(
    account: Annotated[str, typer.Argument(help="The account of the token.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    ttl: Annotated[
        timedelta | None,
        typer.Option(
            parser=lifetime, metavar="DURATION", help="How long it is valid: seconds, 12h, 30d.", show_default="30d"
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, write, or admin for operations over HTTP; repeat it.", show_default="read, write"),
    ] = None,
) -> None:
    """Print a bearer token, alone, on standard output."""
    from parlor_cli.bearer import issue_token

    typer.echo(issue_token(data_dir, account, ttl, scope or ()))


app.command("sign-in")(sign_in)
app.command("chat")(chat)
app.command("demo")(demo)


@app.command()
def revoke(
    account: Annotated[str, typer.Argument(help="The account, as in `parlor token`.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """End every token and API key that an account has: within seconds on every replica. Later tokens are valid."""
    from parlor_cli.revoke import run

    typer.echo(f"what was issued to {account} before {run(data_dir, account)} has ended")


@app.command()
def audit(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")] = 1000,
) -> None:
    """Print who did what to whom, as JSON lines in the order of time."""
    from parlor_cli.audit import show

    show(data_dir, limit)


@app.command()
def config(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Check the configuration as `up` does, and print the effective settings as TOML, secrets masked."""
    from parlor_cli.checks import check
    from parlor_cli.configuration import to_toml
    from parlor_cli.options import present

    check(UpOptions(data_dir))
    typer.echo(to_toml(present(Installation.find(data_dir))))


@app.command()
def migrate(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """Migrate the databases to the schema of this version, as `up` does."""
    from parlor_cli.migrate import run

    run(data_dir, as_json=json)


@app.command()
def adopt(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    redis_url: Annotated[str | None, typer.Option(help="As for `up`.")] = None,
    mysql_url: Annotated[list[str] | None, typer.Option(help="As for `up`.")] = None,
    keep: Annotated[
        bool | None,
        typer.Option("--keep-redis/--forget-redis", help="What Redis has. [default: by the ids]", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Make Redis and the databases one installation again: after the restore of a backup, or to use a Redis that had
    another installation. Says what it will do, and asks."""
    from parlor_cli.adopt import Side, run

    options = UpOptions(data_dir=data_dir.expanduser().absolute(), redis_url=redis_url, mysql_urls=mysql_url or [])
    side: Side | None = None if keep is None else "keep" if keep else "forget"
    raise typer.Exit(run(options, side=side, yes=yes, as_json=json))


@app.command()
def rooms(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False, wide: Wide = False) -> None:
    """List active rooms with their actors and states. Exit code 3 when nothing runs."""
    from parlor_cli.rooms import show

    raise typer.Exit(show(data_dir, as_json=json, wide=wide))


@app.command()
def top(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print what one interval shows, and end.")] = False,
    json: Json = False,
) -> None:
    """Watch rooms, sends, replies and lag, actor by actor, until Ctrl-C. Exit code 3 when nothing runs."""
    from parlor_cli.top import show

    raise typer.Exit(show(data_dir, interval=interval, once=once, as_json=json))


@app.command()
def logs(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Parlor stops, or Ctrl-C.")] = False,
    actor: Annotated[str | None, typer.Option(help="Only of this actor, such as rooms-000, or of all rooms.")] = None,
    room: Annotated[str | None, typer.Option(help="Only about this room.")] = None,
    request: Annotated[str | None, typer.Option(help="Only about this request, by its x-request-id.")] = None,
    level: Annotated[Level | None, typer.Option(help="Only this severe, or more.")] = None,
) -> None:
    """Print what the actors, the API and the launcher log, as JSON lines in the order of time."""
    from parlor_cli.logs import Wanted, show

    wanted = Wanted(actor, room, request, level.value if level else None)
    show(data_dir, wanted, follow=follow)


@app.command()
def fsck(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired safely.")] = False,
    account: Annotated[str | None, typer.Option(help="Only this account's rooms.")] = None,
    room: Annotated[str | None, typer.Option(help="Only this room.")] = None,
    json: Json = False,
) -> None:
    """Check every room for contradictions between Redis, queues and shards, while Parlor runs or is stopped. Exit code
    0: none, or all repaired; 1: some; 2: the check failed."""
    from parlor_cli.fsck import run

    raise typer.Exit(run(data_dir, repair=repair, account=account, room=room, as_json=json))


app.command()(backup)
app.command()(restore)
app.command("move-partition")(move_partition)
app.command("add-shard")(add_shard)
app.command()(rebalance)
app.command()(upgrade)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(accounts, name="accounts")
keys = typer.Typer(help="The keys that sign tokens, and the API keys of accounts.", no_args_is_help=True)
app.add_typer(keys, name="keys")
Account = Annotated[str | None, typer.Option(help="The API keys of this account, instead of the keys that sign.")]


@keys.command("list")
def keys_list(account: Account = None, data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """List them, oldest first: what each signing key is for, or what each API key may do and when it was last used."""
    from parlor_cli import account_keys, signing_keys

    if account is None:
        signing_keys.show(data_dir, as_json=json)
    else:
        account_keys.show(data_dir, account, as_json=json)


@keys.command("add")
def keys_add(
    account: Account = None,
    name: Annotated[str, typer.Option(help="What the API key is for.")] = "made by parlor keys",
    scope: Annotated[list[str] | None, typer.Option(help="read or write.", show_default="both")] = None,
    ttl: Annotated[
        timedelta | None,
        typer.Option(
            parser=lifetime,
            metavar="DURATION",
            help="How long the API key is valid: seconds, 12h, 30d.",
            show_default="for ever",
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a key that signs tokens from now on, and print its id. Older keys stay valid. With --account, make an API
    key and print it, alone."""
    from parlor_cli import account_keys, signing_keys

    if account is None:
        typer.echo(signing_keys.add(data_dir))
    else:
        typer.echo(account_keys.add(data_dir, account, name, scope or ["read", "write"], ttl))


@keys.command("retire")
def keys_retire(
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `list` shows it; `secret` is the configured one.")],
    account: Account = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Refuse what a key signed, or an API key: within seconds on every replica, without a restart."""
    from parlor_cli import account_keys, signing_keys

    if account is None:
        signing_keys.retire(data_dir, key)
    else:
        account_keys.retire(data_dir, account, key)


app.add_typer(bench, name="bench")

cluster = typer.Typer(help="An installation that `serve deploy` started (docs/CLUSTER.md).", no_args_is_help=True)
app.add_typer(cluster, name="cluster")


@cluster.command("status")
def cluster_status(json: Json = False, wide: Wide = False) -> None:
    """Show actors, queues and dead letters; runs on a node of the cluster."""
    from parlor_cli.cluster import show

    show(as_json=json, wide=wide)


@cluster.command("stop")
def cluster_stop() -> None:
    """Drain and end the actors, after `serve shutdown`."""
    from parlor_cli.cluster import stop

    stop()


def run() -> None:
    """Runs the command that was typed, and ends the process. A ``Refusal`` becomes one line on standard error."""
    try:
        check_packages()
        app()
    except Refusal as refusal:
        ScreenProgress().show("failed", refusal.message)
        sys.exit(refusal.exit_code)
