"""An installation: its data directory, the files in it, and the lock on it.

    <data directory>/
        installation.json   permanent decisions (id, partitions, kind of servers)
        jwt-secret          signs bearer tokens (0600), until there is a key in
        keys/               private signing keys (0600), made by `parlor keys add`
        ray-token           authenticates processes to the private Ray (0600)
        mariadb-password    of the private MariaDB's only account (0600); mariadb-init.sql sets it at each start
        lock                locked (flock) by the launcher while it lives
        run.json            the running launcher, its processes and addresses (0600)
        settings.json       the effective settings of the running installation, secrets in clear (0600)
        overrides.json      those of them that its start decided (0600)
        files/              the bytes of files that were uploaded
        logs/  redis/  sqlite/  mariadb/

Sockets and Ray's session are in a runtime directory with a short path, ``/tmp/parlor-<8 hex digits>``, because the path
of a unix socket has at most 107 bytes (HAProxy's 97), and that of the data directory may be longer.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from parlor_cli import processes
from parlor_cli.processes import ProcessRef
from parlor_cli.refusal import Refusal

DEFAULT_DATA_DIR = Path(".parlor")
RUNTIME_ROOT = Path("/tmp")  # noqa: S108 - short on purpose; the directory below it is 0700 and its owner is checked
MARKER = "PARLOR_RUNTIME_DIR"
"""An environment variable that all processes of an installation inherit; its value is the runtime directory."""

ServerKind = Literal["embedded", "private", "external"]


class Founding(msgspec.Struct, frozen=True):
    """Permanent decisions: with other values the data would not be found again."""

    id: str
    redis: ServerKind | None = None
    store: ServerKind | None = None
    partitions: int | None = None
    shards: int | None = None
    """Number of databases that were created here; it may grow, not shrink. None with external databases."""
    installation: str | None = None
    """The id that the databases have (I21). ``id`` is the data directory's own: it names what runs on this machine."""


class RunFile(msgspec.Struct, frozen=True):
    """The running launcher, its processes and addresses."""

    boot_id: str
    launcher: ProcessRef
    runtime_dir: str
    started_at: int
    """Unix time in seconds."""
    processes: dict[str, ProcessRef] = {}
    ready: bool = False
    url: str = ""
    health_url: str = ""
    """Where only health checks are answered; empty without HAProxy."""
    dashboard_url: str = ""
    metrics_url: str = ""
    """For Prometheus; empty with a Ray that was joined."""
    ray_address: str = ""
    namespace: str = ""
    ingress: str = ""
    private_ray: bool = True


class Installation:
    """A data directory with an ``installation.json``."""

    def __init__(self, data_dir: Path, founding: Founding) -> None:
        self.data_dir = data_dir
        self.founding = founding

    @classmethod
    def found(cls, data_dir: Path) -> Installation:
        """Opens the directory; creates it when it does not exist. Raises ``Refusal`` when that fails."""
        path = data_dir.expanduser().absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = path.resolve(strict=True)
            existing = cls.find(path)
            if existing is not None:
                return existing
            made = cls(path, Founding(id=uuid.uuid4().hex))
            # When two first commands run at once, the first link wins, and both read it.
            _write_once(path / "installation.json", msgspec.json.encode(made.founding))
        except OSError as error:
            raise Refusal(f"cannot use the data directory {path}: {error.strerror}") from error
        found = cls.find(path)
        return found if found is not None else made

    @classmethod
    def find(cls, data_dir: Path) -> Installation | None:
        """The installation in a directory, or None; nothing is created. Raises ``Refusal`` when it cannot be read."""
        path = data_dir.expanduser().absolute()
        try:
            raw = (path / "installation.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Refusal(f"cannot read {path / 'installation.json'}: {error.strerror}") from error
        try:
            founding = msgspec.json.decode(raw, type=Founding)
        except msgspec.DecodeError as error:
            raise Refusal(f"{path / 'installation.json'} is damaged: {error}") from error
        return cls(path.resolve(), founding)

    def record(self, founding: Founding) -> None:
        """Saves permanent decisions."""
        _write(self.data_dir / "installation.json", msgspec.json.encode(founding))
        self.founding = founding

    @property
    def namespace(self) -> str:
        """The namespace of its Ray actors; unique, also in a Ray cluster that others use."""
        return f"parlor-{self.founding.id[:12]}"

    @property
    def short_id(self) -> str:
        """Eight hexadecimal digits, derived from id and path, so that a copied data directory gets others."""
        return hashlib.sha256(f"{self.founding.id}:{self.data_dir}".encode()).hexdigest()[:8]

    @property
    def runtime_dir(self) -> Path:
        return RUNTIME_ROOT / f"parlor-{self.short_id}"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    def make_runtime_dir(self) -> Path:
        """Creates the runtime directory (0700). Raises ``Refusal`` when something of another user is there."""
        path = self.runtime_dir
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
            raise Refusal(f"{path} is there already and is not a directory of yours; remove it")
        path.chmod(0o700)
        return path

    def remove_runtime_dir(self) -> None:
        """Removes the runtime directory; the logs of Ray's session move to ``logs/ray``, until the next session."""
        if not self.runtime_dir.is_dir() or self.runtime_dir.is_symlink():
            return
        session_logs = (self.runtime_dir / "ray/session_latest").resolve() / "logs"
        if session_logs.is_dir():
            kept = self.logs_dir / "ray"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.move(session_logs, kept)
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    def jwt_secret(self) -> str:
        """64 hexadecimal digits, created on first use."""
        return _secret(self.data_dir / "jwt-secret")

    def ray_token(self) -> str:
        """Another secret than ``jwt_secret``, because it lets its bearer run code in the cluster."""
        return _secret(self.ray_token_path)

    def mariadb_password(self) -> str:
        """The password of the private MariaDB's only account, created on first use."""
        return _secret(self.data_dir / "mariadb-password")

    def redis_password(self, user: str) -> str:
        """The password of a user of the private Redis, created on first use."""
        return _secret(self.data_dir / f"redis-password-{user}")

    def write_private(self, name: str, content: str) -> Path:
        """Writes a file of the data directory that nobody else may read (0600); returns its path."""
        path = self.data_dir / name
        _write(path, content.encode())
        return path

    @property
    def ray_token_path(self) -> Path:
        return self.data_dir / "ray-token"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the directory. Raises ``Refusal`` when another process has locked it; the kernel frees it on death."""
        descriptor = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                run = self.read_run()
                who = f"process {run.launcher.pid}" if run else "another process"
                where = f" at {run.url}" if run and run.url else ""
                raise Refusal(
                    f"{self.data_dir} is in use: {who} runs this installation{where}. "
                    f"Stop it with `parlor down --data-dir {self.data_dir}`, or give another --data-dir."
                ) from None
            yield
        finally:
            os.close(descriptor)

    def read_run(self) -> RunFile | None:
        """The run file, which may be stale; None when there is none, or a damaged one."""
        try:
            return msgspec.json.decode((self.data_dir / "run.json").read_bytes(), type=RunFile)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def running(self) -> RunFile | None:
        """The run file when its launcher is alive, otherwise None."""
        run = self.read_run()
        if run is None or run.boot_id != processes.boot_id() or not processes.is_alive(run.launcher):
            return None
        return run

    def write_run(self, run: RunFile) -> None:
        _write(self.data_dir / "run.json", msgspec.json.encode(run))

    def write_settings(self, settings_json: str) -> None:
        """Saves the effective settings, for commands that use the running installation."""
        _write(self.data_dir / "settings.json", settings_json.encode())

    def read_settings(self) -> str | None:
        try:
            return (self.data_dir / "settings.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write_overrides(self, overrides: str) -> None:
        """Saves the settings that the command line and the start decided, for an upgrade that reads the others anew."""
        _write(self.data_dir / "overrides.json", overrides.encode())

    def read_overrides(self) -> str | None:
        try:
            return (self.data_dir / "overrides.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def clear_run(self) -> None:
        for name in ("run.json", "settings.json", "overrides.json"):
            (self.data_dir / name).unlink(missing_ok=True)


def _secret(path: Path) -> str:
    if not path.exists():
        keep_secret(path, secrets.token_hex(32).encode())
    return read_secret(path).decode("ascii").strip()


def keep_secret(path: Path, content: bytes) -> None:
    """Writes a file that is for its owner alone; an existing one stays. Raises ``Refusal``."""
    try:
        _write_once(path, content)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """Raises ``Refusal``."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return path.read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}") from error


def _temporary(path: Path, content: bytes) -> Path:
    """Writes the content to a temporary file beside ``path`` (0600, synced)."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _write(path: Path, content: bytes) -> None:
    """Replaces the file atomically."""
    _temporary(path, content).replace(path)


def _write_once(path: Path, content: bytes) -> None:
    """As ``_write``, but an existing file stays."""
    temporary = _temporary(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
