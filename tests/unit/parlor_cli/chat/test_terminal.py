"""`parlor chat` on a pseudo terminal, typed at as a person does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import running
from tests.unit.parlor_cli.chat.fake_server import FakeParlor, serving

pytestmark = pytest.mark.unit

SECONDS = 30.0


async def test_a_person_talks_stops_a_reply_and_leaves(tmp_path: Path) -> None:
    parlor = FakeParlor()
    parlor.says = [["Warm the **pot** ", "first."], None]
    with serving(parlor) as url:
        environment = {"HOME": str(tmp_path), "PARLOR_URL": url, "PARLOR_TOKEN": "token"}
        async with running("parlor", "chat", environment=environment) as terminal:
            await terminal.wait_for("/help shows the commands", SECONDS)
            await terminal.wait_for("› ", SECONDS)
            terminal.type("How is tea made?\r")
            await terminal.wait_for("Warm the pot first.", SECONDS)
            await terminal.wait_for("› ", SECONDS)
            terminal.type("/title Tea\r")
            # What the command says: the prompt before that is the old one, drawn again as it ends.
            await terminal.wait_for("\nTea", SECONDS)
            await terminal.wait_for("› ", SECONDS)
            terminal.type("two\x1b\rlines\\\rand more\r")
            await terminal.wait_for("Half", SECONDS)
            terminal.type("\x03")
            await terminal.wait_for("[stopped]", SECONDS)
            await terminal.wait_for("› ", SECONDS)
            terminal.type("/quit\r")
            assert await terminal.ended(SECONDS) == 0
    [room] = parlor.rooms.values()
    assert room["title"] == "Tea"
    contents = [message["content"] for message in parlor.messages[room["room_id"]]]
    assert contents == ["How is tea made?", "Warm the **pot** first.", "two\nlines\nand more", "Half"]
    written = tmp_path / ".local" / "state" / "parlor" / "chat-history"
    assert "How is tea made?" in written.read_text(encoding="utf-8")
    assert written.stat().st_mode & 0o077 == 0


async def test_ctrl_c_twice_at_the_prompt_leaves(tmp_path: Path) -> None:
    with serving(FakeParlor()) as url:
        environment = {"HOME": str(tmp_path), "PARLOR_URL": url, "PARLOR_TOKEN": "token"}
        async with running("parlor", "chat", environment=environment) as terminal:
            await terminal.wait_for("› ", SECONDS)
            terminal.type("\x03")
            await terminal.wait_for("again leaves", SECONDS)
            await terminal.wait_for("› ", SECONDS)
            terminal.type("\x03")
            assert await terminal.ended(SECONDS) == 130
