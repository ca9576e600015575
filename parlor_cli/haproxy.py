"""The program that Ray Serve starts as HAProxy: it adapts the configuration that Serve wrote, then becomes HAProxy.

    python -I haproxy.py <limits> <real haproxy> -db -f <haproxy.cfg> [-dR] [-sf <pid> ... -x <socket>]

Serve writes its file before each start and each reload and then runs this program, so the changes survive reloads. The
process id stays the same (exec), which Serve checks. The changes:

1. answers that HAProxy or Serve make themselves (bad request, no replica, replica gone) become problem+json;
2. the statistics and metrics ports listen on loopback, and only this user may use the admin socket;
3. what only Serve may say to a replica is kept out: its control headers and its paths (``/-/...``); a request id is
   replaced unless it is a plain word, because Serve fails on one that is not UTF-8;
4. methods that are not HTTP's, and addresses and headers that are too long, are refused with a problem; only known
   methods become a metric's label, or any stranger could make Serve keep as many time series as he likes;
5. logs go to the log file of the process instead of UDP port 514, events only;
6. HAProxy ends with the manager that started it, so that none keeps the port;
7. a process that has a request and stays silent for the seconds in ``Limits`` is given up, so that no client waits for
   one that stands still;
8. no answer names the server's software, and no log has a query, which may hold the ticket of an event stream.

HAProxy's parser answers what is not HTTP at all itself, before any rule, with a page that is compiled in. Buffers and
the number of headers are larger than what is let through, so that whoever sends too much meets a rule, not the parser.

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
_NAMED = f'hdr x-request-id "{_REQUEST_ID}"'

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that a replica may see and a metric may name. No path takes PUT, but the replica says what it takes instead."""
_ALLOW = ", ".join(method for method in METHODS if method != "PUT")
URL_MAX = 8192
HEADERS_MAX = 16384
"""Bytes of all headers together; a bearer token has 4096 at most."""
HEADER_COUNT_MAX = 100
_BUFFER = 32768
"""Bytes. A request's line and headers fit into one of HAProxy's buffers, or are refused by its parser."""
_HEADER_SLOTS = 1000

_SERVES_HEADERS = (
    "^(x[_-]request[_-](timeout[_-]seconds|disconnect[_-]disabled)|x[_-]session[_-]id|serve[_-]multiplexed[_-]model[_-]id"
    "|x[_-]serve[_-].*)$"
)
"""Timeouts, disconnects and routing as Serve takes them from a request; it reads ``-`` for ``_`` in some of them."""


_LOG = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %ts %ac/%fc/%bc/%sc/%rc %HM %HP"
"""Of `option httplog`, but the query."""


class Reply(NamedTuple):
    """A problem that the replicas do not write; status, errorCode, code and title are those of ``parlor.errors``."""

    status: int
    error_code: int
    code: str
    title: str
    detail: str


_INVALID = (1007, "invalid-request", "The request is not valid")
_OVERLOADED = (1011, "overloaded", "Too much to do")
REPLIES = {
    400: Reply(400, *_INVALID, "This is not HTTP that the server understands."),
    404: Reply(404, 1000, "not-found", "Not Found", "There is nothing at this path"),
    405: Reply(405, 1020, "method-not-allowed", "The path does not take this method", f"Paths here take {_ALLOW}"),
    408: Reply(408, *_INVALID, "The request did not arrive in time."),
    413: Reply(413, 1008, "content-too-large", "Too large", "The request is too large."),
    414: Reply(414, *_INVALID, f"The address is longer than {URL_MAX} bytes."),
    431: Reply(431, *_INVALID, f"The headers have more than {HEADERS_MAX} bytes, or are more than {HEADER_COUNT_MAX}."),
    500: Reply(500, 1000, "internal", "Internal error", "Something failed that should not have; the log has the rest."),
    502: Reply(503, *_OVERLOADED, "The process that had this request ended; try again."),
    503: Reply(503, *_OVERLOADED, "No process is ready to take this request; try again."),
    504: Reply(503, *_OVERLOADED, "The process that had this request did not answer; try again."),
}
"""By the status that HAProxy would answer."""
ERRORS = (400, 408, 413, 500, 502, 503, 504)
"""The statuses of answers that HAProxy makes without a rule."""
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
    if section == "global":
        return _adapt_global(line, words)
    match words:
        case ["errorfile", *_]:
            return []
        case ["option", "httplog"]:
            return [f'    log-format "{_LOG}"']
        case ["log-format-sd", *_]:
            return [line.replace("method=%HM", "method=%[var(txn.parlor_method)]")]
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


def _adapt_global(line: str, words: list[str]) -> list[str]:
    match words:
        case ["log", _, "local0", "info"]:
            return ["    log stderr format short local0 notice"]
        case ["stats", "socket", *_]:
            return [line.replace("mode 666", "mode 600")]
        case ["tune.bufsize", _]:
            return [f"    tune.bufsize {_BUFFER}", f"    tune.http.maxhdr {_HEADER_SLOTS}"]
        case _:
            return [line]


def _frontend_rules() -> list[str]:
    known = f"{{ method {' '.join(METHODS)} }}"
    one_id = "{ req.fhdr_cnt(x-request-id) eq 1 } { req.fhdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,64}$ }"
    plain = "{ res.hdr(content-type) -m beg text/plain }"
    return [
        "http-request set-var(txn.parlor_path) path",
        f"http-request set-var(txn.parlor_method) method if {known}",
        f"http-request set-var(txn.parlor_request_id) req.fhdr(x-request-id) if {one_id}",
        "http-request set-var(txn.parlor_request_id) uuid() unless { var(txn.parlor_request_id) -m found }",
        f"http-request return {_reply(405)} unless {known}",
        f'http-request return status 204 hdr allow "{_ALLOW}" {_NAMED} if METH_OPTIONS {{ url -m str * }}',
        f"http-request return {_reply(414)} if {{ url,length gt {URL_MAX} }}",
        f"http-request return {_reply(431)} if {{ req.hdrs,length gt {HEADERS_MAX} }}",
        f"http-request return {_reply(431)} if {{ req.fhdr_cnt() gt {HEADER_COUNT_MAX} }}",
        f"http-request return {_reply(400)} unless {{ path_beg / }}",
        # A replica decodes the path before it looks for its own.
        f"http-request return {_reply(404)} if {{ path,url_dec -m reg ^/-(/|$) }}",
        f"http-request set-header x-request-id {_REQUEST_ID}",
        f"http-request del-header {_SERVES_HEADERS} -m reg",
        # Serve decodes them as UTF-8 when it traces, and fails if they are not.
        *(
            f"http-request del-header {name} unless {{ req.fhdr({name}) -m reg ^[[:print:]]+$ }}"
            for name in ("traceparent", "tracestate")
        ),
        # The application answers in JSON only; plain text is from Serve, when it has no replica for the request.
        f"http-response return {_reply(503)} if {{ status 404 408 502 503 504 }} {plain}",
        f"http-response return {_reply(400)} if {{ status 400 }} {plain}",
        f"http-response return {_reply(500)} if {{ status 500 }} {plain}",
        "http-response del-header server",
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
    headers = f'hdr cache-control "no-store" hdr x-content-type-options "nosniff" {_NAMED}'
    if REPLIES[status].status == 503:
        headers += f' hdr retry-after "{RETRY_AFTER_S}"'
    if status == 405:
        headers += f' hdr allow "{_ALLOW}"'
    return f"status {status} content-type application/problem+json lf-string '{problem(status)}' {headers}"


def problem(status: int) -> str:
    """The body of the reply for ``status``, as an HAProxy log format."""
    reply = REPLIES[status]
    body: dict[str, str | int] = {
        "type": f"/docs/errors#{reply.code}",
        "title": reply.title,
        "status": reply.status,
        "detail": reply.detail,
        "instance": "",
        "errorCode": reply.error_code,
        "code": reply.code,
        "request_id": "",
    }
    if reply.status == 503:
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
