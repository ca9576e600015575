"""A room's history as a story that tests spoil: one function for each violation that the checker must report."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from tests.chaos.budget_rules import Spending
from tests.chaos.call_rules import Calls
from tests.chaos.checker import FinalRoom, Foreign, Lost, check
from tests.chaos.history import Heard, Kind, ObservedMessage, Operation, Outcome, Request, Response
from tests.chaos.room_rules import Noted

ROOM, ADA, EVE = "room-1", "ada", "eve"


class Story:
    """A room in which Ada says two things, each answered; every test spoils one thing of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows = [
            ObservedMessage(1, "m1", "USER", "one"),
            ObservedMessage(2, "m2", "AI", "answer one"),
            ObservedMessage(3, "m3", "USER", "two"),
            ObservedMessage(4, "m4", "AI", "answer two"),
        ]
        self.page: list[ObservedMessage] | None = None
        self.deleted = False
        self.title, self.page_title = "A title", ""
        self.metadata, self.page_metadata = "", ""
        self.history: list[Operation] = []
        self.lost: list[Lost] = []
        self.foreign = [Foreign({"partition": "9"}, {"partition": "9"})]
        self.spending = [Spending(ADA, 1000, peak=1000, used=700, reserved=0, stored=700)]
        self.calls: Calls | None = None
        self.noted = Noted()
        self.stored = True
        self.did(Kind.CREATE_ROOM, Request(title="A title"), Response(room=ROOM), room="")
        self.sent(1)
        self.sent(3)

    def did(
        self,
        kind: Kind,
        request: Request | None = None,
        response: Response | None = None,
        *,
        outcome: Outcome = Outcome.OK,
        account: str = ADA,
        room: str = ROOM,
        error: str = "",
        took: float = 0.5,
    ) -> Operation:
        self.now += 1.0
        operation = Operation(
            f"op-{len(self.history)}",
            "client",
            kind,
            account,
            room,
            request or Request(),
            self.now,
            2.0,
            self.now + took,
            outcome,
            response or Response(),
            error,
        )
        self.history.append(operation)
        return operation

    def sent(self, seq: int, *, key: str = "") -> Operation:
        pair = self.rows[seq - 1 : seq + 1]
        given = [pair[0], replace(pair[1], content="", open=True)]
        return self.did(Kind.SEND, Request(content=pair[0].content, key=key), Response(messages=given))

    def read(self, *, cursor: str = "100-3", seen: list[ObservedMessage] | None = None) -> Operation:
        messages = seen if seen is not None else list(self.rows)
        return self.did(Kind.READ_PAGE, response=Response(messages=messages, cursor=cursor))

    def heard(self, *events: Heard, after: str = "100-0") -> Operation:
        return self.did(Kind.EVENTS, Request(after=after), Response(heard=list(events)))

    def found(self) -> list[str]:
        page = None if self.deleted else (self.page if self.page is not None else self.rows)
        title = self.page_title or self.title
        final = FinalRoom(ROOM, ADA, self.title, self.deleted, list(self.rows), page, title, self.noted)
        final = replace(final, metadata=self.metadata, page_metadata=self.page_metadata or self.metadata)
        found = check(
            self.history,
            [final] if self.stored else [],
            self.lost,
            foreign=self.foreign,
            spending=self.spending,
            calls=self.calls,
        )
        return [violation.rule for violation in found]


EVENTS = (
    Heard("100-1", "message.created", "m1", 1),
    Heard("100-2", "message.created", "m2", 2),
    Heard("100-3", "message.delta", "m2", attempt=1, text="answer "),
    Heard("100-4", "message.delta", "m2", attempt=1, offset=7, text="one"),
    Heard("100-5", "message.completed", "m2", 2, 1, text="answer one"),
)
DELETED = Heard("100-6", "message.deleted", "m2", 2)
LATER = Heard("100-7", "message.created", "m3", 3, text="two")


def row_lost(story: Story) -> None:
    del story.rows[2:]


def text_altered(story: Story) -> None:
    story.rows[2] = replace(story.rows[2], content="one and a half")
    story.did(Kind.SEND, Request(content="one and a half"), outcome=Outcome.UNKNOWN, error="cache-unavailable")


def buried_unasked(story: Story) -> None:
    story.rows[2] = replace(story.rows[2], content="", deleted=True)


def room_vanished(story: Story) -> None:
    story.stored = False


def room_deleted_unasked(story: Story) -> None:
    story.deleted = True


def page_with_another_text(story: Story) -> None:
    story.read(cursor="100-9", seen=[replace(story.rows[0], content="won")])


def stored_twice(story: Story) -> None:
    story.rows += [ObservedMessage(5, "m5", "USER", "two")]


def id_at_two_places(story: Story) -> None:
    story.rows += [replace(story.rows[3], seq=5)]


def key_for_two(story: Story) -> None:
    story.rows += [
        ObservedMessage(5, "m5", "USER", "three"),
        ObservedMessage(6, "m6", "AI"),
        ObservedMessage(7, "m7", "USER", "3"),
        ObservedMessage(8, "m8", "AI"),
    ]
    story.sent(5, key="k")
    story.sent(7, key="k")


def hole_in_rows(story: Story) -> None:
    story.rows += [ObservedMessage(6, "m6", "AI", "answer")]


def hole_in_a_page(story: Story) -> None:
    story.read(seen=[story.rows[0], story.rows[2]])


def page_in_another_order(story: Story) -> None:
    story.read(seen=[replace(story.rows[2], seq=1)])


def event_of_another_order(story: Story) -> None:
    story.heard(Heard("100-1", "message.created", "m9", 1))


def reply_left_open(story: Story) -> None:
    story.rows[3] = replace(story.rows[3], content="", open=True)


def reply_ended_twice(story: Story) -> None:
    story.heard(*EVENTS, Heard("100-6", "message.stopped", "m2", 2, 1, text="answer one"))


def deleted_and_stored(story: Story) -> None:
    story.did(Kind.DELETE_MESSAGE, Request(message_id="m3"))


def deleted_and_read(story: Story) -> None:
    story.did(Kind.DELETE_MESSAGE, Request(message_id="m3"))
    story.read()
    story.rows[2] = replace(story.rows[2], content="", deleted=True)


def _reply_deleted(story: Story) -> None:
    story.did(Kind.DELETE_MESSAGE, Request(message_id="m2"))
    story.rows[1] = replace(story.rows[1], content="", deleted=True)


def deleted_text_is_replayed(story: Story) -> None:
    _reply_deleted(story)
    story.heard(*EVENTS)


def deleted_end_is_replayed(story: Story) -> None:
    _reply_deleted(story)
    story.heard(EVENTS[0], EVENTS[4], DELETED)


def text_follows_its_deletion(story: Story) -> None:
    story.heard(*EVENTS[:3], DELETED, replace(EVENTS[3], cursor="100-8"))
    _reply_deleted(story)


def deletion_is_not_told(story: Story) -> None:
    _reply_deleted(story)
    story.heard(EVENTS[0], DELETED, LATER)
    story.heard(EVENTS[0], LATER)


def repeated_send_gives_deleted_text(story: Story) -> None:
    story.did(Kind.DELETE_MESSAGE, Request(message_id="m1"))
    given = story.rows[:2]
    story.rows[0] = replace(story.rows[0], content="", deleted=True)
    story.history[1] = replace(story.history[1], request=Request(content="one", key="k"))
    story.did(Kind.SEND, Request(content="one", key="k"), Response(messages=given))


def _continued(story: Story) -> None:
    story.did(
        Kind.CONTINUE,
        Request(message_id="m2"),
        Response(messages=[replace(story.rows[1], content="answer one", open=True, attempt=2)]),
    )


def continued_from_nothing(story: Story) -> None:
    _continued(story)
    story.heard(Heard("100-6", "message.completed", "m2", 2, 2, text="one more"))


def continued_with_another_piece(story: Story) -> None:
    _continued(story)
    story.heard(Heard("100-6", "message.delta", "m2", attempt=2, text="on"))


def deleted_room_is_stored(story: Story) -> None:
    story.did(Kind.DELETE_ROOM)


def deleted_room_takes_a_send(story: Story) -> None:
    story.did(Kind.DELETE_ROOM)
    story.rows += [ObservedMessage(5, "m5", "USER", "three"), ObservedMessage(6, "m6", "AI", "answer three")]
    story.sent(5)
    story.deleted = True


def rename_undone(story: Story) -> None:
    story.did(Kind.RENAME, Request(title="Newer"))


def another_reads(story: Story) -> None:
    story.did(Kind.READ_PAGE, account=EVE)


def another_lists(story: Story) -> None:
    story.did(Kind.LIST_ROOMS, response=Response(rooms=[ROOM]), account=EVE, room="")


def too_late(story: Story) -> None:
    story.did(Kind.GET_ROOM, took=2.5)


def untyped(story: Story) -> None:
    story.did(Kind.GET_ROOM, outcome=Outcome.UNKNOWN, error="fenced")


def internal(story: Story) -> None:
    story.did(Kind.GET_ROOM, outcome=Outcome.UNKNOWN, error="internal")


def silent(story: Story) -> None:
    story.history[-1] = replace(story.did(Kind.GET_ROOM), completed_at=None, outcome=Outcome.UNKNOWN)


def overtaken(story: Story) -> None:
    first, second = story.history[1:3]
    story.history[1:3] = [
        replace(first, invoked_at=second.invoked_at, completed_at=second.completed_at),
        replace(second, invoked_at=first.invoked_at, completed_at=first.completed_at),
    ]


def cache_differs(story: Story) -> None:
    story.page = [*story.rows[:3], replace(story.rows[3], content="another answer")]


def title_differs(story: Story) -> None:
    story.page_title = "Cached"


def event_missed(story: Story) -> None:
    story.heard(*EVENTS)
    story.heard(EVENTS[0], EVENTS[4])


def event_repeated(story: Story) -> None:
    story.heard(*EVENTS[:2], EVENTS[1])


def piece_missed(story: Story) -> None:
    story.heard(*EVENTS[:3], replace(EVENTS[3], offset=9))


def pieces_are_not_the_text(story: Story) -> None:
    story.heard(*EVENTS[:4], replace(EVENTS[4], text="answer 1"))


def thinking(*pieces: str, thought: str) -> list[Heard]:
    """The reply's events when it thought before it spoke."""
    told, offset = list(EVENTS[:2]), 0
    for number, piece in enumerate(pieces):
        told.append(Heard(f"100-2{number}", "message.reasoning", "m2", attempt=1, offset=offset, text=piece))
        offset += len(piece)
    said = [replace(event, cursor=event.cursor.replace("-", "-3")) for event in EVENTS[2:]]
    part = Heard("100-29", "message.part", "m2", attempt=1, text="".join(pieces))
    return [*told, part, *said[:-1], replace(said[-1], thought=thought)]


def thought_missed(story: Story) -> None:
    events = thinking("let ", "me ", "see", thought="let me see")
    story.heard(*events[:3], *events[4:])


def pieces_are_not_the_thought(story: Story) -> None:
    story.heard(*thinking("let me ", "see", thought="let me be"))


def page_ahead_of_its_cursor(story: Story) -> None:
    story.heard(*EVENTS)
    story.read(cursor="100-1", seen=story.rows[:2])


def from_nothing(story: Story) -> None:
    story.rows += [ObservedMessage(5, "m5", "USER", "boo")]


def refused_and_stored(story: Story) -> None:
    story.did(Kind.SEND, Request(content="three"), outcome=Outcome.FAIL, error="room-busy")
    story.rows += [ObservedMessage(5, "m5", "USER", "three")]


def title_from_nothing(story: Story) -> None:
    story.title = "Boo"


PLANTED: list[tuple[str, Callable[[Story], None]]] = [
    ("C1", row_lost),
    ("C1", text_altered),
    ("C1", buried_unasked),
    ("C1", room_vanished),
    ("C1", room_deleted_unasked),
    ("C1", page_with_another_text),
    ("C2", stored_twice),
    ("C2", id_at_two_places),
    ("C2", key_for_two),
    ("C3", hole_in_rows),
    ("C3", hole_in_a_page),
    ("C4", page_in_another_order),
    ("C4", event_of_another_order),
    ("C5", reply_left_open),
    ("C5", reply_ended_twice),
    ("C6", deleted_and_stored),
    ("C6", deleted_and_read),
    ("C6", deleted_room_is_stored),
    ("C6", deleted_room_takes_a_send),
    ("C7", rename_undone),
    ("C8", another_reads),
    ("C8", another_lists),
    ("C9", too_late),
    ("C9", untyped),
    ("C9", internal),
    ("C9", silent),
    ("C10", overtaken),
    ("C11", cache_differs),
    ("C11", title_differs),
    ("C12", event_missed),
    ("C12", event_repeated),
    ("C12", piece_missed),
    ("C12", pieces_are_not_the_text),
    ("C12", thought_missed),
    ("C12", pieces_are_not_the_thought),
    ("C12", page_ahead_of_its_cursor),
    ("C13", from_nothing),
    ("C13", refused_and_stored),
    ("C13", title_from_nothing),
    ("C12", deletion_is_not_told),
    ("C14", deleted_text_is_replayed),
    ("C14", deleted_end_is_replayed),
    ("C14", text_follows_its_deletion),
    ("C14", repeated_send_gives_deleted_text),
    ("C15", continued_from_nothing),
    ("C15", continued_with_another_piece),
]
