"""The program that Ray Serve starts as HAProxy: it adapts the configuration that Serve wrote, then becomes HAProxy.

    python -I haproxy.py <limits> <real haproxy> -db -f <haproxy.cfg> [-dR] [-sf <pid> ... -x <socket>]

Serve writes its file before each start and each reload and then runs this program, so the changes survive reloads. The
process id stays the same (exec), which Serve checks. The changes:

1. answers that HAProxy or Serve make themselves (bad request, no replica, replica gone) become problem+json;
2. the statistics and metrics ports listen on loopback, and only this user may use the admin socket;
3. two request headers with which any client could turn off Serve's timeouts and disconnect handling are removed;
4. logs go to the log file of the process instead of UDP port 514, events only;
5. HAProxy ends with the manager that started it, so that none keeps the port;
6. a process that has a request and stays silent for the seconds in ``Limits`` is given up, so that no client waits for
   one that stands still.

It uses the standard library only, because it runs as a plain file. ``tests/unit/parlor_cli/test_haproxy.py`` adapts
Serve's own template, so a change of the template in a new Ray is noticed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

MARK = "# adapted by parlor"
_REQUEST_ID = "%[var(txn.parlor_request_id)]"

# Status of HAProxy's own error -> status for the client, and errorCode, code and title of parlor.errors.
ERRORS: dict[int, tuple[int, int, str, str]] = {
    400: (400, 1007, "invalid-request", "The request is not valid"),
    408: (408, 1007, "invalid-request", "The request is not valid"),
    413: (413, 1008, "content-too-large", "Too large"),
    500: (500, 1000, "internal", "Internal error"),
    502: (503, 1011, "overloaded", "Too much to do"),
    503: (503, 1011, "overloaded", "Too much to do"),
    504: (503, 1011, "overloaded", "Too much to do"),
}
DETAILS = {
    400: "This is not HTTP that the server understands.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    500: "Something failed that should not have; the log has the rest.",
    502: "The process that had this request ended; try again.",
    503: "No process is ready to take this request; try again.",
    504: "The process that had this request did not answer; try again.",
}
RETRY_AFTER_S = 1


class Limits(NamedTuple):
    """Seconds without a byte from the process that has the request; after them 503, or the end of the stream."""

    answer: int
    """For an ordinary answer; ``Prefer: wait=N`` adds N."""
    stream: int
    """For a stream: between two events or heartbeats."""

    @classmethod
    def read(cls, text: str) -> Limits:
        """From a command-line argument; raises ``ValueError`` or ``TypeError``."""
        return cls(*map(int, text.split(",")))

    def __str__(self) -> str:
        return ",".join(map(str, self))


def adapt(config: str, limits: Limits) -> str:
    """The configuration with the changes above; one that has them is returned as it is."""
    if config.startswith(MARK):
        return config
    adapted = [MARK]
    section = ""
    for line in config.splitlines():
        words = line.split()
        if line and not line[0].isspace() and words:
            section = " ".join(words[:2])
        adapted.extend(_adapt_line(section, line, words, limits))
    return "\n".join(adapted) + "\n"


def _adapt_line(section: str, line: str, words: list[str], limits: Limits) -> list[str]:
    match words:
        case ["errorfile", *_]:
            return []
        case ["log", _, "local0", "info"] if section == "global":
            return ["    log stderr format short local0 notice"]
        case ["stats", "socket", *_] if section == "global":
            return [line.replace("mode 666", "mode 600")]
        case ["mode", "http"] if section == "defaults":
            return [line, *(f"    {_error_reply(status)}" for status in ERRORS)]
        case ["bind", address] if section in ("frontend prometheus", "listen stats"):
            return [f"    bind 127.0.0.1:{address.rpartition(':')[2]}"]
        case ["bind", *_] if section == "frontend http_frontend":
            return [line, *(f"    {rule}" for rule in _frontend_rules())]
        case ["backend", _]:
            return [line, *(f"    {rule}" for rule in _backend_rules(limits))]
        case ["http-request", "return", "status", "404", *_] if section == "backend default_backend":
            # Serve's own 404 means that the application does not run yet, or does not run any more.
            return [f"    http-request return {_reply(503)}"]
        case _:
            return [line]


def _frontend_rules() -> list[str]:
    plain = "{ res.hdr(content-type) -m beg text/plain }"
    return [
        "http-request set-var(txn.parlor_path) path",
        "http-request set-var(txn.parlor_request_id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m found }",
        "http-request set-var(txn.parlor_request_id) uuid() unless { req.hdr(x-request-id) -m found }",
        f"http-request set-header x-request-id {_REQUEST_ID}",
        "http-request del-header x-request-timeout-seconds",
        "http-request del-header x-request-disconnect-disabled",
        # The application answers in JSON only; plain text is from Serve, when it has no replica for the request.
        f"http-response return {_reply(503)} if {{ status 404 408 502 503 504 }} {plain}",
        f"http-response return {_reply(400)} if {{ status 400 }} {plain}",
        f"http-response return {_reply(500)} if {{ status 500 }} {plain}",
        "http-after-response set-status 503 if { status 502 504 }",
    ]


def _backend_rules(limits: Limits) -> list[str]:
    """Timeouts; the last rule that matches counts."""
    wait = 'regsub("^.*wait *= *([0-9]{1,6}).*$","\\1",i)'
    longer = f"req.fhdr(prefer),'{wait}',mul(1000),add({1000 * limits.answer})"
    streams = ("{ req.hdr(accept) -m sub text/event-stream }", "{ path_end /events }")
    return [
        f"http-request set-timeout server {limits.answer}s",
        f"http-request set-timeout server {longer} if {{ req.fhdr(prefer) -i -m sub wait }}",
        *(f"http-request set-timeout server {limits.stream}s if {stream}" for stream in streams),
    ]


def _error_reply(status: int) -> str:
    return f"http-error {_reply(status)}"


def _reply(status: int) -> str:
    """The arguments of `return` or `http-error`; single quotes keep HAProxy from parsing the JSON."""
    headers = f'hdr cache-control "no-store" hdr x-request-id "{_REQUEST_ID}"'
    if ERRORS[status][0] == 503:
        headers += f' hdr retry-after "{RETRY_AFTER_S}"'
    return f"status {status} content-type application/problem+json lf-string '{problem(status)}' {headers}"


def problem(status: int) -> str:
    """The body for HAProxy's own error ``status``, as an HAProxy log format."""
    shown, error_code, code, title = ERRORS[status]
    body: dict[str, str | int] = {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": shown,
        "detail": DETAILS[status],
        "instance": "",
        "errorCode": error_code,
        "code": code,
        "request_id": "",
    }
    if shown == 503:
        body["retry_after_seconds"] = RETRY_AFTER_S
    text = json.dumps(body)
    for field, variable in (("instance", "parlor_path"), ("request_id", "parlor_request_id")):
        # A client can choose both, so HAProxy escapes them as JSON strings.
        text = text.replace(f'"{field}": ""', f'"{field}": "%[var(txn.{variable}),json(utf8s)]"')
    return text


def rewrite(path: Path, limits: Limits) -> None:
    """Adapts the file in place, atomically."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(adapt(path.read_text(encoding="utf-8"), limits), encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str]) -> NoReturn:
    limits, binary, *options = arguments
    sys.path.insert(0, str(Path(__file__).parent / "servers"))
    from tether import die_with  # type: ignore[import-not-found] # a sibling file: the package is not on this path

    die_with(os.getppid(), signal.SIGTERM)
    rewrite(Path(options[options.index("-f") + 1]), Limits.read(limits))
    os.execv(binary, [binary, *options])  # noqa: S606 - HAProxy, with Serve's own arguments


if __name__ == "__main__":
    main(sys.argv[1:])
