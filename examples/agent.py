"""A bot: follows a room, and answers the messages that begin with an exclamation mark.

    python -m examples.agent --room 01a2...

    !words The quick brown fox      answers: 4 words
    !total                          answers: how many messages the room has

It writes on behalf of the account whose token it has: with `reply: none`, so that the language model does not answer,
and with a mark in `metadata`, so that it does not answer itself. When its connection breaks, it goes on behind the last
message that it has answered, and an answer's `Idempotency-Key` names the message: each is answered once.
"""

from __future__ import annotations

import argparse
import sys
import time

from examples.client import Client, Failed, Json, arguments, run

NAME = "example-agent"


def answer_to(client: Client, room: str, content: str) -> str:
    command, _, rest = content.partition(" ")
    match command:
        case "!words":
            return f"{len(rest.split())} words"
        case "!total":
            return f"{client.call('GET', f'/v1/rooms/{room}')['message_count']} messages"
        case _:
            return f"I know !words and !total, not {command}"


def is_for_me(message: Json) -> bool:
    """Whether a person wrote it for the bot."""
    mine = message["metadata"].get("agent") == NAME
    return message["sender_type"] == "USER" and str(message["content"]).startswith("!") and not mine


def follow(client: Client, given: argparse.Namespace) -> None:
    room, answered = given.room, 0
    cursor = client.call("GET", f"/v1/rooms/{room}/messages?limit=1")["cursor"]
    print("following", flush=True)
    while True:
        try:
            for event in client.events(f"/v1/rooms/{room}/events", cursor):
                if event.type == "message.created" and is_for_me(event.data["message"]):
                    message = event.data["message"]
                    text = answer_to(client, room, message["content"])
                    client.send(room, text, f"{NAME}-{message['message_id']}", reply="none", metadata={"agent": NAME})
                    print(f"{message['content']} -> {text}", flush=True)
                    answered += 1
                    if answered == given.answers:
                        return
                cursor = event.id
        except Failed as failed:
            if failed.status not in (0, 503):
                raise
            time.sleep(failed.retry_after)


def main() -> int:
    """The program; returns its exit code."""
    parser = arguments(__doc__)
    parser.add_argument("--room", required=True)
    parser.add_argument("--answers", type=int, default=0, help="end after so many [never]")
    return run(parser, follow)


if __name__ == "__main__":
    sys.exit(main())
