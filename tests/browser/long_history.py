"""A room with ten thousand messages, as the API tells it page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Request

from tests.browser.scripted_api import Answer, Json, message, page_of

COUNT = 10_000
FIRST_DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)


def one_of_many(seq: int) -> Json:
    """Every hundred messages a day; every fifth one is long, and every 50th was deleted."""
    at = FIRST_DAY + timedelta(days=seq // 100, seconds=seq % 100)
    text = f"Message {seq}" + ("\n\nand more" * 8 if seq % 5 == 0 else "")
    state = "DELETED" if seq % 50 == 0 else "SENT"
    return message(seq, text, state=state, timestamp=at.isoformat().replace("+00:00", "Z"))


def history(request: Request) -> Answer:
    query = {name: int(values[0]) for name, values in parse_qs(urlsplit(request.url).query).items()}
    limit = query["limit"]
    if "after" in query:
        seqs = range(query["after"] + 1, min(query["after"] + limit, COUNT) + 1)
    else:
        end = query.get("before", COUNT + 1)
        seqs = range(max(1, end - limit), end)
    more = bool(seqs) and seqs[0] > 1
    page = page_of([one_of_many(seq) for seq in seqs]) | {"has_more": more, "next_before": seqs[0] if more else None}
    return 200, page
