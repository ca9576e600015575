"""Images that OpenAI's clients name by the ids of files, through the unmodified openai package."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from api import dialect_items
from parlor.model.parts import ImagePart, TextSpan
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import FILE_ID, ROOM
from tests.unit.api.test_openai_chat import final

pytestmark = pytest.mark.unit

PNG = b"\x89PNG\r\n\x1a\nrest"
CONVERSATION = f"conv_{ROOM}"


async def uploaded(client: httpx2.AsyncClient, data: bytes = PNG, name: str = "tea.png") -> str:
    answer = await client.post("/v1/files", files={"file": (name, data)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["file_id"])


def seen(file_id: str) -> Any:
    image = {"type": "input_image", "file_id": file_id, "image_url": None, "detail": "auto"}
    return [{"role": "user", "content": [{"type": "input_text", "text": "See"}, image]}]


async def test_a_model_is_shown_the_file(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, client: httpx2.AsyncClient
) -> None:
    gateway.answering.message = final()
    gateway.answering.batches.put_nowait(None)
    await gpt.responses.create(model="GPT4O", input=seen((await uploaded(client)).upper()), store=False)
    (call,) = [call[2] for call in gateway.calls if call[0] == "answer"]
    assert [(turn.content, [image.data for image in turn.images]) for turn in call.turns] == [("See", [PNG])]


async def test_a_room_gets_the_file_and_no_copy_of_it(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, client: httpx2.AsyncClient
) -> None:
    file_id = await uploaded(client)
    gateway.waited = final()
    await gpt.responses.create(model="GPT4O", input=seen(file_id), conversation=CONVERSATION)
    await gpt.conversations.items.create(CONVERSATION, items=seen(file_id))
    sent = [call[2].parts for call in gateway.calls if call[0] == "send_message"]
    assert sent == 2 * [(TextSpan(3), ImagePart(file_id, "tea.png", "image/png", len(PNG)))]
    assert list(gateway.file_rows.files) == [file_id]


@pytest.mark.parametrize("named", [str(FILE_ID), "file-abc", "01a20669-29f2-8011-8000-000000000003"])
async def test_what_is_no_file_of_the_account_is_not_found(gpt: openai.AsyncOpenAI, named: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await gpt.responses.create(model="GPT4O", input=seen(named), conversation=CONVERSATION)
    assert refused.value.code == "file-not-found"


async def test_files_that_are_no_images_are_refused_and_too_many_bytes(
    gpt: openai.AsyncOpenAI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await uploaded(client, b"no image", "a.txt")
    with pytest.raises(openai.BadRequestError, match="PNG") as refused:
        await gpt.responses.create(model="GPT4O", input=seen(text), conversation=CONVERSATION)
    assert refused.value.param == "input[0].content[1].file_id"
    image = await uploaded(client)
    monkeypatch.setattr(dialect_items, "FILES_MAX", 2 * len(PNG) - 1)
    with pytest.raises(openai.BadRequestError, match="bytes") as large:
        await gpt.responses.create(model="GPT4O", input=seen(image) + seen(image), store=False)
    assert large.value.param == "input[1].content[1].file_id"
