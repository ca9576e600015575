"""An installed Parlor for tests: made by `parlor up --detach`, asked over its public addresses, ended by `parlor down`.

Only what an operator could know is used: the command line, the files of the data directory, and the addresses of the
servers that it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from parlor.settings import Settings
from parlor.store.addresses import Address, store_addresses
from parlor_cli import leftovers
from parlor_cli.bearer import issue_token
from parlor_cli.installation import Installation as DataDirectory
from parlor_cli.installation import RunFile
from parlor_cli.servers import redis
from tests.openid_issuer import CLIENT_ID, CLIENT_SECRET
from tests.servers import mysql_server, new_directory, running
from tests.starts import one_start_at_a_time
from tests.tools import personas

Kind = Literal["embedded", "private"]

UP_TIMEOUT = 240.0
"""Seconds for `parlor up`: Ray, Serve and a new MariaDB on a machine that does other things too."""
DOWN_TIMEOUT = 200.0
COMMAND_TIMEOUT = 60.0
RUNNING = "PARLOR_TEST_RUNNING"
"""Environment variable: the data directory of an installation that runs already. Tests then use it and leave it."""

ORIGIN = f"http://localhost:{31_000 + os.getpid() % 1_000}"
"""Whose pages may use the API; a test listens there. The port is above those of installations and below those that the
kernel gives out, so nobody takes it meanwhile."""
ISSUER_PORT = 30_000 + os.getpid() % 1_000
"""Where a test runs the OpenID issuer that every installation is told about; nobody else listens there, as above."""
COLLECTOR_PORT = 32_000 + os.getpid() % 700
"""Where a test collects traces, as above."""
SETTINGS = {
    "PARLOR_API__ORIGINS": ORIGIN,
    "PARLOR_OPENID__ISSUER": f"http://localhost:{ISSUER_PORT}",
    "PARLOR_OPENID__CLIENT_ID": CLIENT_ID,
    "PARLOR_OPENID__CLIENT_SECRET": CLIENT_SECRET,
    "PARLOR_OPENID__TITLE": "Example",
    "PARLOR_TRACES__URL": f"http://127.0.0.1:{COLLECTOR_PORT}",
    "PARLOR_TRACES__SHARE": "0",
    "PARLOR_LLM__FIRST_TOKEN_TIMEOUT": "5",
    "PARLOR_LLM__IDLE_TIMEOUT": "5",
    "PARLOR_API__PERSISTED_TIMEOUT": "6",
    "PARLOR_ROOMS__OWN_ACTORS": "0",
    "PARLOR_API__SPARE": "false",
    "PARLOR_ROOMS__SPARE": "false",
}
"""What differs from the defaults: tests do not wait as long as people and share two cores with all that they start; one
of them is a page of another origin, one an OpenID issuer, one a collector of the traces that a request asks for."""


class Installation:
    """A running one. ``kind`` says what it stands on: Valkey and SQLite, or redis-server and MariaDB (with
    PARLOR_TEST_MYSQLD, MySQL, which the installation does not own)."""

    def __init__(self, kind: Kind, data_dir: Path) -> None:
        self.kind = kind
        self.data_dir = data_dir
        found = DataDirectory.find(data_dir)
        if found is None or (run := found.running()) is None or (text := found.read_settings()) is None:
            raise RuntimeError(f"nothing runs in {data_dir}")
        self._directory = found
        self.base_url = run.url
        self.runtime_dir = Path(run.runtime_dir)
        self.settings = Settings(**json.loads(text))

    @property
    def port(self) -> int:
        return self.settings.api.port

    @property
    def ingress(self) -> str:
        """What listens on the port: ``HAProxy``, or Serve's own proxy."""
        return self._run().ingress

    @property
    def redis_url(self) -> str:
        return self.settings.redis.url.get_secret_value()

    @property
    def redis_admin_url(self) -> str:
        """For what Parlor's own user may not do."""
        socket = self.runtime_dir / "redis.sock"
        return redis.socket_url(socket, redis.ADMIN, self._directory.redis_password(redis.ADMIN))

    @property
    def shards(self) -> list[Address]:
        """The database of each shard, for looking at rows."""
        return list(store_addresses(self.settings.store).shards.values())

    @property
    def demo_model_url(self) -> str:
        """Without the path ``/v1``; ``/stats`` counts what the LLM was asked."""
        return self.settings.llm.base_url.removesuffix("/v1")

    def token(self, account: str) -> str:
        """As `parlor token` prints it, without a process for each."""
        return issue_token(self.data_dir, account, None)

    def pid(self, server: str) -> int:
        """The process that runs now under this name (``redis``, ``mariadb``, ``demo-model``); it changes when the
        launcher starts it again."""
        return self._run().processes[server].pid

    def signal(self, server: str, number: signal.Signals) -> None:
        os.kill(self.pid(server), number)

    def parlor(self, *arguments: str, timeout: float = COMMAND_TIMEOUT) -> subprocess.CompletedProcess[str]:
        """The `parlor` command on this data directory."""
        return run_parlor(*arguments, "--data-dir", str(self.data_dir), timeout=timeout)

    def status(self) -> dict[str, Any]:
        """`parlor status --json`."""
        printed = self.parlor("status", "--json")
        assert printed.returncode == 0, printed.stderr
        found: dict[str, Any] = msgspec.json.decode(printed.stdout)
        return found

    def _run(self) -> RunFile:
        run = self._directory.read_run()
        if run is None:
            raise RuntimeError("the run file is gone")
        return run


def run_parlor(
    *arguments: str, timeout: float, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as installed, in a directory without configuration, without any of this process's settings."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PARLOR_", "OPENAI_", "RAY_"))
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("parlor")), *arguments],
        cwd="/",
        env={**environment, **(settings or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def missing_programs(kind: Kind) -> list[str]:
    """What has to be on PATH for this kind, and is not."""
    if kind == "embedded":
        return []
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    programs = ("redis-server", "mariadbd", "mariadb-install-db")
    return [name for name in programs if shutil.which(name, path=path) is None]


@contextlib.contextmanager
def installed(kind: Kind) -> Iterator[Installation]:
    """A new installation, or the one that runs already where ``PARLOR_TEST_RUNNING`` says."""
    there = os.environ.get(RUNNING)
    if there is not None:
        yield Installation(kind, Path(there))
        return
    root = new_directory("plr")
    data_dir = root / "d"
    (root / "personas.toml").write_text(personas(), encoding="utf-8")
    server = contextlib.ExitStack()
    try:
        up = ["up", "--detach", "--port", "0", "--servers", kind, "--data-dir", str(data_dir)]
        if kind == "private" and "PARLOR_TEST_MYSQLD" in os.environ:
            url = server.enter_context(running(mysql_server(root))).url
            up += [f"--mysql-url={url.replace('/parlor?', f'/parlor_{shard}?')}" for shard in (1, 2)]
        with one_start_at_a_time():
            settings = {**SETTINGS, "PARLOR_LLM__PERSONAS_FILE": str(root / "personas.toml")}
            started = run_parlor(*up, timeout=UP_TIMEOUT, settings=settings)
        if started.returncode != 0:
            raise RuntimeError(f"parlor up failed ({started.returncode}):\n{started.stdout}\n{started.stderr}")
        yield Installation(kind, data_dir)
    finally:
        # Also when the start was given up half way: what it left is ended too.
        down = run_parlor("down", "--data-dir", str(data_dir), timeout=DOWN_TIMEOUT)
        server.close()
        ended = DataDirectory.find(data_dir)
        left = [] if ended is None else [*leftovers.find(ended), *ended.runtime_dir.glob("*")]
        shutil.rmtree(root, ignore_errors=True)
    if down.returncode != 0:
        raise RuntimeError(f"parlor down failed ({down.returncode}):\n{down.stdout}\n{down.stderr}")
    if left:
        raise RuntimeError(f"parlor down left {left}")
