"""`parlor backup` and `parlor restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir, Json, UpOptions

Place = Annotated[str, typer.Argument(help="A directory, or an object store's URL with a path, as s3://bucket/monday.")]


def backup(
    dest: Place,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    wait: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds to wait for the queues.")] = 60,
    json: Json = False,
) -> None:
    """Back up everything that has been accepted until now, while Parlor runs."""
    from parlor_cli.backup import back_up

    back_up(data_dir, dest, wait=wait, as_json=json)


def restore(
    source: Place,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    mysql_url: Annotated[list[str] | None, typer.Option(help="As for `up`; databases that hold nothing.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Into a MariaDB of its own, instead of SQLite.")] = False,
    shards: Annotated[int | None, typer.Option(min=1, max=64, help="Databases. [default: as many as before]")] = None,
    json: Json = False,
) -> None:
    """Restore a backup into a data directory that holds nothing, in databases of any kind; `parlor up` starts it."""
    from parlor_cli.backup import restore_into

    urls = mysql_url or []
    options = UpOptions(
        data_dir=data_dir.expanduser().absolute(),
        mysql_urls=urls,
        servers="private" if private else None,
        shards=shards,
    )
    restore_into(source, options, as_json=json)
