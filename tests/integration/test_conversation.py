"""What the documents tell a newcomer to paste into a shell does what they say: README and docs/CONVERSATION.md."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.installation import Installation

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
"""Once is enough for what is the same program; what differs by database is the contract tests' business."""

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("parlor")
SECONDS = 120
"""For one page's blocks; they take a few seconds, three of them for a stream that stays open."""


async def pasted(page: str, installation: Installation, account: str) -> str:
    """What a shell prints for the bash blocks of a page, one after the other; stops at the first that fails."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no bash block"
    script = "\n".join(blocks).replace(".venv/bin/parlor", str(COMMAND)).replace("token ada", f"token {account}")
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        env={
            "PATH": "/usr/bin:/bin",
            "URL": installation.base_url,
            "PARLOR_DATA_DIR": str(installation.data_dir),
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        out, err = await shell.communicate(script.encode())
    assert (shell.returncode, err.decode()) == (0, ""), out.decode()
    return out.decode()


def documents(printed: str) -> list[dict[str, Any]]:
    """The JSON documents among the lines, data of events included."""
    lines = (line.removeprefix("data: ") for line in printed.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


async def test_the_readmes_blocks_are_a_conversation(installation: Installation) -> None:
    printed = await pasted("README.md", installation, uuid4().hex)
    events = re.findall(r"^event: (\S+)$", printed, re.MULTILINE)
    assert events[:2] == ["message.created", "message.created"]
    assert "message.delta" in events
    assert events[-1] == "message.completed"
    history = documents(printed)[-1]["messages"]
    assert [message["seq"] for message in history] == [1, 2]
    assert history[0]["content"] == "Hello!"


async def test_the_conversation_page_does_what_it_says(installation: Installation) -> None:
    printed = await pasted("docs/CONVERSATION.md", installation, uuid4().hex)
    cursors = re.findall(r"^id: (\S+)$", printed, re.MULTILINE)
    first = cursors.index(cursors[0])
    resumed = cursors[first:].count(cursors[2])
    assert resumed == 2, "the resumed stream begins right behind the second event"
    assert cursors.count(cursors[1]) == 1, "and does not repeat it"
    found = documents(printed)
    repeats = [each for each in found if each.get("message", {}).get("content") == "How do I make tea?"]
    assert len({each["message"]["message_id"] for each in repeats if "reply" in each}) == 1
    waited = [each for each in repeats if "reply" in each]
    assert len(waited) == 2
    assert all(each["message"]["durability"] == "persisted" for each in waited)
    assert all(each["reply"]["finish_reason"] == "stop" for each in waited)
    stopped, continued, anew = found[-1]["variants"]
    assert [stopped["finish_reason"], continued["finish_reason"], anew["finish_reason"]] == ["stopped", "stop", "stop"]
    assert continued["content"].startswith(stopped["content"])
    assert [each["attempt"] for each in (stopped, continued, anew)] == [1, 2, 3]
    turns = re.findall(r"^## (\d+) · (USER|AI) · ", printed, re.MULTILINE)
    assert turns[:2] == [("1", "USER"), ("2", "AI")]
    assert [int(seq) for seq, _ in turns] == list(range(1, len(turns) + 1))
