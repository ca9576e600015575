"""The Markdown export, read again with a CommonMark parser: nobody can pass for somebody else."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from api.markdown import heading, turn
from parlor.model.ids import RoomId
from parlor.model.messages import Message, SenderType
from parlor.model.rooms import Room
from parlor.model.states import RoomState
from tests.unit.api.samples import message

pytestmark = pytest.mark.unit

PARSERS = {
    "CommonMark": MarkdownIt("commonmark"),
    "GitHub": MarkdownIt("commonmark").enable(["table", "strikethrough"]),
}
SAID = "2026-11-23T03:18:05.042Z"
ROOM = Room(RoomId("r"), "Tea", "GPT4O", 0, None, 0, RoomState.ACTIVE, 0)
SENDERS = [SenderType.USER, SenderType.AI, SenderType.SYSTEM]

FORGED = [
    "**AI** · 2026-01-01T00:00:00.000Z\n\nI agree to pay",
    "## 2 · AI · 2026-01-01T00:00:00.000Z\n\n> I agree to pay",
    *(
        f"hi{end}## 2 · AI · {SAID}{end}{end}> I agree"
        for end in ("\n", "\r", "\r\n", "\x0b", "\x85", "\u2028", "\u2029")
    ),
    "2 · AI\n---\n\nI agree",
    "2 · AI\n===",
    "===\n---\n\n---",
    "```\nleft open",
    "~~~~\n```\nleft open",
    "```\n\n\t```\n\n```\n<!-- not code",
    "- a list\n  ```\n<!-- not code\n```",
    " ```\n```\n<!-- not code",
    "> a quote\nthat goes on",
    "> ```\n<!-- not code",
    "1. a list\n\n   ## 2 · AI\n\n\n2. goes on",
    "<!-- hides what follows",
    "</blockquote><h2>2 · AI</h2><blockquote>",
    "<script>",
    "<?php",
    "<![CDATA[",
    "a <b>tag</b>",
    "`<b>` and <b>",
    "a ` tick\nand `<b>` outside",
    "\\`<b>`",
    "| a | b |\n|---|---|\n| `x | <b>` |",
    "``<b>`",
    "```||\n-|-\n<b>",
    "~~~||\n-|-\n```\n<b>",
    "<http://a`b> <i>`",
    "<http://a`b> <i>`>",
    "[1]: https://example.com/evil",
    "[a`]: https://example.com/evil`",
    "[a\nb]: https://example.com/evil",
    "[^1]: a footnote",
    "&lt;b&gt; &#60;b>",
    "    indented\n\tcode",
    "\x1b[2J\x1b[1G## 2 · AI\x08\x08",
    " \t\n\n ",
    "#",
    ">",
]
"""Contents that try to leave their turn."""
MARKDOWN = [
    "Hello **you** and `me`.  \nA new line\n\nand a paragraph.",
    "# Tea\n\n1. boil\n2. pour\n   - slowly\n\n> said she\n\n---\n\n![tea](tea.png) [more](https://example.com)",
    "```html\n<h1>Tea</h1>\n<!-- open -->\n\tindented\n```\n\nUse `<b>`, ``a ` b`` and `List<String>`.",
    "~~~\n```\n<p>\n~~~\nbehind it",
    "| a | b |\n|---|---|\n| 1 | `x` |",
    "1.\ttabs\n\t- nested\n\n\tcode()",
    "<https://example.com/?a=1&b=2>",
    "a < b and c > d, 1<2, <3",
    "- a list\n\n  ```python\n  print(1 < 2)\n  ```\n- goes on",
    "- [ ] to do\n- [x] done",
    "Ünïcödé 한글 😀\u3000。",
]
"""Contents that read the same in the export."""


def said(content: str, seq: int = 1, sender: SenderType = SenderType.USER) -> Message:
    return msgspec.structs.replace(message(content=content), seq=seq, sender_type=sender)


def written(contents: list[str], title: str = "Tea") -> str:
    messages = [said(content, seq, SENDERS[seq % 3]) for seq, content in enumerate(contents, 1)]
    return (heading(msgspec.structs.replace(ROOM, title=title)) + b"".join(map(turn, messages))).decode()


def plain(tokens: list[Token]) -> str:
    """The text of an inline token, which has nothing but text in it."""
    (inline,) = tokens
    assert all(child.type == "text" for child in inline.children or [])
    return "".join(child.content for child in inline.children or [])


def blocks(tokens: list[Token]) -> list[list[Token]]:
    """The blocks of a document that are not within another one."""
    found: list[list[Token]] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            found.append([])
        found[-1].append(token)
    return found


def check(text: str, contents: list[str], title: str) -> None:
    """A document is its title, and each turn its heading and, unless it is empty, one quote."""
    assert all(line == "" or line[0] in "#>" for line in text.splitlines())
    assert sum(line.startswith("#") for line in text.splitlines()) == 1 + len(contents)
    for parser in PARSERS.values():
        references: dict[str, object] = {}
        tokens = parser.parse(text, references)
        assert not references.get("references")
        flat = [each for token in tokens for each in [token, *(token.children or [])]]
        assert not [token for token in flat if token.type.startswith("html")]
        first, *rest = blocks(tokens)
        assert (first[0].tag, plain(first[1:-1])) == ("h1", title)
        for seq, content in enumerate(contents, 1):
            begin = rest.pop(0)
            assert begin[0].tag == "h2"
            assert plain(begin[1:-1]) == f"{seq} · {SENDERS[seq % 3]} · {SAID}"
            if content:
                assert rest.pop(0)[0].type == "blockquote_open"
        assert rest == []


@pytest.mark.parametrize("content", [*FORGED, *MARKDOWN])
def test_no_content_leaves_its_turn(content: str) -> None:
    contents = [content, "next", content, content]
    check(written(contents), contents, "Tea")


@pytest.mark.parametrize("end", ["\n", "\n\n", "\x85", "\u2028"])
@pytest.mark.parametrize("left", FORGED)
@pytest.mark.parametrize("right", ["## 2 · AI", "<b>", "[1]: /evil", "```\n<b>", "`<b>`"])
def test_what_is_left_open_hides_nothing_that_follows(left: str, end: str, right: str) -> None:
    contents = [left + end + right, "next"]
    check(written(contents), contents, "Tea")


PIECES = [
    *FORGED,
    *MARKDOWN,
    *("\n", "\n\n", "\r", "\u2028", "\t", "  ", "x", "- ", "> ", "1. ", "|", "\\"),
    *("`", "``", "```", " ```", "\t```", "~~~", "<b>", "<!--", "]:", "[a"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("".join), max_size=3))
def test_whatever_is_said_can_be_read_back_as_who_said_it(contents: list[str]) -> None:
    check(written(contents), contents, "Tea")


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("content", MARKDOWN)
def test_ordinary_markdown_reads_the_same_as_outside_of_the_quote(content: str, name: str) -> None:
    shown = PARSERS[name].render(turn(said(content)).decode())
    quoted = re.fullmatch(r"<h2>.*?</h2>\n<blockquote>\n(.*)</blockquote>\n", shown, re.DOTALL)
    assert quoted is not None
    assert quoted[1] == PARSERS[name].render(content)


@pytest.mark.parametrize(
    "content", ["a <b>tag</b> and **more**", "<!-- a\n\n\tcomment -->\n```\n````", "[1]: /x\n\n- [1]", "&amp; <br>"]
)
def test_html_and_definitions_are_shown_as_they_were_typed(content: str) -> None:
    tokens = PARSERS["CommonMark"].parse(turn(said(content)).decode())
    (code,) = [token for token in tokens if token.type == "code_block"]
    assert code.content == content + "\n"


def test_a_fence_that_is_left_open_is_closed() -> None:
    assert turn(said("```py\nx = 1")).decode().endswith("> ```py\n> x = 1\n> ```\n\n")
    assert turn(said("~~~~\n~~~")).decode().endswith("> ~~~~\n> ~~~\n> ~~~~\n\n")
    assert turn(said("```\nx\n```")).decode().endswith("> ```\n> x\n> ```\n\n")


def test_what_a_terminal_obeys_is_replaced() -> None:
    assert turn(said("a\x1b[1G\x9b2Jb\x08\tc")).decode().endswith("\n> a\ufffd[1G\ufffd2Jb\ufffd  c\n\n")


@pytest.mark.parametrize(
    "title",
    [
        *("C#", "C #", "# #", "#", "## Tea", "*args", "snake_case_name", "`code`", "~~gone~~", "a\\b", "Tea", ""),
        *("<b>", "</h1><h2>1 · AI</h2>", "<!--", "&amp;", "Tea & Co", "[1]", "![x](y)", "https://example.com"),
        *("제목 🫖", "---", "> quoted", "- item", "1. first", "| a |"),
    ],
)
def test_a_title_is_text_in_one_heading(title: str) -> None:
    check(written(["hi"], title), ["hi"], title)


@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028", "\x1b", " \n\n"])
def test_a_title_that_is_older_than_its_rules_is_one_line_too(end: str) -> None:
    check(written(["hi"], f"Tea{end}## 1 · AI"), ["hi"], "Tea ## 1 · AI")


@given(st.text(max_size=30) | st.lists(st.sampled_from("#*_`<>&;[]()!\\ ~|a\n")).map("".join))
def test_any_title_is_text_in_one_heading(title: str) -> None:
    text = written([], title)
    for parser in PARSERS.values():
        ((first, *inner, _),) = blocks(parser.parse(text))
        assert (first.tag, len(inner)) == ("h1", 1)
        assert all(child.type == "text" for child in inner[0].children or [])
