"""An outside suite for language-model APIs against the running installation (https://pypi.org/project/llm-comply)."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.integration.user import Json, User

pytestmark = pytest.mark.integration

KINDS = ("private",)
"""Once is enough: it takes a minute, and what it asks about has no part in what an installation stands on."""


async def comply(user: User, kind: str, base: str) -> list[Json]:
    """The results of all of the suite's tests of a format."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("llm-comply")),
        *(
            "-u",
            base,
            "-k",
            user.http.headers["authorization"].removeprefix("Bearer "),
            "-m",
            "GPT4O",
            "--json",
            "--format",
            kind,
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 120)
    found: Json = msgspec.json.decode(printed)
    return list(found["results"])


@pytest.mark.parametrize(
    ("kind", "path"),
    [("open-responses", "/openai/v1"), ("openai-chat", "/openai/v1"), ("anthropic", "/anthropic/v1")],
)
async def test_an_outside_suite_finds_the_dialect_as_it_should_be(user: User, kind: str, path: str) -> None:
    results = await comply(user, kind, f"{str(user.http.base_url).rstrip('/')}{path}")
    counts = Counter(each["status"] for each in results)
    print(f"llm-comply {kind}: {dict(counts)}")
    assert {each["id"] for each in results if each["status"] not in ("passed", "skipped")} == set(), results
    assert counts["passed"] >= 8, results
