"""One request is one trace, from HTTP to the commit, in a collector that the settings name."""

from __future__ import annotations

import pytest

from tests.collector import Collector, Kept, collecting
from tests.installation import COLLECTOR_PORT, Installation
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

KINDS = ("embedded",)
CALLER = "00f067aa0ba902b7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_send_is_one_trace_from_http_to_the_commit(user: User, installation: Installation) -> None:
    room = await user.create_room()
    with collecting(COLLECTOR_PORT) as collector:
        sent = await user.http.post(
            f"/v1/rooms/{room}/messages",
            json={"content": "Hello"},
            headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "Prefer": "wait=30"},
        )
        assert sent.status_code == 201, sent.text
        request_id = sent.headers["x-request-id"]

        async def named() -> dict[str, Kept]:
            return names(collector)

        last = {"commit CHAT_MESSAGE_SAVE", "POST /v1/rooms/{id}/messages", "reply"}
        spans = await eventually(named, lambda found: last <= found.keys())
        request = spans["POST /v1/rooms/{id}/messages"]
        assert request.parent == CALLER
        assert request.attributes["parlor.request_id"] == request_id
        assert request.attributes["http.response.status_code"] == "201"
        assert spans["command Send"].parent == request.span
        assert spans["script append_turn"].parent == spans["command Send"].span
        assert spans["reply"].parent == spans["command Send"].span
        assert spans["model"].parent == spans["reply"].span
        ids = {each.span for each in collector.of(TRACE)} | {CALLER}
        assert [each.name for each in collector.of(TRACE) if each.parent not in ids] == []
        actors = {each.process["parlor.actor"].split("-")[0] for each in collector.of(TRACE)}
        assert actors == {"ChatApi", "rooms", "writer"}

        lines = installation.parlor("logs", "--request", request_id).stdout
        assert f'"trace_id":"{TRACE}"' in lines.replace('": "', '":"')


def names(collector: Collector) -> dict[str, Kept]:
    """The spans of the trace; of those that have the same name, the first."""
    found: dict[str, Kept] = {}
    for each in sorted(collector.of(TRACE), key=lambda each: each.began):
        found.setdefault(each.name, each)
    return found
