"""Sends each line of standard input as a message, exactly once, whatever fails on the way.

    journalctl -o cat | python -m examples.send_once --room 01a2...

When no answer arrives, the message may be stored, or not. So each line has an `Idempotency-Key`, and is sent with the
same key until it is acknowledged: a repeat returns the message that is there already. The output is the room, then a
line for each message: its number in the room, and its text.
"""

from __future__ import annotations

import argparse
import sys

from examples.client import Client, arguments, run


def send_lines(client: Client, given: argparse.Namespace) -> None:
    room = given.room or client.call("POST", "/v1/rooms", {"title": "Lines"})["room_id"]
    print(room)
    for line in sys.stdin:
        if content := line.strip():
            # `reply: none`: the language model is not asked.
            message = client.send(room, content, reply="none")["message"]
            print(f"{message['seq']} {message['content']}", flush=True)


def main() -> int:
    """The program; returns its exit code."""
    parser = arguments(__doc__)
    parser.add_argument("--room", help="without it a new one")
    return run(parser, send_lines)


if __name__ == "__main__":
    sys.exit(main())
