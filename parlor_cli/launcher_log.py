"""The launcher's own lines in its log, each with time and level; `parlor logs` reads them."""

from __future__ import annotations

import sys
import traceback
from datetime import UTC, datetime
from typing import Literal


def log(level: Literal["INFO", "WARNING", "ERROR"], text: str) -> None:
    """Writes to standard error, which is the log once the launcher has its lock."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(f"{now} {level} {text}", file=sys.stderr, flush=True)


def log_failure(error: BaseException) -> None:
    """Writes what failed in a line, and its traceback with everything that caused it behind that."""
    log("ERROR", f"{type(error).__name__}: {error}")
    traceback.print_exception(error)
    sys.stderr.flush()
