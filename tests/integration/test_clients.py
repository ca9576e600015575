"""The programs of docs/CLIENTS.md, as somebody would run them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.integration.user import User
from tests.servers import skip_or_fail

pytestmark = pytest.mark.integration
KINDS = ("private",)
PAGE = Path(__file__).parents[2] / "docs" / "CLIENTS.md"


PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
PACKAGES = ("openai", "anthropic", "ollama")


async def run(package: str, user: User, number: int = 0) -> str:
    """What the page's program for a package prints."""
    program = [found for found in PROGRAMS if f"from {package} import" in found][number]
    url, token = str(user.http.base_url).rstrip("/"), user.http.headers["authorization"].removeprefix("Bearer ")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={"PARLOR_URL": url, "PARLOR_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()
    return printed.decode().strip()


async def test_the_program_for_openais_package_talks_in_a_room_and_outside_of_it(user: User) -> None:
    assert len((await run("openai", user)).splitlines()) >= 3
    (room,) = (await user.get("/v1/rooms", external_id="tea"))["rooms"]
    said = [message["content"] for message in await user.history(room["room_id"]) if message["sender_type"] == "USER"]
    assert said == ["Which tea keeps me awake?", "And which one does not?"]


@pytest.mark.parametrize("package", PACKAGES[1:])
async def test_the_programs_for_other_packages_print_an_answer(user: User, package: str) -> None:
    assert "Which tea keeps me awake?" in await run(package, user)
    assert len(PROGRAMS) == len(PACKAGES) + 2


async def test_the_program_for_our_own_package_prints_the_reply_and_the_history(user: User) -> None:
    printed = await run("parlor.client", user)
    (room,) = (await user.get("/v1/rooms"))["rooms"]
    asked, reply = await user.history(room["room_id"])
    lines = [f"{each['seq']} {each['sender_type']} {each['content']}" for each in (asked, reply)]
    assert printed == "\n".join([reply["content"], *lines]).strip()


async def test_the_program_for_our_own_package_sends_many_over_one_connection(user: User) -> None:
    lines = [f"Line {n}" for n in range(100)]
    assert (await run("parlor.client", user, 1)).splitlines() == ["100 are stored", *lines[::2]]
    rooms = {room["title"]: room["room_id"] for room in (await user.get("/v1/rooms"))["rooms"]}
    for title, expected in (("Green tea", lines[::2]), ("Black tea", lines[1::2])):
        assert [message["content"] for message in await user.history(rooms[title])] == expected


async def test_the_program_for_javascript_prints_the_reply(user: User, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        skip_or_fail("not installed: node")
    [program] = re.findall(r"^```js\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    source = PAGE.parents[1] / "clients" / "js" / "src" / "index.js"
    (tmp_path / "ask.mjs").write_text(program.replace('"parlor-client"', f'"{source.as_uri()}"'), encoding="utf-8")
    url, token = str(user.http.base_url).rstrip("/"), user.http.headers["authorization"].removeprefix("Bearer ")
    process = await asyncio.create_subprocess_exec(
        *("node", str(tmp_path / "ask.mjs")),
        env={"PATH": os.environ["PATH"], "PARLOR_URL": url, "PARLOR_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()
    (room,) = (await user.get("/v1/rooms"))["rooms"]
    assert printed.decode() == (await user.history(room["room_id"]))[1]["content"] + "\n"
