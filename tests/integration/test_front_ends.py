"""The AI SDK and assistant-ui, unmodified, against the running installation (``javascript/front_ends.mjs``)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.integration.user import Json, User
from tests.servers import skip_or_fail
from tests.sources import ROOT

pytestmark = pytest.mark.integration
KINDS = ("private",)
HERE = Path(__file__).parent / "javascript"
INSTALL_S = 300


async def output(*command: str, cwd: Path, env: dict[str, str] | None = None, seconds: float) -> str:
    """What a command prints; raises ``OSError`` when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        printed, complaints = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise OSError(complaints.decode())
    return printed.decode()


async def packages() -> Path:
    """Where the packages are installed, once for each list of them."""
    listed = HERE / "package.json"
    place = ROOT / "build" / "javascript" / hashlib.blake2b(listed.read_bytes(), digest_size=8).hexdigest()
    if shutil.which("npm") is None:
        skip_or_fail("not installed: npm")
    if not (place / "done").exists():
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(listed, place)
        quietly = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        try:
            await output("npm", "install", *quietly, cwd=place, seconds=INSTALL_S)
        except OSError as error:
            skip_or_fail(f"the packages cannot be installed: {error}")
        (place / "done").touch()
    return place


async def last_reply(user: User, chat: str) -> Json:
    (room,) = (await user.get("/v1/rooms", external_id=chat))["rooms"]
    reply: Json = (await user.history(room["room_id"]))[-1]
    return reply


@pytest.mark.timeout(INSTALL_S + 240)
async def test_pages_of_the_ai_sdk_and_of_assistant_ui_show_what_is_stored(user: User) -> None:
    place = await packages()
    # Modules are looked for beside the program.
    shutil.copy(HERE / "front_ends.mjs", place)
    url, token = str(user.http.base_url).rstrip("/"), user.http.headers["authorization"].removeprefix("Bearer ")
    env = {"PATH": os.environ["PATH"], "PARLOR_URL": url, "PARLOR_TOKEN": token}
    printed = await output("node", str(place / "front_ends.mjs"), cwd=place, env=env, seconds=180)
    told: dict[str, Json] = {each["way"]: each for each in map(msgspec.json.decode, printed.splitlines())}
    print("shown by npm's ai, @ai-sdk/react and @assistant-ui/react:", ", ".join(told))

    assert told["schema"]["version"] == "v1"
    assert {"start", "text-start", "text-delta", "text-end", "finish"} <= set(told["schema"]["kinds"])
    for way in ("regenerated", "resumed", "stopped", "useChat", "assistant-ui"):
        stored = await last_reply(user, told[way]["chat"])
        assert (way, told[way]["text"]) == (way, stored["content"])
        assert told[way]["status"] == ("complete" if way == "assistant-ui" else "ready")
    assert told["sent"]["text"]
    assert (told["sent"]["count"], told["regenerated"]["count"]) == (2, 2)
    assert (await last_reply(user, "talk"))["attempt"] == 2
    assert told["resumed"]["text"].startswith(told["resumed"]["before"])
    assert len(told["resumed"]["text"]) > len(told["resumed"]["before"])
    assert (told["stopped"]["answer"], (await last_reply(user, "stopped"))["finish_reason"]) == (204, "stopped")
    assert told["useChat"]["shown"].endswith(told["useChat"]["text"])
