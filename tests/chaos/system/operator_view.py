"""What an operator sees of an installation under load: Ray's dashboard, `/admin`, `parlor top`, and what Prometheus has
for each panel of Grafana's dashboard and each alert.

A part of `make chaos`, for the five minutes that it takes. The pictures in docs/images are those that it leaves in
``test-results/operations``; with PARLOR_VIEW_SECONDS=600 the charts are full.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser, FloatRect, Page, expect, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from parlor_cli.top import Picture, drawing
from tests import grafana
from tests.browser.tab import ARGUMENTS
from tests.chaos.system.busy import people_at
from tests.installation import missing_programs
from tests.integration.lifecycle.command import Parlor
from tests.integration.lifecycle.conftest import installations
from tests.line_chart import Line, Mark, Panel, line_chart
from tests.prometheus import Prometheus, Series, prometheus
from tests.servers import Unavailable, short_directory, skip_or_fail
from tests.sources import ROOT

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

PICTURES = ROOT / "test-results" / "operations"
LARGEST = 150_000
"""Bytes of a picture in the documentation."""
SECONDS = float(os.environ.get("PARLOR_VIEW_SECONDS", "0"))
"""How long people write before anybody looks; without it as soon as there is something to look at."""
DATA_SECONDS, ALERT_SECONDS, STILL_SECONDS = 180.0, 60.0, 240.0
SHOWN_MS = 60_000
"""For a page of Ray's dashboard, on a busy machine."""

NOTHING_THERE = {
    "Sends: {{outcome}}": "no send is refused",
    "Stale writes refused: {{what}}": "no room has two owners",
    "Partitions not held: shard {{shard}}: {{reason}}": "each is held",
    "Dead letters and stale batches: dead letters, shard {{shard}}": "no shard refuses an operation",
    "Dead letters and stale batches: stale, shard {{shard}}": "no writer is replaced",
}
"""Queries that have no data in this run, and why."""
NOTHING_TO_COMPARE = {
    "ParlorDeadLetter": "no shard refuses an operation",
    "ParlorRefusesSends": "no send is refused",
    "ParlorAnswersErrors": "no request fails by our fault",
    "ParlorRepliesFail": "no reply fails",
    "ParlorRoomsMoveOften": "no room has two owners",
    "ParlorNotScraped": "it asks whether there is nothing",
}
DRAWN = {
    "Sends": "sends/s",
    "Time to acknowledge a send": "to send, s",
    "Errors answered": "errors/s",
    "Replies by how they ended": "replies/s",
    "Time to the first token": "first token, s",
    "Open streams": "streams",
    "Rooms by actor": "rooms",
    "Commands in one call": "commands a call",
    "Lag": "lag, s",
    "Operations stored": "stored/s",
    "Operations in a batch": "in a batch",
    "Time of a commit": "commit, s",
    "Processor by kind of process": "processor, %",
}
"""Panels in the picture, under names that fit."""
PANELS = {panel.title: panel for row in grafana.ROWS.values() for panel in row}
QUERIES = {f"{panel.title}: {query.legend}": query for panel in PANELS.values() for query in panel.queries}
LINES = 4
"""In a panel of the picture at most: those with the largest values."""


class View(NamedTuple):
    parlor: Parlor
    prometheus: Prometheus
    browser: Browser
    admin: Page
    """Open since before the load."""
    began: float
    """Seconds since the epoch."""


@pytest.fixture(scope="module")
def view() -> Iterator[View]:
    if missing := missing_programs("private"):
        skip_or_fail(f"not installed: {', '.join(missing)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(short_directory())
        parlor = stack.enter_context(installations(directory))("data", "--servers", "private", "--shards", "2")
        del parlor.environment["PARLOR_RAY__DASHBOARD"]
        parlor.start()
        try:
            scraping = stack.enter_context(prometheus(directory, parlor.run.metrics_url))
        except Unavailable as unavailable:
            skip_or_fail(str(unavailable))
        browser = stack.enter_context(chromium())
        link = parlor.command("sign-in", "olga", "--admin")
        assert link.returncode == 0, link.stderr
        admin = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
        admin.goto(link.stdout.strip())
        began = time.time()
        stack.enter_context(people_at(parlor))
        if SECONDS:
            admin.wait_for_timeout(SECONDS * 1000)
        yield View(parlor, scraping, browser, admin, began)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS, headless=True)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def dashboard(view: View) -> Iterator[Callable[[str], Page]]:
    """Opens a page of Ray's dashboard, signed in with Ray's token."""
    context = view.browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    url, token = view.parlor.run.dashboard_url, view.parlor.installation.ray_token()
    signed_in = context.request.post(f"{url}/api/authenticate", headers={"Authorization": f"Bearer {token}"})
    assert signed_in.ok, signed_in.text()

    def opened(name: str) -> Page:
        page = context.new_page()
        page.goto(f"{url}/#/{name}")
        return page

    yield opened
    context.close()


def keep(page: Page, name: str, height: float) -> None:
    """The picture of the page's top."""
    size = page.viewport_size
    assert size is not None
    clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": height}
    taken = page.screenshot(path=PICTURES / f"{name}.png", clip=clip, full_page=True, animations="disabled")
    assert 10_000 < len(taken) <= LARGEST


def until(seconds: float, what: str, holds: Callable[[], object]) -> None:
    """Asks again and again; fails with what is missing."""
    deadline = time.monotonic() + seconds
    while missing := holds():
        assert time.monotonic() < deadline, f"{what}: {missing}"
        time.sleep(1)


def test_prometheus_scrapes_the_address_of_the_page(view: View) -> None:
    url = view.parlor.run.metrics_url

    def otherwise() -> object:
        found = [(one["scrapeUrl"], one["health"]) for one in view.prometheus.targets()]
        return found != [(url, "up")] and (found or "nothing")

    until(DATA_SECONDS, "scraped", otherwise)
    listed = Path(view.parlor.run.runtime_dir, "ray/prom_metrics_service_discovery.json").read_text(encoding="utf-8")
    assert urlsplit(url).netloc in {target for group in json.loads(listed) for target in group["targets"]}


QUERIES = {
    f"{panel.title}: {query.legend}": query for row in grafana.ROWS.values() for panel in row for query in panel.queries
}


def test_every_panel_has_data_with_the_labels_of_its_legend(view: View) -> None:
    def missing() -> list[str]:
        return [
            name for name, query in QUERIES.items() if not (NOTHING_THERE.keys() & {name} or values(query.expression))
        ]

    def values(expression: str) -> list[Series]:
        return [one for one in view.prometheus.query(expression) if one.points]

    assert NOTHING_THERE.keys() <= QUERIES.keys()
    until(DATA_SECONDS, "without data", missing)
    for name, query in QUERIES.items():
        for one in values(query.expression):
            for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
                assert one.labels.get(label), name
    for title, panel in PANELS.items():
        # No legend twice, or two lines could not be told apart.
        names = [legend(query, one) for query in panel.queries for one in values(query.expression)]
        assert len(names) == len(set(names)), title


def test_no_label_has_a_rooms_id(view: View) -> None:
    found = view.prometheus.query('{__name__=~"ray_parlor_.*"}')
    assert len(found) > 50
    assert {one.labels["actor"] for one in found if "actor" in one.labels} <= {
        "rooms-000",
        "room",
        "writer-shard1-0",
        "writer-shard2-0",
    }


def test_rays_dashboard_names_the_actors(view: View, dashboard: Callable[[str], Page]) -> None:
    page = dashboard("actors")
    page.locator(".MuiSwitch-input").click(timeout=SHOWN_MS)  # the oldest first
    for name, shown in {
        "supervisor": "Supervisor",
        "state-machine": "StateMachine(state-machine)",
        "rooms-000": "RoomActor(rooms-000)",
        "writer-shard1-0": "ShardWriter(writer-shard1-0, 32 partitions of shard 1)",
        "writer-shard2-0": "ShardWriter(writer-shard2-0, 32 partitions of shard 2)",
    }.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
        expect(row).to_contain_text(shown, timeout=SHOWN_MS)
        expect(row).to_contain_text("ALIVE")
    keep(page, "ray-actors", 1000)


def test_rays_dashboard_shows_serve_healthy(dashboard: Callable[[str], Page]) -> None:
    page = dashboard("serve")
    for name, state in {"parlor": "RUNNING", "ChatApi": "HEALTHY"}.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
        expect(row).to_contain_text(state, timeout=SHOWN_MS)
    for status in ("Controller status", "Proxy status"):
        expect(page.get_by_text(status, exact=True).locator("xpath=../..")).to_contain_text("HEALTHY")
    keep(page, "ray-serve", 560)


def test_the_operators_page_draws_the_load(view: View) -> None:
    page = view.admin
    expect(page.locator("#state")).to_contain_text("All is well")
    expect(page.locator("[data-actor=rooms-000]")).to_contain_text("ok")
    for number in range(4):
        expect(page.locator(".chart").nth(number).locator(".chart-line")).not_to_have_count(0)
    assert float(page.locator(".chart-value").nth(1).inner_text()) > 1
    keep(page, "admin", 900)


def test_top_shows_who_does_what(view: View) -> None:
    printed = view.parlor.command("top", "--once")
    assert printed.returncode == 0, printed.stderr
    totals, header, *lines = printed.stdout.splitlines()
    assert " ".join(header.split()) == "actor pid rooms sends/s replies parts stored/s lag lag s state"
    # An actor of one room comes and goes.
    assert {line.split()[-1] for line in lines if not line.startswith("room-")} == {"ok"}
    assert max(map(len, (totals, header, *lines))) <= 100
    found = msgspec.json.decode(view.parlor.command("top", "--json").stdout, type=Picture)
    assert found.sends_per_second is not None
    assert found.sends_per_second > 1
    console = Console(record=True, width=100, file=io.StringIO(), highlight=False, markup=False)
    console.print(drawing(found))
    # Without the fonts, which it would fetch.
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    (PICTURES / "top.svg").write_text(console.export_svg(title="parlor top", code_format=plain), encoding="utf-8")


def test_prometheus_counts_the_rooms_that_top_shows(view: View) -> None:
    """Those of actors too that had nothing to do for a while."""

    def otherwise() -> str:
        shown = msgspec.json.decode(view.parlor.command("top", "--json").stdout, type=Picture).rooms
        counted = [value for one in view.prometheus.query("sum(ray_parlor_rooms_active)") for _, value in one.points]
        # People make and delete a few meanwhile.
        return "" if counted and abs(counted[0] - shown) <= 2 else f"{counted}, not {shown}"

    until(DATA_SECONDS, "counted", otherwise)


def alerts(view: View) -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in view.prometheus.rules()}


def firing(view: View) -> dict[str, list[dict[str, Any]]]:
    """With what each fires for."""
    return {name: rule["alerts"] for name, rule in alerts(view).items() if rule["state"] == "firing"}


def test_every_alert_is_looked_at_and_has_something_to_compare(view: View) -> None:
    until(
        ALERT_SECONDS, "evaluated", lambda: [name for name, rule in alerts(view).items() if rule["health"] == "unknown"]
    )
    for name, rule in alerts(view).items():
        assert (rule["health"], rule.get("lastError"), rule["state"]) == ("ok", None, "inactive"), name
        compared = re.sub(r" > [0-9.]+$", "", rule["query"])
        if name not in NOTHING_TO_COMPARE:
            assert compared != rule["query"], name
            assert [one for one in view.prometheus.query(compared) if one.points], name


def test_an_actor_that_dies_raises_no_alert(view: View) -> None:
    """And is in the picture of the panels."""
    before = pid_of(view, "rooms-000")
    os.kill(before, signal.SIGKILL)
    died = Mark(round(time.time() - view.began, 1), "a RoomActor is killed")
    until(ALERT_SECONDS, "started again", lambda: pid_of(view, "rooms-000") in (0, before))
    replaced = time.time()

    def uncounted() -> str:
        found = view.prometheus.range("sum(ray_parlor_rooms_active)", replaced, time.time())
        counts = [value for one in found for _, value in one.points]
        return "" if len(counts) >= 3 and counts[-1] > 0 else f"{counts}"

    until(DATA_SECONDS, "its rooms are counted again", uncounted)
    assert firing(view) == {}
    picture(view, died)


def test_a_database_that_stands_still_raises_an_alert_until_it_goes_on(view: View) -> None:
    database, name = view.parlor.run.processes["mariadb"].pid, "ParlorStoresNothing"
    os.kill(database, signal.SIGSTOP)
    try:
        until(STILL_SECONDS, "raised", lambda: name not in firing(view) and alerts(view))
        raised = firing(view)[name]
    finally:
        os.kill(database, signal.SIGCONT)
    assert {(one["labels"]["shard"], one["labels"]["reason"]) for one in raised} == {
        (shard, "store-unavailable") for shard in ("1", "2")
    }
    until(STILL_SECONDS, "over", lambda: name in firing(view) and firing(view))


def pid_of(view: View, name: str) -> int:
    done = view.parlor.command("status", "--json")
    found: list[int] = [actor["pid"] for actor in json.loads(done.stdout)["actors"] if actor["name"] == name]
    return found[0] if found else 0


def legend(query: grafana.Query, one: Series) -> str:
    """As Grafana writes it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: one.labels.get(found[1], ""), query.legend)


def picture(view: View, died: Mark) -> None:
    ended = time.time()
    drawn = []
    for title, name in DRAWN.items():
        lines = [
            Line(legend(query, one), [(round(at - view.began, 1), float(f"{value:.4g}")) for at, value in one.points])
            for query in PANELS[title].queries
            for one in view.prometheus.range(query.expression, view.began, ended)
            if one.points
        ]
        assert lines, title
        lines.sort(key=lambda line: -max(value for _, value in line.points))
        drawn.append(Panel(name, lines[:LINES]))
    text = line_chart("The panels of Grafana's dashboard under load", drawn, [died], ended - view.began)
    (PICTURES / "panels.svg").write_text(text, encoding="utf-8")
