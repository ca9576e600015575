"""`parlor chat`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from rich.console import Console

from parlor.client import Client, ClientError, Room
from parlor_cli.chat.access import open_client
from parlor_cli.chat.conversation import INTERRUPTED, Conversation
from parlor_cli.refusal import Refusal


def run(data_dir: Path, room_id: str | None, account: str, persona: str | None) -> int:
    """Returns the exit code. Raises ``Refusal``."""
    with open_client(data_dir, account) as client:
        # Other commands end at Ctrl-C whatever they do; here it stops a reply.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            room = None if room_id is None else _find(client, room_id)
            if sys.stdin.isatty():
                return _converse(client, room, persona)
            from parlor_cli.chat.question import answer

            return answer(client, room, persona, sys.stdin.read(), sys.stdout)
        except ClientError as error:
            raise Refusal(str(error)) from error
        except KeyboardInterrupt:
            return INTERRUPTED


def _find(client: Client, room_id: str) -> Room:
    """The room with this id, or with this external id."""
    try:
        return client.get_room(room_id)
    except ClientError:
        found = client.find_room(room_id)
        if found is None:
            raise
        return found


def _converse(client: Client, room: Room | None, persona: str | None) -> int:
    from parlor_cli.chat.commands import NAMES, find
    from parlor_cli.chat.prompt import TerminalPrompt
    from parlor_cli.chat.screen import Screen

    screen = Screen(Console(highlight=False))
    prompt = TerminalPrompt([f"/{name}" for name in NAMES])
    chat = Conversation(client, screen, prompt, persona)
    screen.note("/help shows the commands; Ctrl-D leaves.")
    if room is not None:
        chat.open(room)
    return chat.run(find)
