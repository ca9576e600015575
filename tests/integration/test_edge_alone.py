"""Nothing is behind the HTTP edge for a moment: what it answers by itself looks like every other answer."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from parlor_cli import processes
from tests.installation import Installation
from tests.integration.actor_processes import processes_of, stopped
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

LAST = True
KINDS = ("embedded",)
"""The servers have no part in it."""


async def test_errors_that_no_application_made_are_problems_too(user: User, installation: Installation) -> None:
    if installation.ingress != "HAProxy":
        pytest.skip(f"the ingress is {installation.ingress}")
    behind = [
        processes.reference(pid)
        for title in ("ServeReplica:parlor:ChatApi", "ProxyActor")
        for pid in processes_of(installation, title)
    ]
    # Serve starts others within seconds, on a slow machine before the answer of the edge was seen.
    with stopped(processes_of(installation, "ServeController")):
        for ref in behind:
            processes.send(ref, signal.SIGKILL)
        # Until the kernel has closed their sockets, a request may still be taken on a kept connection and be cut.
        assert processes.wait_until_gone(behind, 30) == []
        answer = await user.http.get("/v1/personas", headers={"X-Request-Id": "mine"})
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        body = answer.json()
        assert (body["code"], body["errorCode"], body["status"]) == ("overloaded", 1011, 503)
        assert (body["instance"], body["request_id"]) == ("/v1/personas", "mine")

    await eventually(partial(user.http.get, "/readyz"), lambda found: found.status_code == 200, 60)
    # A client's header that would make Serve cut its request short does nothing.
    answer = await user.http.get("/healthz", headers={"X-Request-Timeout-Seconds": "0.000001"})
    assert answer.status_code == 200
