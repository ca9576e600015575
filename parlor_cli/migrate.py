"""`parlor migrate`: brings the databases to the schema of this version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from parlor.errors import ParlorError
from parlor.model.ids import InstallationId
from parlor.settings import Settings
from parlor.store.migrations import MigrationReport, migrate
from parlor_cli.configuration import load, merge
from parlor_cli.endpoints import StoreEndpoint
from parlor_cli.installation import Installation
from parlor_cli.options import Blueprint, effective, present
from parlor_cli.refusal import Refusal
from parlor_cli.server_errors import database_refusal


def apply(
    settings: Settings, on_step: Callable[[str], None], installation: Installation | None = None
) -> MigrationReport:
    """Creates missing databases and applies missing migrations; calls ``on_step`` for each. Databases from before there
    were ids get the one that the data directory remembers. Raises ``Refusal``."""
    known = installation.founding.installation if installation else None
    try:
        return asyncio.run(migrate(settings.store, on_step, known=InstallationId(known) if known else None))
    except ParlorError as error:
        raise database_refusal(error) from error


def run(data_dir: Path, *, as_json: bool) -> None:
    """Migrates the databases of a running installation, external ones, or the SQLite files of a stopped one."""

    def print_step(step: str) -> None:
        if not as_json:
            print(step)

    installation = Installation.find(data_dir)
    if installation is None:
        settings = load()
        if not settings.store.urls:
            raise Refusal(f"{data_dir} holds no installation, and no database URL is configured")
        report = apply(settings, print_step)
    elif installation.running() is not None:
        report = apply(with_owner(present(installation)), print_step, installation)
    else:
        with installation.locked():
            report = apply(_stopped(installation), print_step, installation)
    if as_json:
        print(msgspec.json.encode(report).decode())
    elif not report.changed:
        print("nothing to do")


def with_owner(settings: Settings) -> Settings:
    """With the user that migrates, which what runs does not know."""
    given = load().store
    names = {"migration_user": given.migration_user, "migration_password": given.migration_password}
    return settings.model_copy(update={"store": settings.store.model_copy(update=names)})


def _stopped(installation: Installation) -> Settings:
    settings = effective(installation, {})
    founding = installation.founding
    if settings.store.urls:
        return settings
    if founding.store != "embedded" or founding.shards is None:
        raise Refusal("its databases are stopped; `parlor up` starts and migrates them")
    endpoint = StoreEndpoint(
        installation,
        Blueprint(redis="embedded", store="embedded", partitions=settings.store.partitions, shards=founding.shards),
    )
    return effective(installation, merge({}, endpoint.overrides()))
