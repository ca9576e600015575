"""An OpenTelemetry collector of a test's own: takes OTLP over HTTP in its JSON form, and keeps the spans."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Kept(NamedTuple):
    """A span as it was sent, with the attributes of its process."""

    name: str
    trace: str
    span: str
    parent: str
    began: int
    ended: int
    attributes: dict[str, Any]
    process: dict[str, Any]
    error: str


class Collector:
    """``status`` is what it answers."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Kept] = []
        self.status = 200
        self.batches = 0

    def of(self, trace: str) -> list[Kept]:
        return [each for each in self.spans if each.trace == trace]

    def take(self, path: str, body: dict[str, Any]) -> None:
        assert path == "/v1/traces"
        self.batches += 1
        if self.status != 200:
            return
        for of_process in body["resourceSpans"]:
            process = _values(of_process["resource"]["attributes"])
            for scope in of_process["scopeSpans"]:
                self.spans += [_kept(each, process) for each in scope["spans"]]


def _kept(form: dict[str, Any], process: dict[str, Any]) -> Kept:
    return Kept(
        form["name"],
        form["traceId"],
        form["spanId"],
        form.get("parentSpanId", ""),
        int(form["startTimeUnixNano"]),
        int(form["endTimeUnixNano"]),
        _values(form["attributes"]),
        process,
        form["status"]["message"],
    )


def _values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """Listens on loopback, by default on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.take(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, _format: str, *arguments: object) -> None:
            """Says nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    found = Collector(http.server_port)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
