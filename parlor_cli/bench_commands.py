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


@bench.command("run")
def bench_run(
    measures: Annotated[list[str] | None, typer.Argument(help="For example F1 F5; all without.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="An installation that runs on private servers.", show_default="one of its own")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds for each load.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds; the result is their median.")] = 5,
    duration: Annotated[float, typer.Option(min=10, max=864_000, help="Seconds of the soak, F12.")] = 7200.0,
    results: Annotated[Path | None, typer.Option(help="A directory for a JSON file of each result.")] = None,
    json: Json = False,
) -> None:
    """Take measures beside services that one would use instead, by turns (docs/PERFORMANCE.md)."""
    from parlor_cli.bench_run import run

    options = {"seconds": seconds, "duration": duration}
    raise typer.Exit(run(measures or [], data_dir, rounds=rounds, results=results, as_json=json, **options))


@bench.command("flood")
def bench_flood(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds for each measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds; the result is their median.")] = 3,
    json: Json = False,
) -> None:
    """Attack as one account and as a stranger: exit code 1 when the sends of other accounts wait twice as long."""
    from parlor_cli.bench_flood import flood

    raise typer.Exit(flood(data_dir, seconds=seconds, rounds=rounds, as_json=json))


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
