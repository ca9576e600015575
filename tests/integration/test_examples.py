"""The programs in ``examples/`` do what they say, against an installation, through connections that break."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.browser.cutting_proxy import CuttingProxy
from tests.installation import Installation
from tests.integration.user import User, of
from tests.tcp_proxy import Proxy

pytestmark = pytest.mark.integration

KINDS = ("embedded",)
"""The programs know the HTTP interface alone; what stands behind it is other tests' business."""
ROOT = Path(__file__).parents[2]
SECONDS = 60.0
SLOW = "[[tokens=60 delay=5ms]]"


class Ended(NamedTuple):
    code: int
    output: str
    errors: str


class LossyProxy(Proxy):
    """Forwards to ``url``; of every two answers to a POST, the first is lost after the server has given it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        address = urlsplit(url)
        self._target = (address.hostname or "127.0.0.1", address.port or 80)
        self._posts = 0

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        passing = asyncio.create_task(self._requests(reader, far_writer))
        try:
            # The examples close a connection after each request: the answer ends with it.
            answer = await far_reader.read(-1)
            if self._posts % 2:
                self.cuts += 1
                writer.transport.abort()
            else:
                writer.write(answer)
                await writer.drain()
        finally:
            passing.cancel()
            # Before anything is awaited, which the proxy's end may cut short.
            writer.close()
            far_writer.transport.abort()
            await asyncio.gather(passing, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, far_writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(self.piece):
            self._posts += piece.startswith(b"POST ")
            far_writer.write(piece)
            await far_writer.drain()


@pytest.fixture
def environment(installation: Installation, user: User) -> dict[str, str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**known, "PARLOR_URL": installation.base_url, "PARLOR_TOKEN": installation.token(user.account)}


async def start(environment: dict[str, str], name: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"examples.{name}",
        *words,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process, text: str = "") -> Ended:
    try:
        output, errors = await asyncio.wait_for(process.communicate(text.encode()), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


async def run(environment: dict[str, str], name: str, *words: str, text: str = "") -> Ended:
    return await finish(await start(environment, name, *words), text)


async def the_room(user: User) -> str:
    [room] = (await user.get("/v1/rooms"))["rooms"]
    return str(room["room_id"])


async def test_a_conversation_prints_the_reply(environment: dict[str, str], user: User) -> None:
    ended = await run(environment, "converse", "[[text=Boil water first.]]")
    assert ended == (0, "Boil water first.\n", "")
    history = await user.history(await the_room(user))
    assert [message["content"] for message in history][1:] == ["Boil water first."]


async def test_many_sends_are_sent_both_ways(environment: dict[str, str], user: User) -> None:
    ended = await run(environment, "many_sends", "200")
    assert (ended.code, ended.errors) == (0, "")
    assert [line.split()[0] for line in ended.output.splitlines()] == ["requests:", "connection:"]
    rooms = (await user.get("/v1/rooms", limit=100))["rooms"]
    assert [room["message_count"] for room in rooms] == [2 + 20] * 20


async def test_questions_are_answered_through_connections_that_break(
    environment: dict[str, str], installation: Installation, user: User
) -> None:
    questions = ["[[text=Boil water first.]]", SLOW]
    async with CuttingProxy(installation.base_url, 600) as proxy:
        ended = await run({**environment, "PARLOR_URL": proxy.base_url}, "ask", text="\n".join(questions))
    assert (ended.code, ended.errors) == (0, "")
    assert proxy.cuts >= 3
    history = await user.history(await the_room(user))
    assert [message["content"] for message in history[::2]] == questions
    assert ended.output.splitlines() == [message["content"] for message in history[1::2]]


async def test_a_reply_is_whole_however_often_the_connection_breaks(
    environment: dict[str, str], installation: Installation, user: User
) -> None:
    async with CuttingProxy(installation.base_url, 600) as proxy:
        ended = await run({**environment, "PARLOR_URL": proxy.base_url}, "resume", SLOW)
    assert ended.code == 0, ended.errors
    assert proxy.cuts >= 3
    text, _, last = ended.output.rstrip("\n").rpartition("\n")
    reply = (await user.history(await the_room(user)))[1]
    assert len(reply["content"].split()) == 60
    assert text == reply["content"]
    assert last.startswith("[completed, after ")


async def test_lines_are_sent_once_though_every_other_answer_is_lost(
    environment: dict[str, str], installation: Installation, user: User
) -> None:
    room = await user.create_room()
    lines = [f"line {number}" for number in range(1, 11)]
    async with LossyProxy(installation.base_url) as proxy:
        lossy = {**environment, "PARLOR_URL": proxy.base_url}
        ended = await run(lossy, "send_once", "--room", room, text="\n\n".join(lines))
    assert ended.code == 0, ended.errors
    assert proxy.cuts >= len(lines)
    assert ended.output.splitlines() == [room, *(f"{seq} {line}" for seq, line in enumerate(lines, 1))]
    assert [message["content"] for message in await user.history(room)] == lines


async def test_an_agent_answers_each_message_for_it_once(environment: dict[str, str], user: User) -> None:
    room = await user.create_room()
    await user.note(room, "!words from before it came")
    process = await start(environment, "agent", "--room", room, "--answers", "2")
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), SECONDS) == b"following\n"
    for content in ("nothing for it", "!words a b c", "!total"):
        await user.note(room, content)
    ended = await finish(process)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.output.splitlines()[0] == "!words a b c -> 3 words"
    answers = [found for found in await user.history(room) if found["metadata"].get("agent") == "example-agent"]
    assert answers[0]["content"] == "3 words"
    assert [found["sender_type"] for found in answers] == ["USER", "USER"]
    assert answers[1]["content"].endswith(" messages")


async def test_notes_come_back_as_they_went_in(environment: dict[str, str], user: User, tmp_path: Path) -> None:
    paragraphs = ["First, *warm* the pot.", "Then:\n- tea\n- water"]
    notes = tmp_path / "tea.md"
    notes.write_text("\n\n".join(["# How tea is made", *paragraphs]), encoding="utf-8")
    first = await run(environment, "notes", "import", str(notes))
    assert (first.code, first.errors) == (0, "")
    room = first.output.strip()
    again = await run(environment, "notes", "import", str(notes), "--room", room)
    assert (again.code, again.output) == (0, first.output)
    assert [message["content"] for message in await user.history(room)] == paragraphs
    exported = await run(environment, "notes", "export", room)
    assert exported.code == 0, exported.errors
    assert exported.output == (await user.http.get(f"{of(room)}/export?format=markdown")).text
    assert exported.output.startswith("# How tea is made\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resume", ["hello"]),
        ("send_once", []),
        ("agent", ["--room", "01a206a0-a173-8028-a2bd-422167e3e2bb"]),
        ("notes", ["export", "01a206a0-a173-8028-a2bd-422167e3e2bb"]),
        ("converse", ["hello"]),
        ("ask", []),
        ("many_sends", ["5"]),
    ],
)
async def test_a_refusal_is_exit_code_1_and_a_wrong_call_2(
    environment: dict[str, str], name: str, words: list[str]
) -> None:
    refused = await run({**environment, "PARLOR_TOKEN": "nonsense"}, name, *words)
    assert refused.code == 1
    assert "unauthenticated" in refused.errors
    without = {name: value for name, value in environment.items() if name != "PARLOR_TOKEN"}
    wrong = await run(without, name, *words)
    assert wrong.code == 2
    assert "PARLOR_TOKEN" in wrong.errors
