"""A conversation: messages and commands go in, replies are followed to their ends."""

from __future__ import annotations

from collections.abc import Callable

from parlor.client import Client, ClientError, File, Message, NoAnswer, Reply, ReplyDeleted, Room
from parlor.client.calls import key
from parlor_cli.chat.approvals import Approvals, Prompt
from parlor_cli.chat.screen import ReplyView, Screen

INTERRUPTED = 130
HISTORY = 10
"""Messages of a room that are shown when it is opened."""


class Leave(Exception):
    """The conversation ends; ``code`` is the exit code."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


Command = Callable[["Conversation", str], None]


class Conversation:
    """One person, in one room at a time."""

    def __init__(self, client: Client, screen: Screen, prompt: Prompt, persona: str | None = None) -> None:
        self.client = client
        self.screen = screen
        self.room: Room | None = None
        self.persona = persona
        """Of the next room, as long as there is none."""
        self.files: list[File] = []
        """They go with the next message."""
        self.draft = ""
        """What the next prompt begins with: a message that was not sent."""
        self._draft_key = ""
        self.prompt = prompt

    def run(self, commands: Callable[[str], Command | None]) -> int:
        """Until the person leaves; returns the exit code. ``commands`` finds what `/name` does."""
        interrupted = False
        while True:
            try:
                text = self.prompt.ask(self.draft)
                interrupted = False
                self._take(text, commands)
            except KeyboardInterrupt:
                if interrupted:
                    return INTERRUPTED
                interrupted, self.draft = True, ""
                self.screen.note("Ctrl-C again leaves, as do Ctrl-D and /quit")
            except EOFError:
                return 0
            except Leave as leave:
                return leave.code
            except ReplyDeleted:
                self.screen.note("The reply was deleted.")
            except ClientError as error:
                self.screen.problem(str(error))

    def open(self, room: Room, show: int = HISTORY) -> None:
        """Goes to a room, shows its newest messages, and follows a reply that is being written."""
        self.room = room
        self.screen.note(f"{room.title} · {room.ai_persona} · {room.room_id}")
        page = self.client.list_messages(room.room_id, show)
        for message in page.messages:
            if message.is_streaming:
                self.follow(self.client.reply(room.room_id, message.message_id, attempt=message.attempt))
            else:
                self.screen.message(message)

    def say(self, text: str) -> None:
        """Sends a message, in a new room if there is none yet, and shows the reply."""
        # A message that was not sent and comes back as it was is the same message.
        sending_key = self._draft_key if self._draft_key and text == self.draft else key()
        try:
            if self.room is None:
                self.room = self.client.create_room(ai_persona=self.persona, idempotency_key=f"room-{sending_key}")
            reply = self.client.ask(self.room.room_id, text, files=self.files, idempotency_key=sending_key)
        except (NoAnswer, KeyboardInterrupt) as error:
            self.draft, self._draft_key = text, sending_key
            why = "the server does not answer" if isinstance(error, NoAnswer) else "interrupted"
            self.screen.problem(f"Not sent: {why}. The text is kept; Enter tries again.")
            return
        self.draft, self._draft_key, self.files = "", "", []
        self.follow(reply)

    def follow(self, reply: Reply) -> None:
        """Shows a reply to its end, and asks about calls that wait. Ctrl-C stops it, a second one leaves."""
        stopping, view, decided = False, ReplyView(), set[str]()
        while reply.message is None:
            try:
                if stopping:
                    reply.stop()
                with self.screen.reply(view):
                    call = view.follow(reply, decided)
                if call is not None:
                    Approvals(self.client, self.screen, self.prompt).decide(reply, call)
                    decided.add(f"{call.tool_call_id} {call.state}")
            except KeyboardInterrupt:
                if stopping:
                    raise Leave(INTERRUPTED) from None
                stopping = True
        self._say_how_it_ended(reply.message)

    def last(self, sender: str) -> Message:
        """The newest message of the room by a person (``USER``) or the model (``AI``). Raises ``LookupError``."""
        if self.room is not None:
            for message in reversed(self.client.list_messages(self.room.room_id, HISTORY).messages):
                if message.sender_type == sender:
                    return message
        raise LookupError

    def _take(self, text: str, commands: Callable[[str], Command | None]) -> None:
        if text.startswith("/") and not text.startswith("//"):
            name, _, rest = text[1:].partition(" ")
            command = commands(name)
            if command is None:
                self.screen.problem(f"There is no /{name}; /help shows what there is.")
            else:
                command(self, rest.strip())
        elif text.strip() or self.files:
            self.say(text.removeprefix("/") if text.startswith("//") else text)

    def _say_how_it_ended(self, message: Message | None) -> None:
        if message is None:
            return
        if message.error is not None:
            self.screen.problem(f"{message.error.code}: {message.error.detail}")
        elif message.finish_reason == "stopped":
            self.screen.note("[stopped]")
        elif message.finish_reason != "stop":
            self.screen.note(f"[ended: {message.finish_reason}; /continue goes on]")
