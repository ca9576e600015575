"""What is read out of answers: the first text, delays, and what is missing."""

from __future__ import annotations

import pytest

from demo_model.server import running_demo_model
from parlor_bench.load import post
from parlor_bench.peers.running import running_aiohttp_relay
from parlor_bench.replies import Answer, Replies, read, summed
from parlor_bench.worker import in_process

pytestmark = pytest.mark.unit

HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: text/event-stream\r\n\r\n"


def delta(number: int, offset: int, text: str) -> bytes:
    return f'id: 7-{number}\nevent: message.delta\ndata: {{"offset":{offset},"text":"{text}"}}\n\n'.encode()


def end(number: int, content: str, kind: str = "message.completed") -> bytes:
    return f'id: 7-{number}\nevent: {kind}\ndata: {{"message":{{"content":"{content}"}}}}\n\n'.encode()


def answer(*events: bytes) -> Answer:
    """They come one after the other, each 0.1 s after the one before."""
    return Answer(1.0, [(1.0 + number / 10, piece) for number, piece in enumerate((HEAD, *events))])


def test_a_whole_reply_has_lost_nothing_and_each_token_its_delay() -> None:
    found = read(answer(delta(1, 0, "1050 "), delta(2, 5, "1190 "), end(3, "1050 1190 ")), 2)
    assert (found.lost, found.failed, found.refused, found.tokens) == (0, False, False, 2)
    assert found.first_ms == pytest.approx(100.0)
    assert found.delays_ms == pytest.approx([50.0, 10.0])


@pytest.mark.parametrize(
    "events",
    [
        (delta(1, 0, "1000 "), end(3, "1000 1040 ")),  # one did not come
        (delta(1, 0, "1000 "),),  # cut
        (delta(2, 0, "1000 "), delta(1, 5, "1040 "), end(3, "1000 1040 ")),  # out of order
        (delta(1, 0, "1000 "), delta(1, 5, "1040 "), end(3, "1000 1040 ")),  # the same cursor twice
        (delta(1, 0, "1000 "), delta(2, 7, "1040 "), end(3, "1000 1040 ")),  # a gap in the text
        (delta(1, 0, "1000 "), delta(2, 5, "1040 "), end(3, "1000 1041 ")),  # another text is stored
    ],
)
def test_whatever_is_missing_counts(events: tuple[bytes, ...]) -> None:
    assert read(answer(*events), 2).lost > 0


def test_a_reply_that_failed_is_counted_as_such_and_not_as_loss() -> None:
    found = read(answer(delta(1, 0, "1000 "), end(2, "", "message.failed")), 2)
    assert (found.lost, found.failed) == (0, True)


@pytest.mark.parametrize("before", [(), (delta(1, 0, "1000 "),)])
def test_a_stream_that_has_to_be_opened_again_is_counted_as_such_and_not_as_loss(before: tuple[bytes, ...]) -> None:
    again = b'id: 7-1\nevent: stream.reconnect\ndata: {"cursor":"7-1","reason":"live-store-unavailable"}\n\n'
    found = read(answer(*before, again), 2)
    assert (found.lost, found.failed, found.cut) == (0, False, True)
    assert summed([found], 1.0).cut == 1


def test_an_event_that_is_cut_by_two_reads_is_of_the_second() -> None:
    whole = delta(1, 0, "1000 ")
    found = read(answer(whole[:20], whole[20:]), 1)
    assert found.lost == 0
    assert found.first_ms == pytest.approx(200.0)


def test_an_error_is_refused() -> None:
    refused = read(Answer(1.0, [(1.1, b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}")]), 2)
    assert (refused.refused, refused.lost) == (True, 0)
    figures = summed([refused, read(answer(delta(1, 0, "1000 "), end(2, "1000 ")), 1)], 2.0)
    assert (figures.replies, figures.tokens, figures.refused, figures.per_second) == (2, 1, 1, 0.5)


@pytest.mark.parametrize("relayed", [False, True], ids=["model", "relay"])
async def test_the_model_and_a_relay_are_read_as_well(relayed: bool) -> None:
    question = "[[tokens=4 stamp=1 delay=5ms]]"
    async with (
        running_demo_model(host="127.0.0.1", port=0, behave="") as llm_url,
        running_aiohttp_relay(llm_url) as relay,
    ):
        model = int(llm_url.rpartition(":")[2].partition("/")[0])
        asked = f'{{"model":"demo","stream":true,"messages":[{{"role":"user","content":"{question}"}}]}}'.encode()
        direct = post("127.0.0.1", model, "/v1/chat/completions", "demo", asked, connection="close")
        through = post(
            "127.0.0.1", relay, "/v1/answers", "demo", f'{{"content":"{question}"}}'.encode(), connection="close"
        )
        port, request = (relay, through) if relayed else (model, direct)
        found = await in_process(Replies("127.0.0.1", port, [request] * 3, 4, 0.1))
    assert (found.replies, found.tokens, found.lost, found.failed, found.refused) == (3, 12, 0, 0, 0)
    assert len(found.first_ms) == 3
    assert len(found.delays_ms) == 12
