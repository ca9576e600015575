"""Tools for the personas of installations of tests: their declarations, and the HTTP server of one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import NamedTuple

HTTP_PORT, MCP_PORT = 29_000 + os.getpid() % 1_000, 28_000 + os.getpid() % 1_000
"""Where a test runs the servers that every installation is told about; nobody else listens there."""

PERSONAS = f"""
[[personas]]
name = "Clerk"
title = "Clerk"
model = "demo"
system_prompt = "Pays, looks up and asks the caller's program."

[[personas.tools]]
kind = "http"
name = "pay"
description = "Pays a sum"
url = "http://127.0.0.1:{HTTP_PORT}/pay"
allow_private = true
idempotent = false
approval = "always"
editable = true
timeout = 20
parameters = {{ type = "object", properties = {{ to = {{ type = "string" }}, sum = {{ type = "number" }} }} }}

[[personas.tools]]
kind = "http"
name = "lookup"
description = "Looks something up"
url = "http://127.0.0.1:{HTTP_PORT}/lookup"
allow_private = true
idempotent = true
approval = "first"
timeout = 60
parameters = {{ type = "object" }}

[[personas.tools]]
kind = "client"
name = "browse"
description = "Opens a page where the caller is"
parameters = {{ type = "object" }}

[[personas]]
name = "Sailor"
title = "Sailor"
model = "demo"
system_prompt = "Knows the sea."

[[personas.tools]]
kind = "mcp"
name = "sea"
url = "http://127.0.0.1:{MCP_PORT}/mcp"
allow_private = true
idempotent = ["tides"]
approval = "always"
"""


def personas() -> str:
    """The personas that Parlor ships, and two with tools."""
    shipped = resources.files("parlor.llm") / "personas.toml"
    return shipped.read_text(encoding="utf-8") + PERSONAS


class ToolRequest(NamedTuple):
    path: str
    key: str
    body: bytes


class ToolService:
    """What the HTTP tools were asked; each answers with its arguments."""

    def __init__(self) -> None:
        self.requests: list[ToolRequest] = []
        self.gate = threading.Event()
        """No answer is given before it is set."""
        self.gate.set()


@contextmanager
def tools_serving() -> Iterator[ToolService]:
    service = ToolService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.requests.append(ToolRequest(self.path, self.headers["Idempotency-Key"], body))
            service.gate.wait(60)
            answer = json.dumps({"was": json.loads(body)}).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except ConnectionError:
                pass  # Who asked has died.

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service
    finally:
        service.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
