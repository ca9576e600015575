"""A page of another origin: it may use the API when the settings name its origin, and learns nothing otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
"""What it stands on has no part in this."""
ASK = """async ({url, token, method, body}) => {
  try {
    const answer = await fetch(url, {
      method, body: body && JSON.stringify(body),
      headers: {"Authorization": `Bearer ${token}`, ...(body && {"Content-Type": "application/json"})},
    });
    const id = answer.headers.get("x-request-id");
    return {status: answer.status, body: await answer.json(), id};
  } catch (error) {
    return {refused: error.name};
  }
}"""
LISTEN = """url => new Promise(resolve => {
  const heard = [];
  window.heard = heard;
  window.source = new EventSource(url);
  for (const type of ["message.created", "message.completed"])
    source.addEventListener(type, event => heard.push([type, JSON.parse(event.data).message.content]));
  source.onopen = () => resolve("open");
  source.onerror = () => { resolve("refused"); source.close(); };
})"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>Another</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def allowed(installation: Installation) -> Iterator[str]:
    """The origin that the installation shares with; its pages are empty."""
    (origin,) = installation.settings.api.origins
    port = urlsplit(origin).port
    assert port is not None
    # Not Playwright's own answers: with those it answers the browser's preflights as well.
    server = ThreadingHTTPServer(("127.0.0.1", port), EmptyPage)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield origin
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stranger(allowed: str) -> str:
    """Another origin, with the same pages."""
    return allowed.replace("localhost", "127.0.0.1")


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


class Client:
    """The API as a script of the page's origin uses it."""

    def __init__(self, page: Page, base_url: str, token: str) -> None:
        self._page, self._base_url, self._token = page, base_url, token

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        call = {"url": self._base_url + path, "token": self._token, "method": method, "body": body}
        found: dict[str, Any] = await self._page.evaluate(ASK, call)
        return found


async def test_a_page_of_an_origin_that_is_named_talks_and_listens(
    page: Page, installation: Installation, allowed: str, token: str
) -> None:
    await page.goto(f"{allowed}/")
    client = Client(page, installation.base_url, token)
    made = await client.ask("POST", "/v1/rooms", {"title": "Across"})
    assert made["status"] == 201
    assert made["id"], "a script may read the request's id"
    room = f"/v1/rooms/{made['body']['room_id']}"
    renamed = await client.ask("PATCH", room, {"title": "Across origins"})
    assert renamed["body"]["title"] == "Across origins"

    ticket = await client.ask("POST", "/v1/events/ticket", {"path": f"{room}/events"})
    url = f"{installation.base_url}{room}/events?ticket={ticket['body']['ticket']}"
    assert await page.evaluate(LISTEN, url) == "open"
    sent = await client.ask("POST", f"{room}/messages", {"content": "Hello from there"})
    assert sent["status"] == 201
    await page.wait_for_function("heard.some(([type]) => type === 'message.completed')", timeout=30_000)
    heard = await page.evaluate("heard")
    assert heard[0] == ["message.created", "Hello from there"]

    refused = await client.ask("GET", "/v1/rooms/nonsense")
    assert (refused["status"], refused["body"]["code"]) == (404, "room-not-found"), "an error can be read as well"
    assert (await client.ask("DELETE", room))["status"] == 202


async def test_a_page_of_any_other_origin_learns_nothing(
    page: Page, installation: Installation, allowed: str, stranger: str, token: str
) -> None:
    await page.goto(f"{stranger}/")
    client = Client(page, installation.base_url, token)
    for method, path, body in [
        ("GET", "/v1/rooms", None),
        ("POST", "/v1/rooms", {"title": "Not made"}),
        ("GET", "/healthz", None),
    ]:
        assert await client.ask(method, path, body) == {"refused": "TypeError"}
    assert await page.evaluate(LISTEN, f"{installation.base_url}/v1/events?ticket=guessed") == "refused"

    await page.goto(f"{allowed}/")
    rooms = await client.ask("GET", "/v1/rooms")
    assert rooms["body"]["rooms"] == [], "the browser asked first, so nothing was made"
