"""A new domain for each test, a demo model, and an environment without a developer's own settings."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import cache

import httpcore2
import httpx2
import pytest

from demo_model.server import running_demo_model
from tests.unit.domain import Domain, DomainMaker
from tests.unit.memory_store import Templates, make_templates
from tests.unit.recorded_replies import RecordedReply, recorded_replies

# Has no certificates, and needs none for plain HTTP; loading the system's takes longer than most tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Otherwise every client of the language model would read them again, which takes longer than its test."""
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


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The databases of a migrated installation, also for tests that make domains in their own event loop."""
    return asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session")
def replies(templates: Templates) -> dict[str, RecordedReply]:
    return recorded_replies(templates)


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name == "OPENAI_API_KEY" or (name.startswith("PARLOR_") and not name.startswith("PARLOR_TEST_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def new_domain(templates: Templates) -> AsyncIterator[DomainMaker]:
    """Makes domains with settings that the test chooses, by section."""
    made: list[Domain] = []

    def make(**sections: object) -> Domain:
        made.append(Domain(templates, **sections))
        return made[-1]

    yield make
    for domain in made:
        await domain.close()


@pytest.fixture
def domain(new_domain: DomainMaker) -> Domain:
    return new_domain()
