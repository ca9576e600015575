"""What `/readyz` says at this moment."""

from __future__ import annotations

import http.client
import json
from typing import NamedTuple
from urllib.parse import urlsplit

_SECONDS = 6.0
"""The endpoint itself gives its dependencies 5."""
_ANSWER_MAX = 64 * 1024


class Readiness(NamedTuple):
    """Whether requests are served, and if not, why."""

    ready: bool
    reason: str


def ask(url: str, path: str, seconds: float = _SECONDS) -> tuple[int, str]:
    """Status and body of a GET; status 0 and the reason when there is no answer."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_ANSWER_MAX).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def readiness(url: str) -> Readiness:
    """Asks `/readyz` once."""
    status, body = ask(url, "/readyz")
    if status == http.client.OK:
        return Readiness(True, "")
    if status == 0:
        return Readiness(False, f"no answer: {body}")
    try:
        return Readiness(False, str(json.loads(body)["detail"]))
    except (ValueError, KeyError, TypeError):
        return Readiness(False, f"HTTP {status}")
