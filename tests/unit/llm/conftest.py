"""AIChatService connected to a demo model."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.unit.llm.service_fixture import ServiceFixture, serving


@pytest.fixture
async def service(demo_url: str, http: httpx2.AsyncClient) -> AsyncIterator[ServiceFixture]:
    async with serving(demo_url, http) as found:
        yield found
