"""An upgrade in the middle of it: every process of ours is replaced, one after the other."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.system.faults import Blow
from tests.installation import Installation

UPGRADE_SECONDS = 600.0
"""For the command, on a machine that is busy with those who send."""


class MakeUpgrade(Blow):
    """`parlor upgrade` to the version that runs already."""

    name, within = "make-upgrade", 5.0

    async def apply(self) -> None:
        installation = Installation(self.target.kind, self.target.data_dir)
        done = await asyncio.to_thread(installation.parlor, "upgrade", "--all", timeout=UPGRADE_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"parlor upgrade failed: {done.stderr}")
        self.back_at = time.monotonic()
