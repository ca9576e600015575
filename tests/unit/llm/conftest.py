"""A demo model in this process, and its statistics."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from functools import cache

import httpcore2
import httpx2
import pytest

from parlor.llm.demo_model import running_demo_model
from tests.unit.llm.rig import Rig, serving

# Trusts nobody and is not used over plain HTTP; loading the system's certificates for each test takes longer than it.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Every client of the language model would read them anew, for longer than its test takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


@pytest.fixture
async def demo_url() -> AsyncIterator[str]:
    async with running_demo_model() as url:
        yield url


@pytest.fixture
async def http(demo_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose paths are relative to the demo model's root."""
    root = demo_url.removesuffix("/v1")
    async with httpx2.AsyncClient(base_url=root, timeout=10, trust_env=False, verify=NO_TLS) as client:
        yield client


@pytest.fixture
async def rig(demo_url: str, http: httpx2.AsyncClient) -> AsyncIterator[Rig]:
    async with serving(demo_url, http) as found:
        yield found
