"""`parlor audit`: the audit log as JSON lines; and what other commands write into it."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

import msgspec

from parlor.model.administration import Action, Actor, AuditEntry, Way
from parlor.model.wire import timestamp
from parlor.store.audit_log import NEWEST, AuditStore
from parlor.wiring import Wiring
from parlor_cli.live_stores import ask

_PAGE = 1000


async def note(wiring: Wiring, action: Action, subject: str, detail: str = "") -> None:
    """Raises ``StoreUnavailable``; what cannot be written down is not done."""
    actor = Actor(Way.COMMAND, _who())
    await AuditStore(wiring.store).note(actor, action, subject, wiring.clock.now_ms(), detail)


def show(data_dir: Path, limit: int) -> None:
    """Prints the newest entries, oldest of them first, each as a line of JSON. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> list[AuditEntry]:
        log, found = AuditStore(wiring.store), list[AuditEntry]()
        while len(found) < limit:
            page = await log.page(min(_PAGE, limit - len(found)), found[-1].entry_id if found else NEWEST)
            found += page
            if not page:
                break
        return found

    for entry in reversed(ask(data_dir, work)):
        form = {**msgspec.structs.asdict(entry), "at": timestamp(entry.at)}
        sys.stdout.buffer.write(msgspec.json.encode(form) + b"\n")
    sys.stdout.flush()


def _who() -> str:
    try:
        return getpass.getuser()[:255]
    except (KeyError, OSError):  # a user without a name, as in a container
        return f"uid {os.getuid()}"
