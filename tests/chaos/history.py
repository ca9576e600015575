"""What was asked and what was answered, as lines of JSON: the input of ``tests.chaos.checker``. An operation has a line
when it begins and another when it ends.

Times are seconds of one monotonic clock that all recording processes share (Linux: ``time.monotonic`` of any process
on the machine; a simulation: its virtual time). What the checker needs of whoever makes the load:

- texts of sends and edits, and titles, are unique in the run; a text is sent again only with its idempotency key;
- rooms are created with a title, or the language model would give them one that nobody asked for;
- event streams are of whole rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import msgspec

from parlor.tools.arguments import canonical


class Kind(StrEnum):
    CREATE_ROOM = "create_room"
    GET_ROOM = "get_room"
    LIST_ROOMS = "list_rooms"
    RENAME = "rename"
    DELETE_ROOM = "delete_room"
    SEND = "send"
    DELETE_MESSAGE = "delete_message"
    STOP_REPLY = "stop_reply"
    REGENERATE = "regenerate"
    CONTINUE = "continue_reply"
    EDIT_MESSAGE = "edit_message"
    DECIDE = "decide"
    """Approve or deny a call of a tool."""
    POST_RESULT = "post_result"
    """Of a call that its caller executed."""
    READ_PAGE = "read_page"
    EVENTS = "events"
    """One stream, from its cursor to where it was cut."""


class Outcome(StrEnum):
    OK = "ok"
    """Acknowledged: it happened."""
    FAIL = "fail"
    """Refused for good: it did not happen and will not (a 4xx)."""
    UNKNOWN = "unknown"
    """It may have happened, or happen later: a 5xx, a cut connection, no answer."""


class ObservedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of a tool as somebody saw it."""

    call_id: str
    name: str
    arguments: str
    """In their canonical form."""
    digest: str
    state: str
    result: str = ""


class ObservedMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message as somebody saw it: in an acknowledgement, on a page, in a row."""

    seq: int
    message_id: str
    sender: str
    """USER, AI, SYSTEM."""
    content: str = ""
    deleted: bool = False
    """DELETING or DELETED, or a row's tombstone."""
    open: bool = False
    """A reply that has not ended (COMPOSING)."""
    attempt: int = 0
    """Of the answer to a continue: the attempt that begins with ``content``."""
    calls: tuple[ObservedCall, ...] = ()


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event as a reader got it."""

    cursor: str
    type: str
    message_id: str = ""
    seq: int = 0
    """Of events that carry a message or a deletion."""
    attempt: int = 0
    offset: int = 0
    text: str = ""
    """A piece of text or reasoning, a whole part's, or the content of the message that it carries."""
    thought: str = ""
    """The reasoning of the message that it carries."""
    calls: tuple[ObservedCall, ...] = ()
    """The call that appeared or changed, or those of the message that it carries."""


def calls_of(parts: Iterable[Mapping[str, Any]]) -> tuple[ObservedCall, ...]:
    """The calls among parts as clients get them."""
    return tuple(
        ObservedCall(
            part["tool_call_id"],
            part["name"],
            canonical(part["arguments"]),
            part["digest"],
            part["state"],
            (part.get("result") or {}).get("content", ""),
        )
        for part in parts
        if part["type"] == "tool_call"
    )


def thought_of(message: Mapping[str, Any]) -> str:
    """The reasoning of a message as clients get it."""
    return "".join(part["text"] for part in message.get("parts", ()) if part["type"] == "reasoning")


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    content: str = ""
    """Of a send or an edit, or the result of a call."""
    title: str = ""
    metadata: str = ""
    """Of a create, or of a rename that has some."""
    message_id: str = ""
    """That a delete, a stop, a regenerate, a continue or an edit is about."""
    key: str = ""
    """Idempotency key."""
    on_busy: str = "enqueue"
    before: int = 0
    """Of a page; 0: the newest one."""
    after: str = ""
    """An event stream's cursor; empty: from now."""
    call_id: str = ""
    """That a decision or a result is about."""
    tool: str = ""
    """Its tool."""
    digest: str = ""
    """That a decision or a result names."""
    approve: bool = False
    arguments: str = ""
    """An approval's other arguments, in their canonical form."""


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """Fields that the kind has: send ``messages`` (the message, then its reply) and ``cursor``; pages ``messages`` and
    ``cursor``; ``heard`` of a stream; ``room`` of a create; ``rooms`` of a list; ``title`` of whatever gives a room."""

    messages: list[ObservedMessage] = []
    cursor: str = ""
    heard: list[Heard] = []
    room: str = ""
    rooms: list[str] = []
    title: str = ""
    persisted: bool = False
    """A send that was acknowledged as committed in its shard."""
    call: ObservedCall | None = None
    """As a decision or a result has left it."""


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    process: str
    kind: Kind
    account: str
    room: str
    request: Request
    invoked_at: float
    deadline: float
    """Seconds in which it must be answered, whatever happens."""
    completed_at: float | None = None
    """None: never answered."""
    outcome: Outcome = Outcome.UNKNOWN
    response: Response = Response()
    error: str = ""
    """The ``code`` of a typed error; empty for none."""
    transport: str = ""
    """How the connection failed, when no answer could be given: refused, reset, cut."""


class Recorder:
    """Writes each operation when it begins and again when it ends: what a killed recorder was waiting for is known."""

    def __init__(self, out: IO[str] | None, clock: Callable[[], float], process: str) -> None:
        """``out`` None: kept in memory only."""
        self.operations: list[Operation] = []
        self._out = out
        self._clock = clock
        self._process = process
        self._count = 0
        self._open: dict[str, Operation] = {}

    def begin(self, kind: Kind, account: str, room: str, request: Request, deadline: float) -> str:
        """The operation's id, for ``end``."""
        self._count += 1
        name = f"{self._process}-{self._count}"
        operation = Operation(name, self._process, kind, account, room, request, self._clock(), deadline)
        self._open[name] = operation
        self._write(operation)
        return name

    def end(
        self, name: str, outcome: Outcome, response: Response | None = None, error: str = "", transport: str = ""
    ) -> Operation:
        return self._keep(
            msgspec.structs.replace(
                self._open.pop(name),
                completed_at=self._clock(),
                outcome=outcome,
                response=response or Response(),
                error=error,
                transport=transport,
            )
        )

    def close(self) -> None:
        """What is still open was never answered."""
        self.operations += self._open.values()
        self._open.clear()

    def _keep(self, operation: Operation) -> Operation:
        self.operations.append(operation)
        self._write(operation)
        return operation

    def _write(self, operation: Operation) -> None:
        if self._out is not None:
            self._out.write(msgspec.json.encode(operation).decode() + "\n")
            self._out.flush()


def read_history(paths: Iterable[Path]) -> list[Operation]:
    """Operations of several recorders, in the order of invocation. A last line that was cut off is left out."""
    found: dict[str, Operation] = {}
    for path in paths:
        *lines, _ = path.read_bytes().split(b"\n")
        for line in lines:
            operation = msgspec.json.decode(line, type=Operation)
            found[operation.id] = operation
    return in_order(found.values())


def in_order(operations: Iterable[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda operation: (operation.invoked_at, operation.id))
