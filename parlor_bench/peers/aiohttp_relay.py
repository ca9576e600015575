"""The least that a relay can do: aiohttp on both sides, and the model's bytes go through as they are. It keeps nothing.

python -m parlor_bench.peers.aiohttp_relay PORT http://127.0.0.1:41234/v1
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import msgspec
import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

SESSION = web.AppKey("session", ClientSession)


def build(llm_url: str) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        content = msgspec.json.decode(await request.read())["content"]
        asked = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": content}]}
        async with request.app[SESSION].post(f"{llm_url}/chat/completions", json=asked) as upstream:
            upstream.raise_for_status()
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for piece in upstream.content.iter_any():
                await response.write(piece)
            return response

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None)) as app[SESSION]:
            yield

    service = web.Application()
    service.cleanup_ctx.append(session)
    service.router.add_post("/v1/answers", answer)
    return service


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(build(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
