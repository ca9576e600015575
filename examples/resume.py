"""A reply, read to its end through a connection that breaks.

    python -m examples.resume "How do I make tea?"

Each event has an id, its cursor. After a break the program comes back with the last one in `Last-Event-ID`, and gets
exactly what it has not had: nothing is missing from the text, nothing is in it twice.
"""

from __future__ import annotations

import argparse
import sys
import time

from examples.client import TRIES, Client, Failed, arguments, run

ENDS = ("message.completed", "message.stopped", "message.failed")


def resume(client: Client, given: argparse.Namespace) -> None:
    room = client.call("POST", "/v1/rooms", {"title": "Resumed"})["room_id"]
    sent = client.send(room, given.content)
    path, cursor, breaks = f"/v1/rooms/{room}/messages/{sent['reply']['message_id']}", sent["cursor"], 0
    while True:
        try:
            for event in client.events(f"{path}/events", cursor):
                cursor = event.id
                if event.type == "message.delta":
                    print(event.data["text"], end="", flush=True)
                elif event.type == "message.reset":
                    # The process that wrote it has died; another one begins the reply anew.
                    print("\n[begun again]\n", end="", flush=True)
                elif event.type in ENDS:
                    print(f"\n[{event.type.removeprefix('message.')}, after {breaks} breaks]")
                    return
            raise Failed(0, "the stream ended before the reply")
        except Failed as failed:
            if failed.code == "stream-expired":
                # Away for too long: the events are gone. The message is not.
                print(f"\n[from the history]\n{client.call('GET', path)['content']}")
                return
            breaks += 1
            if breaks > given.breaks or failed.status not in (0, 503):
                raise
            time.sleep(failed.retry_after)


def main() -> int:
    """The program; returns its exit code."""
    parser = arguments(__doc__)
    parser.add_argument("content", help="the message")
    parser.add_argument("--breaks", type=int, default=TRIES, help="give up after so many [%(default)s]")
    return run(parser, resume)


if __name__ == "__main__":
    sys.exit(main())
