"""The servers of tools that personas name, and whether they are there: asked once, at the start.

One that does not answer is a warning: it may come later, and replies go on without it.
"""

from __future__ import annotations

import asyncio

from parlor.llm.personas import load_personas
from parlor.model.tools import McpServer
from parlor.settings import Settings
from parlor.tools.results import ToolUnreachable

ANSWER_SECONDS = 5.0


def servers(settings: Settings) -> list[McpServer]:
    """The servers, each once."""
    found = (server for persona in load_personas(settings.llm) for server in persona.servers)
    return list({repr(server): server for server in found}.values())


def ask(named: list[McpServer], seconds: float = ANSWER_SECONDS) -> tuple[int, list[str]]:
    """Returns how many tools they have that may be used, and what is wrong with which."""
    # The package takes half a second to import, which only who has a server has to wait for.
    from parlor.tools.mcp import McpClient

    client = McpClient()

    async def one(server: McpServer) -> int | str:
        try:
            async with asyncio.timeout(seconds):
                found = await client.tools_of(server)
        except TimeoutError:
            return f"{server.name}: it did not answer within {seconds:g} s"
        except ToolUnreachable as error:
            return f"{server.name}: {error}"
        return len(found) or f"{server.name}: it has no tool that may be used"

    async def every() -> list[int | str]:
        return await asyncio.gather(*map(one, named))

    answers = asyncio.run(every())
    return sum(answer for answer in answers if isinstance(answer, int)), [
        answer for answer in answers if isinstance(answer, str)
    ]
