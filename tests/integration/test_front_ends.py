"""The AI SDK and assistant-ui, unmodified, against the running installation (``javascript/front_ends.mjs``)."""

from __future__ import annotations

import os
import shutil

import msgspec
import pytest

from tests.integration.user import Json, User
from tests.javascript import HERE, INSTALL_S, output, packages

pytestmark = pytest.mark.integration
KINDS = ("private",)


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
