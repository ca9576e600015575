"""`parlor logs`: what the processes of an installation log, merged, one JSON object a line.

Ray keeps the output of each actor in a file of its session, in the runtime directory; after a stop these files are in
``logs/ray``. What is no JSON there (tracebacks, lines of Ray and Serve) and the launcher's log become the same objects.
"""

from __future__ import annotations

import heapq
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from parlor_cli.installation import Installation
from parlor_cli.refusal import Refusal

LEVELS = ("debug", "info", "warning", "error", "critical")
_LAUNCHER = "launcher"
_PAUSE_S = 0.25
_MARK = re.compile(r":(actor_name|job_id|task_name):(.*)")
"""Lines that Ray writes for its own log monitor."""
_NAMED = re.compile(r"\w+\(([^,]+)(, .*)?\)$")
"""The representation of an actor of ours: ``RoomActor(rooms-000)``, ``ShardWriter(writer-shard1-0, ...)``."""
_OWN = re.compile(r"(\S+Z) (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")
"""A line of ``launcher_log``."""
_RAYS = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_CLOCK = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")
"""How Ray and Serve write the time: without a zone, it is this machine's."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK = "Traceback (most recent call last)"


class Wanted(msgspec.Struct, frozen=True):
    """Which lines to print; None: whatever it is."""

    actor: str | None = None
    """The beginning of its name."""
    room: str | None = None
    request: str | None = None
    level: str | None = None
    """The least severe one."""

    def __call__(self, entry: Entry) -> bool:
        found = entry.fields
        return (
            (self.actor is None or str(found["actor"]).startswith(self.actor))
            and (self.level is None or LEVELS.index(str(found["level"])) >= LEVELS.index(self.level))
            and self._names(entry, "room_id", self.room)
            and self._names(entry, "request_id", self.request)
        )

    @staticmethod
    def _names(entry: Entry, field: str, wanted: str | None) -> bool:
        if wanted is None or wanted == entry.fields.get(field):
            return True
        several = entry.fields.get(f"{field}s")
        # What is no JSON has no fields for ids.
        return wanted in several if isinstance(several, list) else wanted in entry.text


class Entry(msgspec.Struct, frozen=True):
    """A line, with the fields that every line has: ``timestamp``, ``actor``, ``level`` and ``event``."""

    fields: Mapping[str, object]
    text: str = ""
    """The line itself where it was no JSON."""

    @property
    def when(self) -> str:
        return str(self.fields["timestamp"])

    def line(self) -> str:
        return json.dumps(self.fields, ensure_ascii=False)


class LogFile:
    """A file that is being written; remembers how far it has been read."""

    def __init__(self, path: Path, actor: str) -> None:
        self._file: IO[bytes] = path.open("rb")
        self._actor = actor
        self._rest = b""
        facts = path.stat()
        self.key = (facts.st_dev, facts.st_ino)
        self._timestamp = _rfc3339(facts.st_mtime)
        self._level = "info"

    def read(self, *, whole: bool = False) -> Iterator[Entry]:
        """Yields what has been written since the last call; ``whole``: also a last line without its end."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        if whole and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        for raw in lines:
            text = raw.decode("utf-8", errors="replace").rstrip("\r")
            if (entry := self._entry(text)) is not None:
                yield entry

    def close(self) -> None:
        self._file.close()

    def _entry(self, text: str) -> Entry | None:
        if mark := _MARK.fullmatch(text):
            if mark[1] == "actor_name":
                self._actor = _actor_name(mark[2])
            return None
        if not text.strip():
            return None
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if isinstance(fields, dict) and "event" in fields:
            self._timestamp = str(fields.get("timestamp", self._timestamp))
            level = str(fields.get("level", "info")).lower()
            known = {"timestamp": self._timestamp, "level": level if level in LEVELS else "info"}
            return Entry({**known, "actor": self._actor, **fields, **known})
        return self._plain(_COLOURS.sub("", text))

    def _plain(self, text: str) -> Entry:
        event = text
        # A message of several lines has the time and the level of its first.
        if text.startswith(_TRACEBACK):
            self._level = "error"
        elif own := _OWN.fullmatch(text):
            self._timestamp, self._level, event = own[1], own[2].lower(), own[3]
        elif rays := _RAYS.search(text):
            self._level = rays[1].lower()
            if clock := _CLOCK.search(text):
                self._timestamp = _rfc3339(datetime.strptime(clock[0], "%Y-%m-%d %H:%M:%S,%f").timestamp())  # noqa: DTZ007
        fields = {"timestamp": self._timestamp, "level": self._level, "actor": self._actor, "event": event}
        return Entry(fields, text)


class Logs:
    """The log files of an installation, found anew as actors come and go."""

    def __init__(self, installation: Installation) -> None:
        session = installation.runtime_dir / "ray/session_latest/logs"
        self._kept = installation.logs_dir
        # For good: a stop moves the files from the one to the other, and they would be read again.
        self._folder = session.resolve() if session.is_dir() else self._kept / "ray"
        self._files: dict[tuple[int, int], LogFile] = {}

    def read(self, *, whole: bool = False) -> Iterator[Entry]:
        """Yields what was written since the last call, in the order of time."""
        self._look()
        return heapq.merge(*(file.read(whole=whole) for file in self._files.values()), key=lambda entry: entry.when)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _look(self) -> None:
        for path in self._paths():
            try:
                facts = path.stat()
                if (facts.st_dev, facts.st_ino) not in self._files:
                    file = LogFile(path, _LAUNCHER if path.stem == _LAUNCHER else path.stem)
                    self._files[file.key] = file
            except OSError:
                # It has gone, with its session, between the two steps.
                continue

    def _paths(self) -> Iterator[Path]:
        yield self._kept / f"{_LAUNCHER}.log"
        # A full one is renamed to ``.err.1``.
        yield from sorted(self._folder.glob("worker-*.err*"))


def show(data_dir: Path, wanted: Wanted, *, follow: bool) -> None:
    """Prints what is wanted; ``follow``: until the installation stops, or Ctrl-C. Raises ``Refusal``."""
    installation = Installation.find(data_dir)
    if installation is None:
        raise Refusal(f"there is no installation in {data_dir}")
    run = installation.running()
    if run is not None and not run.private_ray:
        raise Refusal(f"the actors log on the nodes of Ray at {run.ray_address}: `ray logs`, or its dashboard")
    logs = Logs(installation)
    try:
        _print(logs.read(whole=not follow), wanted)
        while follow and installation.running() is not None:
            time.sleep(_PAUSE_S)
            _print(logs.read(), wanted)
        if follow:
            _print(logs.read(whole=True), wanted)
    finally:
        logs.close()


def _print(entries: Iterator[Entry], wanted: Wanted) -> None:
    for entry in entries:
        if wanted(entry):
            sys.stdout.write(f"{entry.line()}\n")
    sys.stdout.flush()


def _actor_name(shown: str) -> str:
    """The name of an actor, from how Ray shows it."""
    if named := _NAMED.match(shown):
        return named[1]
    if shown.startswith("ServeReplica:"):
        return shown.rpartition(":")[2]
    return shown.lower() if shown == "Supervisor" else shown


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
