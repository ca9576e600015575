"""The relay that one writes first: FastAPI and the openai package, one event for each piece of text. It keeps nothing.

RELAY_LLM_URL=http://127.0.0.1:41234/v1 uvicorn --factory parlor_bench.peers.openai_relay:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import msgspec
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

VARIABLE = "RELAY_LLM_URL"


class Question(BaseModel):
    """What is asked."""

    content: str


def build(llm_url: str) -> FastAPI:
    client = AsyncOpenAI(base_url=llm_url, api_key="demo", max_retries=0)
    service = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @service.post("/v1/answers")
    async def answer(question: Question) -> StreamingResponse:
        return StreamingResponse(_events(client, question.content), media_type="text/event-stream")

    return service


async def _events(client: AsyncOpenAI, content: str) -> AsyncIterator[bytes]:
    stream = await client.chat.completions.create(
        model="demo", stream=True, messages=[{"role": "user", "content": content}]
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield b'event: delta\ndata: {"text":%b}\n\n' % msgspec.json.encode(text)
    yield b"event: end\ndata: {}\n\n"


def app() -> FastAPI:
    """For ``uvicorn --factory``."""
    return build(os.environ[VARIABLE])
