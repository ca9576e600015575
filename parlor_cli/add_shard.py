"""`parlor add-shard`: one database more for a running installation; every process learns of it, one after the other."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
from pydantic import SecretStr

from parlor.errors import ParlorError
from parlor.model.ids import ShardId
from parlor.model.release import digest
from parlor.settings import Settings
from parlor.store.installation import Belonging
from parlor.store.migrations import open_store, owner_addresses
from parlor.store.new_shard import require_new
from parlor_cli.configuration import merge, restore
from parlor_cli.endpoints import StoreEndpoint
from parlor_cli.installation import Installation
from parlor_cli.migrate import with_owner
from parlor_cli.options import Blueprint
from parlor_cli.progress import Progress
from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running
from parlor_cli.server_errors import server_refusal
from parlor_cli.tables import write_json
from parlor_cli.upgrade import replace_outdated

MOST = 64
"""As `--shards` has it."""


def add_shard(data_dir: Path, url: str | None, patience: float, progress: Progress, *, as_json: bool) -> None:
    """Called again after it was stopped, it goes on. Raises ``Refusal``."""
    found = running(data_dir)
    if found is None:
        raise Refusal(
            f"nothing runs in {data_dir}: give the next `parlor up` one shard more (--shards, or --mysql-url)",
            exit_code=3,
        )
    installation, run_file = found
    with joined(installation, run_file) as present:
        wanted = present if _goes_on(present, url) else with_shard(installation, present, url)
        shard = len(wanted.store.urls)
        if wanted is not present:
            _check(wanted, progress)
        steps = replace_outdated(installation, run_file, progress, present, wanted, patience)
        _remember(installation, wanted)
    if as_json:
        write_json({"shard": shard, "replaced": msgspec.to_builtins(steps)})
        return
    progress.show("ready", f"Every process knows shard {shard}; `parlor rebalance` moves partitions there")
    if installation.founding.store == "external":
        progress.show("note", "give the next `parlor up` its URL too, behind the others", step="shard")


def with_shard(installation: Installation, present: Settings, url: str | None) -> Settings:
    """The settings with one shard more: at this URL, or where Parlor keeps the databases that it makes. Raises
    ``Refusal``."""
    urls = [known.get_secret_value() for known in present.store.urls]
    kind = installation.founding.store
    if len(urls) >= MOST:
        raise Refusal(f"there are {MOST} shards, which is the most")
    if (kind == "external") != (url is not None):
        raise Refusal(
            "this installation makes its databases itself: give no URL"
            if url is not None
            else "the databases are yours: give the URL of one that is empty, mysql://user:password@host/parlor_3",
            exit_code=2,
        )
    if url is None and kind is not None:
        blueprint = Blueprint("embedded", kind, present.store.partitions, len(urls) + 1)
        url = _made(StoreEndpoint(installation, blueprint))
    store = present.store.model_copy(update={"urls": (*present.store.urls, SecretStr(url or ""))})
    # Through the settings' own rules, as those that `up` reads.
    return restore(present.model_copy(update={"store": store}).dump_secrets())


def _made(endpoint: StoreEndpoint) -> str:
    """The URL of the last of the databases that Parlor makes."""
    urls = endpoint.overrides()["store"]["urls"]
    return urls[-1] if isinstance(urls, list) else ""


def _goes_on(present: Settings, url: str | None) -> bool:
    """Whether the shard is there already, and some processes do not know it yet."""
    known = [one.get_secret_value() for one in present.store.urls]
    return bool(strangers_to(present)) if url is None else url in known


def strangers_to(present: Settings) -> list[str]:
    """The running processes that have other settings than these: they may not know the newest shard."""
    from actors.bootstrap import RayFleet

    wanted = digest(present.dump_secrets())
    return sorted(one.name for one in RayFleet(present, 0.0).statuses() if one.alive and one.settings != wanted)


def require_known(data_dir: Path, shard: ShardId | None) -> None:
    """A shard that has no partition yet may be one that some processes do not know; None: look at all of those. Raises
    ``Refusal``."""
    found = running(data_dir)
    if found is None:
        return
    installation, run_file = found
    text = installation.read_settings()
    if text is None:
        return
    unused = asyncio.run(_unused(restore(text)))
    if not unused or shard not in (None, *unused):
        return
    with joined(installation, run_file) as present:
        if strangers := strangers_to(present):
            raise Refusal(
                f"{len(strangers)} processes do not know shard {unused[-1]} yet, {strangers[0]} among them: "
                "`parlor add-shard`, or `parlor upgrade`, has to come to its end first"
            )


async def _unused(settings: Settings) -> list[ShardId]:
    """The shards on which no partition lives. Raises ``Refusal``."""
    store = await open_store(settings.store)
    try:
        return [shard for shard in store.shard_ids() if not await store.partitions_of(shard)]
    except ParlorError as error:
        raise server_refusal(settings, error) from error
    finally:
        await store.close()


def _check(wanted: Settings, progress: Progress) -> None:
    shard = ShardId(len(wanted.store.urls))
    progress.show("begin", f"the database of shard {shard}", step="shard")
    try:
        asyncio.run(_check_database(wanted, shard))
    except ParlorError as error:
        raise server_refusal(wanted, error) from error
    progress.show("done", f"shard {shard} can be made", step="shard")


async def _check_database(wanted: Settings, shard: ShardId) -> None:
    store = await open_store(wanted.store)
    try:
        installation = await store.installation()
    finally:
        await store.close()
    address = owner_addresses(with_owner(wanted).store).shards[shard]
    await require_new(address, Belonging(installation, shard))


def _remember(installation: Installation, wanted: Settings) -> None:
    """For the next start, and the next upgrade."""
    founding, count = installation.founding, len(wanted.store.urls)
    if founding.shards is not None and founding.shards < count:
        installation.record(msgspec.structs.replace(founding, shards=count))
    overrides = json.loads(installation.read_overrides() or "{}")
    if "urls" in overrides.get("store", {}):
        urls = [url.get_secret_value() for url in wanted.store.urls]
        installation.write_overrides(json.dumps(merge(overrides, {"store": {"urls": urls}})))
