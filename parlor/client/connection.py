"""What both clients know of a connection: address, credentials, time limits, and what a response means."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import httpx2

from parlor.client.calls import Answer, Call
from parlor.client.errors import BadAnswer, ClientError, NoAnswer, Refused, Unauthenticated, refusal
from parlor.client.models import Event
from parlor.client.retries import Pauses, Retries, is_passing
from parlor.client.socket_frames import PATH
from parlor.client.sse import MEDIA_TYPE

_T = TypeVar("_T")
Token: TypeAlias = str | Callable[[], str]
"""A token or API key, or what gives one: it is asked again when the last one is refused."""

USER_AGENT = "parlor-client-python"
CONNECT_SECONDS = 5.0
UNLIMITED = httpx2.Limits(max_connections=None)
"""Every stream that is followed holds a connection."""
SILENCE_SECONDS = 45.0
"""Without a byte. An event stream has a heartbeat every 15."""
RECONNECT = "stream.reconnect"
"""The event with which the server ends a stream."""


class Connection:
    """One server and one account."""

    def __init__(self, base_url: str, token: Token, retries: Retries | None, timeout: float) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"not an address of HTTP: {base_url}")
        self.base_url = base_url.rstrip("/")
        self.retries = retries or Retries()
        self._source = token
        self.token = token if isinstance(token, str) else token()
        self.timeout = timeout
        self._jitter = secrets.SystemRandom().random

    @property
    def is_secure(self) -> bool:
        """Whether certificates are needed: loading this machine's takes longer than a request."""
        return self.base_url.startswith("https://")

    def pauses(self) -> Pauses:
        return Pauses(self.retries, self._jitter)

    def options(self, call: Call[_T]) -> dict[str, Any]:
        """The request, as httpx takes it."""
        found: dict[str, Any] = {
            "headers": {**self._headers("application/json"), **call.headers},
            "params": call.params,
            "timeout": httpx2.Timeout(self.timeout + call.seconds, connect=CONNECT_SECONDS),
        }
        if call.upload is not None:
            found["files"] = {"file": call.upload}
        elif call.body is not None:
            found["json"] = call.body
        return found

    def stream_options(self, accept: str, **headers: str) -> dict[str, Any]:
        return {
            # Unpacked, so that a range of bytes means these bytes, and that no event waits in a compressor.
            "headers": {**self._headers(accept), "Accept-Encoding": "identity", **headers},
            "timeout": httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        }

    def event_options(self, cursor: str | None) -> dict[str, Any]:
        after = {} if cursor is None else {"Last-Event-ID": cursor}
        return self.stream_options(MEDIA_TYPE, **{"Cache-Control": "no-store", **after})

    @property
    def socket_url(self) -> str:
        return f"ws{self.base_url.removeprefix('http')}{PATH}"

    def socket_headers(self) -> dict[str, str]:
        return {"Authorization": self._authorization}

    def read(self, call: Call[_T], response: httpx2.Response) -> _T:
        """What the answer says. Raises ``Refused``, ``BadAnswer``."""
        self.check(response)
        return call.read(Answer(response.status_code, _lower(response.headers), response.content))

    def check(self, response: httpx2.Response) -> None:
        """Raises ``Refused`` for a response that says no, whose body was read."""
        if not response.is_success:
            raise refusal(response.status_code, _lower(response.headers), response.content)

    def renew(self, failure: ClientError, used: str) -> bool:
        """Whether there is another token than the one that was used and refused; another call may have got it."""
        if not isinstance(failure, Unauthenticated) or isinstance(self._source, str):
            return False
        if self.token == used:
            self.token = self._source()
        return self.token != used

    def _headers(self, accept: str) -> dict[str, str]:
        return {"Authorization": self._authorization, "Accept": accept, "User-Agent": USER_AGENT}

    @property
    def _authorization(self) -> str:
        return f"Bearer {self.token}"


def cut(error: httpx2.RequestError) -> NoAnswer:
    """The error for a request that broke off, or could not begin."""
    return NoAnswer(str(error) or type(error).__name__, error)


def may_repeat(call: Call[_T], failure: ClientError) -> bool:
    """Whether the request may be sent again: it does the same, or it was never sent."""
    unsent = isinstance(failure, NoAnswer) and isinstance(failure.cause, httpx2.ConnectError | httpx2.ConnectTimeout)
    return is_passing(failure) and (call.repeatable or unsent or isinstance(failure, Refused))


def require_events(response: httpx2.Response) -> None:
    """Raises ``BadAnswer`` for a response that is no event stream."""
    found = response.headers.get("content-type", "").partition(";")[0].strip()
    if found != MEDIA_TYPE:
        raise BadAnswer(f"{found or 'nothing'} instead of {MEDIA_TYPE}")


def is_progress(event: Event) -> bool:
    """Whether an event says that all is well: one of what is followed, or that the stream has had its time."""
    return event.type != RECONNECT or event.data.get("reason") == "lifetime"


def _lower(headers: httpx2.Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}
