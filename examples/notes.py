"""A Markdown file imported as a room, and a room exported as Markdown.

    python -m examples.notes import notes.md                   prints the room
    python -m examples.notes import notes.md --room 01a2...    goes on where an import broke off
    python -m examples.notes export 01a2... > notes.md

The first line that begins with `# ` is the room's title; every paragraph becomes a message, without asking the language
model. A paragraph's `Idempotency-Key` is made of its number and its text, so that importing the same file into the same
room again adds nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

from examples.client import Client, arguments, run


def import_notes(client: Client, given: argparse.Namespace) -> None:
    text = Path(given.file).read_text(encoding="utf-8")
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    title = heading[1].strip() if heading else Path(given.file).stem
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text.replace(heading[0], "", 1) if heading else text)]
    room = given.room or client.call("POST", "/v1/rooms", {"title": title})["room_id"]
    print(room, flush=True)
    for number, paragraph in enumerate(filter(None, paragraphs), 1):
        digest = hashlib.sha256(paragraph.encode()).hexdigest()[:32]
        client.send(room, paragraph, f"note-{number}-{digest}", reply="none")


def export_notes(client: Client, given: argparse.Namespace) -> None:
    sys.stdout.write(client.text(f"/v1/rooms/{given.room}/export?format=markdown"))


def main() -> int:
    """The program; returns its exit code."""
    parser = arguments(__doc__)
    commands = parser.add_subparsers(required=True)
    importing = commands.add_parser("import", help="a Markdown file")
    importing.add_argument("file")
    importing.add_argument("--room", help="an earlier import's, to go on with it")
    importing.set_defaults(program=import_notes)
    exporting = commands.add_parser("export", help="a room, to standard output")
    exporting.add_argument("room")
    exporting.set_defaults(program=export_notes)
    return run(parser, lambda client, given: given.program(client, given))


if __name__ == "__main__":
    sys.exit(main())
