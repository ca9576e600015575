"""The program that Ray Serve starts as HAProxy: it adapts the configuration that Serve wrote, then becomes HAProxy.

    python -I haproxy.py <front end as JSON> <real haproxy> -db -f <haproxy.cfg> [-dR] [-sf <pid> ... -x <socket>]

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
7. a process that has a request and stays silent for too long is given up, so that no client waits for one that stands
   still;
8. a client that takes too long for a request is given up too, and each address has a limited number of connections;
   health checks have a port of their own;
9. the client's address is a header for the replica, and is taken from nobody else;
10. Serve does not watch whether the client of a send or of an event stream goes, which costs two tasks for each;
11. a spare replica takes requests only when the first one is down;
12. when HAProxy is killed, another one takes its place until Serve has replaced it (``stand_in.py``);
13. no answer names the server's software, and no log has a query, which may hold the ticket of an event stream.

HAProxy's parser answers what is not HTTP at all itself, before any rule, with a page that is compiled in. Buffers and
the number of headers are larger than what is let through, so that whoever sends too much meets a rule, not the parser.

It uses the standard library only, because it runs as a plain file. ``tests/unit/parlor_cli/test_haproxy.py`` adapts
Serve's own template, so a change of the template in a new Ray is noticed.
"""

from __future__ import annotations

import json
import os
import resource
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
_UNWATCHED = "x-request-disconnect-disabled"
_UNWATCHED_REQUESTS = (
    "METH_POST { path_end /messages } !{ req.hdr(prefer) -m found }",
    "METH_GET { path_end /events }",
    "METH_GET { path /v1/socket }",
)
"""A send that waits for nothing but its acknowledgement, event streams and sockets. Of a socket Serve would also read
all that comes, whether it is served or not."""
_SOCKET_SILENCE = 60_000
"""A replica pings the client of a socket every 20 s (`api/socket_server.py`)."""


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

HEADROOM = 200
"""Connections that clients of the API cannot take: for health checks, statistics and metrics."""
_HEALTH_CONNECTIONS = 64
_OTHER_FILES = 1500
_PIPES = 500
"""For data that goes through without being copied; two files each, and without a limit half as many as connections."""
_ADDRESSES = 100_000
"""IPv4 addresses and IPv6 networks that are remembered while they have connections."""
HEALTH_PATHS = ("/healthz", "/readyz")


class FrontEnd(NamedTuple):
    """What the settings say about the front end. Times are in milliseconds."""

    answer: int
    """Without a byte from the process that has the request, until the answer is 503; ``Prefer: wait=N`` adds N."""
    stream: int
    """Between two events or heartbeats, until a stream is cut."""
    head: int
    """For a request's line and headers."""
    body: int
    """For as much of a body as fits into a buffer."""
    idle: int
    """Between two requests of a connection."""
    connections: int
    per_address: int
    """Most connections of an address; 0: any number."""
    proxies: list[str]
    """Networks that may have any number of connections, and say for whom they ask."""
    bind: str = ""
    """``host:port`` to listen on; empty: what Serve says, where replicas listen on the same host."""
    health: str = ""
    """``host:port`` for health checks alone, if any."""
    spare: bool = False
    """Whether every replica but the first one waits until that is down."""

    @classmethod
    def read(cls, text: str) -> FrontEnd:
        """From a command-line argument; raises ``ValueError`` or ``TypeError``."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        return json.dumps(self._asdict())

    def within(self, files: int) -> FrontEnd:
        """Returns this with as many connections as so many open files allow: each needs two."""
        fitting = (files - _OTHER_FILES) // 2 - HEADROOM
        return self._replace(connections=max(1, min(self.connections, fitting)))


def adapt(config: str, front: FrontEnd) -> str:
    """The configuration with the changes above; one that has them is returned as it is."""
    if config.startswith(MARK):
        return config
    adapted = [MARK]
    section = ""
    replicas = 0
    for line in config.splitlines():
        words = line.split()
        if line and not line[0].isspace() and words:
            section, replicas = " ".join(words[:2]), 0
        if words[:1] == ["server"] and words[3:4] == ["check"] and "backup" not in words:
            replicas += 1
            if front.spare and replicas > 1:
                # Before Serve's own fallback, which stands behind the replicas: the first one that is up counts.
                adapted.append(f"{line} backup")
                continue
        adapted.extend(_adapt_line(section, line, words, front))
    return "\n".join(adapted) + "\n"


def _adapt_line(section: str, line: str, words: list[str], front: FrontEnd) -> list[str]:
    if section == "global":
        return _adapt_global(line, words, front)
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
        case ["bind", address] if section == "frontend http_frontend":
            rules = [*_binds(front, address), *_connection_rules(front), *_frontend_rules(front)]
            return [f"    {rule}" for rule in rules]
        case ["backend", _]:
            return [line, *(f"    {rule}" for rule in _backend_rules(front))]
        case ["http-request", "return", "status", "404", *_] if section == "backend default_backend":
            # Serve's own 404 means that the application does not run yet, or does not run any more.
            return [f"    http-request return {_reply(503)}"]
        case _:
            return [line]


def _adapt_global(line: str, words: list[str], front: FrontEnd) -> list[str]:
    match words:
        case ["maxconn", _]:
            return [f"    maxconn {front.connections + HEADROOM}", f"    maxpipes {_PIPES}"]
        case ["log", _, "local0", "info"]:
            return ["    log stderr format short local0 notice"]
        case ["stats", "socket", *_]:
            return [line.replace("mode 666", "mode 600")]
        case ["tune.bufsize", _]:
            return [f"    tune.bufsize {_BUFFER}", f"    tune.http.maxhdr {_HEADER_SLOTS}"]
        case _:
            return [line]


def _binds(front: FrontEnd, serves: str) -> list[str]:
    """Where clients and health checks connect. Each has its own limit, so that clients leave connections for checks."""
    host, _, port = (front.bind or serves).rpartition(":")
    addresses = {"0.0.0.0": [f"*:{port}"], "::": [f"*:{port}", f":::{port} v6only"]}  # noqa: S104 - what is asked for
    # HAProxy would take HTTP/2 without TLS from whoever begins with it: a hundred requests on each connection, past the
    # limits of connections.
    limit = f"proto h1 maxconn {front.connections}"
    binds = [f"bind {address} {limit}" for address in addresses.get(host, [f"{host}:{port}"])]
    if front.health:
        binds.append(f"bind {front.health} name health proto h1 maxconn {_HEALTH_CONNECTIONS}")
    return binds


def _connection_rules(front: FrontEnd) -> list[str]:
    """What holds before a request is read. A connection that is not used is closed without an answer."""
    rules = [
        f"timeout http-request {front.head}",
        f"timeout http-keep-alive {front.idle}",
        "option http-ignore-probes",
    ]
    if front.per_address:
        rules += [
            f"stick-table type ipv6 size {_ADDRESSES} expire 1m store conn_cur",
            f"tcp-request connection accept if {{ so_name health }} || {_from_proxy(front)}",
            "tcp-request connection track-sc0 src,ipmask(32,64)",
            f"tcp-request connection reject if {{ sc_conn_cur(0) gt {front.per_address} }}",
        ]
    return rules


def _from_proxy(front: FrontEnd) -> str:
    return f"{{ src {' '.join(front.proxies)} }}" if front.proxies else "{ always_false }"


def _frontend_rules(front: FrontEnd) -> list[str]:
    known = f"{{ method {' '.join(METHODS)} }}"
    named = "req.hdr_ip(x-forwarded-for,-1)"
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
        f"http-request return {_reply(404)} if {{ so_name health }} !{{ path {' '.join(HEALTH_PATHS)} }}",
        f"http-request set-header x-request-id {_REQUEST_ID}",
        "http-request set-header x-parlor-address %[src]",
        f"http-request del-header x-forwarded-proto unless {_from_proxy(front)}",
        f"http-request set-header x-parlor-address %[{named}] if {_from_proxy(front)} {{ {named} -m found }}",
        f"http-request del-header {_SERVES_HEADERS} -m reg",
        # A send that waits for nothing is done in milliseconds, and a stream looks for itself (`api/sse.py`).
        *(f"http-request set-header {_UNWATCHED} ?1 if {which}" for which in _UNWATCHED_REQUESTS),
        # Serve decodes them as UTF-8 when it traces, and fails if they are not.
        *(
            f"http-request del-header {name} unless {{ req.fhdr({name}) -m reg ^[[:print:]]+$ }}"
            for name in ("traceparent", "tracestate")
        ),
        # Bodies that do not come keep no replica busy. Who asks first whether to send one is answered by the replica,
        # which refuses without it, and gives up a body that stops.
        f"http-request wait-for-body time {front.body} unless {{ req.fhdr(expect) -m found }}",
        # The application answers in JSON only; plain text is from Serve, when it has no replica for the request.
        f"http-response return {_reply(503)} if {{ status 404 408 502 503 504 }} {plain}",
        f"http-response return {_reply(400)} if {{ status 400 }} {plain}",
        f"http-response return {_reply(500)} if {{ status 500 }} {plain}",
        "http-response del-header server",
        "http-after-response set-status 503 if { status 502 504 }",
    ]


def _backend_rules(front: FrontEnd) -> list[str]:
    """Timeouts; the last rule that matches counts."""
    wait = 'regsub("^.*wait *= *([0-9]{1,6}).*$","\\1",i)'
    longer = f"req.fhdr(prefer),'{wait}',mul(1000),add({front.answer})"
    streams = ("{ req.hdr(accept) -m sub text/event-stream }", "{ path_end /events }")
    return [
        f"http-request set-timeout server {front.answer}",
        # Once a socket is open this is the only timeout that holds for it.
        f"http-request set-timeout tunnel {max(front.stream, _SOCKET_SILENCE)}",
        f"http-request set-timeout server {longer} if {{ req.fhdr(prefer) -i -m sub wait }}",
        *(f"http-request set-timeout server {front.stream} if {stream}" for stream in streams),
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


def rewrite(path: Path, front: FrontEnd) -> None:
    """Adapts the file in place, atomically."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(adapt(path.read_text(encoding="utf-8"), front), encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str]) -> NoReturn:
    front, binary, *options = arguments
    sys.path.insert(0, str(Path(__file__).parent / "servers"))
    from tether import die_with  # type: ignore[import-not-found] # a sibling file: the package is not on this path

    die_with(os.getppid(), signal.SIGTERM)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = Path(options[options.index("-f") + 1])
    rewrite(config, FrontEnd.read(front).within(files))
    if "-db" in options:  # to serve; not to check the configuration
        sys.path.insert(0, str(Path(__file__).parent))
        from stand_in import watch  # type: ignore[import-not-found] # as above

        watch(binary, config)
    # -dR would keep Serve's next HAProxy from listening beside a stand-in on the same port.
    options = [option for option in options if option != "-dR"]
    os.execv(binary, [binary, *options])  # noqa: S606 - HAProxy, with Serve's own arguments


if __name__ == "__main__":
    main(sys.argv[1:])
