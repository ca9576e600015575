"""The figures of `parlor bench stream`: lost tokens, delays, failed replies."""

from __future__ import annotations

import msgspec
import pytest

from parlor_bench.event_stream import RawEvent
from parlor_bench.load import percentile
from parlor_bench.stream import Reading, summed

pytestmark = pytest.mark.unit


def delta(number: int, offset: int, text: str) -> RawEvent:
    return RawEvent(f"7-{number}", "message.delta", msgspec.json.encode({"offset": offset, "text": text}))


def end(number: int, content: str, kind: str = "message.completed") -> RawEvent:
    return RawEvent(f"7-{number}", kind, msgspec.json.encode({"message": {"content": content}}))


def reading(*events: RawEvent, tokens: int = 2, now_ms: float = 1050.0) -> Reading:
    found = Reading(tokens)
    for event in events:
        found.take(event, now_ms)
    return found


def test_a_whole_reply_has_lost_nothing_and_each_token_its_delay() -> None:
    found = reading(delta(1, 0, "1000 "), delta(2, 5, "1040 "), end(3, "1000 1040 "))
    assert (found.lost, found.completed, found.ended) == (0, True, True)
    assert found.delays == [50.0, 10.0]


@pytest.mark.parametrize(
    "events",
    [
        (delta(1, 0, "1000 "), end(3, "1000 1040 ")),  # one did not come
        (delta(2, 0, "1000 "), delta(1, 5, "1040 "), end(3, "1000 1040 ")),  # out of order
        (delta(1, 0, "1000 "), delta(1, 5, "1040 "), end(3, "1000 1040 ")),  # the same cursor twice
        (delta(1, 0, "1000 "), delta(2, 7, "1040 "), end(3, "1000 1040 ")),  # a gap in the text
        (delta(1, 0, "1000 "), delta(2, 5, "1040 "), end(3, "1000 1041 ")),  # another text is stored
    ],
)
def test_whatever_is_missing_counts(events: tuple[RawEvent, ...]) -> None:
    assert reading(*events).lost > 0


def test_a_reply_that_failed_is_counted_as_such_and_not_as_loss() -> None:
    found = reading(delta(1, 0, "1000 "), end(2, "", "message.failed"))
    assert (found.lost, found.completed, found.ended) == (0, False, True)


def test_figures_of_a_run() -> None:
    good = reading(delta(1, 0, "1000 "), delta(2, 5, "1040 "), end(3, "1000 1040 "))
    cut = reading(delta(1, 0, "1000 "))
    figures = summed([good, cut], 2, 40_960, 20_480)
    assert (figures.replies, figures.tokens, figures.lost, figures.failed) == (2, 4, 0, 1)
    assert (figures.replica_kb, figures.room_kb) == (20.0, 10.0)
    assert (figures.p50_ms, figures.p99_ms) == (50.0, 50.0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 4.0]
    assert percentile([], 0.5) == 0.0
