"""`parlor up`: starts the launcher, shows its progress and, unless detached, waits for its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import msgspec

from parlor_cli.checks import check
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions
from parlor_cli.progress import Progress, decode
from parlor_cli.refusal import Refusal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(options: UpOptions, progress: Progress, *, detach: bool) -> int:
    """Returns the exit code: when `/readyz` answers 200 for a detached start, otherwise at the end of the run. Raises
    ``Refusal`` for a configuration that cannot be used, before anything starts."""
    check(options)
    if not detach:
        options = msgspec.structs.replace(options, tether=os.getpid())
    # -P: keeps the current directory from shadowing installed packages.
    launcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "parlor_cli.launcher"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    if launcher.stdin is None or launcher.stdout is None:
        raise RuntimeError("the launcher has no pipes")

    def forward(_number: int, _frame: FrameType | None) -> None:
        # The first one asks the launcher to drain, a second one forces it.
        if launcher.poll() is None:
            launcher.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in _SIGNALS}
    try:
        with launcher.stdin as pipe:
            pipe.write(options.to_json())
        ready = failed = False
        for raw in launcher.stdout:
            line = decode(raw)
            if line is None:
                continue
            progress.show(line.kind, line.text, line.step)
            failed = failed or line.kind == "failed"
            ready = ready or line.kind == "ready"
            if ready and detach:
                return 0
        code = launcher.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0:
        raise Refusal(f"the launcher was killed by {signal.Signals(-code).name}; {_log_hint(options.data_dir)}")
    if failed:
        progress.show("note", _log_hint(options.data_dir), step="log")
    return code


def _log_hint(data_dir: Path) -> str:
    installation = Installation.find(data_dir)
    return f"the logs are in {installation.logs_dir}" if installation else "there are no logs yet"
