"""npm's packages for the tests that talk to Parlor, or read it, through them."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import shutil
from pathlib import Path

from tests.servers import skip_or_fail
from tests.sources import ROOT

HERE = Path(__file__).parent / "integration" / "javascript"
INSTALL_S = 300


async def output(*command: str, cwd: Path, env: dict[str, str] | None = None, given: str = "", seconds: float) -> str:
    """What a command prints that reads ``given``; raises ``OSError`` when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaints = await asyncio.wait_for(process.communicate(given.encode()), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise OSError(complaints.decode())
    return printed.decode()


async def packages(folder: Path = HERE) -> Path:
    """Where the packages that a folder lists are installed, once for each list."""
    listed = folder / "package.json"
    place = ROOT / "build" / "javascript" / hashlib.blake2b(listed.read_bytes(), digest_size=8).hexdigest()
    if shutil.which("npm") is None:
        skip_or_fail("not installed: npm")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:  # other workers of pytest wait
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        await _install(listed, place)
    return place


async def _install(listed: Path, place: Path) -> None:
    if not (place / "done").exists():
        shutil.copy(listed, place)
        quietly = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        try:
            await output("npm", "install", *quietly, cwd=place, seconds=INSTALL_S)
        except OSError as error:
            skip_or_fail(f"the packages cannot be installed: {error}")
        (place / "done").touch()
