"""A conversation in the terminal: what is written, what is sent, what is shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from parlor.client import Client, Reply, Retries
from parlor_cli.chat.commands import COMMANDS, find
from parlor_cli.chat.conversation import INTERRUPTED, Conversation
from parlor_cli.chat.question import answer
from parlor_cli.chat.screen import Screen, settled, visible
from parlor_cli.refusal import Refusal
from tests.unit.client.scripted_server import Answer, problem
from tests.unit.parlor_cli.chat.fake_server import FakeParlor, serving

pytestmark = pytest.mark.unit


class Typed:
    """What a person types, line by line, then Ctrl-D; an exception is what the terminal raises."""

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self.defaults: list[str] = []
        self._lines = list(lines)

    def ask(self, default: str = "") -> str:
        self.defaults.append(default)
        line = self._lines.pop(0) if self._lines else EOFError
        if isinstance(line, str):
            return line or default
        raise line


class Chat:
    """A conversation with a server of the test's."""

    def __init__(self, parlor: FakeParlor, url: str) -> None:
        self.parlor = parlor
        self.client = Client(url, "token", retries=Retries(tries=2), sleep=lambda _: None)
        self.output = io.StringIO()
        self.prompt = Typed()

    def type(self, *lines: str | type[BaseException]) -> int:
        self.prompt = Typed(*lines)
        console = Console(file=self.output, width=100, force_terminal=False, highlight=False)
        return Conversation(self.client, Screen(console), self.prompt).run(find)

    @property
    def shown(self) -> str:
        return self.output.getvalue()

    def said(self) -> list[tuple[str, str]]:
        found = [each for held in self.parlor.messages.values() for each in held]
        return [(each["sender_type"], each["content"]) for each in found]


@pytest.fixture
def chat() -> Iterator[Chat]:
    parlor = FakeParlor()
    with serving(parlor) as url:
        found = Chat(parlor, url)
        with found.client:
            yield found


def test_messages_are_answered_in_one_room(chat: Chat) -> None:
    chat.parlor.says = [["**Bo", "ld** tea"], ["Again."]]
    assert chat.type("hello", "", "//etc/hosts") == 0
    assert chat.said() == [("USER", "hello"), ("AI", "**Bold** tea"), ("USER", "/etc/hosts"), ("AI", "Again.")]
    assert "Bold tea" in chat.shown
    assert len(chat.parlor.rooms) == 1


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], 0),
        (["/quit", "never"], 0),
        (["/q", "never"], 0),
        ([KeyboardInterrupt, KeyboardInterrupt, "never"], INTERRUPTED),
        ([KeyboardInterrupt, "hello", KeyboardInterrupt], 0),
    ],
)
def test_there_are_ways_to_leave(chat: Chat, lines: list[str | type[BaseException]], code: int) -> None:
    assert chat.type(*lines) == code
    assert "never" not in [content for _, content in chat.said()]


def test_ctrl_c_stops_a_reply_and_a_second_one_leaves(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    chat.parlor.says = [None, ["Whole."]]
    iterate, presses = Reply.__iter__, [1]

    def pressed(reply: Reply) -> Iterator[object]:
        for delta in iterate(reply):
            yield delta
            if presses:
                presses.pop()
                raise KeyboardInterrupt

    monkeypatch.setattr(Reply, "__iter__", pressed)
    assert chat.type("long", "short") == 0
    assert "Half" in chat.shown
    assert "[stopped]" in chat.shown
    assert chat.said()[-1] == ("AI", "Whole.")


def test_ctrl_c_while_a_reply_is_being_stopped_leaves(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(_: Reply) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reply, "__iter__", pressed)
    monkeypatch.setattr(Reply, "stop", pressed)
    assert chat.type("long", "never") == INTERRUPTED
    assert "never" not in [content for _, content in chat.said()]


def test_a_message_that_was_not_sent_is_kept_and_sent_once(chat: Chat) -> None:
    lost = Answer(201, b"{}      ", {}, 2)
    chat.parlor.answers = [None, lost, lost]
    chat.type("first", "kept", "")
    assert chat.prompt.defaults == ["", "", "kept", ""]
    assert "Not sent" in chat.shown
    keys = [each.headers["idempotency-key"] for each in chat.parlor.requests if each.path.endswith("/messages")]
    sends = [key for key in keys if key in chat.parlor.keys]
    assert len(set(sends)) == 2
    assert [content for sender, content in chat.said() if sender == "USER"] == ["first", "kept"]


def test_rooms_are_listed_entered_named_and_begun(chat: Chat) -> None:
    chat.type("hello", "/title Tea", "/new Coffee", "beans", "/rooms", "/rooms 2", "more", "/new", "third")
    assert [room["title"] for room in chat.parlor.rooms.values()] == ["Tea", "Coffee", "Title 3"]
    assert [len(held) for held in chat.parlor.messages.values()] == [4, 2, 2]
    assert "2  Tea" in chat.shown
    chat.type("/rooms room-1", "again", "/rooms 9", "/rooms nowhere")
    assert len(chat.parlor.messages["room-1"]) == 6
    assert "no room 9" in chat.shown
    assert "room-not-found" in chat.shown


def test_who_answers_can_be_chosen(chat: Chat) -> None:
    chat.type("/persona poet", "hello", "/persona", "/persona nobody")
    assert [room["ai_persona"] for room in chat.parlor.rooms.values()] == ["POET"]
    assert "There is no persona nobody." in chat.shown
    chat.type("/rooms 1", "/persona GPT4O")
    assert [room["ai_persona"] for room in chat.parlor.rooms.values()] == ["GPT4O"]


def test_replies_are_begun_anew_continued_edited_and_followed(chat: Chat) -> None:
    chat.parlor.says = [["One."], ["Two."], ["Three."], ["Four."], ["Five."]]
    chat.type("/regenerate", "hello", "/regenerate POET", "/continue", "/edit", "better", "/edit best", "/resume")
    assert chat.prompt.defaults[5] == "hello"
    assert chat.said() == [("USER", "best"), ("AI", "Five.")]
    [reply] = [each for held in chat.parlor.messages.values() for each in held if each["sender_type"] == "AI"]
    assert (reply["attempt"], reply["ai_persona"]) == (5, "POET")
    assert "nothing to do that with" in chat.shown


def test_files_go_with_the_next_message(chat: Chat, tmp_path: Path) -> None:
    (tmp_path / "leaves.txt").write_text("tea", encoding="utf-8")
    chat.type(f"/file {tmp_path / 'leaves.txt'}", f"/file {tmp_path / 'nothing'}", "look", "and then")
    sends = [each.json for each in chat.parlor.requests if each.path.endswith("/messages") and each.method == "POST"]
    assert [send.get("parts") for send in sends] == [[{"type": "file", "file_id": "f-1"}], None]
    assert "leaves.txt (text/plain, 3 bytes)" in chat.shown
    assert "No such file" in chat.shown


def test_search_export_and_help(chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chat.type("/help", "/search", "/search tea", "/export", "hello", "/title Tea & more", "/export", "/export", "/wat")
    assert "a pot of tea" in chat.shown
    assert (tmp_path / "Tea-more.md").read_text(encoding="utf-8") == "# Tea & more\n"
    assert "File exists" in chat.shown
    assert "There is no /wat" in chat.shown
    for usage, command in COMMANDS.items():
        assert usage in chat.shown
        assert command.__doc__


def test_a_refusal_is_shown_and_the_conversation_goes_on(chat: Chat) -> None:
    chat.parlor.answers = [problem(409, "room-busy")]
    assert chat.type("now", "later") == 0
    assert "room-busy: it is room-busy (request req-1)" in chat.shown
    assert chat.said()[0] == ("USER", "later")


def test_one_question_prints_exactly_the_reply(chat: Chat) -> None:
    chat.parlor.says = [["# T", "ea\n\n\x1b[31m"]]
    assert answer(chat.client, None, "POET", "which?\n", chat.output) == 0
    assert chat.shown == "# Tea\n\n\x1b[31m\n"
    assert [room["ai_persona"] for room in chat.parlor.rooms.values()] == ["POET"]
    with pytest.raises(Refusal):
        answer(chat.client, None, None, " \n", chat.output)


def test_what_could_command_the_terminal_is_not_shown() -> None:
    assert visible("a\x1b]0;x\x07b\x9b31mc\u202ed\r\n\te") == "a]0;xb31mcd\n\te"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("one", ""),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\n```\na\n\nb", "one\n\n"),
        ("```\na\n\nb\n```\n\nend", "```\na\n\nb\n```\n\n"),
        ("one\n\n\n\ntwo\n\n", "one\n\n\n\ntwo\n\n"),
    ],
)
def test_only_whole_blocks_are_settled(text: str, kept: str) -> None:
    assert text[: settled(text)] == kept
