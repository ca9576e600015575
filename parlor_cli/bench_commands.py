"""`parlor bench ...`: each command imports its module when it is called, like those of ``commands``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir, Json

bench = typer.Typer(help="Measure a running installation.", no_args_is_help=True)


@bench.callback()
def benchmarks() -> None:
    """Measure a running installation."""


@bench.command("send")
def bench_send(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds for each measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds; the result is their median.")] = 5,
    json: Json = False,
) -> None:
    """Compare sends with a no-op POST on the same ingress, and measure the time to first token."""
    from parlor_cli.bench import send

    raise typer.Exit(send(data_dir, seconds=seconds, rounds=rounds, as_json=json))


@bench.command("stream")
def bench_stream(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    replies: Annotated[
        list[int] | None,
        typer.Option(min=1, max=100_000, help="Replies at once; repeat it for more runs.", show_default="200, 500"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds that each reply takes.")] = 10.0,
    json: Json = False,
) -> None:
    """Stream many replies at once, each to its own reader: losses, delays, memory. Exit code 1 when a reply is lost."""
    from parlor_cli.bench import stream

    raise typer.Exit(stream(data_dir, replies=replies or [200, 500], seconds=seconds, as_json=json))


@bench.command("compare")
def bench_compare(
    base: Annotated[Path, typer.Argument(help="The data directory of the installation to compare with.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds for each measurement.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds; the result is their median.")] = 5,
    at_least: Annotated[float, typer.Option(min=0, max=100, help="Exit code 1 below this ratio of sends/s.")] = 0.9,
    json: Json = False,
) -> None:
    """Compare the sends of two installations by turns, as ratios (`make bench-check`)."""
    from parlor_cli.bench import compare

    raise typer.Exit(compare(data_dir, base, seconds=seconds, rounds=rounds, at_least=at_least, as_json=json))


@bench.command("plain")
def bench_plain(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds for each measurement.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds; the result is their median.")] = 5,
    json: Json = False,
) -> None:
    """Compare sends with the service that one writes first: a lock for each room, an INSERT in the request."""
    from parlor_cli.bench import plain

    raise typer.Exit(plain(data_dir, seconds=seconds, rounds=rounds, as_json=json))
