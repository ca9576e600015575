"""`parlor upgrade`: has a running installation run the code that is installed now, one process after the other."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from parlor.model.release import Incompatible, digest, program_version, require_compatible
from parlor.settings import Settings
from parlor_cli.ingress import Ingress, running_replicas
from parlor_cli.installation import Installation, RunFile
from parlor_cli.migrate import apply, with_owner
from parlor_cli.options import effective
from parlor_cli.progress import Progress
from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running
from parlor_cli.tables import write_json

if TYPE_CHECKING:
    # Slow to import, and not needed when nothing runs.
    from actors.bootstrap import RayFleet
    from actors.contracts import ActorStatus
    from actors.upgrade import Done

PATIENCE_S = 60.0
"""Time for the end of a reply before it is begun again, or resumed, elsewhere."""
FIXED = {
    "api": ("host", "port", "spare"),
    "connections": None,
    "metrics": None,
    "ray": None,
    "redis": None,
    "store": None,
}
"""Settings that what is not replaced goes by: the launcher, Ray, HAProxy, Redis, the databases. None: all of a
section."""


def run(
    data_dir: Path, progress: Progress, *, settings: bool, every: bool, patience: float = PATIENCE_S, as_json: bool
) -> None:
    """Raises ``Refusal``; then nothing further is replaced, and the command can be repeated."""
    found = running(data_dir)
    if found is None:
        raise Refusal(f"nothing runs in {data_dir}: the next `parlor up` starts the new version", exit_code=3)
    installation, run_file = found
    with joined(installation, run_file) as present:
        wanted = _new_settings(installation, present, progress) if settings else present
        steps = _Upgrade(installation, run_file, progress, present, wanted).run(every=every, patience=patience)
    if as_json:
        write_json({"version": program_version(), "replaced": msgspec.to_builtins(steps)})
    elif steps:
        progress.show("ready", f"Everything runs {program_version()}")
    else:
        progress.show("note", f"everything runs {program_version()} already", step="upgrade")


def replace_outdated(
    installation: Installation,
    run_file: RunFile,
    progress: Progress,
    before: Settings,
    wanted: Settings,
    patience: float,
) -> list[Done]:
    """Migrates, and has every process run what is installed with these settings. Raises ``Refusal``."""
    return _Upgrade(installation, run_file, progress, before, wanted).run(every=False, patience=patience)


class _Upgrade:
    def __init__(
        self, installation: Installation, run_file: RunFile, progress: Progress, before: Settings, settings: Settings
    ) -> None:
        self._installation = installation
        self._run_file = run_file
        self._progress = progress
        self._before = before
        self._settings = settings
        self._json = settings.dump_secrets()

    def run(self, *, every: bool, patience: float) -> list[Done]:
        from actors.bootstrap import RayFleet
        from actors.contracts import ActorsFailed
        from actors.upgrade import Target, roll

        fleet = _Fleet(RayFleet(self._settings, patience), self._settings, self._run_file)
        target = Target(program_version(), digest(self._json))
        try:
            self._check(fleet.statuses())
            self._migrate()
            with self._latest_settings():
                self._try_out()
            return roll(fleet, target, self._report, every=every)
        except (ActorsFailed, Incompatible) as error:
            raise Refusal(
                f"the upgrade has stopped: {error}. Nothing further is replaced, and what was replaced goes on. "
                "`parlor status` shows what runs; once it is mended, `parlor upgrade` goes on where it stopped"
            ) from error

    def _check(self, statuses: list[ActorStatus]) -> None:
        for one in statuses:
            if one.compatibility:
                require_compatible(one.compatibility, one.name)
        versions = sorted({one.version or "an earlier version" for one in statuses if one.alive})
        self._progress.show("done", f"{', '.join(versions)} -> {program_version()}", step="versions")

    def _migrate(self) -> None:
        def step(line: str) -> None:
            self._progress.show("note", line, step="migration")

        self._progress.show("begin", "the databases", step="migrate")
        report = apply(with_owner(self._settings), step, self._installation)
        count = sum(len(database.applied) for database in report.databases)
        self._progress.show("done", f"{count} migration step{'' if count == 1 else 's'}", step="migrate")

    @contextmanager
    def _latest_settings(self) -> Iterator[None]:
        """Has the processes that begin from now on use the new settings, unless the trial inside fails."""
        from actors import process

        if self._json == self._before.dump_secrets():
            yield
            return
        namespace = self._settings.ray.namespace
        earlier = process.latest_settings(namespace)
        process.set_latest_settings(namespace, self._json)
        try:
            yield
        except BaseException:
            if earlier is None:
                process.forget_latest_settings(namespace)
            else:
                process.set_latest_settings(namespace, earlier)
            raise
        self._installation.write_settings(self._json)

    def _try_out(self) -> None:
        from actors.trial import try_out

        self._progress.show("begin", "one process of the new version", step="trial")
        tried = try_out(self._json)
        if tried.version != program_version():
            raise Refusal(
                f"processes of this installation run {tried.version}, and this command is {program_version()}: "
                "install the new version into the environment that `parlor up` was started in, and use its `parlor`"
            )
        self._progress.show("done", f"{tried.version} starts", step="trial")

    def _report(self, done: Done) -> None:
        self._progress.show("done", f"{done.name} runs {done.version}", step=done.kind)


class _Fleet:
    """See ``actors.upgrade.Fleet``."""

    def __init__(self, actors: RayFleet, settings: Settings, run_file: RunFile) -> None:
        self.statuses, self.renew, self.restart_supervisor = actors.statuses, actors.renew, actors.restart_supervisor
        self._ingress = Ingress(settings, haproxy=bool(run_file.health_url), shared=not run_file.private_ray)

    def replicas(self) -> int:
        return running_replicas()

    def renew_replicas(self) -> None:
        from actors.contracts import ActorsFailed

        # Serve says what it connects to, in lines between ours.
        logging.disable(logging.INFO)
        try:
            self._ingress.deploy()
            self._ingress.wait_until_ready(lambda: None)
        except Refusal as refusal:
            raise ActorsFailed(refusal.message) from refusal


def _new_settings(installation: Installation, present: Settings, progress: Progress) -> Settings:
    """What `parlor up` would run with now. Raises ``Refusal`` for changes that only a start can make."""
    overrides = installation.read_overrides()
    if overrides is None:
        raise Refusal("the version that runs has not written down what its start decided: new settings need a restart")
    found = effective(installation, json.loads(overrides))
    changed = sorted(_changes(present, found))
    fixed = [name for name in changed if _is_fixed(name)]
    if fixed:
        raise Refusal(f"only `parlor down` and `parlor up` change {', '.join(fixed)}")
    progress.show("done", ", ".join(changed) or "as they are", step="settings")
    return found


def _changes(one: Settings, other: Settings) -> Iterator[str]:
    """The names of the settings that differ, as section.field."""
    before, after = json.loads(one.dump_secrets()), json.loads(other.dump_secrets())
    for section, fields in after.items():
        if not isinstance(fields, dict):
            if before.get(section) != fields:
                yield section
            continue
        known = before.get(section, {})
        yield from (f"{section}.{field}" for field, value in fields.items() if known.get(field) != value)


def _is_fixed(name: str) -> bool:
    section, _, field = name.partition(".")
    if section not in FIXED:
        return False
    fields = FIXED[section]
    return fields is None or field in fields
