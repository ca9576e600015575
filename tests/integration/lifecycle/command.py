"""The installed `parlor` command, run as a process on an installation of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parlor_cli import leftovers, ports, processes
from parlor_cli.installation import Installation, RunFile
from tests.starts import one_start_at_a_time

PARLOR = Path(sys.executable).with_name("parlor")
START_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 120.0


LEFT_OUT = ("PARLOR_RAY__DASHBOARD", "PARLOR_API__SPARE", "PARLOR_ROOMS__SPARE")
"""What takes seconds of every start; `test_whole_life` has it."""


class Parlor:
    """One data directory and what is asked of it."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.port = ports.one()
        self.host = options[options.index("--host") + 1] if "--host" in options else "127.0.0.1"
        self._options = options
        # Nothing of the person who runs the tests: no settings, no other Ray.
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PARLOR_", "OPENAI_", "RAY_"))
        }
        self.environment |= dict.fromkeys(LEFT_OUT, "false")

    def command(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PARLOR, *words, "--data-dir", self.data_dir],
            env=self.environment,
            cwd=self.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.command("up", "--detach", "--port", str(self.port), *self._options, timeout=START_TIMEOUT_S)

    def start(self) -> str:
        """Starts it, which must work; returns what was printed."""
        with one_start_at_a_time():
            done = self.up()
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.log()}"
        return done.stdout

    def foreground(self, until: str) -> subprocess.Popen[str]:
        """Starts it as at a terminal: in a process group of its own, with its output in a pipe, which is read up to the
        line that begins with ``until``."""
        # The lock comes first: a start that waits for it with a process running would be further than ``until``.
        with one_start_at_a_time():
            front = subprocess.Popen(
                [PARLOR, "up", "--port", str(self.port), *self._options, "--data-dir", self.data_dir],
                env=self.environment,
                cwd=self.data_dir.parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            _read_until(front, until)
        return front

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.command("down", timeout=STOP_TIMEOUT_S)

    @property
    def installation(self) -> Installation:
        found = Installation.find(self.data_dir)
        assert found is not None
        return found

    @property
    def run(self) -> RunFile:
        found = self.installation.running()
        assert found is not None, self.log()
        return found

    def log(self) -> str:
        path = self.data_dir / "logs/launcher.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else "(no log)"

    def kill(self) -> None:
        """SIGKILL to the launcher's whole process group, as the kernel's out-of-memory killer or `kill -9` would."""
        launcher = self.run.launcher
        os.killpg(os.getpgid(launcher.pid), signal.SIGKILL)
        assert processes.wait_until_gone([launcher], 10) == []

    def remains(self) -> dict[str, processes.ProcessRef]:
        """Processes of this installation that are there now."""
        return leftovers.find(self.installation)

    def assert_ended(self) -> None:
        """Nothing of it runs, and nothing is left that only a running one has. To end it once more is no error."""
        assert self.remains() == {}
        assert not self.installation.runtime_dir.exists()
        assert not (self.data_dir / "settings.json").exists()
        assert self.command("status").returncode == 3
        assert self.down().returncode == 0

    def token(self, account: str = "alice") -> str:
        done = self.command("token", account)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers (lower case) and JSON body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}},
            )
            answer = connection.getresponse()
            raw = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, json.loads(raw) if raw else None
        finally:
            connection.close()

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Until `/readyz` is 200."""
        deadline = time.monotonic() + seconds
        answer: object = None
        while time.monotonic() < deadline:
            try:
                status, _, answer = self.ask("GET", "/readyz")
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                status, answer = 0, error
            if status == http.client.OK:
                return
            time.sleep(0.1)
        raise AssertionError(f"not ready within {seconds} s: {answer}\n{self.log()}")


class Conversation:
    """One room of one account."""

    def __init__(self, parlor: Parlor, account: str = "alice") -> None:
        self._parlor = parlor
        self._bearer = f"Bearer {parlor.token(account)}"
        status, _, room = parlor.ask("POST", "/v1/rooms", {"title": "Kept"}, Authorization=self._bearer)
        assert status == 201, room
        self.room_id: str = room["room_id"]

    def send(self, content: str) -> dict[str, Any]:
        """Sends and waits for the commit in the shard; returns the message."""
        status, _, answer = self._parlor.ask(
            "POST",
            f"/v1/rooms/{self.room_id}/messages",
            {"content": content, "reply": "none"},
            Authorization=self._bearer,
            Prefer="durability=persisted",
        )
        assert status == 201, answer
        found: dict[str, Any] = answer["message"]
        return found

    def ask(self, content: str, request_id: str) -> None:
        """Sends and waits for the whole reply."""
        status, _, answer = self._parlor.ask(
            "POST",
            f"/v1/rooms/{self.room_id}/messages",
            {"content": content},
            Authorization=self._bearer,
            Prefer="wait=30",
            X_Request_Id=request_id,
        )
        assert status == 201, answer
        assert not answer["reply"]["is_streaming"]

    def contents(self) -> list[str]:
        """What the room holds, in order."""
        status, _, page = self._parlor.ask(
            "GET", f"/v1/rooms/{self.room_id}/messages?limit=100", Authorization=self._bearer
        )
        assert status == 200, page
        assert [message["seq"] for message in page["messages"]] == list(range(1, len(page["messages"]) + 1))
        return [message["content"] for message in page["messages"]]


def _read_until(front: subprocess.Popen[str], beginning: str) -> None:
    assert front.stdout is not None
    lines = []
    for line in front.stdout:
        lines.append(line)
        if line.strip().startswith(beginning):
            return
    raise AssertionError(f"it ended without {beginning!r}:\n{''.join(lines)}")
