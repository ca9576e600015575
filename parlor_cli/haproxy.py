"""What Ray Serve runs in HAProxy's place: adapts the configuration that Serve wrote, then becomes HAProxy.

    python -I haproxy.py <limits> <real haproxy> -db -f <haproxy.cfg> [-dR] [-sf <pid> ... -x <socket>]

Serve writes its file anew before each start and each reload, and then runs this, so the changes survive reloads; the
process id stays (exec), which Serve checks. It changes:

1. answers that HAProxy or Serve make themselves (bad request, no replica, replica gone) into problem+json;
2. the statistics and metrics ports, to loopback, and the admin socket, to this user;
3. two request headers that let any client turn off Serve's own timeouts and disconnect handling: removed;
4. logging, from UDP port 514 to the process's own log file, events only;
5. HAProxy's life: it ends with the manager that started it, so none is left holding the port;
6. how long a process may be silent that has a request, in the seconds of ``Limits``: one that stands still keeps nobody
   waiting for as long as it does so.

Standard library only: it is started as a plain file. ``tests/unit/parlor_cli/test_haproxy.py`` renders Serve's own
template and holds this to it, so a new Ray that changes the template is noticed.
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

# Status of HAProxy's own error -> (status that the client gets, errorCode, code, title) of parlor.errors.
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
    """Whole seconds without a byte from the process that has the request; then 503, or the end of the stream."""

    answer: int
    """Of an ordinary answer; ``Prefer: wait=N`` adds its own."""
    stream: int
    """Between two events or heartbeats."""

    @classmethod
    def read(cls, text: str) -> Limits:
        """From a command line; raises ``ValueError`` or ``TypeError``."""
        return cls(*map(int, text.split(",")))

    def __str__(self) -> str:
        return ",".join(map(str, self))


def adapt(config: str, limits: Limits) -> str:
    """The configuration with the changes above; a second time changes nothing."""
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
            # Serve's own 404 means that the application is not there: not yet, or no more.
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
        # The application answers in JSON only: plain text comes from Serve, which has no replica for the request.
        f"http-response return {_reply(503)} if {{ status 404 408 502 503 504 }} {plain}",
        f"http-response return {_reply(400)} if {{ status 400 }} {plain}",
        f"http-response return {_reply(500)} if {{ status 500 }} {plain}",
        "http-after-response set-status 503 if { status 502 504 }",
    ]


def _backend_rules(limits: Limits) -> list[str]:
    """The last that holds counts."""
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
    """A `return` or `http-error` argument list; single quotes keep the JSON as it is."""
    headers = f'hdr cache-control "no-store" hdr x-request-id "{_REQUEST_ID}"'
    if ERRORS[status][0] == 503:
        headers += f' hdr retry-after "{RETRY_AFTER_S}"'
    return f"status {status} content-type application/problem+json lf-string '{problem(status)}' {headers}"


def problem(status: int) -> str:
    """The body of the error that HAProxy calls ``status``, as an HAProxy log format."""
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
        # Both may be a client's own: escaped as JSON strings.
        text = text.replace(f'"{field}": ""', f'"{field}": "%[var(txn.{variable}),json(utf8s)]"')
    return text


def rewrite(path: Path, limits: Limits) -> None:
    """Adapts the file in place, whole or not at all."""
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
