"""`parlor chat` in a pipe, on a running Parlor. On a terminal: `tests/unit/parlor_cli/chat/test_terminal.py`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.integration.user import User
from tests.integration.waiting import patience

pytestmark = pytest.mark.integration

KINDS = ("embedded",)
"""It knows the HTTP interface alone; what stands behind it is other tests' business."""
SECONDS = 40.0


@pytest.mark.parametrize(
    ("question", "printed", "code"),
    [("[[text=Warm the **pot**.]]", "Warm the **pot**.\n", 0), ("", "", 2), ("[[fail=500]]", None, 1)],
)
async def test_a_question_from_a_pipe_is_answered_plainly(
    installation: Installation, user: User, tmp_path: Path, question: str, printed: str | None, code: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("parlor")),
        *("chat", "--account", user.account),
        cwd="/",
        # It signs in by the data directory.
        env={"HOME": str(tmp_path), "PARLOR_DATA_DIR": str(installation.data_dir)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(question.encode()), patience(SECONDS))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == code, errors.decode()
    if printed is not None:
        assert output.decode() == printed
    assert (errors == b"") == (code == 0)
    assert len((await user.get("/v1/rooms"))["rooms"]) == (1 if question else 0)
