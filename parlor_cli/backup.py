"""A backup of an installation, and putting one into a new data directory."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.errors import ParlorError
from parlor.files.archive import open_archive
from parlor.files.stores import open_file_store
from parlor.fsck.backup import Backup, BackupPorts
from parlor.fsck.manifest import Manifest, read_manifest
from parlor.fsck.restore import Restore, Restored
from parlor.model.administration import Action
from parlor.model.ids import InstallationId, ShardId
from parlor.settings import Settings
from parlor.store.migrations import migrate, open_store, owner_addresses
from parlor.wiring import Wiring
from parlor_cli.audit import note
from parlor_cli.configuration import merge
from parlor_cli.endpoints import StoreEndpoint
from parlor_cli.installation import Installation
from parlor_cli.live_stores import ask
from parlor_cli.migrate import with_owner
from parlor_cli.options import Blueprint, UpOptions, decide, effective
from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import Server

_PLACE_MAX = 255
"""Characters of a place in the audit log."""


def back_up(data_dir: Path, place: str, *, wait: float, as_json: bool) -> None:
    """Prints what is in the backup. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> Manifest:
        settings = wiring.settings
        audit = AuditCache(wiring.live, settings.redis.prefix)
        addresses = owner_addresses(with_owner(settings).store)
        ports = BackupPorts(
            audit, DeadLetterCache(wiring.live), wiring.store, addresses, wiring.file_store, wiring.clock
        )
        # Whoever has a backup can read what everybody wrote.
        await note(wiring, Action.BACKUP_MADE, await wiring.store.installation(), named(place))
        return await Backup(ports, open_archive(place), wait, _report).run()

    manifest = ask(data_dir, work, also_stopped=True)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(manifest) + b"\n")
        sys.stdout.flush()
        return
    size = sum(piece.bytes for piece in manifest.pieces)
    rooms, messages = manifest.counts.get("rooms", 0), manifest.counts.get("messages", 0)
    print(f"{rooms} rooms, {messages} messages; {size} bytes of rows, and their files")
    if manifest.missing_blobs:
        print(f"{len(manifest.missing_blobs)} files were gone before their bytes were read", file=sys.stderr)
    if manifest.dead_letters:
        print(f"{manifest.dead_letters} dead letters are not in it: replay or drop them", file=sys.stderr)


def named(place: str) -> str:
    """A place as it may be written down: without a user, a password or options, and not too long."""
    if "://" not in place:
        return str(Path(place).expanduser().absolute())[:_PLACE_MAX]
    scheme, _, rest = place.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"[:_PLACE_MAX]


def restore_into(place: str, options: UpOptions, *, as_json: bool) -> None:
    """Prints what was restored. Raises ``Refusal``."""
    try:
        manifest = asyncio.run(read_manifest(open_archive(place)))
    except ParlorError as error:
        raise Refusal(f"{error.detail} {error.debug}".rstrip()) from error
    installation = Installation.found(options.data_dir)
    if installation.founding.store is not None:
        raise Refusal(
            f"{options.data_dir} holds an installation: a backup is restored into a new one. Give another --data-dir"
        )
    with installation.locked():
        done = _restored(place, installation, options, manifest)
    if as_json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"{done.rows} rows are restored; start it with: parlor up --data-dir {installation.data_dir}")


def _restored(place: str, installation: Installation, options: UpOptions, manifest: Manifest) -> Restored:
    given = effective(installation, options.overrides())
    wanted = options if options.shards or given.store.urls else msgspec.structs.replace(options, shards=manifest.shards)
    blueprint = decide(wanted, given, installation.founding)
    blueprint = msgspec.structs.replace(blueprint, partitions=manifest.partition_count)
    installation.remove_runtime_dir()
    installation.make_runtime_dir()
    endpoint = StoreEndpoint(installation, blueprint)
    server: Server | None = None
    try:
        if (plan := endpoint.plan()) is not None:
            server = Server.start(plan)
        overrides = merge(options.overrides(), {"store": {"partitions": blueprint.partitions}})
        settings = effective(installation, merge(overrides, endpoint.overrides()))
        try:
            done = asyncio.run(_fill(place, settings, manifest))
        except ParlorError as error:
            raise Refusal(f"{error.detail} {error.debug}".rstrip()) from error
        _record(installation, blueprint, manifest)
        return done
    finally:
        if server is not None:
            server.stop()
        installation.remove_runtime_dir()


async def _fill(place: str, settings: Settings, manifest: Manifest) -> Restored:
    async def own_id() -> InstallationId:
        return manifest.installation

    await migrate(settings.store, new=manifest.installation)
    store = await open_store(settings.store)
    files = open_file_store(settings.files, own_id)
    try:
        homes = {int(p): shard for shard in store.shard_ids() for p in await store.partitions_of(shard)}
        addresses = owner_addresses(settings.store)
        archive = open_archive(place)
        restore = Restore(archive, manifest, addresses, files, lambda p: homes.get(p, ShardId(1)), _report)
        return await restore.run()
    finally:
        await files.close()
        await store.close()


def _record(installation: Installation, blueprint: Blueprint, manifest: Manifest) -> None:
    founding = msgspec.structs.replace(
        installation.founding,
        store=blueprint.store,
        partitions=blueprint.partitions,
        shards=blueprint.shards if blueprint.store != "external" else None,
        installation=str(manifest.installation),
    )
    installation.record(founding)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
