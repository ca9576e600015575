"""A client of Parlor's HTTP interface in one screen: requests, errors, retries, and server-sent events."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

Json: TypeAlias = dict[str, Any]

TIMEOUT = 60.0
"""Seconds without a byte. A stream sends a heartbeat every 15."""
TRIES = 20
PAUSE = 0.5
"""Seconds before another try, when the answer does not say how long."""


class Failed(Exception):
    """No answer, or one that says no: ``status`` is 0, or HTTP's; ``code`` is that of the problem."""

    def __init__(self, status: int, detail: str, code: str = "", retry_after: float = PAUSE) -> None:
        super().__init__(f"{status} {code}: {detail}" if status else detail)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Event(NamedTuple):
    id: str
    """The cursor: give the last one as ``Last-Event-ID`` to go on behind it."""
    type: str
    data: Json


class Client:
    """One account's access."""

    def __init__(self, url: str, token: str) -> None:
        self._address = urlsplit(url)
        # A connection for each request: simple, and it closes with its answer.
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Connection": "close"}

    def call(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        """One request; ``Idempotency_Key="..."`` is a header. Raises ``Failed``."""
        with self._open(method, path, body, headers) as answer:
            try:
                found: Json = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Failed(0, f"the answer was cut off: {error}") from error
            return found

    def send(self, room: str, content: str, key: str | None = None, **more: object) -> Json:
        """Sends a message until it is acknowledged. It is stored once, however often that takes: every try has the same
        ``Idempotency-Key``. Raises ``Failed`` for what no repeat would change."""
        key = key or uuid.uuid4().hex
        for tries_left in reversed(range(TRIES)):
            try:
                return self.call(
                    "POST", f"/v1/rooms/{room}/messages", {"content": content, **more}, Idempotency_Key=f'"{key}"'
                )
            except Failed as failed:
                if not tries_left or failed.status not in (0, 503):
                    raise
                time.sleep(failed.retry_after)
        raise AssertionError("unreachable")

    def events(self, path: str, after: str) -> Iterator[Event]:
        """What comes behind the cursor ``after``, until the stream ends. Raises ``Failed`` where it breaks."""
        with self._open("GET", path, None, {"Accept": "text/event-stream", "Last_Event_ID": after}) as answer:
            fields: dict[str, str] = {}
            try:
                # Not a splitlines(): text may hold other characters that end a line.
                for line in answer:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name:
                        fields[name] = value
                    elif "data" in fields:
                        yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
                        fields = {}
            except (OSError, http.client.HTTPException) as error:
                raise Failed(0, f"the stream was cut off: {error}") from error

    def text(self, path: str) -> str:
        """A document that is not JSON."""
        with self._open("GET", path, None, {}) as answer:
            try:
                return answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                raise Failed(0, f"the answer was cut off: {error}") from error

    def _open(self, method: str, path: str, body: Json | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        secure = self._address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._address.netloc, timeout=TIMEOUT)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {**self._headers, **given})
            answer = connection.getresponse()
            if answer.status < http.client.BAD_REQUEST:
                return answer
            problem = _problem(answer.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Failed(0, f"no answer from {self._address.netloc}: {error or type(error).__name__}") from error
        pause = answer.headers.get("Retry-After", "")
        raise Failed(
            answer.status,
            str(problem.get("detail", answer.reason)),
            str(problem.get("code", "")),
            float(pause) if pause.isdecimal() else PAUSE,
        )


def _problem(raw: bytes) -> Json:
    """An error's body (RFC 9457); empty for one that another program made."""
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser that knows ``--url`` and ``--token``."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("PARLOR_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("PARLOR_TOKEN"), help="what `parlor token` prints")
    return parser


def run(parser: argparse.ArgumentParser, program: Callable[[Client, argparse.Namespace], None]) -> int:
    """Runs ``program`` with a client; returns its exit code."""
    given = parser.parse_args()
    if not given.token:
        parser.error("give --token, or set PARLOR_TOKEN")
    try:
        program(Client(given.url, given.token), given)
    except Failed as failed:
        print(f"{parser.prog}: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
