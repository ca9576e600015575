"""A turn is one trace, from the request to the commits of its rows, in a collector."""

from __future__ import annotations

import pytest
from msgspec import structs
from structlog.contextvars import clear_contextvars

from actors.traces import trace_to
from parlor.model.tracing import carried_request, request_span, trace_with, work_for
from parlor.settings.traces import TraceSettings
from tests.collector import Kept, collecting
from tests.unit.domain import Domain, settle

pytestmark = pytest.mark.unit

REQUEST = "0123456789abcdef0123456789abcdef"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_turn_is_one_trace_from_the_request_to_the_commit(domain: Domain) -> None:
    room = await domain.opened()
    await domain.write_all()
    with collecting() as collector:
        provider = trace_to(TraceSettings(url=collector.url), "everything")
        try:
            work_for(REQUEST)
            with request_span("POST /v1/rooms/{id}/messages", PARENT):
                command = domain.send_command(room.room_id)
                carried = carried_request()
            work_for("")
            await domain.do_send(room, structs.replace(command, request_id=carried))
            await domain.answer(0, "Hello to you")
            await settle()
            await domain.write_all()
            provider.force_flush()
        finally:
            trace_with(None)
            provider.shutdown()
            clear_contextvars()
        by_name: dict[str, Kept] = {}
        for each in collector.spans:
            by_name.setdefault(each.name, each)
    request, sent, reply = by_name["POST /v1/rooms/{id}/messages"], by_name["command Send"], by_name["reply"]
    assert {each.trace for each in collector.spans} == {PARENT.split("-")[1]}
    assert request.parent == PARENT.split("-")[2]
    assert sent.parent == request.span
    assert by_name["script append_turn"].parent == sent.span
    assert reply.parent == sent.span
    assert by_name["model"].parent == reply.span
    assert by_name["script complete_reply"].parent == reply.span
    commits = [each for each in collector.spans if each.name == "commit CHAT_MESSAGE_SAVE"]
    scripts = {each.span: each.name for each in collector.spans}
    assert {"script append_turn", "script complete_reply"} <= {scripts[each.parent] for each in commits}
    ended = [each.attributes for each in commits]
    assert all(int(each["shard"]) > 0 and int(each["operations"]) > 0 for each in ended)
