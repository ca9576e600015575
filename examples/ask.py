"""A conversation on `parlor.client`: each line of standard input is a question, and its reply is printed as it comes.

    PARLOR_TOKEN=$(parlor token ada) python -m examples.ask < questions.txt

The client does the rest: sends are tried again with their `Idempotency-Key`, streams are resumed where they were cut.
"""

from __future__ import annotations

import os
import sys

from parlor.client import Client, ClientError


def main() -> int:
    """The program; returns its exit code."""
    if "PARLOR_TOKEN" not in os.environ:
        print("set PARLOR_TOKEN", file=sys.stderr)
        return 2
    try:
        with Client(os.environ.get("PARLOR_URL", "http://127.0.0.1:8000"), os.environ["PARLOR_TOKEN"]) as parlor:
            room = parlor.create_room("Asked")
            for question in filter(None, map(str.strip, sys.stdin)):
                for delta in parlor.ask(room.room_id, question):
                    if delta.type == "reset":
                        print("\n[begun again]")
                    elif delta.type == "text":
                        print(delta.text, end="", flush=True)
                print()
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
