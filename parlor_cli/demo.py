"""`parlor demo`: an installation with the demo model, and its page opened signed in."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path

from parlor_cli import sign_in
from parlor_cli.bearer import FIRST_ACCOUNT
from parlor_cli.options import UpOptions
from parlor_cli.progress import Kind, Progress
from parlor_cli.refusal import Refusal

WITHOUT_A_MODEL = {
    "OPENAI_API_KEY": "",
    "PARLOR_OPENAI_API_KEY": "",
    "PARLOR_LLM__BASE_URL": "",
    "PARLOR_LLM__PROVIDER": "openai",
}
"""The demo has a language model of its own, whatever the environment, `.env` and `parlor.toml` name."""


def demo(data_dir: Path, port: int, progress: Progress, *, browser: bool) -> int:
    """Runs until Ctrl-C; returns the exit code. Raises ``Refusal``."""
    from parlor_cli.up import up

    os.environ.update(WITHOUT_A_MODEL)
    options = UpOptions(data_dir=data_dir.expanduser().absolute(), port=port, servers="embedded")
    opens = webbrowser.open if browser else None
    return up(options, DemoProgress(progress, options.data_dir, opens), detach=False)


class DemoProgress:
    """Shows a start, and opens the page instead of printing its summary."""

    def __init__(self, inner: Progress, data_dir: Path, opens: Callable[[str], bool] | None) -> None:
        """``opens`` None: only say where the page is."""
        self._inner = inner
        self._data_dir = data_dir
        self._opens = opens

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        self._inner.show(kind, self._opened() if kind == "summary" else text, step)

    def _opened(self) -> str:
        """Opens the page; returns what there is to say about it."""
        again = f"parlor sign-in --data-dir {self._data_dir}"
        try:
            link = sign_in.run(self._data_dir, FIRST_ACCOUNT)
        except Refusal as refusal:
            return f"\n  There is no link to the page ({refusal.message}); `{again}` prints one. Ctrl-C stops.\n"
        why = self._why_not(link)
        opened = f"The page is open, signed in as {FIRST_ACCOUNT}." if why is None else f"Open this page: {why}."
        once = f"The link is good once, within {sign_in.SECONDS} s; `{again}` prints another one."
        return f"\n  {opened}\n\n    {link}\n\n  {once} Ctrl-C stops.\n"

    def _why_not(self, link: str) -> str | None:
        """Opens the link; returns why that did not work."""
        if self._opens is None:
            return "no browser was asked for"
        missing = no_browser(os.environ, sys.platform)
        if missing is not None:
            return missing
        try:
            return None if self._opens(link) else "no browser was found"
        except webbrowser.Error as error:
            return str(error)


def no_browser(environment: Mapping[str, str], platform: str) -> str | None:
    """Why no browser with windows can be opened here; None when one may. Without a display, Python would open one in
    this terminal."""
    if platform != "linux" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return None
    if environment.get("SSH_CONNECTION"):
        return "this is an SSH session, so forward the port first (ssh -L)"
    return "there is no display here"
