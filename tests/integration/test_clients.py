"""The program of docs/CLIENTS.md, as somebody would run it."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.integration.user import User

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "CLIENTS.md"


async def test_the_program_for_openais_package_talks_in_a_room_and_outside_of_it(user: User) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    url, token = str(user.http.base_url).rstrip("/"), user.http.headers["authorization"].removeprefix("Bearer ")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={"PARLOR_URL": url, "PARLOR_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()
    assert len(printed.decode().strip().splitlines()) >= 3
    (room,) = (await user.get("/v1/rooms", external_id="tea"))["rooms"]
    said = [message["content"] for message in await user.history(room["room_id"]) if message["sender_type"] == "USER"]
    assert said == ["Which tea keeps me awake?", "And which one does not?"]
