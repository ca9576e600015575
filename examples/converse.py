"""A conversation: make a room, send a message, and print the reply as it is written.

PARLOR_TOKEN=$(parlor token ada) python -m examples.converse "How do I make tea?"
"""

from __future__ import annotations

import http.client
import json
import os
import sys


def main() -> int:
    """The program; returns its exit code."""
    if len(sys.argv) != 2 or "PARLOR_TOKEN" not in os.environ:
        print(__doc__, file=sys.stderr)
        return 2
    address = os.environ.get("PARLOR_URL", "http://127.0.0.1:8000").removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"Authorization": f"Bearer {os.environ['PARLOR_TOKEN']}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/rooms", json.dumps({"title": sys.argv[1][:60]}), headers)
    answer = connection.getresponse()
    if answer.status != http.client.CREATED:
        print(answer.read().decode(), file=sys.stderr)
        return 1
    path = f"/v1/rooms/{json.load(answer)['room_id']}/messages"
    events = {**headers, "Accept": "text/event-stream"}
    connection.request("POST", path, json.dumps({"content": sys.argv[1]}), events)
    event = ""
    for line in connection.getresponse():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
        elif name == "data" and event == "message.delta":
            print(json.loads(value)["text"], end="", flush=True)
    print()
    return 0 if event == "message.completed" else 1


if __name__ == "__main__":
    sys.exit(main())
