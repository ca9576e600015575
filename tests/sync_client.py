"""Makes ``parlor/client/sync_*.py`` from ``async_*.py``: ``python -m tests.sync_client``.

The two differ in words only: what is awaited in one is called in the other. A test holds the files to what this makes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "parlor" / "client"
NAMES = ("client", "line", "reply", "socket", "transport")
HEAD = """\"\"\"%s Made from ``async_%s.py`` by ``python -m tests.sync_client``; change that.\"\"\"
"""

WORDS = {
    r"Awaitable\[(\w+)\]": r"\1",
    r"AsyncGenerator\[(\w+)\]": r"Generator[\1]",
    r"AsyncIterator\[": "Iterator[",
    r"from collections\.abc import .*": "from collections.abc import Callable, Generator, Iterable, Iterator, Sequence",
    r"import asyncio": "import threading\nimport time",
    r"asyncio\.Lock": "threading.Lock",
    r"asyncio\.sleep": "time.sleep",
    r"httpx2\.AsyncClient": "httpx2.Client",
    r"\bAsync(Client|Line|Pool|Promise|Reply|Socket|Task|Transport|Wire)\b": r"\1",
    r"\basync_(client|line|reply|socket|transport|waiting|wire)\b": r"sync_\1",
    r"\basync (def|for|with) ": r"\1 ",
    r"\bawait ": "",
    r"\baclosing\b": "closing",
    r"\b__a(enter|exit|iter)__\b": r"__\1__",
    r"\baclose\b": "close",
    r"\ba(read|iter_bytes)\b": r"\1",
}


def sync_module(name: str) -> str:
    """A module's text."""
    text = (FOLDER / f"async_{name}.py").read_text(encoding="utf-8")
    about, _, body = text.removeprefix('"""').partition('"""\n')
    for word, instead in WORDS.items():
        body = re.sub(word, instead, body)
    head = (
        f'"""{about.replace(", for asyncio", "")}\n\nMade from ``async_{name}.py`` by ``python -m tests.sync_client``: '
    )
    body = f'{head}change that."""\n{body}'
    ruff = str(Path(sys.executable).with_name("ruff"))
    # A loop that yields what it gets is `yield from` where nothing is awaited.
    for arguments in (
        ("check", "--select", "F401,I,UP028", "--fix", "--unsafe-fixes", "--quiet"),
        ("format", "--quiet"),
    ):
        done = subprocess.run(
            [ruff, *arguments, "--stdin-filename", str(FOLDER / f"sync_{name}.py"), "-"],
            input=body,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        body = done.stdout
    return body


def main() -> None:
    for name in NAMES:
        (FOLDER / f"sync_{name}.py").write_text(sync_module(name), encoding="utf-8")


if __name__ == "__main__":
    main()
