"""What the demo model counts: how an answer went is told by the server that was asked for it."""

from __future__ import annotations

import httpx2

from tests.installation import Installation
from tests.integration.user import Json


async def model_stats(installation: Installation) -> Json:
    """Requests since its start; ``open`` ones are still being answered, ``aborted`` ones the client hung up on."""
    async with httpx2.AsyncClient(timeout=5, verify=False) as http:
        found: Json = (await http.get(f"{installation.demo_model_url}/stats")).json()
        return found
