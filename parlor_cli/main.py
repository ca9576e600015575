"""The `parlor` command.

Only what every command needs is imported here: `parlor --help` must not load Ray.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from parlor_cli.installation import DEFAULT_DATA_DIR, Installation
from parlor_cli.options import UpOptions
from parlor_cli.progress import ScreenProgress
from parlor_cli.refusal import Refusal

app = typer.Typer(
    name="parlor",
    help="A self-hosted backend for AI chat rooms that never loses a message.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="PARLOR_DATA_DIR", help="Data directory: one is one installation.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Servers(StrEnum):
    """Where Redis and the databases come from."""

    EMBEDDED = "embedded"
    PRIVATE = "private"
    EXTERNAL = "external"


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port, 0: a free one [default: 8000].")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready, and leave it running.")] = False,
    redis_url: Annotated[str | None, typer.Option(help="Use this Redis instead of starting one.")] = None,
    mysql_url: Annotated[
        list[str] | None, typer.Option(help="Use this database instead of making one; once for each shard.")
    ] = None,
    servers: Annotated[
        Servers | None,
        typer.Option(help="embedded: Valkey and SQLite; private: redis-server and mariadbd from PATH; external: URLs."),
    ] = None,
    partitions: Annotated[int | None, typer.Option(min=1, max=4096, help="Fixed at the first start [64].")] = None,
    shards: Annotated[int | None, typer.Option(min=1, max=64, help="Databases that are made here [2].")] = None,
    ray_address: Annotated[str | None, typer.Option(help="Join this running Ray instead of starting one.")] = None,
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
def status(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """Services, actors, queues and dead letters. Exit code 3 when nothing runs."""
    from parlor_cli.status import show

    raise typer.Exit(show(data_dir, as_json=json))


@app.command()
def token(
    account: Annotated[str, typer.Argument(help="Whose token it is.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    ttl: Annotated[int | None, typer.Option(min=1, help="Seconds that it is valid [default: 30 days].")] = None,
) -> None:
    """Print a bearer token, alone, on standard output."""
    from parlor_cli.bearer import issue_token

    typer.echo(issue_token(data_dir, account, timedelta(seconds=ttl) if ttl is not None else None))


@app.command()
def config(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the effective settings as TOML, secrets masked."""
    from parlor_cli.configuration import to_toml
    from parlor_cli.options import present

    typer.echo(to_toml(present(Installation.find(data_dir))))


@app.command()
def migrate(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """Bring the databases to this version's schema (`up` does it too)."""
    from parlor_cli.migrate import run

    run(data_dir, as_json=json)


@app.command()
def rooms(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """Every room that is active: its actor and its state. Exit code 3 when nothing runs."""
    from parlor_cli.rooms import show

    raise typer.Exit(show(data_dir, as_json=json))


@app.command()
def fsck(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be put right safely.")] = False,
    account: Annotated[str | None, typer.Option(help="Only this account's rooms.")] = None,
    room: Annotated[str | None, typer.Option(help="Only this room.")] = None,
    json: Json = False,
) -> None:
    """Compare Redis, queues and shards of every room while the system runs. Exit codes: 0 nothing is wrong (any more),
    1 something is, 2 it could not look."""
    from parlor_cli.fsck import run

    raise typer.Exit(run(data_dir, repair=repair, account=account, room=room, as_json=json))


dead_letters = typer.Typer(help="Operations that a shard refused for their content.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")
LetterIds = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `list` shows them.")]


@dead_letters.command("list")
def dead_letters_list(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """What was set aside, and why; nobody's text."""
    from parlor_cli.dead_letters import show

    show(data_dir, as_json=json)


@dead_letters.command("replay")
def dead_letters_replay(
    ids: LetterIds = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Put them back into their queues, for when what was in their way is put right."""
    from parlor_cli.dead_letters import replay

    replay(data_dir, ids or [], every=every, as_json=json)


@dead_letters.command("drop")
def dead_letters_drop(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` shows them.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Give them up: a message becomes a tombstone, a room that was never stored is deleted."""
    from parlor_cli.dead_letters import drop

    drop(data_dir, ids, as_json=json)


bench = typer.Typer(help="Measure a running installation.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.callback()
def benchmarks() -> None:
    """Measure a running installation."""


@bench.command("send")
def bench_send(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    seconds: Annotated[float, typer.Option(min=0.5, help="For each figure.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Each gives a ratio; the median counts.")] = 5,
    json: Json = False,
) -> None:
    """Sends against a no-op POST on the same ingress, and the time to first token, in one run."""
    from parlor_cli.bench import send

    raise typer.Exit(send(data_dir, seconds=seconds, rounds=rounds, as_json=json))


@bench.command("stream")
def bench_stream(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    replies: Annotated[list[int] | None, typer.Option(min=1, help="At the same time; again for more runs.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="That each reply lasts.")] = 10.0,
    json: Json = False,
) -> None:
    """Replies that stream at the same time, a reader each: losses, delays, memory. Exit code 1 when any is lost."""
    from parlor_cli.bench import stream

    raise typer.Exit(stream(data_dir, replies=replies or [200, 500], seconds=seconds, as_json=json))


cluster = typer.Typer(help="An installation that `serve deploy` made (docs/CLUSTER.md).", no_args_is_help=True)
app.add_typer(cluster, name="cluster")


@cluster.command("status")
def cluster_status(json: Json = False) -> None:
    """Services, actors, queues and dead letters, asked from a node of the cluster."""
    from parlor_cli.cluster import show

    show(as_json=json)


@cluster.command("stop")
def cluster_stop() -> None:
    """Drain and end the actors, after `serve shutdown`."""
    from parlor_cli.cluster import stop

    stop()


def main() -> None:
    """Entry point: a refusal is one line on standard error, not a traceback."""
    try:
        app()
    except Refusal as refusal:
        ScreenProgress().show("failed", refusal.message)
        sys.exit(refusal.exit_code)
